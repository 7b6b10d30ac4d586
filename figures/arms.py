"""The arms of exercise 2a for its figures: how they did, which belong together, and what they are called.

All of it comes from an arm's own fields, so that any arms can be drawn.
"""

import math

from common import plots

NAMES = {"sigmoid": "Sigmoid", "relu": "ReLU", "sgd": "SGD", "adam": "Adam"}
FIELDS = "activation", "init", "hidden", "training"


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


def ratio(values, others):
    """The mean of `values` over that of `others`, as text."""
    above, below = mean(values), mean(others)
    return f"{above / below:.2g}" if below else f"{above:.2g}/0"


def shrinkage(arm):
    """Layer 1's gradient norm after the last epoch over the output layer's, as text."""
    norms = total_norms(arm)
    return ratio(norms[0][-1], norms[-1][-1])


def success(arm):
    """The test accuracy after the last epoch, mean over seeds; -1 where it is not a number."""
    accuracy = mean(arm["test_accuracy"][-1])
    return -1 if math.isnan(accuracy) else accuracy


def final(arm):
    return f"{mean(arm['test_accuracy'][-1]):.1%}"


def layers(arm):
    return len(arm["hidden"])


# ---- which belong together ----


def complete(entry, settings):
    """Add to an entry how it was trained: "training" as text, and whether it is "plain", as the settings say."""
    optimizer, lr = entry.get("optimizer", "sgd"), entry.get("lr", settings["lr"])
    momentum, batch_norm = entry.get("momentum") or 0, bool(entry.get("batch_norm"))
    text = f"{NAMES.get(optimizer, optimizer)} {lr:g}"
    text += f", momentum {momentum:g}" if momentum else ""
    text += ", batch norm" if batch_norm else ""
    plain = (optimizer, lr, momentum, batch_norm) == ("sgd", settings["lr"], settings.get("momentum") or 0, False)
    return entry | {"training": text, "plain": plain}


def families(arms, field):
    """Group the arms that differ in this field only."""
    groups = {}
    for arm in arms:
        groups.setdefault(str([arm[other] for other in FIELDS if other != field]), []).append(arm)
    return list(groups.values())


def largest(arms):
    """The family with the most initialisations, of several that with the most layers."""
    return max(families(arms, "init"), key=lambda family: (len(family), layers(family[0])), default=[])


def by_default(arms):
    """Those of these arms that have PyTorch's own initialisation."""
    return [arm for arm in arms if arm["init"] == "default"]


def best_scheme(family):
    """The best of these arms with another initialisation than the default, or None."""
    return max((arm for arm in family if arm["init"] != "default"), key=success, default=None)


# ---- what they are called ----


def widths(arm):
    return "(" + ", ".join(map(str, arm["hidden"])) + ("," if layers(arm) == 1 else "") + ")"


def words(init):
    """A scheme's name as a label: gain4_from_layer2_centred is "gain4, centred"."""
    return init.replace("_from_layer2_centred", ", centred").replace("_from_layer2", ", from layer 2").replace("_", " ")


def scheme(arm):
    """A scheme in a sentence: "Xavier" is his with the normal distribution."""
    return "Xavier" if arm["init"] == "xavier_normal" else words(arm["init"])


def rescued(default, best):
    """Say what `best` is beside the default: "rescued" where it learns under every seed and the default under none."""
    learns = {*best["status"]} == {"ok"} and "ok" not in default["status"] and success(best) > success(default)
    return "rescued" if learns else f"with {scheme(best)}"


def describe(arm, *fields):
    """Write these fields of an arm: "ReLU, default (50, 30), Adam 0.001"."""
    texts = {
        "activation": NAMES.get(arm["activation"], arm["activation"]),
        "init": words(arm["init"]),
        "hidden": widths(arm),
        "training": arm["training"],
    }
    activation, init, hidden, training = (texts[field] if field in fields else "" for field in FIELDS)
    network = " ".join(filter(None, [", ".join(filter(None, [activation, init])), hidden]))
    return ", ".join(filter(None, [network, training]))


def subject(arm, *fields):
    """Write the activation of an arm, these fields, and how it was trained where that is not as the settings say."""
    return describe(arm, "activation", *fields, *(() if arm["plain"] else ("training",)))


def opening(arm, text):
    """Begin a title with the subject; that of the exercise, the Sigmoid trained as the settings say, is left unsaid."""
    unsaid = arm["activation"] == "sigmoid" and arm["plain"]
    return text[0].upper() + text[1:] if unsaid else f"{subject(arm)}: {text}"


def labels(arms, *always, fields=FIELDS):
    """One label per arm: the fields in which these arms differ, and `always`; their names where no field tells them.

    Beside an initialisation Sigmoid goes without saying.
    """
    told = [field for field in fields if field in always or len({str(arm[field]) for arm in arms}) > 1]
    fewer = [field for field in told if field != "activation" or "init" not in told]
    texts = [describe(arm, *(fewer if arm["activation"] == "sigmoid" else told)) for arm in arms]
    return texts if len({*texts}) == len(arms) else [arm["name"] for arm in arms]


def slug(arm, *fields):
    """The end of a file's name that tells these fields, and the training where it is not as the settings say."""
    texts = ["-".join(map(str, arm["hidden"])) if field == "hidden" else arm[field] for field in fields]
    texts += [] if arm["plain"] else [arm["training"].replace(",", "").replace(" ", "-")]
    return "".join(f"_{text}" for text in texts)


def note(record, arms):
    """Say what a figure of these arms shows."""
    return plots.caption(record, plots.band(*(len(arm["initial"]["signal"][0]) for arm in arms)))
