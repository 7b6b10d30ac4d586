"""The figures of exercise 2b and its table, from a record alone; which runs there are, the record tells.

Where both are drawn, training accuracy stands left and test accuracy right. A title states a lesson where the condition
beside it holds on the record, and says what is drawn where it does not.
"""

from itertools import chain, repeat
from statistics import fmean, stdev

from common import plots
from figures import searches, shapes

SHAPES = shapes.EX2B
NAMES = {"adam": "Adam", "sgd": "SGD"}
COLOURS = {"adam": "#0072B2", "sgd": "#D55E00"}  # others: black
SPLITS = "train", "test"
AXES = {"train": "training accuracy", "test": "test accuracy"}
FIRST = {"marker": ".", "markersize": 3, "color": "black"}  # how the first seed is marked
LAST = 10  # epochs
MANY = 4  # searches, from which on what is written of each is small


def called(arm):
    return NAMES.get(arm["optimizer"], arm["optimizer"])


def named(every):
    """Return {search: its name} of the searches that these arms have, the default only if it is in no other."""
    found = [which for arm in every for which in arm["searches"] if which != "default" or len(arm["searches"]) == 1]
    order = sorted(dict.fromkeys(found), key=lambda which: (which != "sgd", which != "grid"))
    names = {}
    for which in order:
        optimizers = " and ".join(dict.fromkeys(map(called, searches.of(every, which))))
        names[which] = optimizers + ("" if which == "sgd" else f", {which}")
    return names


def failed(arm):
    """What failed among the seeds of an arm, as the end of a label."""
    return "".join(f" {status}" for status in sorted({*arm["status"]} - {"ok"}))


def labels(arms):
    """One label per arm: the learning rate and what failed, with whatever else tells them apart."""
    texts = [rate + failed(arm) for rate, arm in zip(searches.rates(arms), arms)]
    return texts if len({*texts}) == len(arms) else [arm["name"] + failed(arm) for arm in arms]


def compared(every):
    """Return {what it is: arm} of what is compared over epochs: the default, and the best of the grid and of SGD."""
    found = {
        "default": next(iter(searches.of(every, "default")), None),
        "best of the grid": searches.best(every, "grid"),
        "best of SGD": searches.best(every, "sgd"),
    }
    return {words: arm for words, arm in found.items() if arm}


def sample(record):
    return f"curves of training accuracy: first {record['settings']['train_sample']} images"


def draw_curves(axes, arms, texts, looks, split, heading, first=1, seeds=None):
    """Draw the accuracy of these arms over epochs, of all their seeds or of so many, from epoch `first` on."""
    for arm, text, look in zip(arms, texts, looks):
        curves = [values[:seeds] for values in arm["curves"][split][first - 1 :]]
        plots.curve(axes, range(first, first + len(curves)), curves, text, **look)
    plots.over(axes, "epoch", "accuracy", heading)
    plots.percent(axes, chance=False)


def last_epochs(arm, split):
    """The mean accuracy over the last epochs, [seed]."""
    return [fmean(values) for values in zip(*arm["curves"][split][-LAST:])]


def overlap(ranges):
    """Whether these ranges of seeds, each a list, have a value in common."""
    return max(map(min, ranges)) <= min(map(max, ranges))


def accuracy(record, every):
    """Accuracy over epochs of what is compared, and the last epochs enlarged."""
    shown = compared(every)
    if not shown:
        return
    arms = list({id(arm): arm for arm in shown.values()}.values())  # one may be two of them
    last = min(LAST, record["settings"]["epochs"])
    late = f"the last {last} epochs" if last > 1 else "the last epoch"
    texts = [f"{called(arm)} {rate}{failed(arm)}" for rate, arm in zip(searches.rates(arms), arms)]
    colours = [COLOURS.get(arm["optimizer"], "black") for arm in arms]
    looks = [{"color": colour, "linestyle": line} for colour, line in zip(colours, plots.LINES)]
    meant = [f"{text}: {', '.join(words for words in shown if shown[words] is arm)}" for text, arm in zip(texts, arms)]
    note = plots.caption(record, plots.band(*(len(arm["status"]) for arm in arms)), sample(record), *meant)
    title = "In the test " + ", ".join(f"{text} {fmean(arm['final']['test']):.1%}" for text, arm in zip(texts, arms))
    if len(arms) > 1 and overlap([last_epochs(arm, "test") for arm in arms]):
        title += f"; averaged over {late} their seeds overlap"
    made, each = plots.figure(title, (2, 2), 5.4, note, sharey=False)
    for place, axes in enumerate(each):
        split, first = SPLITS[place % 2], record["settings"]["epochs"] - last + 1 if place > 1 else 1
        heading = f"{AXES[split]}, {late}" if place > 1 else AXES[split]
        draw_curves(axes, arms, texts, looks, split, heading, first)
    lowest = min(axes.get_ylim()[0] for axes in each[:2])
    for axes in each[:2]:
        axes.set_ylim(lowest, 1)
    yield "accuracy", made


def look(every, which):
    """How the marks of a search look, all open: the colour tells the optimizer, the shape the search."""
    colour = COLOURS.get(searches.of(every, which)[0]["optimizer"], "black")
    word, _, number = which.partition(" ")
    shape = {"sgd": "s", "grid": "o", "random": "^v<>P*"[int(number) % 6 if number.isdecimal() else 0]}.get(word, "D")
    size = 7 if shape == "s" else 5  # both are seen where one lies on the other
    return {"color": colour, "marker": shape, "markersize": size, "markerfacecolor": "none"}


def draw_marks(axes, every, names, split, legend=True):
    """Draw the final accuracy of each run of these searches at its learning rate, and a cross over each that failed;
    where some arm has several seeds, a dot in the first one's."""
    told = "" if legend else "_"
    firsts, lost, style = [], [], {"linestyle": "", "clip_on": False, "zorder": 3}
    for which, name in names.items():
        arms = searches.of(every, which)
        runs = [run for arm in arms for run in zip(repeat(arm["lr"]), arm["final"][split], arm["status"])]
        axes.plot(
            [lr for lr, *_ in runs], [value for _, value, _ in runs], label=told + name, **style | look(every, which)
        )
        firsts += [(arm["lr"], arm["final"][split][0]) for arm in arms]
        lost += [(lr, value) for lr, value, status in runs if status != "ok"]
    if any(len(arm["status"]) > 1 for arm in every):
        axes.plot(*zip(*firsts), label=told + "first seed", **style | FIRST)
    if lost:
        axes.plot(*zip(*lost), label=told + "failed", marker="x", markersize=8, color="black", **style)
    axes.set(xlabel="learning rate", ylabel="final accuracy", xscale="log", title=f"final {AXES[split]}")
    plots.percent(axes, chance=False)
    if legend:
        axes.legend(fontsize=8 if len(names) < MANY else 6)


def rates(record, every):
    """Final training and test accuracy against the learning rate, every run a mark, but for random searches."""
    names = {which: name for which, name in named(every).items() if not which.startswith("random")}
    if not names:
        return
    winners = [(name, searches.best(every, which)) for which, name in names.items()]
    title = ", ".join(f"{name} {searches.rate(arm['lr'])} {arm['train']:.1%}" for name, arm in winners if arm)
    title = f"Best in training by the first seed: {title}" if title else "The searches name no winner"
    found = {which: searches.best(every, which) for which in ("sgd", "grid")}
    if all(best in searches.of(every, which)[1:-1] for which, best in found.items()):
        ends = " and ".join(f"{called(arm)} {searches.rate(arm['lr'])}" for arm in found.values())
        title = f"Best in training by the first seed: {ends}, neither at an end of its grid"
    made, panels = plots.figure(title, 2, note=plots.caption(record, "every run of these searches a mark"))
    for axes, split in zip(panels, SPLITS):
        draw_marks(axes, every, names, split, legend=axes is panels[0])
    yield "rates", made


def gain(arm):
    """By how much the training accuracy of the last epochs is above that of as many before, which must be there."""
    curve = [seeds[0] for seeds in arm["curves"]["train"]]
    return fmean(curve[-LAST:]) - fmean(curve[-2 * LAST : -LAST])


def epochs(record, every):
    """Accuracy over epochs for every learning rate: a row per search, each with the one seed that the searches see."""
    names = named(every)
    if not names:
        return
    seen, title = ["one seed", sample(record), "dashes tell neighbours apart"], "Accuracy of every learning rate"
    found, long = [searches.of(every, which) for which in names], record["settings"]["epochs"] >= 2 * LAST
    if long and all(gain(arms[-1]) > max(map(gain, arms[:-1]), default=0) for arms in found):
        title = "Small rates are slow: the smallest of each search still gains most in training over the last "
        title += f"{LAST} epochs"
        seen.append(f"gain: mean of these {LAST} epochs less that of the {LAST} before")
    made, each = plots.figure(title, (len(names), 2), 0.7 + 2 * len(names), plots.caption(record, *seen))
    for place, axes in enumerate(each):
        which = list(names)[place // 2]
        arms = searches.of(every, which)
        looks = [  # neighbours have nearly the same colour
            {"color": plots.rate_colour(arm["lr"]), "linewidth": 1.3, "linestyle": plots.LINES[number % 2]}
            for number, arm in enumerate(arms)
        ]
        split = SPLITS[place % 2]
        draw_curves(axes, arms, labels(arms), looks, split, f"{names[which]}: {AXES[split]}", seeds=1)
    yield "epochs", made


def random(record, every):
    """What each random search drew and found, beside the grid."""
    names = {which: name for which, name in named(every).items() if which == "grid" or which.startswith("random")}
    if not {*names} - {"grid"}:
        return
    bests = {which: searches.best(every, which) for which in names}
    title = "What random search drew and found"
    if all(bests.values()) and "grid" in bests:
        ends = [best["final"]["train"] for best in bests.values()]
        grid, *drawn = map(fmean, ends)
        title = f"{sum(mean > grid for mean in drawn)} of {len(drawn)} random searches beat the grid in training"
        if len(drawn) == 1:
            outcome = "No difference seen" if overlap(ends) else "Random ahead" if drawn[0] > grid else "The grid ahead"
            title = f"{outcome}: best random rate {drawn[0]:.1%}, grid's best {grid:.1%} in training, means over seeds"
    seen = "every run a mark; left: the best of each search, its seeds side by side; bar: mean"
    made, (left, middle, right) = plots.figure(title, 3, note=plots.caption(record, seen), sharey=False)
    for axes, split in zip((middle, right), SPLITS):
        draw_marks(axes, every, names, split, legend=axes is middle)
    span = middle.get_ylim() + right.get_ylim()
    for axes in (middle, right):
        axes.set_ylim(min(span), max(span))
    ticks = []
    for place, (which, best) in enumerate(bests.items()):
        if best:
            values = best["final"]["train"]
            beside = [place + 0.08 * (seed - (len(values) - 1) / 2) for seed in range(len(values))]
            left.plot(beside, values, linestyle="", **look(every, which))
            if len(values) > 1:
                left.plot(beside[:1], values[:1], linestyle="", zorder=3, **FIRST)
                left.plot(place, fmean(values), linestyle="", color="0.7", marker="_", markersize=30, zorder=1)
        ticks.append(which.replace(" ", "\n") + (f"\n{searches.rate(best['lr'])}" if best else ""))
    left.set(xticks=range(len(names)), xticklabels=ticks, xlim=(-0.5, len(names) - 0.5))
    if len(names) >= MANY:
        left.tick_params("x", labelsize=5)
    left.set_title("training accuracy of the best, enlarged")
    plots.percent(left, chance=False)
    yield "random", made


def draw(record):
    """Yield (file name, picture) of each figure that the record has runs for."""
    every = searches.arms(record["runs"])
    with plots.style():
        for name, picture in chain.from_iterable(one(record, every) for one in (accuracy, rates, epochs, random)):
            yield f"ex2b_{name}.png", plots.finish(picture)


def line(run):
    """Say how a run ended."""
    accuracies = f"{run['final_train_accuracy']:.2%} in training, {run['test_accuracy'][-1]:.2%} in the test"
    return f"{run['name']}: {accuracies}" + ("" if run["status"] == "ok" else f", {run['status']}")


def table(record):
    """The results as text: one line per run, then what the searches found."""
    last = f"last {min(LAST, record['settings']['epochs'])}: training"
    rows = [("run", "search", "training", "test", last, "test", "loss", "status")]
    for run in sorted(record["runs"], key=lambda run: (run["optimizer"], -run["lr"], run["seed"])):
        late = (fmean(run[f"{split}_accuracy"][-LAST:]) for split in SPLITS)
        accuracies = [run["final_train_accuracy"], run["test_accuracy"][-1], *late]
        loss = f"{run['train_loss'][-1]:.3f}"
        name = f"{called(run)} {run['name'].partition(' ')[2]}"
        rows.append((name, ", ".join(run["searches"]), *(f"{one:.2%}" for one in accuracies), loss, run["status"]))
    lines = ["{:24}{:15}{:>9}{:>8}{:>19}{:>8}{:>8}  {}".format(*row) for row in rows]
    every = searches.arms(record["runs"])
    for which, name in named(every).items():
        found, arm = searches.of(every, which), searches.best(every, which)
        outcome = f"{arm['train']:.2%} in training, {arm['final']['test'][0]:.2%} in the test" if arm else ""
        best = f"{searches.rate(arm['lr'])}, {outcome}" if arm else "no winner"
        lines.append(f"{name}, best of {len(found)}: {best}")
    for arm in every:
        if len(arm["status"]) > 1:
            values = (f"{fmean(arm['final'][key]):.2%} +- {stdev(arm['final'][key]):.2%}" for key in ("train", "test"))
            values = " in training and ".join(values)
            name = f"{called(arm)} {searches.rate(arm['lr'])}{failed(arm)}"
            lines.append(f"{name}, {len(arm['status'])} seeds: {values} in the test")
    return "\n".join([*lines, *shapes.meanings(record["runs"])])
