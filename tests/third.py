"""A third exercise, to show what an experiment costs: does a very small network prefer one learning rate of two?

python tests/third.py
"""

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common import batches, data, models, plots, train as training  # noqa: E402
from common.experiment import Experiment, Options  # noqa: E402


@dataclass(frozen=True)
class Arm:
    lr: float
    seed: int = 0

    @property
    def name(self):
        return f"rate {self.lr:g}, seed {self.seed}"


@dataclass(frozen=True)
class Settings(Options):
    """The settings of the third exercise."""

    EXTENDING = ("seeds",)
    epochs: int = 3
    """epochs to train"""
    seeds: int = 3
    """seeds 0, 1, ... of both rates"""


def load(folder, stand_in, quick):
    images, _ = data.stand_in((2, 2, 1), 100, 10, classes=2)
    return "stand-in" if stand_in or quick else "small images", {"train_images": images}


def plan(settings):
    return {"arms": (settings.epochs, [Arm(lr, seed) for lr in (0.1, 1.0) for seed in range(settings.seeds)])}


def train(run, settings, parts):
    (arm,), images = run.cases, parts["train_images"].to(run.device)
    model = models.mlp([3], "relu", [("default", arm.seed)], features=4, classes=2).to(run.device)
    optimizer = training.optimizer("sgd", model.parameters(), arm.lr)
    rows = training.fit(model, optimizer, run.epochs, lambda epoch: batches.Batches(images, 10, 0, epoch), run=run)
    return [{"loss": [row["train_loss"][0] for row in rows]}]


def line(arm):
    return f"{arm['name']}: loss {arm['loss'][-1]:.3f}"


def table(record):
    return "\n".join(map(line, record["arms"]))


def draw(record):
    with plots.style():
        picture, (axes,) = plots.figure(f"{len(record['arms'])} of {record['planned']} runs of a very small network")
        for arm in record["arms"]:
            axes.plot(range(1, len(arm["loss"]) + 1), arm["loss"], label=arm["name"])
        yield "third_loss.png", picture


SHAPES = {"arms": lambda arm, settings: {"lr": float, "loss": [(0, 9)] * settings["epochs"]}}
experiment = Experiment("third", Settings, load, plan, train, figures=sys.modules[__name__], fixed={"batch_size": 10})

if __name__ == "__main__":
    experiment.main(__doc__)
