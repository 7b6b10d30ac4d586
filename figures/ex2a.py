"""The figures of exercise 2a and its table, from the record ex2a.json alone; ex2a_vanishing.py writes them."""

import math
from statistics import stdev

from common import plots

NAMES = {"sigmoid": "Sigmoid", "relu": "ReLU"}


def mean(values):
    return sum(values) / len(values)


def pick(record, activation, init="default", hidden=None):
    """The record's arms of this activation and initialisation, shallow ones first; one arm where `hidden` is given."""
    same = [arm for arm in record["arms"] if (arm["activation"], arm["init"]) == (activation, init)]
    return same if hidden is None else next(arm for arm in same if arm["hidden"] == hidden)


def total_norms(arm):
    """Gradient norm of all parameters of each layer, [layer][epoch][seed]; epoch 0 is before training."""
    both = ([arm["initial"][kind], arm["gradient_norm"][kind]] for kind in ("weights", "biases"))
    weights, biases = ([[first, *later] for first, later in zip(*pair)] for pair in both)
    return [[[math.hypot(*pair) for pair in zip(*row)] for row in zip(*layer)] for layer in zip(weights, biases)]


def final(arm):
    """The test accuracy after the last epoch, mean over seeds, as text."""
    return f"{mean(arm['test_accuracy'][-1]):.1%}"


def shrinkage(arm):
    """Layer 1's gradient norm after the last epoch over the output layer's, as text."""
    first, *_, last = (mean(layer[-1]) for layer in total_norms(arm))
    return f"{first / last:.2g}" if last else "0/0"


def widths(arm):
    return "(" + ", ".join(map(str, arm["hidden"])) + ("," if len(arm["hidden"]) == 1 else "") + ")"


def words(init):
    """A scheme's name as a label: gain4_from_layer2_centred is "gain4, centred"."""
    return init.replace("_from_layer2_centred", ", centred").replace("_from_layer2", ", from layer 2").replace("_", " ")


def accuracies(arms, label):
    """Curves of test accuracy over epochs, labelled by label(arm)."""
    return [(label(arm), range(1, len(arm["test_accuracy"]) + 1), arm["test_accuracy"]) for arm in arms]


def norms(arm):
    """Curves of each layer's gradient norm over epochs, 0 first."""
    labels = [f"layer {number}" for number in range(1, len(arm["hidden"]) + 1)] + ["output layer"]
    return [(label, range(len(values)), values) for label, values in zip(labels, total_norms(arm))]


def figures(record):
    """Yield (file name, Figure) of every figure of exercise 2a."""
    note = f"{plots.source(record)}; {plots.band(record['settings']['seeds'])}"
    for activation, name in NAMES.items():
        arms = pick(record, activation)
        title = f"{name}: {final(arms[0])} with one hidden layer, {final(arms[-1])} with {len(arms[-1]['hidden'])}"
        yield (
            f"ex2a_accuracy_{activation}.png",
            plots.draw(title, [("", accuracies(arms, widths))], plots.accuracy, note),
        )
        axes = plots.norms([total_norms(arm) for arm in arms])  # one vertical range for all depths
        for arm in arms:
            title = f"{name} {widths(arm)}: layer 1 ends with {shrinkage(arm)} times the output layer's gradient"
            file = f"ex2a_norms_{activation}_{'-'.join(map(str, arm['hidden']))}.png"
            yield file, plots.draw(title, [("", norms(arm))], axes, note)

    xavier = pick(record, "sigmoid", "xavier_normal")
    default = [pick(record, "sigmoid", hidden=arm["hidden"]) for arm in xavier]
    title = f"Sigmoid {widths(xavier[-1])}: {final(xavier[-1])} with Xavier, {final(default[-1])} by default"
    curves = accuracies(default + xavier, lambda arm: f"{words(arm['init'])} {widths(arm)}")
    yield "ex2a_accuracy_xavier.png", plots.draw(title, [("", curves)], plots.accuracy, note)
    axes = plots.norms([total_norms(arm) for arm in pick(record, "sigmoid") + xavier])
    title = "Xavier: layer 1 ends with {} and {} times the output layer's gradient".format(*map(shrinkage, xavier))
    panels = [(f"xavier normal {widths(arm)}", norms(arm)) for arm in xavier]
    yield "ex2a_norms_xavier.png", plots.draw(title, panels, axes, note)

    deepest, activation = record["arms"][-1]["hidden"], record["arms"][-1]["activation"]
    inits = [arm for arm in record["arms"] if (arm["hidden"], arm["activation"]) == (deepest, activation)]
    default, rescue = inits[0], inits[-1]
    title = f"Sigmoid {widths(default)}: {final(default)} by default, {final(rescue)} rescued"
    curves = accuracies(inits, lambda arm: words(arm["init"]))
    yield "ex2a_accuracy_inits.png", plots.draw(title, [("", curves)], plots.accuracy, note)
    title = "Layer 1 ends with {} times the output layer's gradient by default, {} rescued"
    axes = plots.norms([total_norms(arm) for arm in (default, rescue)])
    panels = [(words(arm["init"]), norms(arm)) for arm in (default, rescue)]
    yield "ex2a_norms_rescue.png", plots.draw(title.format(*map(shrinkage, (default, rescue))), panels, axes, note)

    relu = pick(record, "relu", hidden=deepest)
    ladder = [
        pick(record, "sigmoid", init, deepest) for init in ("xavier_normal", "gain4", "gain4_from_layer2_centred")
    ]
    shown = [default, *ladder, rescue, relu]
    for arm in shown:
        yield f"ex2a_signal_{arm['activation']}_{arm['init']}.png", signal(arm, note)
    yield "ex2a_two_gradients.png", two_gradients([default, relu], note)
    yield "ex2a_layer_variance.png", layer_variance(shown, note)
    yield "ex2a_depth.png", depth(record, note)


def signal(arm, note):
    """The signal's norm per layer before training, beside what theory/1b derives from the output layer's."""
    measured, predicted = arm["initial"]["signal"], arm["predicted"]["signal"]
    layers = range(1, len(measured) + 1)
    curves = [("measured", layers, measured), ("theory/1b", layers, predicted)]
    if arm["activation"] == "sigmoid":
        curves.append(("1/4 per layer", layers, [predicted[-1] / 4 ** (len(measured) - layer) for layer in layers]))
    name = f"{NAMES[arm['activation']]}, {words(arm['init'])}"
    ratio, expected = mean(measured[0]) / mean(measured[-1]), predicted[0] / predicted[-1]
    title = f"{name}: layer 1 gets {ratio:.2g} of the output's signal, predicted {expected:.2g}"
    axes = plots.per_layer("norm of the signal before training")
    return plots.draw(title, [("", curves)], axes, note, marker="o")


def two_gradients(arms, note):
    """Weight gradient and signal per layer before training, one panel per arm."""
    panels, slopes = [], []
    for arm in arms:
        layers = range(1, len(arm["hidden"]) + 2)
        curves = [(kind, layers, arm["initial"][kind]) for kind in ("weights", "signal")]
        panels.append((f"{NAMES[arm['activation']]} {widths(arm)}", curves))
        slopes.append([mean(values[1]) / mean(values[-2]) for _, _, values in curves])
    title = "Layer 2 over 4: " + "; ".join(
        f"{NAMES[arm['activation']]} weights {weights:.2g}, signal {signal:.2g}"
        for arm, (weights, signal) in zip(arms, slopes)
    )
    return plots.draw(title, panels, plots.per_layer("norm before training"), note, marker="o")


def layer_variance(arms, note):
    """How much each layer's output varies across the test images after training."""
    layers = range(1, len(arms[0]["hidden"]) + 2)
    curves = [
        (words(arm["init"]) if arm["activation"] == "sigmoid" else "ReLU, default", layers, arm["layer_variance"])
        for arm in arms
    ]
    outputs = [mean(arm["layer_variance"][-1]) for arm in (arms[0], arms[-2])]
    title = f"Variance of the logits across test images: {outputs[0]:.2g} by default, {outputs[1]:.2g} rescued"
    return plots.draw(title, [("", curves)], plots.per_layer("variance across images after training"), note, marker="o")


def depth(record, note):
    """Layer 1 before training in nets of more and more layers of 30: its gradient, and the weights a step leaves."""
    gradient, unmoved = [], []
    groups = {}
    for entry in record["depth"]:
        groups.setdefault((entry["activation"], entry["init"]), []).append(entry)
    for (activation, init), entries in groups.items():
        label = words(init) if activation == "sigmoid" else f"ReLU, {init}"
        depths = [entry["hidden_layers"] for entry in entries]
        gradient.append((label, depths, [entry["initial"]["signal"][0] for entry in entries]))
        gradient.append(("", depths, [entry["predicted"]["signal"][0] for entry in entries]))
        unmoved.append((label, depths, [entry["unmoved"] for entry in entries]))
    default = groups["sigmoid", "default"]
    start = mean(default[0]["initial"]["signal"][0])
    depths = [entry["hidden_layers"] for entry in default]
    gradient.append(("1/4 per layer", depths, [start / 4 ** (depth - 1) for depth in depths]))
    moved = 1 - mean(default[-1]["unmoved"])
    title = f"Default Sigmoid, {depths[-1]} layers: a step moves {moved:.0%} of layer 1's weights"
    panels = [
        ("signal at layer 1 (dashed: theory/1b)", gradient),
        ("share of layer 1 that a step leaves as it is", unmoved),
    ]
    return plots.draw(title, panels, plots.by_depth, note, sharey=False, marker="o")


def table(record):
    """Return the results as text, one line per arm: test accuracy as mean +- standard deviation over the seeds."""
    lines = [f"{'arm':52} {'test accuracy':>15}   layer 1's gradient norm   status"]
    for arm in record["arms"]:
        accuracy, (first, *_) = arm["test_accuracy"][-1], total_norms(arm)
        spread = f" +- {stdev(accuracy):5.2%}" if len(accuracy) > 1 else ""
        lines.append(
            f"{arm['name']:52} {f'{mean(accuracy):6.2%}{spread}':15}"
            f"   {mean(first[0]):9.2e} -> {mean(first[-1]):9.2e}   "
            + ", ".join(f"{arm['status'].count(status)} {status}" for status in sorted(set(arm["status"])))
        )
    return "\n".join(lines)
