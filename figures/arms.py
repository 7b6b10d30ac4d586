"""The arms of exercise 2a for its figures: how they did, which belong together, and what they are called.

All of it comes from an arm's own fields, so that any arms can be drawn.
"""

import math
import re
from itertools import cycle

from common import plots

NUMBERS = "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"
NAMES = {"sigmoid": "Sigmoid", "relu": "ReLU", "sgd": "SGD", "adam": "Adam"}
SCHEMES = (  # how a scheme's name is written, piece by piece
    (r"^kaiming_a(\d+)", r"a = \1"),
    (r"^kaiming_(\w+?)(?=_fan|$)", r"gain of \1"),
    (r"^xavier", "Xavier"),
    (r"_normal$", ""),
    (r"^orthogonal", "orthogonal, gain"),
    (r"(?<=[a-z])(?=\d)", " "),
    (r"_centred", ", centred"),
    (r"_fan_out", ", fan-out"),
    ("_", " "),
)


def mean(values):
    return sum(values) / len(values)


def total_norms(arm):
    """Gradient norm of all parameters of each layer, [layer][epoch][seed]; epoch 0 is before training.

    Where the biases' norm is not a number, that of the weights: a layer may have no biases.
    """
    both = ([arm["initial"][kind], arm["gradient_norm"][kind]] for kind in ("weights", "biases"))
    weights, biases = ([[first, *later] for first, later in zip(*pair)] for pair in both)
    return [
        [[math.hypot(one, 0 if math.isnan(other) else other) for one, other in zip(*row)] for row in zip(*layer)]
        for layer in zip(weights, biases)
    ]


def success(arm):
    """The test accuracy after the last epoch, mean over seeds."""
    return mean(arm["test_accuracy"][-1])


def epochs(number):
    """So many epochs: "1 epoch", "3 epochs"."""
    return f"{number} epoch{'s' * (number > 1)}"


def final(arm):
    return f"{success(arm):.1%}"


def learns(arm):
    return {*arm["status"]} == {"ok"}


def fails(arm):
    return "ok" not in arm["status"]


def above(arm, other):
    """Whether every seed of one ends with a higher test accuracy than every seed of the other."""
    return min(arm["test_accuracy"][-1]) > max(other["test_accuracy"][-1])


def falls(arms):
    """Whether each of these arms, several, ends above the next one, and the last one fails."""
    return len(arms) > 1 and all(map(above, arms, arms[1:])) and fails(arms[-1])


def common_end(arms):
    """The test accuracy that these arms, several, which all learn, end near, in whole percent; "" where they differ."""
    found = {f"{success(arm):.0%}" for arm in arms}
    return found.pop() if len(found) == 1 < len(arms) and all(map(learns, arms)) else ""


def layers(arm):
    return len(arm["hidden"])


# ---- what they are called ----


def widths(arm):
    return "(" + ", ".join(map(str, arm["hidden"])) + ("," if layers(arm) == 1 else "") + ")"


def scheme(arm):
    """A scheme as a label: gain4_from_layer2_centred is "gain 4 from layer 2, centred"."""
    text = arm["init"]
    for piece, written in SCHEMES:
        text = re.sub(piece, written, text)
    return text


def hidden(arm):
    """Its number of hidden layers in words."""
    number = NUMBERS[layers(arm)] if layers(arm) < len(NUMBERS) else layers(arm)
    return f"{number} hidden layer{'s' * (layers(arm) > 1)}"


def activation(arm):
    return NAMES.get(arm["activation"], arm["activation"])


def training(arm):
    """How an arm was trained: "SGD 0.005, momentum 0.9"."""
    text = f"{NAMES.get(arm['optimizer'], arm['optimizer'])} {arm['lr']:g}"
    text += f", momentum {arm['momentum']:g}" if arm["momentum"] else ""
    return text + (", batch norm" if arm["batch_norm"] else "")


def describe(arm):
    """Write all fields of an arm: "ReLU (50, 30), default, Adam 0.001"."""
    return f"{activation(arm)} {widths(arm)}, {scheme(arm)}, {training(arm)}"


# ---- which belong together ----


def same(arms, like, *fields):
    """Those of these arms that have these fields in common with the arm `like`."""
    return [arm for arm in arms if all(arm[field] == like[field] for field in fields)]


def groups(arms, *fields):
    """Lists of the arms that have these fields in common, in their order."""
    found = []
    for arm in arms:
        if not any(arm in group for group in found):
            found.append(same(arms, arm, *fields))
    return found


class Arms:
    """The arms of a record as its figures compare them, in the record's order.

    plain: trained as the settings say; default: those of them with PyTorch's own initialisation
    network: all arms of the network and activation with the most of them, of several the one with the most layers
    deep: the plain ones of that network, with any activation
    stars: [(arm, label, colour)] of those of `deep` that have a name: default, Xavier, the best that the default's
    method can do, the best of the other schemes, and the other activations
    """

    def __init__(self, record):
        settings = record["settings"]
        usual = {"optimizer": "sgd", "lr": settings["lr"], "momentum": settings["momentum"], "batch_norm": False}
        self.record, self.all = record, record["arms"]
        self.plain = same(self.all, usual, *usual)
        self.default = [arm for arm in self.plain if arm["init"] == "default"]
        nets = groups(self.all, "activation", "hidden")
        self.network = max(nets, key=lambda net: (len(net), layers(net[0])), default=[])
        self.deep = same(self.plain, self.network[0], "hidden") if self.network else []
        self.stars, self._colours = list(self._stars()), {}
        self.strong = [arm for arm, *_ in self.stars]

    def _stars(self):
        mine = same(self.deep, self.network[0], "activation") if self.network else []
        default, xavier = ([arm for arm in mine if arm["init"] == init] for init in ("default", "xavier_normal"))
        tuned = [arm for arm in mine if arm["init"].startswith("kaiming")]
        rest = [arm for arm in mine if arm not in default + xavier + tuned]
        for label, colour, arms in (
            ("default", "#D55E00", default),
            ("Xavier", "#56B4E9", xavier),
            ("default method tuned", "#CC79A7", tuned),
            ("rescue", "#0072B2", rest),
        ):
            for arm in sorted(arms, key=success)[-1:]:
                rescued = label != "rescue" or learns(arm) and any(map(fails, default))
                yield arm, label if rescued else scheme(arm), colour
        others = [arm for arm in self.default if arm in self.deep and arm not in mine]
        yield from zip(others, map(activation, others), cycle(("#009E73", "#E69F00", "#8C564B")))

    def look(self, entry):
        """The label and colour of what has the activation and the scheme of a star; of others those that are left."""
        for arm, label, colour in self.stars:
            if same([arm], entry, "activation", "init"):
                return label, colour
        label = f"{activation(entry)}, {scheme(entry)}"
        return label, self._colours.setdefault(label, plots.COLOURS[(5 + len(self._colours)) % 9])

    def note(self, arms, *more):
        """Say what a figure of these arms shows."""
        seeds = [len(arm["initial"]["signal"][0]) for arm in arms]
        return plots.caption(self.record, plots.band(*seeds), *more)

    def meaning(self, arms):
        """What the labels of look() mean in a figure of these arms."""
        named = [(arm, label) for arm, label, _ in self.stars if label in ("default method tuned", "rescue")]
        words = [f"{label}: {scheme(arm)}" for arm, label in named if same(arms, arm, "activation", "init")]
        usual = self.network[:1] if len({arm["activation"] for arm in arms}) > 1 else []
        return words + [f"{activation(arm)} and default initialisation unless named" for arm in usual]
