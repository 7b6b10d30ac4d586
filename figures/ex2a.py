"""The figures of exercise 2a and its table, drawn from a record alone, of whichever arms it has.

A title states a lesson where the condition beside it holds on the record, and says what is drawn where it does not.
"""

import math
from collections import Counter
from itertools import chain, cycle

from common import plots
from figures import per_layer, shapes
from figures.arms import Arms, above, activation, common_end, describe, epochs, fails, falls, final, groups, hidden
from figures.arms import layers, learns, mean, same, scheme, success, total_norms, training, widths

SHAPES = shapes.EX2A


def draw(record):
    """Yield (file name, picture) of each figure that the record has arms for."""
    arms = Arms(record)
    figures = accuracy, norms, xavier, deepest, depth, trainings, others, *per_layer.FIGURES
    with plots.style():
        for name, picture in chain.from_iterable(one(arms) for one in figures):
            yield f"ex2a_{name}.png", plots.finish(picture)


def over_epochs(axes, arm, label, **style):
    """Draw an arm's test accuracy over epochs."""
    plots.curve(axes, range(1, len(arm["test_accuracy"]) + 1), arm["test_accuracy"], label, **style)


def accuracy_axes(axes, heading=""):
    """Say what axes of the test accuracy over epochs show."""
    plots.over(axes, "epoch", "test accuracy", heading)
    plots.percent(axes)


def accuracy(arms):
    """Test accuracy over epochs, a panel per activation and a curve per network."""
    panels = groups(arms.default, "activation")
    if not panels:
        return
    nets = {activation(panel[0]): sorted(panel, key=layers) for panel in panels}
    title = f"Test accuracy of networks with {' and '.join(nets)}"
    near = common_end(nets.get("ReLU", []))
    if list(nets) == ["Sigmoid", "ReLU"] and falls(nets["Sigmoid"]) and near:
        title = f"Every further Sigmoid layer costs accuracy; with ReLU all depths end near {near}"
    made, each = plots.figure(title, len(panels), note=arms.note(arms.default, plots.CHANCE))
    for axes, panel in zip(each, panels):
        for arm in panel:
            alike = [other for other in panel if layers(other) == layers(arm)].index(arm)
            look = {"color": plots.depth_colour(layers(arm)), "linestyle": plots.LINES[alike % 4]}
            over_epochs(axes, arm, widths(arm), **look)
        accuracy_axes(axes, activation(panel[0]))
    yield "accuracy", made


def layer_norms(axes, arm, heading):
    """Draw the gradient norm of each layer over epochs, 0 before training."""
    norms = total_norms(arm)
    for number, rows in enumerate(norms, 1):
        colour = plots.layer_colour(number, len(norms))
        name = "output layer" if number == len(norms) else f"layer {number}"
        plots.curve(axes, range(len(rows)), rows, name, color=colour, linewidth=1.3)
    plots.over(axes, "epoch (0: before training)", "gradient norm", heading)


def shares(arm):
    """Layer 1's gradient norm over the output layer's, means over the seeds, at every epoch, 0 before training."""
    first, *_, last = total_norms(arm)
    return [mean(one) / mean(other) if any(other) else math.nan for one, other in zip(first, last)]


def norms(arms):
    """Gradient norms of the layers over epochs, rows by network and columns by activation."""
    rows = sorted(groups(arms.default, "hidden"), key=lambda row: layers(row[0]))
    columns = [column[0] for column in groups(arms.default, "activation")]
    if not rows:
        return
    title = "Gradient norm of each layer"
    deep = {activation(arm): arm for arm in rows[-1]}
    if {*deep} >= {"Sigmoid", "ReLU"} and max(shares(deep["Sigmoid"])) < 0.01 and shares(deep["ReLU"])[-1] > 1:
        title = f"With {hidden(rows[-1][0])} the Sigmoid's layer 1 stays below a hundredth"
        title += " of the output layer's gradient norm, ReLU's layer 1 ends above its output layer"
    note = arms.note(arms.default, "each epoch's last batch, the same for all; epoch 0: that of epoch 1")
    made, each = plots.figure(title, (len(rows), len(columns)), 0.8 + 1.75 * len(rows), note)
    for axes, (row, column) in zip(each, ((row, column) for row in rows for column in columns)):
        for arm in same(row, column, "activation"):
            layer_norms(axes, arm, f"{activation(arm)} {widths(arm)}")
        axes.axison = axes.has_data()
    plots.log(*(axes for axes in each if axes.axison))
    yield "norms", made


def xavier(arms):
    """Xavier beside the default: accuracy, and the norms of both, a row per network."""
    if not arms.network:
        return
    shown = [arm for arm in same(arms.plain, arms.network[0], "activation") if arm["init"] == "xavier_normal"]
    rows = [same(arms.default, arm, "activation", "hidden")[:1] + [arm] for arm in shown]
    if not rows:
        return
    title = "Accuracy and gradient norms with Xavier"
    deep = max(shown, key=layers)
    if all(len(row) == 2 and above(*reversed(row)) for row in rows) and success(deep) < 0.5:
        title = f"With {training(deep)} Xavier helps, but takes the net of {hidden(deep)} to {final(deep)} only"
    wide = 1 + max(map(len, rows))
    note = arms.note(chain(*rows), plots.CHANCE)
    made, each = plots.figure(title, (len(rows), wide), 0.8 + 2.1 * len(rows), note, sharey=False)
    for number, row in enumerate(rows):
        first, *panels = each[number * wide : (number + 1) * wide]
        for arm in row:
            label, colour = arms.look(arm)
            over_epochs(first, arm, label, color=colour)
        accuracy_axes(first, f"{activation(arm)} {widths(arm)}")
        for axes, arm in zip(panels, row):
            layer_norms(axes, arm, f"{widths(arm)}, {scheme(arm)}")
        for axes in panels[len(row) :]:
            axes.set_axis_off()
    everywhere = [value for arm in arms.default for layer in total_norms(arm) for row in layer for value in row]
    plots.log(*(axes for number, axes in enumerate(each) if number % wide and axes.axison), also=everywhere)
    yield "xavier", made


def deepest(arms):
    """Test accuracy over epochs of one network: those that have a name in colour, all other initialisations grey."""
    if all(arm in arms.default for arm in arms.deep):  # or there are none
        return
    like, rest = arms.network[0], [arm for arm in arms.deep if arm not in arms.strong]
    named = {label: arm for arm, label, _ in arms.stars}
    title = f"Test accuracy of {activation(like)} {widths(like)}, by initialisation"
    if "rescue" in named:
        title = f"{hidden(like).capitalize()} of {activation(like)}: {final(named['default'])} by default, "
        title += f"{final(named['rescue'])} rescued by another initialisation"
    grey = ["grey: without band"] if rest else []
    note = arms.note(arms.deep, *arms.meaning(arms.deep), *grey, plots.CHANCE)
    made, (axes,) = plots.figure(title, 1, 3.8, note)
    for arm in rest:
        means, other = [[mean(row)] for row in arm["test_accuracy"]], arm["activation"] != like["activation"]
        text, line = (f"{activation(arm)}, {scheme(arm)}", "--") if other else (scheme(arm), "-")
        plots.curve(axes, range(1, len(means) + 1), means, text, linestyle=line, linewidth=1, color="0.7")
    for arm, label, colour in arms.stars:
        text = f"{label}: {scheme(arm).partition(' from')[0]}" if label == "rescue" else label
        over_epochs(axes, arm, text, color=colour, linewidth=2)
    accuracy_axes(axes)
    yield "deepest", made


def in_any_depth(arms):
    """The arms of any number of hidden layers that have the activation and the scheme of a star."""
    return [arm for star in arms.strong for arm in same(arms.plain, star, "activation", "init")]


def depth(arms):
    """Final test accuracy against the number of hidden layers."""
    shown = in_any_depth(arms)
    if len({*map(layers, shown)}) < 2:
        return
    title = "Test accuracy after the last epoch by the number of hidden layers"
    nets = {arms.look(group[0])[0]: sorted(group, key=layers) for group in groups(shown, "activation", "init")}
    near = common_end(nets.get("ReLU", []))
    if falls(nets.get("default", [])) and near:
        title = f"By default depth makes the Sigmoid fail, while ReLU ends near {near} at every depth"
        if "rescue" in nets:
            title += f"; with {hidden(nets['rescue'][-1])} the rescue reaches {final(nets['rescue'][-1])}"
    made, (axes,) = plots.figure(title, note=arms.note(shown, *arms.meaning(shown), plots.CHANCE))
    for label, group in sorted(nets.items(), key=lambda net: -len(net[1])):  # single marks above the lines
        ends, (_, colour) = [arm["test_accuracy"][-1] for arm in group], arms.look(group[0])
        plots.curve(axes, [layers(arm) for arm in group], ends, label, color=colour, marker="o", markerfacecolor="none")
    plots.over(axes, "hidden layers", "final test accuracy")
    plots.percent(axes)
    yield "depth", made


def retrained(arms):
    """The arms of one network with an initialisation that was trained in several ways."""
    return [arm for group in groups(arms.network, "init") if len(group) > 1 for arm in group]


def trainings(arms):
    """Test accuracy over epochs of one network under other trainings, and of what was trained longer."""
    ladder = retrained(arms)
    longer = arms.record.get("plateau", [])
    panels = [panel for panel in (ladder, longer) if panel]
    if not panels:
        return
    kinds = ["with other trainings"] * bool(ladder) + ["after more epochs"] * bool(longer)
    title = f"Test accuracy {' and '.join(kinds)}"
    slow = [arm for arm in ladder if arm in arms.default]
    quick = [arm for arm in ladder if arm["init"] == "default" and arm not in slow]
    if slow and quick and longer and all(map(fails, slow)) and all(map(learns, quick + longer)):
        title = "Slow, not stuck: other trainings get the default going, and so does patience"
    note = arms.note(
        chain(*panels), "default where no initialisation is named", "a colour for each rate", f"grey {plots.CHANCE}"
    )
    made, each = plots.figure(title, len(panels), note=note)
    ways = groups(ladder + longer, "init", "momentum", "batch_norm")  # which share a line style
    for axes, panel in zip(each, panels):
        for way, line in zip(ways, cycle(plots.LINES)):
            for arm in (arm for arm in way if arm in panel):
                label = training(arm) if arm["init"] == "default" else f"{scheme(arm)}, {training(arm)}"
                over_epochs(axes, arm, label, color=plots.rate_colour(arm["lr"]), linestyle=line)
        nets = ", ".join(dict.fromkeys(f"{activation(arm)} {widths(arm)}" for arm in panel))
        accuracy_axes(axes, f"{nets}, for {epochs(len(panel[0]['test_accuracy']))}")
    yield "trainings", made


def others(arms):
    """Test accuracy over epochs of the arms that are in none of the other figures."""
    drawn = [*arms.default, *arms.deep, *retrained(arms), *in_any_depth(arms)]
    rest = [arm for arm in arms.all if arm not in drawn]
    if not rest:
        return
    made, (axes,) = plots.figure("Test accuracy of further arms", note=arms.note(rest, plots.CHANCE))
    for number, arm in enumerate(rest):
        look = {"color": plots.COLOURS[number % 9], "linestyle": plots.LINES[number // 9 % 4]}
        over_epochs(axes, arm, describe(arm), **look)
    accuracy_axes(axes)
    yield "others", made


def statuses(arm):
    return ", ".join(f"{number} {status}" for status, number in sorted(Counter(arm["status"]).items()))


def line(entry):
    """Say how an arm ended; nothing of a net that was not trained."""
    if "test_accuracy" not in entry:
        return ""
    trained = epochs(len(entry["test_accuracy"]))
    return f"{describe(entry)}, {trained}: {final(entry)}" + ("" if learns(entry) else f", {statuses(entry)}")


def table(record):
    """Return the results as text, one line per arm, means over the seeds: accuracy, layer 1's norm, status."""
    rows = [("arm", "test accuracy", "layer 1's gradient norm", "status of the seeds")]
    for arm in [*record["arms"], *record.get("plateau", [])]:
        number = len(arm["test_accuracy"])
        name = describe(arm) + f", {epochs(number)}" * (number != record["settings"]["epochs"])
        rows.append((name, final(arm), f"{mean(total_norms(arm)[0][-1]):.2g}", statuses(arm)))
    wide = max(len(name) for name, *_ in rows) + 2
    lines = [f"{name:{wide}}{accuracy:>13}{norm:>25}   {status}" for name, accuracy, norm, status in rows]
    return "\n".join([*lines, *shapes.meanings([*record["arms"], *record.get("plateau", [])])])
