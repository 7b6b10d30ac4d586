"""Contenders for exercise 2a: functions that return the seconds per model and epoch of Fashion-MNIST, batch 64."""

from functools import partial

from benchmark import ROOT, timed, two_at_once

HIDDEN, LR = (50, 30, 30), 0.005
IMAGES = 12800  # what is timed, whole batches


def plain():
    from torch import nn

    sizes = (784, *HIDDEN, 10)
    stages = [stage for pair in zip(sizes, sizes[1:]) for stage in (nn.Linear(*pair), nn.Sigmoid())]
    return nn.Sequential(nn.Flatten(), *stages[:-1])


def tutorial():
    """The loop of every tutorial: Dataset, transforms, DataLoader."""
    import torch
    from torchvision import datasets, transforms

    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.2860,), (0.3530,))])
    images = datasets.FashionMNIST(ROOT / "data", train=True, transform=transform)
    model, loss = plain(), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)

    def epoch(n):
        part = torch.utils.data.Subset(images, range(n))
        for x, y in torch.utils.data.DataLoader(part, 64, shuffle=True):
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()

    return timed(lambda: epoch(IMAGES), lambda: epoch(640)) * 60000 / IMAGES


def standardised():
    """The first images as float32 columns on the CPU, standardised, and their labels."""
    from common import data
    from common.batches import Batches

    images, _ = data.read_fashion_mnist(ROOT / "data")
    return next(iter(Batches(images, IMAGES)))


def in_memory():
    """One model, the data standardised in memory beforehand, no DataLoader."""
    import torch

    x, y = standardised()
    model, loss = plain(), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)

    def epoch(n):
        for index in torch.randperm(n).split(64):
            optimizer.zero_grad()
            loss(model(x[index]), y[index]).backward()
            optimizer.step()

    return timed(lambda: epoch(IMAGES), lambda: epoch(640)) * 60000 / IMAGES


def vmap(members=16):
    """torch.func: stack_module_state, and grad under vmap."""
    import torch
    from torch.func import functional_call, grad, stack_module_state, vmap

    x, y = standardised()
    base = plain().to("meta")
    parameters, _ = stack_module_state([plain() for _ in range(members)])

    def loss(parameters, x, y):
        return torch.nn.functional.cross_entropy(functional_call(base, parameters, (x,)), y)

    step = vmap(grad(loss), in_dims=(0, None, None))

    def epoch(n):
        for index in torch.randperm(n).split(64):
            gradients = step(parameters, x[index], y[index])
            with torch.no_grad():
                for name, gradient in gradients.items():
                    parameters[name].sub_(gradient, alpha=LR)

    return timed(lambda: epoch(IMAGES), lambda: epoch(640)) * 60000 / IMAGES / members


def jax_scan(members=16):
    """JAX: one epoch is one jit-compiled scan over the batches, the members under vmap."""
    import jax
    import jax.numpy as jnp

    x, y = (jnp.asarray(part.numpy()) for part in standardised())
    x, sizes = x.reshape(len(x), 784), (784, *HIDDEN, 10)
    keys = jax.random.split(jax.random.key(0), (members, len(sizes) - 1))
    weights = [
        jax.vmap(lambda k: jax.random.normal(k, (a, b)) / a**0.5)(keys[:, i])
        for i, (a, b) in enumerate(zip(sizes, sizes[1:]))
    ]
    parameters = [(w, jnp.zeros((members, w.shape[2]))) for w in weights]

    def loss(parameters, x, y):
        for w, b in parameters[:-1]:
            x = jax.nn.sigmoid(x @ w + b)
        logits = x @ parameters[-1][0] + parameters[-1][1]
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean()

    def step(parameters, index):
        gradients = jax.vmap(jax.grad(loss), (0, None, None))(parameters, x[index], y[index])
        return jax.tree.map(lambda p, g: p - LR * g, parameters, gradients), None

    epoch = jax.jit(lambda parameters, order: jax.lax.scan(step, parameters, order)[0])
    order = jax.random.permutation(jax.random.key(1), IMAGES).reshape(-1, 64)
    run = lambda: jax.block_until_ready(epoch(parameters, order))  # noqa: E731
    return timed(run, run) * 60000 / IMAGES / members


def members(n, hidden=HIDDEN, part=IMAGES, threads=None):
    """This repository with n members; the probe works as in exercise 2a."""
    import torch

    from common import data, models, probes, train
    from common.batches import Batches

    torch.set_num_threads(threads or torch.get_num_threads())
    images, _ = data.read_fashion_mnist(ROOT / "data")
    model = models.mlp(hidden, "sigmoid", [("default", seed) for seed in range(n)])
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    probe = probes.GradientNorms(models.linears(model))

    def epoch(part):
        train.fit(model, optimizer, 1, lambda e: Batches(images[:part], 64, 0, e), probe=probe)

    return timed(lambda: epoch(part), lambda: epoch(640)) * 60000 / part / n


def arithmetic():
    """The floating-point operations of a model and epoch at the rate of a matrix product."""
    from figures.benchmark import operations

    return operations(HIDDEN) / matrix_rate()


def matrix_rate():
    """Floating-point operations per second in products of 2048 x 2048."""
    import torch

    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    seconds = timed(lambda: [a @ b for _ in range(10)], lambda: [a @ b for _ in range(3)])
    return 10 * 2 * 2048**3 / seconds


ONE_THREAD = "this repository, 16 members, one thread"
CONTENDERS = {
    "tutorial loop": tutorial,
    "in memory, eager": in_memory,
    "torch.func, 16 members": vmap,
    "JAX, 16 members": jax_scan,
    **{f"this repository, {n} member{'s' * (n > 1)}": partial(members, n) for n in (1, 5, 16, 64)},
    ONE_THREAD: partial(members, 16, part=60000, threads=1),
    "this repository, 16 members in each of two processes": partial(two_at_once, "2a", ONE_THREAD),
    "arithmetic alone": arithmetic,
}
