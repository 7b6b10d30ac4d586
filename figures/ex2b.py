"""The figures of exercise 2b and its table, from a record alone; which runs there are, the record tells."""

import math
from bisect import bisect_left
from itertools import accumulate, repeat
from statistics import fmean, stdev

from common import plots
from figures import searches

NAMES = {"adam": "Adam", "sgd": "SGD"}
SEARCHES = {"sgd": "", "grid": " by grid", "random": " at random"}  # behind the optimizer's name; their order is fixed


def called(arm):
    return NAMES.get(arm["optimizer"], arm["optimizer"])


def named(every):
    """Return {search: its name} of the searches that these arms have, the default only if it is in no other."""
    found = [which for arm in every for which in arm["searches"] if which != "default" or len(arm["searches"]) == 1]
    names = {}
    for which in dict.fromkeys([*(which for which in SEARCHES if which in found), *found]):
        optimizers = " and ".join(dict.fromkeys(map(called, searches.of(every, which))))
        names[which] = optimizers + SEARCHES.get(which, f" by {which}")
    return names


def number(which, names):
    """The number of the colour of a search: the same whatever others there are of those that are known."""
    return [*SEARCHES, *(name for name in names if name not in SEARCHES)].index(which)


def failed(arm, seeds=1):
    """What failed among so many seeds, as the end of a label."""
    return "".join(f" {status}" for status in sorted({*arm["status"][:seeds]} - {"ok"}))


def labels(arms):
    """One label per arm for its first seed: the learning rate and what failed, with whatever else tells them apart."""
    texts = [rate + failed(arm) for rate, arm in zip(searches.rates(arms), arms)]
    return texts if len({*texts}) == len(arms) else [arm["name"] + failed(arm) for arm in arms]


def outcome(arm):
    return f"{arm['train']:.1%} in training and {arm['final']['test'][0]:.1%} in the test"


def epochs(values):
    return range(1, len(values) + 1)


def compared(every):
    """Return (what it is, arm) of the arms whose accuracy is compared: by default, and the best of the grid and of SGD.

    The best of a search is its optimizer's best where no other rate of that optimizer does better in training.
    """
    shown = [(f"{called(arm)} by default", arm) for arm in searches.of(every, "default")]
    for which in ("grid", "sgd"):
        arm = searches.best(every, which)
        if not arm:
            continue
        rivals = [other for other in every if other["optimizer"] == arm["optimizer"] and other["ok"]]
        best = "best" if arm["train"] >= max(other["train"] for other in rivals) else f"best by {which}"
        if any(arm is other for _, other in shown):
            shown = [(f"{text} and {best}" if other is arm else text, other) for text, other in shown]
        else:
            shown.append((f"{called(arm)}'s {best}", arm))
    return shown


def draw_accuracy(record, shown):
    """Test accuracy over epochs of the arms that are compared."""
    title = ", ".join(f"{name} {fmean(arm['final']['test']):.1%}" for name, arm in shown)
    note = plots.caption(record, plots.band(*(len(arm["status"]) for _, arm in shown)))
    made, (axes,) = plots.figure(title, note=f"{note}; best by final training accuracy")
    rates = searches.rates([arm for _, arm in shown])
    for place, ((name, arm), rate) in enumerate(zip(shown, rates)):
        curves = arm["curves"]["test"]
        plots.curve(axes, epochs(curves), curves, f"{name}, {rate}{failed(arm, None)}", place)
    lowest = min((value for _, arm in shown for row in arm["curves"]["test"] for value in row if value >= 0), default=0)
    plots.accuracy(axes, bottom=max(0, math.ceil(10 * lowest) - 1) / 10)
    return made


def draw_marks(axes, arms, key, name, place):
    """Draw the final accuracy `key` of each run of these arms at its learning rate."""
    each = [run for arm in arms for run in zip(repeat(arm["lr"]), arm["final"][key], arm["status"])]
    lr, accuracy, status = zip(*each)
    plots.marks(axes, lr, accuracy, [one != "ok" for one in status], name, place)


def draw_rates(record, every):
    """Final training and test accuracy against the learning rate, every run a mark."""
    names = named(every)
    winners = [(name, searches.best(every, which)) for which, name in names.items()]
    title = ", ".join(f"{name} {searches.rate(arm['lr'])} {arm['train']:.1%}" for name, arm in winners if arm)
    title = f"Best in training: {title}" if title else "The searches name no winner"
    made, panels = plots.figure(title, 2, note=plots.caption(record, "every run a mark") + "; crosses: failed")
    for axes, key, name in zip(panels, ("train", "test"), ("final training accuracy", "final test accuracy")):
        for which, text in names.items():
            draw_marks(axes, searches.of(every, which), key, text, number(which, names))
        plots.rates(axes, name)
    panels[1].legend(fontsize=8)
    return made


def draw_epochs(record, every, which, name):
    """Test and training accuracy over epochs for every learning rate of one search, which sees one seed."""
    found, winner = searches.of(every, which), searches.best(every, which)
    title = f"{name}: every run failed"
    if winner:
        label = next(label for label, arm in zip(labels(found), found) if arm is winner)
        title = f"{name}: {label}{' is best' if len(found) > 1 else ''}, {outcome(winner)}"
    sample = f"curves of training accuracy: first {record['settings']['train_sample']} images"
    made, panels = plots.figure(title, 2, note=f"{plots.caption(record, 'one seed')}; {sample}")
    for axes, key, name in zip(panels, ("test", "train"), ("test accuracy", "training accuracy")):
        for place, (label, arm) in enumerate(zip(labels(found), found)):
            curves = [seeds[:1] for seeds in arm["curves"][key]]
            plots.curve(axes, epochs(curves), curves, label, place)
        plots.accuracy(axes, name)
    return made


def draw_random_against_grid(record, every):
    """The response curve through all measured rates of Adam, and the distribution of the best of five random draws."""
    names, grid = named(every), searches.best(every, "grid")
    adam = sorted((arm for arm in every if arm["optimizer"] == "adam"), key=lambda arm: arm["lr"])
    title = "Random against grid: the grid names no winner"
    if grid:
        level, wins, expected = searches.random_against_grid(every)
        title = f"Five random rates beat the grid in {wins:.0%} of draws: {expected:.1%} on average against {level:.1%}"
    limit = f"line: seed 0, linear in log(rate) between {len(adam)} rates, so never above the best of them"
    note = f"{plots.caption(record, 'every run a mark')}; {limit}"
    made, (left, right) = plots.figure(title, 2, note=note, sharey=False)
    left.plot([arm["lr"] for arm in adam], [arm["train"] for arm in adam], color="0.5", linewidth=1)
    for which in ("grid", "random"):
        if which in names:
            draw_marks(left, searches.of(every, which), "train", names[which], number(which, names))
    plots.rates(left, "final training accuracy")
    left.legend(fontsize=8)
    accuracy, probability = searches.best_of_random(adam)
    below = list(accumulate(probability))
    right.plot(accuracy, below, label="best of five random draws", **plots.look(0))
    drawn = len(searches.of(every, "random"))
    for which, text in (("grid", "best of the grid"), ("random", f"best of the {drawn} drawn")):
        if best := searches.best(every, which):
            colour = plots.look(number(which, names))["color"]
            right.axvline(best["train"], color=colour, linestyle="--", label=text)
    right.set(xlabel="best final training accuracy", ylabel="share of draws that stay below", ylim=(0, 1))
    right.set_xlim(left=accuracy[bisect_left(below, 0.01)] - 0.01)
    right.locator_params(axis="x", nbins=5)
    right.xaxis.set_major_formatter(plots.PercentFormatter(1.0))
    right.yaxis.set_major_formatter(plots.PercentFormatter(1.0, decimals=0))
    right.legend(loc="upper left", fontsize=8)
    return made


def draw(record):
    """Yield (file name, picture) of each figure that the record has runs for."""
    every = searches.arms(record["runs"])
    if shown := compared(every):
        yield "ex2b_accuracy.png", draw_accuracy(record, shown)
    if names := named(every):
        yield "ex2b_rates.png", draw_rates(record, every)
    for which, name in names.items():
        yield f"ex2b_epochs_{which}.png", draw_epochs(record, every, which, name)
    if searches.comparable(every):
        yield "ex2b_random_against_grid.png", draw_random_against_grid(record, every)


def line(run):
    """Say how a run ended."""
    failed = "" if run["status"] == "ok" else f", {run['status']}"
    accuracies = f"{run['final_train_accuracy']:.2%} in training, {run['test_accuracy'][-1]:.2%} in the test"
    return f"{run['name']}: {accuracies}{failed}"


def table(record):
    """The results as text: one line per run, then what the searches found."""
    lines = [f"{'run':24}{'search':15}{'final training':>15}{'test':>8}  {'last ten epochs':17}status"]
    for run in sorted(record["runs"], key=lambda run: (run["optimizer"], -run["lr"], run["seed"])):
        last = run["test_accuracy"][-10:]
        lines.append(
            f"{run['name']:24}{'+'.join(run['searches']):15}"
            f"{run['final_train_accuracy']:15.2%}{run['test_accuracy'][-1]:8.2%}"
            f"  {min(last):.2%} - {max(last):.2%}  {run['status']}"
        )
    every = searches.arms(record["runs"])
    for which, name in named(every).items():
        found, arm = searches.of(every, which), searches.best(every, which)
        best = f"{searches.rate(arm['lr'])}, {outcome(arm)}" if arm else "no winner"
        lines.append(f"{name}, best of {len(found)}: {best}")
    for arm in every:
        if len(arm["status"]) > 1:
            values = (f"{fmean(arm['final'][key]):.2%} +- {stdev(arm['final'][key]):.2%}" for key in ("train", "test"))
            values = " in training and ".join(values)
            lines.append(f"{arm['name']}{failed(arm, None)}, {len(arm['status'])} seeds: {values} in the test")
    if searches.comparable(every) and searches.best(every, "grid"):
        grid, wins, expected = searches.random_against_grid(every)
        lines.append(
            f"Best of five random rates: {expected:.2%} on average, above the grid's {grid:.2%} in {wins:.0%} of draws"
        )
    return "\n".join(lines)
