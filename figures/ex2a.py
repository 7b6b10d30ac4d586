"""The figures of exercise 2a and its table, drawn from a record alone, of whichever arms it has.

Arms are compared in families, whose members differ in one field: hidden layers, initialisation, or training.
"""

import math
from itertools import chain, count

from common import plots
from figures import per_layer
from figures.arms import NAMES, best_scheme, by_default, complete, describe, families, final, labels, largest, layers
from figures.arms import mean, note, opening, rescued, scheme, shrinkage, slug, subject, success, total_norms, widths

__all__ = "NAMES", "draw", "line", "pick", "table", "total_norms", "widths"


def pick(record, activation, init="default", hidden=None):
    """The record's arms of this activation and initialisation, in its order; one arm where `hidden` is given."""
    same = [arm for arm in record["arms"] if (arm["activation"], arm["init"]) == (activation, init)]
    return same if hidden is None else next(arm for arm in same if arm["hidden"] == hidden)


def draw(record):
    """Yield (file name, picture) of each figure that the record has arms for, every one under another name."""
    arms = [complete(arm, record["settings"]) for arm in record["arms"]]
    taken = set()
    for name, picture in chain(compare(record, arms), per_layer.draw(record, arms)):
        name = next(one for one in chain([name], (f"{name}_{n}" for n in count(2))) if one not in taken)
        taken.add(name)
        yield f"ex2a_{name}.png", picture


def compare(record, arms):
    """Yield (name, picture) of the figures over epochs; every arm is in one of them."""
    drawn = set()
    for family in families(arms, "hidden"):
        if by_default(family):
            yield from of_depths(record, family)
        elif len(family) > 1:
            yield from of_scheme(record, family, by_default(arms))
        else:
            continue
        drawn.update(arm["name"] for arm in family)
    for family in families(arms, "init"):
        if len(family) > 1 and not drawn.issuperset(arm["name"] for arm in family):
            where = "" if family[0] is largest(arms)[0] else slug(family[0], "activation", "hidden")
            yield from of_schemes(record, family, where)
            drawn.update(arm["name"] for arm in family)
    for family in families(arms, "training"):
        if len(family) > 1:
            yield of_trainings(record, family)
            drawn.update(arm["name"] for arm in family)
    for arm in arms:
        if arm["name"] not in drawn:
            title = f"{subject(arm, 'init', 'hidden')}: {final(arm)}"
            yield f"accuracy{slug(arm, 'activation', 'init', 'hidden')}", accuracies(record, title, [arm], "hidden")


def accuracies(record, title, arms, *always):
    """Draw the test accuracy of these arms over epochs."""
    curves = [
        (label, range(1, len(arm["test_accuracy"]) + 1), arm["test_accuracy"])
        for label, arm in zip(labels(arms, *always), arms)
    ]
    return plots.draw(title, [("", curves)], plots.accuracy, note(record, arms))


def norms(record, title, arms, scale, *heading):
    """Draw each layer's gradient norm over epochs, 0 first, a panel per arm, on a scale that holds the arms `scale`."""
    panels = []
    for text, arm in zip(labels(arms, *heading) if heading else [""], arms):
        names = [f"layer {number}" for number in range(1, layers(arm) + 1)] + ["output layer"]
        panels.append((text, [(name, range(len(rows)), rows) for name, rows in zip(names, total_norms(arm))]))
    return plots.draw(title, panels, plots.norms([total_norms(arm) for arm in scale]), note(record, arms))


def of_depths(record, family):
    """Yield the figures of arms by default that differ in their hidden layers."""
    shallow, deep = min(family, key=layers), max(family, key=layers)
    ends = f"with {widths(shallow)}", f"with {widths(deep)}"
    if len({*map(layers, family)}) == len(family):
        few = "one hidden layer" if layers(shallow) == 1 else f"{layers(shallow)} hidden layers"
        ends = f"with {few}", f"with {layers(deep)}"
    title = f"{subject(deep)}: {final(shallow)} {ends[0]}, {final(deep)} {ends[1]}"
    if len(family) == 1:
        title = f"{subject(deep, 'hidden')}: {final(deep)}"
    yield f"accuracy{slug(deep, 'activation')}", accuracies(record, title, family, "hidden")
    for arm in family:
        title = f"{subject(arm, 'hidden')}: layer 1 ends with {shrinkage(arm)} times the output layer's gradient"
        yield f"norms{slug(arm, 'activation', 'hidden')}", norms(record, title, [arm], family)


def of_scheme(record, family, defaults):
    """Yield the figures of one initialisation in several networks, beside the same networks by default."""
    deep, shapes = max(family, key=layers), [arm["hidden"] for arm in family]
    alike = [arm for arm in defaults if all(arm[field] == deep[field] for field in ("activation", "training"))]
    beside = [arm for arm in alike if arm["hidden"] in shapes]
    title = f"{subject(deep, 'hidden')}: {final(deep)} with {scheme(deep)}"
    title += "".join(f", {final(arm)} by default" for arm in beside if arm["hidden"] == deep["hidden"])
    name = "_" + deep["init"].removesuffix("_normal")
    name += slug(deep, *([] if deep["activation"] == "sigmoid" else ["activation"]))
    yield f"accuracy{name}", accuracies(record, title, beside + family, "init", "hidden")
    ends = " and ".join(map(shrinkage, family))
    title = opening(deep, f"{scheme(deep)}: layer 1 ends with {ends} times the output layer's gradient")
    yield f"norms{name}", norms(record, title, family, alike + family, "init", "hidden")


def of_schemes(record, family, where):
    """Yield the figures of several initialisations of one network; `where` ends their names."""
    best, default = best_scheme(family) or family[-1], next(iter(by_default(family)), None)
    title = f"{subject(best, 'hidden')}: {final(best)} with {scheme(best)}, the best of {len(family)}"
    if default:
        how = rescued(default, best)
        title = f"{subject(best, 'hidden')}: {final(default)} by default, {final(best)} {how}"
        ends = f"{shrinkage(default)} times the output layer's gradient by default, {shrinkage(best)} {how}"
        ends = opening(best, f"layer 1 ends with {ends}")
        yield f"norms_rescue{where}", norms(record, ends, [default, best], [default, best], "init")
    yield f"accuracy_inits{where}", accuracies(record, title, family, "init")


def of_trainings(record, family):
    """Return the name and the figure of one network that was trained in several ways."""
    first, best = family[0], max(family[1:], key=success)
    title = f"{describe(first, 'activation', 'init', 'hidden')}: {final(first)} with {first['training']}"
    title += f", {final(best)} with {best['training']}"
    network = slug(first | {"plain": True}, "activation", "init", "hidden")
    return f"accuracy_trainings{network}", accuracies(record, title, family, "training")


def statuses(arm):
    return ", ".join(f"{arm['status'].count(status)} {status}" for status in sorted({*arm["status"]}))


def line(entry):
    """Say how an arm ended; nothing of a net that was not trained."""
    if "test_accuracy" not in entry:
        return ""
    failed = "" if {*entry["status"]} == {"ok"} else f", {statuses(entry)}"
    return f"{entry['name']}: {mean(entry['test_accuracy'][-1]):.2%}{failed}"


def table(record):
    """Return the results as text, one line per arm: test accuracy as mean +- standard deviation over the seeds."""
    lines = [f"{'arm':52} {'test accuracy':>15}   layer 1's gradient norm   status"]
    for arm in record["arms"]:
        accuracy, (first, *_) = arm["test_accuracy"][-1], total_norms(arm)
        spread = math.dist(accuracy, [mean(accuracy)] * len(accuracy)) / math.sqrt(max(1, len(accuracy) - 1))
        spread = f" +- {spread:5.2%}" if len(accuracy) > 1 else ""
        lines.append(
            f"{arm['name']:52} {f'{mean(accuracy):6.2%}{spread}':15}"
            f"   {mean(first[0]):9.2e} -> {mean(first[-1]):9.2e}   {statuses(arm)}"
        )
    return "\n".join(lines)
