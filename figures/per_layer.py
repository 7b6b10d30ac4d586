"""The figures of exercise 2a over the layers of a net, and over its depth."""

import math
from itertools import chain, cycle

from common import plots
from figures.arms import epochs, groups, layers, mean, training

SNAPSHOTS = [  # the earlier the broader, so that what lies below is seen
    {"color": colour, "linewidth": width} for colour, width in (("0.75", 3), ("0.4", 1.7), ("black", 0.9))
]


def numbers(values):
    return range(1, len(values) + 1)


def moved(row):
    """The share of the last hidden layer's outputs that are in other bins after training than before."""
    before, after = (row["counts"][snapshot][-1] for snapshot in (0, -1))
    return sum(abs(one - other) for one, other in zip(before, after)) / 2 / (sum(before) or 1)


def activations(arms):
    """How often a hidden layer gives which output, before training and later: rows by arm, columns by layer."""
    rows = arms.record.get("activations", [])
    if not rows:
        return
    wide = max(map(layers, rows))
    title = "Outputs of the hidden layers before and while they are trained"
    moves = {arms.look(row)[0]: moved(row) for row in rows}
    if moves.pop("default", 1) < 0.001 and min(moves.values(), default=0) > 0.1:
        title = f"In {rows[0]['after'][-1]} epochs the histogram of the default's last hidden layer stays as it was, "
        title += "those of the other networks move"
    seen = "one seed, all neurons and test images", "the outermost bins hold all beyond", *arms.meaning(rows)
    note = plots.caption(arms.record, *seen)
    made, each = plots.figure(title, (len(rows), wide), 0.7 + 1.35 * len(rows), note)
    for place, axes in enumerate(each):
        row, layer = rows[place // wide], place % wide
        if layer >= layers(row):
            axes.set_axis_off()
            continue
        (low, high), bins = row["range"], len(row["counts"][0][layer])
        edges = [low + (high - low) * number / bins for number in range(bins + 1)]
        for look, epoch, snapshot in zip(cycle(SNAPSHOTS), row["after"], row["counts"]):
            total = sum(snapshot[layer]) or 1  # outputs that are no numbers are not counted
            shares = [count / total for count in snapshot[layer]]
            label = f"after {epochs(epoch)}" if epoch else "before training"
            axes.stairs(shares, edges, label=label, **look)
        plots.over(axes, "output", "share", f"{arms.look(row)[0]}: layer {layer + 1}")
        axes.set(yscale="log", ylim=(1e-4, 1))
        axes.minorticks_off()
    each[0].legend(fontsize=6.5, loc="lower center", frameon=False, borderpad=0, labelspacing=0.2, handlelength=1)
    yield "activations", made


def signals(arms):
    """The signal's norm per layer before training, beside what theory/1b derives from the output layer's."""
    rest = [arm for arm in arms.deep if arm not in arms.strong]
    level = sorted(rest, key=lambda arm: abs(math.log(fall(arm) or math.inf)))[: max(0, 6 - len(arms.strong))]
    shown = sorted((arm for arm in arms.strong + level if arm["predicted"]), key=fall)
    if not shown:
        return
    title = "The signal before training, and what theory/1b predicts"
    error = max(deviation(arm) for arm in shown)
    if error < 0.2:
        title = f"Theory/1b predicts each layer's signal within {math.ceil(100 * error)}% (means over seeds)"
        if fall(shown[0]) < 0.01 and fall(shown[-1]) > 1:
            title += ", whether it vanishes, holds or grows"
    high = -(-len(shown) // 3)
    lines = "dashed: predicted by theory/1b from the output layer's, the rightmost; dotted, Sigmoid: 1/4 per layer"
    note = arms.note(shown, "signal: gradient with respect to pre-activations", *arms.meaning(shown), lines)
    made, each = plots.figure(title, (high, min(3, len(shown))), 0.8 + 1.9 * high, note)
    for axes, arm in zip(each, shown):
        measured, predicted = arm["initial"]["signal"], arm["predicted"]["signal"]
        label, colour = arms.look(arm)
        if arm["activation"] == "sigmoid":
            bound = [predicted[-1] / 4 ** (len(measured) - layer) for layer in numbers(measured)]
            plots.theory(axes, numbers(measured), bound, color="0.5", linestyle=":")
        plots.curve(axes, numbers(measured), measured, color=colour, marker="o", markersize=4, linestyle="")
        plots.theory(axes, numbers(predicted), predicted)
        plots.over(axes, "layer", "norm of the signal", label)
    for axes in each[len(shown) :]:
        axes.set_axis_off()
    plots.log(*each[: len(shown)])
    yield "signals", made


def fall(arm):
    """Layer 1's signal before training over the output layer's."""
    signal = [mean(layer) for layer in arm["initial"]["signal"]]
    return signal[0] / signal[-1] if signal[-1] else math.nan


def deviation(arm):
    """The largest relative error of the prediction of a layer's signal."""
    pairs = zip(arm["initial"]["signal"], arm["predicted"]["signal"])
    return max(abs(mean(measured) / predicted - 1) if predicted else math.inf for measured, predicted in pairs)


def variance(arms):
    """How much each layer's output varies across the test images after training."""
    if not arms.stars:
        return
    title = "Variance of each layer's output across the test images after training"
    first, last = ({label: mean(arm["layer_variance"][layer]) for arm, label, _ in arms.stars} for layer in (0, -2))
    if "rescue" in last and last["default"] < first["default"] / 1e4 and last["rescue"] > first["rescue"]:
        title = f"By default all images give almost the same output: a variance of {first['default']:.2g} in the first "
        title += f"hidden layer is {last['default']:.1e} in the last; with the rescue it holds"
    seen = "after training", "output: the logits, without band", *arms.meaning(arms.strong)
    made, (axes,) = plots.figure(title, note=arms.note(arms.strong, *seen))
    for arm, label, colour in arms.stars:
        *outputs, logits = arm["layer_variance"]
        places = *numbers(outputs), len(outputs) + 0.5, len(outputs) + 1  # a gap in front of what has no activation
        values = [*outputs, [math.nan] * len(logits), logits]
        plots.curve(axes, places, values, label, color=colour, marker="o", markersize=4)
    axes.set_xticks(places[:-2] + places[-1:], [*places[:-2], "output"])
    plots.over(axes, "layer", "variance across the test images")
    plots.log(axes)
    yield "variance", made


def untrained(arms):
    """Layer 1 before training in nets of more and more layers: its signal, and the weights that a step leaves as is."""
    entries = arms.record.get("depth", [])
    if not entries:
        return
    title = "Layer 1 before training"
    still = [layers(entry) for entry in entries if arms.look(entry)[0] == "default" and mean(entry["unmoved"]) > 0.5]
    deepest = max(map(layers, entries))
    if still and still == list(range(still[0], deepest + 1)):
        title = f"From {still[0]} hidden layers on, a step leaves most of the default's layer 1 as it is"
    widths, steps = sorted({*chain(*(entry["hidden"] for entry in entries))}), sorted({*map(training, entries)})
    nets = f"hidden layers of {' or '.join(map(str, widths))}", f"a step of {' or '.join(steps)}"
    note = arms.note(entries, *nets, *arms.meaning(entries), "dashed: theory/1b")
    made, (left, right) = plots.figure(title, 2, note=note, sharey=False)
    for group in groups(entries, "activation", "init"):
        group = sorted(group, key=layers)
        label, colour = arms.look(group[0])
        depths = [layers(entry) for entry in group]
        signal = [entry["initial"]["signal"][0] for entry in group]
        dots = {"marker": "o", "markersize": 4, "clip_on": False}
        plots.curve(left, depths, signal, label, color=colour, linestyle="", **dots)
        plots.theory(left, depths, [entry["predicted"]["signal"][0] for entry in group], color=colour)
        plots.curve(right, depths, [entry["unmoved"] for entry in group], label, color=colour, **dots)
    plots.over(left, "hidden layers", "norm of the signal at layer 1", "signal at layer 1")
    plots.log(left)
    plots.over(right, "hidden layers", "share of weights", "weights of layer 1 that a step leaves unchanged")
    plots.percent(right, chance=False)
    yield "untrained", made


FIGURES = activations, signals, variance, untrained
