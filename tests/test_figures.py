"""Every number in a picture is that of what its label, panel and axis name, whichever figures there are.

The records are made up, every number another one: a number that is drawn tells where it comes from, and what is written
beside it is compared with that. Nothing here knows a figure by its name.
"""

import io
import math
import operator
import random
import re
from functools import cache
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from made_up import EPOCHS, record_2a, record_2b
from matplotlib.colors import to_hex

from common import plots
from common.experiment import records
from figures import benchmark, ex2a, ex2b
from figures.arms import Arms, total_norms

FIGURES = Path(ex2a.__file__).parent


def over_seeds(values, **facts):
    """Yield (number, facts) of what may be drawn of the values of all seeds, [seed]."""
    for what, number in (("mean", np.mean(values)), ("smallest", min(values)), ("largest", max(values))):
        yield number, facts | {"what": what, "seeds": len(values)}


def net(entry, part):
    return {"part": part} | {field: str(entry[field]) for field in ("hidden", "activation", "init")}


def numbers(record):
    """Yield (number, what it is) of all numbers of a record that a figure may show."""
    for part, entry in ((part, entry) for part in ("arms", "plateau", "depth") for entry in record.get(part, ())):
        of = net(entry, part) | {"hidden layers": len(entry["hidden"])}
        of["longer"] = len(entry["test_accuracy"]) if part == "plateau" else None
        of["training"] = str([entry[field] for field in ("optimizer", "lr", "momentum", "batch_norm")])
        for epoch, values in enumerate(entry["test_accuracy"], 1):
            yield from over_seeds(values, **of, quantity="test accuracy", epoch=epoch)
        first = of | {"when": "before training", "layer": 1, "called": "layer 1"}
        yield from over_seeds(entry["unmoved"], **first, quantity="unchanged")
        norms = [
            [[entry["initial"][kind][layer], *rows] for layer, rows in enumerate(entry["gradient_norm"][kind])]
            for kind in ("weights", "biases")
        ]
        for place, (weights, biases) in enumerate(zip(*norms)):
            called = f"layer {place + 1}" if place < len(entry["hidden"]) else "output layer"
            of |= {"layer": place + 1, "called": called}
            signal = of | {"quantity": "signal", "when": "before training"}
            yield from over_seeds(entry["initial"]["signal"][place], **signal)
            yield from over_seeds(entry["layer_variance"][place], **of, quantity="variance", when="after training")
            if entry["predicted"]:
                yield entry["predicted"]["signal"][place], signal | {"what": "theory"}
            for epoch, pair in enumerate(zip(weights, biases)):
                yield from over_seeds(np.sqrt(np.square(pair).sum(0)), **of, quantity="gradient norm", epoch=epoch)
    for entry in record.get("activations", ()):
        of = net(entry, "activations") | {"quantity": "share", "what": "mean"}
        for epoch, snapshot in zip(entry["after"], entry["counts"]):
            for layer, counts in enumerate(snapshot, 1):
                for edge, count in zip(np.linspace(*entry["range"], len(counts) + 1), counts):
                    yield count / sum(counts), of | {"epoch": epoch, "called": f"layer {layer}", "output": edge}
    for case in {(run["optimizer"], run["lr"]) for run in record.get("runs", ())}:
        runs = [run for run in record["runs"] if (run["optimizer"], run["lr"]) == case]
        runs.sort(key=lambda run: run["seed"])
        for search, split in ((search, split) for search in runs[0]["searches"] for split in ("train", "test")):
            of = {"part": "runs", "optimizer": case[0], "learning rate": case[1], "search": search}
            of["lost"] = " ".join(sorted({run["status"] for run in runs} - {"ok"}))
            of["quantity"] = {"train": "training accuracy", "test": "test accuracy"}[split]
            for epoch, values in enumerate(zip(*(run[f"{split}_accuracy"] for run in runs)), 1):
                yield from over_seeds(values, **of, epoch=epoch)
                yield values[0], of | {"what": "first seed", "epoch": epoch}
            if split == "train":
                yield np.mean([run["final_train_accuracy"] for run in runs]), of | {"what": "bar: mean"}
            for run in runs:
                value = run["final_train_accuracy"] if split == "train" else run["test_accuracy"][-1]
                yield value, of | {"what": "run", "seed": run["seed"], "failed": run["status"] != "ok"}


def one_line(text):
    """A text in one line."""
    return " ".join(text.split())


def key(number):
    return f"{number:.9g}"


class Item:
    """A line, histogram or row of marks, and where its numbers come from."""

    def __init__(self, axes, x, y, known, label="", look=("", "", "")):
        self.axes, self.x, self.y, self.label, self.look = axes, list(x), list(y), label, look
        self.heading, self.across = one_line(axes.get_title(loc="left")), written(axes, "x").partition(" (")[0]
        self.grey = look[0] == "#b2b2b2"
        assert all(key(value) in known for value in self.y), (self.heading, label, self.y)
        self.points = [known[key(value)] for value in self.y]
        whats = set.intersection(*({one["what"] for one in few} for few in self.points))
        self.points = [[one for one in few if one["what"] in whats] for few in self.points]
        fields = sorted({field for few in self.points for one in few for field in one})
        shared = {one: set.intersection(*({of.get(one) for of in few} for few in self.points)) for one in fields}
        self.same = {field: values for field, values in shared.items() if values}
        self.varying = [field for field in fields if not shared[field]]
        self.lost = {key(y) for y, few in zip(self.y, self.points) if any(of.get("failed") for of in few)}

    def agrees(self, facts, *but):
        return all(facts.get(field) in values for field, values in self.same.items() if field not in but)


def words(field, value):
    """What must be read where this value of a field is named."""
    if field == "init":
        text = re.sub(r"^a(?=\d)", "a = ", re.sub("_from_layer2|_normal|kaiming_", "", value))
        return re.findall(r"a = \d|[a-z-]{3,}|\d+", text.replace("fan_out", "fan-out"))
    if field == "training":
        optimizer, lr, momentum, norm = value.strip("[]").replace("'", "").split(", ")
        return [f"{optimizer} {lr}"] + [f"momentum {momentum}"] * (momentum != "0") + ["batch norm"] * (norm == "True")
    if field == "learning rate":
        number, power = f"{value:.1e}".split("e")
        return [f"{float(number):g}e{int(power)}"]
    if field == "epoch":
        return [f"after {value} epochs" if value else "before training"]
    if field == "hidden":
        return [value.replace("[", "(").replace("]", ")" if "," in value else ",)")]
    return [f"for {value} epochs" if field == "longer" else value]


def naming(text, field, values):
    """Those of these values of a field that a text names, by the most words."""

    def named(words):
        return all(re.search(rf"(?i)(?<![\w.]){re.escape(one)}(?!\w)", text) for one in words)

    told = {value: len(words(field, value)) for value in values if named(words(field, value))}
    return {value for value, count in told.items() if count == max(told.values())}


def written(axes, side):
    """The label of an axis, which may stand at another panel of the row or column that has the same range."""
    span, limits = ("colspan", "get_xlim") if side == "x" else ("rowspan", "get_ylim")

    def line(one):
        return getattr(one.get_subplotspec(), span), getattr(one, limits)()

    labels = [getattr(one, f"get_{side}label")() for one in [axes, *axes.figure.axes] if line(one) == line(axes)]
    return next(filter(None, labels), "")


def look(line):
    return to_hex(line.get_color()), line.get_marker(), line.get_linestyle(), str(line.get_markerfacecolor())


def legend(found):
    return {look(handle): text.get_text() for handle, text in zip(found.legend_handles, found.get_texts())}


def labelled(axes):
    """The label that is read at each line of these axes: those at the ends by their order, or those of a legend."""
    read = next(filter(None, (one.get_legend() for one in (axes, *axes.figure.axes))), None)
    if read:
        texts = legend(read)
        assert len(texts) == len({*texts.values()}) == len(read.get_texts())
        return {line: texts.get(look(line), "") for line in axes.get_lines()}
    ends = [line for line in axes.get_lines() if not line.get_label().startswith("_")]
    ends.sort(key=lambda line: axes.transData.transform((line.get_xdata()[-1], line.get_ydata()[-1]))[1])
    texts = sorted((text for text in axes.texts if text.xy[0] == 1 and text.get_text()), key=lambda text: text.xy[1])
    assert [to_hex(text.get_color()) for text in texts] == [to_hex(plots.ink(line.get_color())) for line in ends]
    labels = {line: one_line(text.get_text()) for line, text in zip(ends, texts)}
    colours = {to_hex(line.get_color()): text for line, text in labels.items()}  # for what has its colour but no label
    return {line: labels.get(line) or colours.get(to_hex(line.get_color()), "") for line in axes.get_lines()}


def items(axes, known):
    """Yield the Items of these axes; what is drawn besides must be a level, or the bound of 1/4 per layer."""
    for line, label in labelled(axes).items():
        x, y = map(list, zip(*((x, y) for x, y in zip(*line.get_data()) if not math.isnan(y))))  # of a gap
        if line.get_linestyle() == ":" and key(y[0]) not in known:
            assert np.allclose(np.divide(y[1:], y[:-1]), 4) and key(y[-1]) in known
        elif len({*y}) > 1 or x != [0, 1]:
            yield Item(axes, x, y, known, label, look(line))
    for patch in axes.patches:
        values, edges, _ = patch.get_data()
        found = legend(next(filter(None, (one.get_legend() for one in axes.figure.axes))))
        texts = {colour: text for (colour, *_), text in found.items()}
        yield Item(axes, edges[:-1], values, known, texts[to_hex(patch.get_edgecolor())])


NAMED = "activation", "init", "hidden", "training", "called", "epoch", "optimizer", "learning rate", "search", "longer"
TOLD_BY_X = {"layer": "called", "hidden layers": "hidden"}


def check_panel(axes, items, known, note):
    """Each mean of several seeds has its band (grey ones none), each run that failed its cross, each layer its line."""
    left = []
    for band in axes.collections:
        corners = np.concatenate([path.vertices for path in band.get_paths()])
        ends = {float(x): sorted({*corners[corners[:, 0] == x, 1]}) for x in corners[:, 0]}
        left.append((to_hex(band.get_facecolor()[0]), {x: (y[0], y[-1]) for x, y in ends.items()}))
    for item in items:
        if item.same["what"] == {"mean"} and item.look[0] and not item.grey:
            told = re.search("mean of (.*) seeds, band: smallest to largest", note)[1].split(" or ")
            assert str(*item.same["seeds"]) in told
            mine = next(one for one in left if one[0] == item.look[0] and [*one[1]] == list(map(float, item.x)))
            left.remove(mine)
            ends = [pair for low, high in mine[1].values() for pair in ((low, "smallest"), (high, "largest"))]
            for value, what in ends:
                assert any(item.agrees(one, "what") and one["what"] == what for one in known.get(key(value), ())), value
    lost, crosses = (set().union(*(one.lost for one in items if (one.label == "failed") == cross)) for cross in (0, 1))
    layers = [item for item in items if "called" in item.same and item.across == "epoch"]
    assert not layers or {len(layers) - 1} == layers[0].same["hidden layers"]
    assert not left and (lost == crosses or items[0].across != "learning rate")


def check_place(item, every):
    """Each point is where its axis says, and the line or row of marks has all that there are of its kind."""
    for x, alternatives in zip(item.x, item.points):
        assert not item.across or any(x == pytest.approx(one[item.across]) for one in alternatives)
    whole = [facts for _, facts in every if item.agrees(facts)]
    if last := re.search(r"last (\d+) epochs", item.heading):
        whole = [facts for facts in whole if facts["epoch"] > EPOCHS["2b"] - int(last[1])]
    kinds = {str([facts.get(field) for field in item.varying]) for facts in whole}
    arm = operator.itemgetter("optimizer", "learning rate")
    for few in item.points if item.look[1] == "." else ():  # of the first seeds
        seeds = [facts["seed"] for _, facts in every if "seed" in facts and arm(facts) == arm(few[0])]
        assert min(seeds) in {one.get("seed") for one in few}
    assert item.label in ("failed", "first seed") or len(item.x) == len(kinds), (item.label, item.same, item.varying)
    low, high = item.axes.get_ylim()
    assert item.axes.patches or low <= min(item.y) and max(item.y) <= high


def check_words(item, items, title, note):
    """What is read nearest to an item, of what its figure has several of, is what the item shows."""
    if item.label == "failed" or item.look[1] == ".":
        return
    glossary = dict(part.split(": ", 1) for part in note.split("; ") if ": " in part)
    named, _, how = item.label.partition(": ")
    assert glossary.get(named, how).startswith(how), item.label
    ticks = dict(zip(item.axes.get_xticks(), item.axes.get_xticklabels()))
    near = ["" if item.across else " ".join(ticks[round(item.x[0])].get_text().split())]
    near += [f"{text} {glossary.get(text.split(': ')[0], '')}" for text in (item.label, item.heading)]
    for field in (*NAMED, "quantity"):
        mine = item.same.get(field, {None}) - {None}
        others = set().union(*(one.same.get(field, {None}) for one in items)) - {None}
        told = field == TOLD_BY_X.get(item.across, item.across)
        if mine and not told and (len(others) > 1 or field in ("quantity", "called")):
            named = [naming(text, field, others) for text in (*near, written(item.axes, "y"))]
            far = {value for value in others if naming(f"{title}; {note}", field, [value])}
            assert mine & next(filter(None, named), far), (item.label, item.heading, field, mine, named, far)
    if item.across == "epoch" and "lost" in item.same:
        assert re.fullmatch(r"\S+( \S+e\S+)?" if "" in item.same["lost"] else r".* collapsed", item.label), item.label
    theory = item.same["what"] == {"theory"}
    assert "theory/1b" in note and (item.look[2] == "--") == theory or "theory/1b" not in note and not theory
    assert theory or "mean" in item.same["what"] or "every run" in note or "one seed" in note
    assert any(one.grey and one.same["what"] == {"mean"} for one in items) == ("grey: without band" in note)


def check_title(title, note, record, items):
    """Title and note name no quantity and no time of which the figure has nothing; the note says what data it is."""
    drawn = {field: set().union(*(one.same.get(field, ()) for one in items)) for field in ("quantity", "when")}
    quantities = "test accuracy", "training accuracy", "gradient norm", "signal", "variance", "share"
    assert naming(title.replace("in training", "training accuracy"), "quantity", quantities) <= drawn["quantity"], title
    assert naming(f"{title} {note}", "when", ("before training", "after training")) <= drawn["when"], title
    assert note.startswith(("GENERATED DATA (stand-in)" if record["data"] == "stand-in" else "made up") + "; ")
    made = sum(map(len, (part for part in record.values() if isinstance(part, list))))
    assert (f"so far {made} of {made + 3} runs" in note) == (record["planned"] > made) == ("so far" in note)


def needed(facts):
    """Whether a number has to be in a figure: all test accuracies, signals and outputs, and all results of searches."""
    what, quantity, part = facts["what"], facts["quantity"], facts["part"]
    if part == "depth":
        return quantity in ("signal", "unchanged") and facts["layer"] == 1 and what in ("mean", "theory")
    if part in ("arms", "plateau"):
        return quantity == "test accuracy" and what == "mean"
    return part == "activations" or what in ("run", "first seed")


@pytest.mark.parametrize("module, made", [(ex2a, record_2a), (ex2b, record_2b)])
@pytest.mark.parametrize("seed", range(5))
def test_every_number_is_that_of_its_label_panel_and_axis_whichever_arms_there_are(module, made, seed):
    draw = random.Random(seed)
    record = made(draw, draw.uniform(0.05, 0.9) if seed else 1.0)
    every, known, drawn, figures = list(numbers(record)), {}, set(), list(module.draw(record))
    assert len(dict(figures)) == len(figures)
    for number, facts in every:
        known.setdefault(key(number), []).append(facts)
    for _, picture in figures:
        title, note = (" ".join(text.split()) for text in (picture.get_suptitle(), picture.get_supxlabel()))
        found = [item for axes in picture.axes for item in items(axes, known)]
        for axes in picture.axes:
            check_panel(axes, [item for item in found if item.axes is axes], known, note)
        for item in found:
            check_place(item, every)
            check_words(item, found, title, note)
        check_title(title, note, record, found)
        meant = [one for one in found if "in training" not in title or "training accuracy" in one.same["quantity"]]
        means = [np.mean(item.y) for item in meant if "run" in item.same["what"]]
        ends = {f"{value:.1%}" for value in chain(means, *(item.y for item in meant))}
        assert ends.issuperset(re.findall(r"[\d.]+%", re.sub(r"within \d+%", "", title))), title
        drawn.update(key(value) for item in found for value in item.y)
    assert not [facts for number, facts in every if needed(facts) and key(number) not in drawn]
    if module is ex2a:  # of what is compared by layer, every layer
        mine = Arms(record)
        meant = [row for one in mine.strong for row in (*one["layer_variance"], *one["initial"]["signal"])]
        meant += [row for one in mine.default for layer in total_norms(one) for row in layer]
        assert {key(np.mean(row)) for row in meant} <= drawn


def test_the_growth_of_the_cost_has_the_numbers_of_its_axes():
    draw, whole = random.Random(0), (50, 30, 30)
    nets = (1, whole), (4, whole), (5, (20,) * 3), (5, (90,) * 3), (5, (30,)), (5, (30, 30))
    rows = [{"contender": f"{n} members of {'-'.join(map(str, net))}", "seconds": draw.random()} for n, net in nets]
    rate = draw.random()
    ((_, picture),) = benchmark.draw(
        {"growth": [*rows, {"contender": "arithmetic", "seconds": rate}], "growth_machine": {"turns": 7, "threads": 8}}
    )
    assert picture.get_supxlabel().startswith("medians of 7 turns, 8 threads; dashed")
    for at, axes, what, x in zip((0, 2, 4), picture.axes, ("members", "width", "layers"), ([1, 4], [20, 90], [1, 2])):
        measured, alone = axes.get_lines()
        bound = [benchmark.operations(net) * rate / 1e9 for _, net in nets[at : at + 2]]
        assert axes.get_xlabel().startswith(what) and [*measured.get_xdata()] == [*alone.get_xdata()] == x
        assert [*measured.get_ydata()] == [row["seconds"] for row in rows[at : at + 2]]
        assert alone.get_linestyle() == "--" and alone.get_ydata() == pytest.approx(bound)


@cache
def committed(module):
    """The record that a module of figures draws, and its pictures by their names."""
    record = records.read(FIGURES / f"{module.__name__.rpartition('.')[2]}.json")
    return record, dict(module.draw(record))


@pytest.mark.parametrize("module", [ex2a, ex2b, benchmark])
def test_the_committed_figures_are_those_of_the_record(module):
    """The same names always, the same bytes where the versions that draw are the same."""
    stem = module.__name__.rpartition(".")[2]
    record, drawn = committed(module)
    files = {path.name: path.read_bytes() for path in FIGURES.glob(f"{stem}_*.png")}
    assert set(files) == set(drawn) and max(map(len, files.values())) < 150_000
    check_bytes(record, drawn, files)


def check_bytes(record, drawn, files):
    """Each of these files, by name, is what is drawn under this name, where the versions that draw are the same."""
    if all(record["versions"][package] == version(package) for package in ("matplotlib", "pillow")):
        for name, content in files.items():
            drawn[name].save(file := io.BytesIO())
            assert file.getvalue() == content, name


def test_the_figure_of_another_width_is_that_of_its_record():
    record, files = records.read(FIGURES / "width16/ex2b.json"), [FIGURES / "width16/ex2b_random.png"]
    check_bytes(record, dict(ex2b.draw(record)), {path.name: path.read_bytes() for path in files})
