"""What the pages on exercise 2 are checked against: the committed records, and what is asked of them."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from scipy import stats

import ex2a_vanishing
from common import batches, data, models
from common.experiment import records
from figures.arms import total_norms

ROOT = Path(__file__).resolve().parent.parent
RECORD = records.read(ROOT / "figures/ex2a.json")
SEARCHED = records.read(ROOT / "figures/ex2b.json")
HALF = records.read(ROOT / "figures/bfloat16/ex2b.json")["runs"]  # the same of Adam's default in bfloat16
NARROW = records.read(ROOT / "figures/width16/ex2b.json")  # of half the width, as far as it is trained
RESCUED = records.read(ROOT / "figures/choices/rescue.json")
CHOICE = records.read(ROOT / "figures/choices/cnn.json")
BENCH = records.read(ROOT / "figures/benchmark.json")
DEEP = [50, 30, 30, 30]
SHAPES = [DEEP[:depth] for depth in (1, 2, 3, 4)]


def percent(value):
    """The number before the sign in "82.55 ± 0.14 %", where only the last one carries it."""
    return 100 * value


def in_percent(values):
    """The two numbers of "82.55 ± 0.14" in a column of percentages."""
    return percent(np.mean(values)), percent(np.std(values, ddof=1))


def mean_and_spread(values):
    """The two numbers of "82.55 ± 0.14 %"."""
    return percent(np.mean(values)), np.std(values, ddof=1)


def p(one, other):
    """The exact two-sided permutation test of the difference of the means of two lists."""
    return _p(tuple(one), tuple(other))


@cache
def _p(one, other):
    def difference(a, b, axis):
        return np.mean(a, axis=axis) - np.mean(b, axis=axis)

    return stats.permutation_test((one, other), difference, n_resamples=np.inf).pvalue


def reliably(one, other):
    """Whether the first of two lists has the larger mean, and as reliably as so many seeds can show."""
    return np.mean(one) > np.mean(other) and p(one, other) < 0.05


def standard_error(one, other):
    """Of the difference of the means of two lists."""
    return np.sqrt(sum(np.var(values, ddof=1) / len(values) for values in (one, other)))


# ---- exercise 2a ----


def arm(activation="sigmoid", init="default", hidden=DEEP, optimizer="sgd", lr=0.005, momentum=0, batch_norm=False):
    """The entry of one arm."""
    wanted = locals()
    (found,) = [entry for entry in RECORD["arms"] if wanted.items() <= entry.items()]
    return found


def ends(entry):
    """Test accuracy after the last epoch, [seed]."""
    return entry["test_accuracy"][-1]


def accuracy(entry, epoch=-1):
    return np.mean(entry["test_accuracy"][epoch])


def norms(entry):
    """Gradient norm of each layer, mean over seeds, [layer][epoch]; epoch 0 is before training."""
    return np.mean(total_norms(entry), -1)


def late_ratio(entry):
    """Layer 1's norm over the output layer's, the geometric mean over the last ten epochs: [seed]."""
    first, *_, last = np.array(total_norms(entry))
    return np.exp(np.log(first[-10:] / last[-10:]).mean(0))


def signal(entry):
    """Measured signal at layer 1 over the output layer before training, and the predicted ratio."""
    measured, predicted = entry["initial"]["signal"], entry["predicted"]["signal"]
    return np.mean(measured[0]) / np.mean(measured[-1]), predicted[0] / predicted[-1]


def depth(hidden_layers, activation="sigmoid", init="default"):
    wanted = locals()
    (found,) = [entry for entry in RECORD["depth"] if wanted.items() <= entry.items()]
    return found


def pixels_over_activations(folder):
    """The mean norm of a training image's standardised pixels over that of its first hidden activations, untrained."""
    images = data.fashion_mnist(folder, False, False)[1]["train_images"][:10000]
    model = models.mlp(DEEP, "sigmoid", [("default", seed) for seed in range(5)])
    pixels = hidden = 0
    with torch.no_grad():
        for batch, _ in batches.Batches(images, 1000):
            pixels += batch.flatten(1).norm(dim=1).sum().item() / len(images)
            hidden += model[:3](batch).norm(dim=1).mean(0).sum().item() / len(images)
    return pixels / hidden


RESCUE = arm(init="orthogonal6_from_layer2_centred")
SIGMOIDS, RELUS = ([arm(activation, hidden=shape) for shape in SHAPES] for activation in ("sigmoid", "relu"))
DEFAULT, XAVIER, RELU = arm(), arm(init="xavier_normal"), RELUS[-1]
TUNED = [arm(init=init) for init in ex2a_vanishing.TUNED]
GAINED = [arm(init=init) for init in ("gain4", "gain4_from_layer2", "gain4_from_layer2_centred")]

# ---- exercise 2b ----

RUNS = SEARCHED["runs"]


def seeds_of(optimizer, lr, runs=RUNS):
    """The runs of an arm, seed 0 first."""
    return [run for run in runs if (run["optimizer"], run["lr"]) == (optimizer, lr)]


def seen_by(search, runs=RUNS):
    """The runs that a search compares."""
    return [run for run in runs if search in run["searches"] and run["seed"] == 0]


def finals(run):
    """Training and test accuracy at the end."""
    return run["final_train_accuracy"], run["test_accuracy"][-1]


def over_seeds(same):
    """Training and test accuracies at the end, [seed], of the runs of an arm."""
    return tuple(zip(*map(finals, same)))


def late(same, split="test"):
    """Accuracy averaged over the last ten epochs, [seed]; "train": on the sample."""
    return [np.mean(run[f"{split}_accuracy"][-10:]) for run in same]


def losses(same):
    """The training loss of the last epoch, [seed]."""
    return [run["train_loss"][-1] for run in same]


DRAWN = max(seen_by("random"), key=finals)["lr"]
ADAM, SGD, RANDOM = seeds_of("adam", 1e-3), seeds_of("sgd", 0.1), seeds_of("adam", DRAWN)
