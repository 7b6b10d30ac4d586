"""Exercise 2b. Is Adam better than SGD, off the shelf and tuned, and does random search outperform grid search?

    python ex2b_adam.py --out mine              15 runs of 50 epochs on real CIFAR-10: hours on two cores, resumable
    python ex2b_adam.py --out mine --seeds 3    then two more seeds of what is compared
    python ex2b_adam.py --width 16 --draws 5 --seeds 3 --out figures/width16    five random searches, on a narrower net
    python ex2b_adam.py --quick                 every arm on tiny generated data, in seconds
    python ex2b_adam.py                         what the record lacks: nothing as shipped, so it is only redrawn

Answer: neither is decided. Over three seeds Adam ends at 86.8 % in the test and SGD at 86.4 %, both at the best of
five rates by training accuracy, 1e-3 (its default) and 1e-1; three seeds show no reliable difference. The best of
five random rates, 8.3e-3, is not seen to differ from the grid's best: 95.5 % in training each, means of three seeds.

Held fixed: a plain CNN (common.models.cnn, width 32), 50 epochs, batch 128, cross-entropy, constant learning
rate, no weight decay, random flip and 4-pixel crop, pixels standardised per channel.
Varied: the optimizer and its learning rate. Adam at its default 1e-3; SGD with momentum 0.9 at 10^-k for
k = 0..4; Adam by grid search at 10^-k for k = 1..5 and by random search at five k from U[1, 5].
Measured after every epoch: accuracy on the test set and on the first 10000 training images. The searches compare
the final training accuracy: evaluation mode, whole training set, unaltered images. The test set never chooses.
Written: figures/ex2b.json and figures/ex2b_*.png.
"""

from dataclasses import dataclass, field, replace
from functools import partial

from common import batches, data, models, train as training  # first, since it says what is not installed
from common.experiment import Experiment, Options
from figures import ex2b, searches

import numpy as np

BATCH_SIZE, MOMENTUM = 128, 0.9


@dataclass(frozen=True)
class Arm:
    optimizer: str
    lr: float
    searches: tuple = field(compare=False)  # that it belongs to
    repeated: bool = field(default=False, compare=False)  # under further seeds: what is compared
    seed: int = 0

    @property
    def momentum(self):
        return MOMENTUM if self.optimizer == "sgd" else None

    @property
    def name(self):
        return f"{self.optimizer} {searches.rate(self.lr)}, seed {self.seed}"


def random_search(number):
    """Adam at five rates 10^-k, k from U[1, 5]: search 0, 1, ... has its own draws, and its number as its seed."""
    name = f"random {number}" if number else "random"
    return [Arm("adam", 10**-k, (name,), seed=number) for k in np.random.default_rng(number).uniform(1, 5, 5).tolist()]


ARMS = (  # in the order in which they are trained
    Arm("adam", 1e-3, ("default", "grid"), repeated=True),
    *(Arm("sgd", lr, ("sgd",), repeated=lr in (1e-1, 1e-2)) for lr in (1e-0, 1e-1, 1e-2, 1e-3, 1e-4)),
    *(Arm("adam", lr, ("grid",), repeated=lr == 1e-2) for lr in (1e-1, 1e-2, 1e-4, 1e-5)),
    *(replace(arm, repeated=place == 1) for place, arm in enumerate(random_search(0))),  # the second is its best
)


@dataclass(frozen=True)
class Settings(Options):
    """Exercise 2b: Adam, SGD and two searches on CIFAR-10."""

    EXTENDING = "seeds", "draws"

    epochs: int = 50
    """epochs to train"""
    seeds: int = 1
    """seeds 0, 1, ... of the best two rates of Adam's grid and of SGD and the best random one; the others have one"""
    draws: int = 1
    """random searches, of five learning rates each"""
    width: int = 32
    """channels of the CNN's first stage"""
    bfloat16: bool = False
    """compute the network in bfloat16, where the processor or GPU is good at it"""

    def small(self):
        return replace(super().small(), width=min(self.width, 4))


def load(folder, stand_in, quick):
    """CIFAR-10, or generated images in its place, with a part of the training images to follow the accuracy on."""
    name, parts = data.cifar10(folder, stand_in, quick)
    return name, parts | {"train_sample": parts["train_images"][: len(parts["train_images"]) // 5]}


def plan(settings):
    """What the record has: every arm under seed 0, further random searches, and further seeds of what is compared."""
    drawn = [arm for number in range(1, settings.draws) for arm in random_search(number)]
    further = [replace(arm, seed=seed) for seed in range(1, settings.seeds) for arm in ARMS if arm.repeated]
    return {"runs": (settings.epochs, (*ARMS, *drawn, *further))}


def check(arm, settings, device):
    """Refuse an arm that cannot be trained here."""
    training.check_optimizer(arm.optimizer, arm.lr, arm.momentum)
    if settings.bfloat16 and not training.good_at_bfloat16(device):
        raise ValueError(f"{device} only emulates bfloat16 (--bfloat16). Leave it out, which computes in float32")


def train(run, settings, parts):
    """Train one arm under its seed; return its entry in the record."""
    (arm,) = run.cases
    images, sample, test = (parts[name].to(run.device) for name in ("train_images", "train_sample", "test_images"))
    model = models.cnn(settings.width, arm.seed).to(run.device)
    optimizer = training.optimizer(arm.optimizer, model.parameters(), arm.lr, arm.momentum)

    def score(split):
        return training.evaluate(model, batches.Batches(split, 250), settings.bfloat16)

    def measure():
        return score(test) | {"train_correct": score(sample)["correct"]}

    augmented = partial(batches.Batches, images, BATCH_SIZE, arm.seed, augment=True)
    rows = training.fit(model, optimizer, run.epochs, augmented, measure, run, bfloat16=settings.bfloat16)
    (final,) = score(images)["correct"]
    (status,) = training.statuses(rows[-1], classes=10)
    return [
        {
            "momentum": arm.momentum,
            "searches": arm.searches,
            "precision": "bfloat16" if settings.bfloat16 else "float32",
            "status": status,
            "test_accuracy": [row["correct"][0] / len(test) for row in rows],
            "train_accuracy": [row["train_correct"][0] / len(sample) for row in rows],
            "train_loss": [row["train_loss"][0] for row in rows],
            "final_train_accuracy": final / len(images),
        }
    ]


experiment = Experiment(
    "ex2b",
    Settings,
    load,
    plan,
    train,
    figures=ex2b,
    check=check,
    fixed={"batch_size": BATCH_SIZE, "momentum": MOMENTUM},
)

if __name__ == "__main__":
    experiment.main(__doc__)
