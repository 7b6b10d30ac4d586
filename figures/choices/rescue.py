"""Which initialisation rescues a deep Sigmoid network? The choice behind RESCUE in ex2a_vanishing.py.

    python -m figures.choices.rescue

Under eight schemes the deepest network trains as in exercise 2a, but without the last 5000 training images of
Fashion-MNIST, on which they are compared; the test set plays no part. Written: rescue.json, beside this file.
"""

import sys
from dataclasses import dataclass
from statistics import mean

import ex2a_vanishing as ex2a
from common.experiment import Experiment, Options

BEYOND = (
    "gain6_from_layer2_centred",
    "gain8_from_layer2_centred",
    "orthogonal4_from_layer2_centred",
    "orthogonal6_from_layer2_centred",
    "orthogonal8_from_layer2_centred",
)
CANDIDATES = tuple(ex2a.Arm(ex2a.DEEPEST, "sigmoid", init) for init in (*ex2a.LADDER, *BEYOND))


@dataclass(frozen=True)
class Settings(Options):
    """The rescue of exercise 2a, chosen on held-out images."""


def load(folder, stand_in, quick):
    """The training images of exercise 2a, cut in two."""
    name, parts = ex2a.load(folder, stand_in, quick)
    images = parts["train_images"]
    held_out = min(5000, len(images) // 10)
    return name, {"train_images": images[:-held_out], "held_out": images[-held_out:]}


def plan(settings):
    """One entry for each candidate."""
    return {"search": (settings.epochs, CANDIDATES)}


def train(run, settings, parts):
    """Train as exercise 2a does, scored on the images held out."""
    entries = ex2a.train(run, settings, {"train_images": parts["train_images"], "test_images": parts["held_out"]})
    return [{"status": entry["status"], "held_out_accuracy": entry["test_accuracy"][-1]} for entry in entries]


def draw(record):
    """No figure: the page has the table."""
    return ()


def line(entry):
    """One candidate in words."""
    return f"{entry['init']}: {mean(entry['held_out_accuracy']):.2%} on held-out images"


def table(record):
    """All of them."""
    return "\n".join(map(line, record["search"]))


experiment = Experiment(
    "rescue",
    Settings,
    load,
    plan,
    train,
    figures=sys.modules[__name__],
    together=ex2a.together,
    fixed=ex2a.experiment.fixed,
    folder="figures/choices",
)

if __name__ == "__main__":
    experiment.main(__doc__)
