"""Which plain CNN learns CIFAR-10 best in a few epochs? The choice behind models.STAGES in exercise 2b.

    python -m figures.choices.cnn

Five networks of 15 to 25 million multiply-adds train as in ex2b_adam.py (Adam's defaults, random flip and crop), but
without the last 5000 training images, on which they are compared; the test set plays no part. Written: cnn.json,
beside this file.
"""

import sys
import time
from dataclasses import dataclass
from functools import partial

import ex2b_adam as ex2b  # first, since it says what is not installed
from common import batches, models, train as training
from common.experiment import Experiment, Options

import torch
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Candidate:
    width: int
    stages: tuple
    seed: int = 0

    @property
    def name(self):
        return " | ".join(" ".join(str(self.width * multiple) for multiple in stage) for stage in self.stages)


CANDIDATES = (
    (64, ((1,), (1,), (2,), (4,))),
    (32, ((1,), (2,), (4,), (8,))),
    (32, ((1,), (2,), (4,), (8, 8))),
    (32, ((1,), (2,), (4, 4), (4,))),
    (32, ((1,), (2,), (4, 4))),
)


@dataclass(frozen=True)
class Settings(Options):
    """The network of exercise 2b, chosen on held-out images."""

    EXTENDING = ("seeds",)
    epochs: int = 3
    """epochs to train"""
    seeds: int = 1
    """seeds 0, 1, ... of every candidate"""


def load(folder, stand_in, quick):
    """The training images of exercise 2b, cut in two."""
    name, parts = ex2b.load(folder, stand_in, quick)
    images = parts["train_images"]
    held_out = min(5000, len(images) // 10)
    return name, {"train_images": images[:-held_out], "held_out": images[-held_out:]}


def plan(settings):
    """One entry for each candidate and seed."""
    return {
        "candidates": (settings.epochs, [Candidate(*one, seed) for seed in range(settings.seeds) for one in CANDIDATES])
    }


def train(run, settings, parts):
    """Train one candidate as exercise 2b trains Adam's default; seconds are those of this process alone."""
    (candidate,), (images, held_out) = run.cases, (part.to(run.device) for part in parts.values())
    model = models.cnn(candidate.width, candidate.seed, candidate.stages).to(run.device)
    optimizer = training.optimizer("adam", model.parameters(), 1e-3)
    augmented = partial(batches.Batches, images, ex2b.BATCH_SIZE, candidate.seed, augment=True)

    clock = [time.process_time()]

    def measure():
        scored = training.evaluate(model, batches.Batches(held_out, 500))
        clock.append(time.process_time())
        return scored | {"seconds": clock[-1] - clock[-2]}

    rows = training.fit(model, optimizer, run.epochs, augmented, measure, run)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(images.images[:1].float().permute(0, 3, 1, 2))
    return [
        {
            "epochs": run.epochs,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "multiply_adds": counter.get_total_flops() // 2,
            "held_out_accuracy": [row["correct"][0] / len(held_out) for row in rows],
            "seconds_per_epoch": min(row["seconds"] for row in rows),
        }
    ]


def draw(record):
    """No figure: the page has the table."""
    return ()


def line(entry):
    """One candidate in words."""
    return f"{entry['name']}: {entry['held_out_accuracy'][-1]:.2%} on held-out images"


def table(record):
    """All of them."""
    return "\n".join(map(line, record["candidates"]))


experiment = Experiment(
    "cnn",
    Settings,
    load,
    plan,
    train,
    figures=sys.modules[__name__],
    fixed={"batch_size": ex2b.BATCH_SIZE},
    folder="figures/choices",
)

if __name__ == "__main__":
    experiment.main(__doc__)
