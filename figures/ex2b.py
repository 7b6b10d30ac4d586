"""The figures of exercise 2b and its table, from the record ex2b.json alone; ex2b_adam.py writes them."""

import math
from itertools import repeat
from statistics import mean, stdev

import numpy as np

from common import plots, searches

SEARCHES = {"sgd": "SGD", "grid": "Adam by grid", "random": "Adam at random"}


def caption(record, planned, seeds="one seed"):
    """Say what a figure shows: its data, its seeds and, where some are missing, how many of the runs there are."""
    made, wanted = len(record["runs"]), len(searches.wanted(planned, record["runs"], record["settings"]["seeds"]))
    return f"{plots.source(record)}; {seeds}" + (f"; {made} of {wanted} runs" if made < wanted else "")


def epochs_of(record):
    return range(1, record["settings"]["epochs"] + 1)


def label(arm, seeds=1):
    """The learning rate, with what failed among so many seeds."""
    return searches.rate(arm["lr"]) + "".join(f" {status}" for status in sorted({*arm["status"][:seeds]} - {"ok"}))


def outcome(arm):
    return f"{arm['train']:.1%} in training and {arm['final']['test'][0]:.1%} in the test"


def draw_accuracy(record, planned):
    """Test accuracy over epochs: Adam's default, Adam's best and SGD's best."""
    every = searches.arms(record["runs"])
    default = next(iter(searches.of(every, "default")), None)
    adam, sgd = searches.best(every, "grid"), searches.best(every, "sgd")
    shown = (
        [("Adam by default and best", adam)]
        if adam is default
        else [("Adam by default", default), ("Adam's best", adam)]
    )
    shown = [(name, arm) for name, arm in (*shown, ("SGD's best", sgd)) if arm]
    title = ", ".join(f"{name} {mean(arm['final']['test']):.1%}" for name, arm in shown)
    note = caption(record, planned, plots.band(*(len(arm["status"]) for _, arm in shown)))
    title, note = title or "The searches name no winner", f"{note}; best by final training accuracy"
    made, (axes,) = plots.figure(title, note=note)
    for number, (name, arm) in enumerate(shown):
        plots.curve(axes, epochs_of(record), arm["curves"]["test"], f"{name}, {label(arm, None)}", number)
    lowest = min((min(map(min, arm["curves"]["test"])) for _, arm in shown), default=0)
    plots.accuracy(axes, bottom=max(0, math.ceil(10 * lowest) - 1) / 10)
    return made


def draw_marks(axes, arms, key, name, number):
    """Draw the final accuracy `key` of each run of these arms at its learning rate."""
    if arms:
        each = [run for arm in arms for run in zip(repeat(arm["lr"]), arm["final"][key], arm["status"])]
        lr, accuracy, status = zip(*each)
        plots.marks(axes, lr, accuracy, [one != "ok" for one in status], name, number)


def draw_rates(record, planned):
    """Final training and test accuracy against the learning rate, every run a mark."""
    every = searches.arms(record["runs"])
    winners = [(name, searches.best(every, which)) for which, name in SEARCHES.items()]
    title = ", ".join(f"{name} {searches.rate(arm['lr'])} {arm['train']:.1%}" for name, arm in winners if arm)
    title = f"Best in training: {title}" if title else "Every run failed: the searches name no winner"
    made, panels = plots.figure(title, 2, note=caption(record, planned, "every run a mark") + "; crosses: failed")
    for axes, key, name in zip(panels, ("train", "test"), ("final training accuracy", "final test accuracy")):
        for number, (which, text) in enumerate(SEARCHES.items()):
            draw_marks(axes, searches.of(every, which), key, text, number)
        plots.rates(axes, name)
    panels[1].legend(fontsize=8)
    return made


def draw_epochs(record, planned, which):
    """Test and training accuracy over epochs for every learning rate of one search, which sees one seed."""
    every = searches.arms(record["runs"])
    found, winner = searches.of(every, which), searches.best(every, which)
    title = f"{searches.rate(winner['lr'])} is best, {outcome(winner)}" if winner else "every run failed"
    title = f"{SEARCHES[which]}: {title}"
    sample = f"curves of training accuracy: first {record['settings']['train_sample']} images"
    made, panels = plots.figure(title, 2, note=f"{caption(record, planned)}; {sample}")
    for axes, key, name in zip(panels, ("test", "train"), ("test accuracy", "training accuracy")):
        for number, arm in enumerate(found):
            plots.curve(axes, epochs_of(record), [seeds[:1] for seeds in arm["curves"][key]], label(arm), number)
        plots.accuracy(axes, name)
    return made


def draw_random_against_grid(record, planned):
    """The response curve through all measured rates of Adam, and the distribution of the best of five random draws."""
    every = searches.arms(record["runs"])
    adam = sorted((arm for arm in every if arm["optimizer"] == "adam"), key=lambda arm: arm["lr"])
    if searches.best(every, "grid"):
        grid, wins, expected = searches.random_against_grid(every)
        title = f"Five random rates beat the grid in {wins:.0%} of draws: {expected:.1%} on average against {grid:.1%}"
        wanted = sum(arm.optimizer == "adam" for arm in planned)
        if len(adam) < wanted:
            title = f"From {len(adam)} of {wanted} rates: random search beats the grid in {wins:.0%} of draws"
    else:
        title = "Random against grid: the grid names no winner"
    limit = f"line: seed 0, linear in log(rate) between {len(adam)} rates, so never above the best of them"
    note = f"{caption(record, planned, 'every run a mark')}; {limit}"
    made, (left, right) = plots.figure(title, 2, note=note, sharey=False)
    left.plot([arm["lr"] for arm in adam], [arm["train"] for arm in adam], color="0.5", linewidth=1)
    for number, which in ((1, "grid"), (2, "random")):
        draw_marks(left, searches.of(every, which), "train", SEARCHES[which], number)
    plots.rates(left, "final training accuracy")
    left.legend(fontsize=8)
    accuracy, probability = searches.best_of_random(adam)
    below = np.cumsum(probability)
    right.plot(accuracy, below, color=plots.COLOURS[0], label="best of five random draws")
    drawn = len(searches.of(every, "random"))
    for number, which, name in ((1, "grid", "best of the grid"), (2, "random", f"best of the {drawn} drawn")):
        if searches.best(every, which):
            right.axvline(searches.best(every, which)["train"], color=plots.COLOURS[number], linestyle="--", label=name)
    right.set(xlabel="best final training accuracy", ylabel="share of draws that stay below", ylim=(0, 1))
    right.set_xlim(left=accuracy[np.searchsorted(below, 0.01)] - 0.01)
    right.locator_params(axis="x", nbins=5)
    right.xaxis.set_major_formatter(plots.PercentFormatter(1.0))
    right.yaxis.set_major_formatter(plots.PercentFormatter(1.0, decimals=0))
    right.legend(loc="upper left", fontsize=8)
    return made


def figures(record, planned):
    """Yield (file name, Figure) of each figure that the record has runs for; `planned` are the experiment's arms."""
    every = searches.arms(record["runs"])
    yield "ex2b_accuracy.png", draw_accuracy(record, planned)
    yield "ex2b_rates.png", draw_rates(record, planned)
    for which in SEARCHES:
        if searches.of(every, which):
            yield f"ex2b_epochs_{which}.png", draw_epochs(record, planned, which)
    if searches.comparable(every):
        yield "ex2b_random_against_grid.png", draw_random_against_grid(record, planned)


def table(record):
    """The results as text: one line per run, then what the searches found."""
    lines = [f"{'run':24}{'search':15}{'final training':>15}{'test':>8}  {'last ten epochs':17}status"]
    for run in sorted(record["runs"], key=lambda run: (run["optimizer"], -run["lr"], run["seed"])):
        last = run["test_accuracy"][-10:]
        lines.append(
            f"{run['optimizer']} {searches.rate(run['lr'])}, seed {run['seed']}".ljust(24)
            + f"{'+'.join(run['searches']):15}{run['final_train_accuracy']:15.2%}{run['test_accuracy'][-1]:8.2%}"
            + f"  {min(last):.2%} - {max(last):.2%}  {run['status']}"
        )
    every = searches.arms(record["runs"])
    for which, name in SEARCHES.items():
        found, arm = searches.of(every, which), searches.best(every, which)
        best = f"{searches.rate(arm['lr'])}, {outcome(arm)}" if arm else "no winner" if found else "no run yet"
        lines.append(f"{name}, best of {len(found)}: {best}")
    for arm in searches.compared(every):
        seeds = len(arm["status"])
        if seeds > 1:
            values = (f"{mean(arm['final'][key]):.2%} +- {stdev(arm['final'][key]):.2%}" for key in ("train", "test"))
            values = " in training and ".join(values)
            lines.append(f"{arm['optimizer']} {label(arm, None)}, {seeds} seeds: {values} in the test")
    if searches.comparable(every) and searches.best(every, "grid"):
        grid, wins, expected = searches.random_against_grid(every)
        lines.append(
            f"Best of five random rates: {expected:.2%} on average, above the grid's {grid:.2%} in {wins:.0%} of draws"
        )
    return "\n".join(lines)
