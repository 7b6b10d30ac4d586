"""Contenders for exercise 2b: functions that return the seconds per epoch of CIFAR-10, the default CNN, batch 128."""

from functools import partial
from itertools import islice

from benchmark import ROOT, timed, two_at_once
from benchmark_2a import matrix_rate

WIDTH = 32  # the default of ex2b_adam.py
STEPS = 24  # what is timed


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
            torch.nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()

    return timed(lambda: steps(STEPS), lambda: steps(3)) * 50000 / 128 / STEPS


def cnn(bfloat16=False, bare=False, threads=1):
    """This repository: whole epochs as they are trained, or `bare`, the same step on one fixed batch."""
    import torch

    from common import data, models, train
    from common.batches import Batches

    torch.set_num_threads(threads)
    images, _ = data.read_cifar10(ROOT / "data")
    model = models.cnn(WIDTH, 0)
    optimizer = torch.optim.Adam(model.parameters())
    fixed = next(iter(Batches(images, 128)))

    def epoch(n):
        batches = [fixed] * n if bare else Batches(images[: 128 * n], 128, 0, 1, augment=True)
        train.fit(model, optimizer, 1, batches, bfloat16=bfloat16)

    return timed(lambda: epoch(STEPS), lambda: epoch(3)) * 50000 / 128 / STEPS


def arithmetic():
    """The floating-point operations of an epoch at the rate of a matrix product on one thread."""
    import torch

    torch.set_num_threads(1)
    multiply_adds, first = (
        20736 * WIDTH**2 + 27688 * WIDTH,
        27 * WIDTH * 32 * 32,
    )  # an image; the input needs no gradient
    return 50000 * 2 * (3 * multiply_adds - first) / matrix_rate()


def good_at_bfloat16():
    import torch

    from common import train

    return train.good_at_bfloat16(torch.device("cpu"))


CONTENDERS = {
    "tutorial loop": cnn_tutorial,
    "this repository": cnn,
    **({"this repository, bfloat16": partial(cnn, True)} if good_at_bfloat16() else {}),
    "bare steps": partial(cnn, bare=True),
    "this repository, one job of two threads": partial(cnn, threads=2),
    "this repository, two jobs of one thread": partial(two_at_once, "2b", "this repository"),
    "arithmetic alone": arithmetic,
}
