"""How fast is this beside what anyone would pick instead? Not a test.

    python tests/benchmark.py 2a      seconds per model and epoch of Fashion-MNIST, (50, 30, 30), batch 64
    python tests/benchmark.py 2b      seconds per epoch of CIFAR-10, the default CNN, batch 128, one thread
    python tests/benchmark.py cluster seconds for small sweeps on a Dask cluster whose workers all run on this machine

Each measurement is a process of its own that warms up and then times one pass over a part of the data, scaled to the
whole. The contenders take turns, five times (the cluster's three); the medians go to figures/benchmark.json. JAX is
left out where it is not installed.
"""

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
REPEATS = {"2a": 5, "2b": 5, "cluster": 3}
HIDDEN, LR = (50, 30, 30), 0.005
WIDTH = 32  # the default of ex2b_adam.py
IMAGES_2A, STEPS_2B = 12800, 24  # what is timed: whole batches of 64, steps of 128


def timed(work, warm_up):
    """Return the seconds that work() takes, after warm_up()."""
    warm_up()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


# Contenders of 2a: functions that return the seconds per model and epoch.


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

    return timed(lambda: epoch(IMAGES_2A), lambda: epoch(640)) * 60000 / IMAGES_2A


def standardised():
    """The first images as float32 columns on the CPU, standardised, and their labels."""
    from common import data
    from common.batches import Batches

    images, _ = data.fashion_mnist(ROOT / "data")
    return next(iter(Batches(images, IMAGES_2A)))


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

    return timed(lambda: epoch(IMAGES_2A), lambda: epoch(640)) * 60000 / IMAGES_2A


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

    return timed(lambda: epoch(IMAGES_2A), lambda: epoch(640)) * 60000 / IMAGES_2A / members


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
    order = jax.random.permutation(jax.random.key(1), IMAGES_2A).reshape(-1, 64)
    run = lambda: jax.block_until_ready(epoch(parameters, order))  # noqa: E731
    return timed(run, run) * 60000 / IMAGES_2A / members


def members(n):
    """This repository with n members; the probe works as in exercise 2a."""
    import torch

    from common import data, models, probes, train
    from common.batches import Batches

    images, _ = data.fashion_mnist(ROOT / "data")
    model = models.mlp(HIDDEN, "sigmoid", [("default", seed) for seed in range(n)])
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    probe = probes.GradientNorms(model[1::2])

    def epoch(part):
        train.fit(model, optimizer, 1, lambda e: Batches(images[:part], 64, 0, e), dict, train.Unsaved(), probe)

    return timed(lambda: epoch(IMAGES_2A), lambda: epoch(640)) * 60000 / IMAGES_2A / n


def arithmetic():
    """The floating-point operations of a model and epoch over the rate of a matrix product, 2048 x 2048."""
    import torch

    sizes = (784, *HIDDEN, 10)
    products = [a * b for a, b in zip(sizes, sizes[1:])]
    operations = 60000 * 2 * (3 * sum(products) - products[0])  # forward, dL/dW, dL/dh; the input needs no gradient
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    seconds = timed(lambda: [a @ b for _ in range(10)], lambda: [a @ b for _ in range(3)]) / 10
    return operations * seconds / (2 * 2048**3)


# Contenders of 2b: functions that return the seconds per epoch, one thread.


def cnn_tutorial():
    """PIL images, transforms, DataLoader, the default memory layout, float32."""
    import torch
    from torchvision import datasets, transforms

    from common import models

    torch.set_num_threads(1)
    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    crop, flip = transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()
    transform = transforms.Compose([crop, flip, transforms.ToTensor(), transforms.Normalize(mean, std)])
    images = datasets.CIFAR10(ROOT / "data", train=True, transform=transform)
    model = models.cnn(WIDTH, 0).to(memory_format=torch.contiguous_format)
    optimizer = torch.optim.Adam(model.parameters())

    def steps(n):
        for x, y in islice(torch.utils.data.DataLoader(images, 128, shuffle=True), n):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x)[0].T, y).backward()
            optimizer.step()

    return timed(lambda: steps(STEPS_2B), lambda: steps(3)) * 50000 / 128 / STEPS_2B


def cnn(dtype=None, bare=False):
    """This repository: whole epochs as they are trained, or `bare`, the same step on one fixed batch."""
    import torch

    from common import data, models, train
    from common.batches import Batches

    torch.set_num_threads(1)
    images, _ = data.cifar10(ROOT / "data")
    model = models.cnn(WIDTH, 0)
    optimizer = torch.optim.Adam(model.parameters())
    fixed = next(iter(Batches(images, 128)))

    def epoch(n):
        batches = [fixed] * n if bare else Batches(images[: 128 * n], 128, 0, 1, augment=True)
        train.fit(model, optimizer, 1, lambda e: batches, dict, train.Unsaved(), dtype=dtype)

    return timed(lambda: epoch(STEPS_2B), lambda: epoch(3)) * 50000 / 128 / STEPS_2B


# The cluster: functions that return the seconds for a sweep, once every worker has trained a run.


@contextmanager
def dask(places):
    """Yield the workers.Engine of a scheduler and `places` workers of one thread, all on this machine."""
    from shipped import Cluster

    from common import workers

    with tempfile.TemporaryDirectory() as folder:
        started = Cluster(Path(folder))
        try:
            for _ in range(places):
                started.worker("--nthreads", "1")
            started.workers(places)
            with workers.cluster(started.address) as engine:
                yield engine
        finally:
            started.stop()


def sweep(engine, runs, work):
    """Let work(arm, seed) be done for so many runs."""
    import ex2b_adam
    from common import workers

    todo = [(ex2b_adam.ARMS[number % 15], number // 15) for number in range(runs)]
    workers.sweep(engine, work, todo, 2, lambda *shown: None, lambda result: None)


def small_sweep(place, places):
    """Twelve runs of exercise 2b, each of two epochs on 1280 generated images."""
    with tempfile.TemporaryDirectory() as folder, place(places) as engine:
        work = small_work(folder)
        return timed(lambda: sweep(engine, 12, work), lambda: sweep(engine, 2 * places, work))


def small_work(folder):
    import ex2b_adam

    settings = ex2b_adam.Settings(epochs=2, quick=True, width=8, runs=Path(folder), fresh=True)
    shared = {"data": "stand-in", "epochs": 2, "batch_size": 128, "momentum": 0.9, "width": 8}
    shared |= {"precision": "float32", "train_sample": 1000, "train_images": 1280, "test_images": 500}
    return partial(ex2b_adam.train, settings=settings, shared=shared)


def waiting_sweep(places):
    """Sixteen runs that wait half a second each: what the engine adds where the cores set no limit."""
    with dask(places) as engine:
        return timed(lambda: sweep(engine, 16, wait), lambda: sweep(engine, places, wait))


def wait(arm, seed):
    time.sleep(0.5)


def empty_run():
    """A run that does nothing, on one worker: what sending, scheduling and coming back take."""
    with dask(1) as engine:
        return timed(lambda: sweep(engine, 300, nothing), lambda: sweep(engine, 10, nothing)) / 300


def nothing(arm, seed):
    return {}


def start_up():
    """A cluster of one worker, from its start to the end of its first run, less the second run's time."""
    began = time.perf_counter()
    with dask(1) as engine, tempfile.TemporaryDirectory() as folder:
        work = small_work(folder)
        seconds = timed(lambda: sweep(engine, 1, work), lambda: sweep(engine, 1, work))
        return time.perf_counter() - began - 2 * seconds


def write_record():
    """Write a record of exercise 2b with 10000 runs, as it is written behind every run."""
    from common import runs

    record = runs.read_record(ROOT / "figures/ex2b.json")
    record["runs"] = [record["runs"][0]] * 10000
    with tempfile.TemporaryDirectory() as folder:
        write = partial(runs.write_record, Path(folder) / "ex2b.json", record)
        return timed(write, write)


def local(places):
    from common import workers

    return workers.pool(places)


CONTENDERS = {
    "2a": {
        "tutorial loop": tutorial,
        "in memory, eager": in_memory,
        "torch.func, 16 members": vmap,
        "JAX, 16 members": jax_scan,
        **{f"this repository, {n} member{'s' * (n > 1)}": lambda n=n: members(n) for n in (1, 5, 16, 64)},
        "arithmetic alone": arithmetic,
    },
    "2b": {
        "tutorial loop": cnn_tutorial,
        "this repository": cnn,
        "bare steps": lambda: cnn(bare=True),
    },
    "cluster": {
        "12 small runs, 1 process, no cluster": lambda: small_sweep(local, 1),
        "12 small runs, 2 processes, no cluster": lambda: small_sweep(local, 2),
        **{f"12 small runs, cluster of {n}": lambda n=n: small_sweep(dask, n) for n in (1, 2, 4)},
        **{f"16 waiting runs, cluster of {n}": lambda n=n: waiting_sweep(n) for n in (1, 2, 4)},
        "an empty run, cluster of 1": empty_run,
        "start of a cluster of 1": start_up,
        "writing a record of 10000 runs": write_record,
    },
}


def measure(exercise):
    """Let the contenders take turns; return {name: [seconds of each turn]}."""
    seconds = {name: [] for name in CONTENDERS[exercise]}
    for turn in range(REPEATS[exercise]):
        for name in list(seconds):
            command = [sys.executable, __file__, exercise, name]
            done = subprocess.run(command, capture_output=True, text=True)
            if "No module named 'jax'" in done.stderr:
                print(f"{name}: left out, JAX is not installed")
                del seconds[name]
                continue
            if done.returncode:
                sys.exit(f"{name} failed:\n{done.stderr}")
            seconds[name].append(float(done.stdout.split()[-1]))
            print(f"turn {turn + 1}: {name:40} {seconds[name][-1]:8.3f} s", flush=True)
    return seconds


def main(exercise):
    from common import runs

    medians = {name: statistics.median(values) for name, values in measure(exercise).items()}
    first, base = next(iter(medians.items()))
    rows = [{"contender": name, "seconds": value, "times_faster": base / value} for name, value in medians.items()]
    for row in rows:
        print(f"{row['contender']:40} {row['seconds']:9.3f} s {row['times_faster']:8.1f} x {first}")
    path = ROOT / "figures/benchmark.json"
    record = runs.read_record(path) if path.exists() else {"schema": runs.SCHEMA}
    machine = {"machine": platform.machine(), "cores": os.cpu_count(), "turns": REPEATS[exercise]}
    runs.write_record(path, record | {exercise: rows, f"{exercise}_machine": machine})


if __name__ == "__main__":
    if len(sys.argv) == 3:
        from benchmark import CONTENDERS  # under the name by which workers know what they are to call

        print(CONTENDERS[sys.argv[1]][sys.argv[2]]())
    elif len(sys.argv) == 2 and sys.argv[1] in CONTENDERS:
        main(sys.argv[1])
    else:
        sys.exit(__doc__)
