"""Every number in a picture is that of what its label, panel and axis name, whichever figures there are.

The records are made up, with every number another one: a number that is drawn tells where it comes from, and what is
written beside it is compared with that. Nothing here knows a figure by its name.
"""

import io
import math
import random
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex

from common.experiment import records
from figures import benchmark, ex2a, ex2b

FIGURES = Path(ex2a.__file__).parent
EPOCHS, SEEDS = 12, 3


# ---- made-up records ----


def made_up(size, low, high, draw):
    """Nested lists of this size, of numbers that no other call gives; on a logarithmic scale."""
    if not size:
        return math.exp(draw.uniform(math.log(low), math.log(high)))
    return [made_up(size[1:], low, high, draw) for _ in range(size[0])]


def arm(
    draw,
    hidden,
    activation="sigmoid",
    init="default",
    optimizer="sgd",
    lr=0.005,
    momentum=0,
    batch_norm=False,
    epochs=EPOCHS,
):
    layers = len(hidden) + 1
    return {
        "name": str(draw.random()),
        "hidden": list(hidden),
        "activation": activation,
        "init": init,
        "optimizer": optimizer,
        "lr": lr,
        "momentum": momentum,
        "batch_norm": batch_norm,
        "status": [draw.choice(["ok", "ok", "collapsed"])] * SEEDS,
        "test_accuracy": made_up((epochs, SEEDS), 0.1, 0.9, draw),
        "gradient_norm": {kind: made_up((layers, epochs, SEEDS), 1e-4, 9, draw) for kind in ("weights", "biases")},
        "initial": {kind: made_up((layers, SEEDS), 1e-4, 9, draw) for kind in ("weights", "biases", "signal")},
        "predicted": None if batch_norm else {"signal": made_up((layers,), 1e-4, 9, draw)},
        "layer_variance": made_up((layers, SEEDS), 1e-4, 9, draw),
        "unmoved": made_up((SEEDS,), 0.01, 0.9, draw),
    }


def record_2a(draw, some=1.0):
    """A record of this share of the arms, in any order if it is not the whole."""
    nets, deep = ((50,), (50, 30), (50, 30, 20), (50, 40, 30, 20)), (50, 40, 30, 20)
    schemes = (
        "xavier_normal",
        "kaiming_a0",
        "kaiming_a1_fan_out",
        "kaiming_tanh",
        "gain4",
        "orthogonal6_from_layer2_centred",
    )
    arms = [arm(draw, hidden, activation) for hidden in nets for activation in ("sigmoid", "relu")]
    arms += [arm(draw, deep, init=init) for init in schemes] + [arm(draw, nets[2], init="xavier_normal")]
    arms += [arm(draw, deep, "relu", "kaiming_a0"), arm(draw, (20,), "identity", "gain4"), arm(draw, (40,))]
    arms += [arm(draw, deep, init=init, lr=0.05) for init in ("default", "xavier_normal")] + [arm(draw, deep, lr=0.5)]
    arms += [
        arm(draw, deep, optimizer="adam", lr=0.001),
        arm(draw, deep, momentum=0.9),
        arm(draw, deep, batch_norm=True),
    ]
    seen = [arm(draw, deep, *net) | {"after": [0, 3, 12], "range": [0, 2]} for net in (("sigmoid",), ("relu",))]
    for one in seen:
        one["counts"] = [[draw.sample(range(1, 9999), 5) for _ in deep] for _ in one["after"]]
    depth = [arm(draw, (30,) * n, *net) for n in (1, 2, 3) for net in (("sigmoid",), ("relu",), ("sigmoid", "gain4"))]
    parts = {"arms": arms, "depth": depth, "plateau": [arm(draw, deep, epochs=20)], "activations": seen}
    if some < 1:
        parts = {part: draw.sample(found, math.ceil(some * len(found))) for part, found in parts.items()}
    settings = {"lr": 0.005, "momentum": 0, "epochs": EPOCHS}
    return parts | {"data": "made up", "settings": settings, "planned": sum(map(len, parts.values()))}


def record_2b(draw, some=1.0):
    cases = [("adam", 1e-3, ["default", "grid"], seed) for seed in range(SEEDS)]
    cases += [("sgd", 10.0**-k, ["sgd"], seed) for k in range(5) for seed in range(SEEDS if k == 1 else 1)]
    cases += [("adam", 10.0**-k, ["grid"], 0) for k in (1, 2, 4, 5)] + [("rmsprop", 0.1, ["wide"], 0)]
    for search, name in enumerate(("random", "random 1", "random 2")):
        cases += [("adam", made_up((), 1e-5, 0.1, draw), [name], search) for _ in range(5)]
    runs = [
        {
            "name": f"{optimizer} {lr:.1e}, seed {seed}",
            "optimizer": optimizer,
            "lr": lr,
            "momentum": 0.9 if optimizer == "sgd" else None,
            "searches": searches,
            "seed": seed,
            "status": draw.choice(["ok", "ok", "ok", "collapsed"]),
            "test_accuracy": made_up((EPOCHS,), 0.1, 0.9, draw),
            "train_accuracy": made_up((EPOCHS,), 0.1, 0.9, draw),
            "train_loss": made_up((EPOCHS,), 0.1, 2, draw),
            "final_train_accuracy": made_up((), 0.1, 0.9, draw),
        }
        for optimizer, lr, searches, seed in cases
    ]
    runs = draw.sample(runs, math.ceil(some * len(runs))) if some < 1 else runs
    settings = {"epochs": EPOCHS, "train_sample": 10}
    return {"runs": runs, "data": "made up", "settings": settings, "planned": len(runs)}


# ---- where a number comes from ----


def over_seeds(values, **facts):
    """Yield (number, facts) of what may be drawn of the values of all seeds, [seed]."""
    for what, number in (("mean", np.mean(values)), ("smallest", min(values)), ("largest", max(values))):
        yield number, facts | {"what": what, "seeds": len(values)}


def numbers(record):
    """Yield (number, what it is) of all numbers of a record that a figure may show."""
    for part in ("arms", "plateau", "depth"):
        for entry in record.get(part, ()):
            of = {field: str(entry[field]) for field in ("hidden", "activation", "init")} | {"part": part}
            of["longer"] = len(entry["test_accuracy"]) if part == "plateau" else None
            of["depth"] = len(entry["hidden"])
            of["training"] = str([entry[field] for field in ("optimizer", "lr", "momentum", "batch_norm")])
            for epoch, values in enumerate(entry["test_accuracy"], 1):
                yield from over_seeds(values, **of, quantity="test accuracy", epoch=epoch)
            for layer, values in enumerate(entry["initial"]["signal"], 1):
                where = {
                    "layer": layer,
                    "called": f"layer {layer}" if layer <= len(entry["hidden"]) else "output layer",
                }
                yield from over_seeds(values, **of, quantity="signal", **where)
                if entry["predicted"]:
                    yield entry["predicted"]["signal"][layer - 1], of | {"quantity": "signal", "what": "theory"} | where
                yield from over_seeds(entry["layer_variance"][layer - 1], **of, quantity="variance", **where)
                pairs = (
                    [entry["initial"][kind][layer - 1], *entry["gradient_norm"][kind][layer - 1]]
                    for kind in ("weights", "biases")
                )
                for epoch, (weights, biases) in enumerate(zip(*pairs)):
                    both = [math.sqrt(one**2 + other**2) for one, other in zip(weights, biases)]
                    yield from over_seeds(both, **of, quantity="gradient norm", epoch=epoch, **where)
            yield from over_seeds(entry["unmoved"], **of, quantity="weights", layer=1, called="layer 1")
    for entry in record.get("activations", ()):
        of = {field: str(entry[field]) for field in ("hidden", "activation", "init")} | {"part": "activations"}
        for epoch, snapshot in zip(entry["after"], entry["counts"]):
            for layer, counts in enumerate(snapshot, 1):
                for place, count in enumerate(counts):
                    where = {"epoch": epoch, "layer": layer, "called": f"layer {layer}", "bin": place}
                    yield count / sum(counts), of | {"quantity": "share", "what": "mean"} | where
    arms = {}
    for run in record.get("runs", ()):
        arms.setdefault((run["optimizer"], run["lr"], run["momentum"]), []).append(run)
    for runs in arms.values():
        runs = sorted(runs, key=lambda run: run["seed"])
        for search in runs[0]["searches"]:
            of = {"part": "runs", "optimizer": runs[0]["optimizer"], "lr": runs[0]["lr"], "search": search}
            for quantity in ("train", "test"):
                curves = [run[f"{quantity}_accuracy"] for run in runs]
                ends = [
                    run["final_train_accuracy"] if quantity == "train" else run["test_accuracy"][-1] for run in runs
                ]
                of["quantity"] = f"{quantity.replace('train', 'training')} accuracy"
                for epoch, values in enumerate(zip(*curves), 1):
                    yield from over_seeds(values, **of, epoch=epoch)
                    yield values[0], of | {"epoch": epoch, "what": "first seed"}
                for run, value in zip(runs, ends):
                    yield value, of | {"what": "run", "seed": run["seed"], "failed": run["status"] != "ok"}


# ---- what is written beside it ----


def rate(lr):
    number, power = f"{lr:.1e}".split("e")
    return f"{float(number):g}e{int(power)}"


def words(field, value):
    """What must be read where this value of a field is named."""
    if field == "activation":
        return [{"sigmoid": "Sigmoid", "relu": "ReLU"}.get(value, value)]
    if field == "init":
        found = re.sub("_from_layer2|_normal", "", value).replace("kaiming_a", "a = ").replace("xavier", "Xavier")
        return [
            one.strip("_ ")
            for one in re.split(r"_(?=fan|cen)|kaiming_|(?<=[a-z])(?=\d)", found.replace("fan_out", "fan-out"))
            if one
        ]
    if field == "hidden":
        return [value.replace("[", "(").replace("]", ")" if "," in value else ",)")]
    if field == "training":
        optimizer, lr, momentum, batch_norm = value.strip("[]").split(", ")
        told = [f"{ {'adam': 'Adam', 'sgd': 'SGD'}[optimizer.strip(chr(39))] } {lr}"]
        return told + [f"momentum {momentum}"] * (momentum != "0") + ["batch norm"] * (batch_norm == "True")
    if field == "epoch":
        return ["before training" if value == 0 else f"after {value} epochs"]
    if field == "lr":
        return [rate(value)]
    if field == "longer":
        return [f"for {value} epochs"]
    return [{"adam": "Adam", "sgd": "SGD"}.get(value, value)]


def naming(text, field, values):
    """Those of these values of a field that a text names, by the most words."""
    told = {value: words(field, value) for value in values}
    told = {
        value: said
        for value, said in told.items()
        if all(re.search(rf"(?<![\w.]){re.escape(one)}(?![\d\w])", text) for one in said)
    }
    most = max(map(len, told.values()), default=0)
    return {value for value, said in told.items() if len(said) == most}


class Item:
    """A line, histogram or row of marks, and where its numbers come from."""

    def __init__(self, axes, x, y, known, label="", look=()):
        self.axes, self.x, self.y, self.label, self.look = axes, list(x), list(y), label, look
        self.grey = not label and look and look[0] == "#b2b2b2"
        assert all(key(value) in known for value in self.y), (axes.get_title(), label, self.y)
        self.points = [known[key(value)] for value in self.y]
        for _ in range(2):  # then without what is no longer possible
            fields = {field for alternatives in self.points for one in alternatives for field in one}
            self.same = {field: self.shared(field) for field in fields if self.shared(field)}
            self.varying = sorted(fields - {*self.same})
            self.points = [[one for one in alternatives if self.agrees(one)] for alternatives in self.points]

    def shared(self, field):
        """The values of a field that all points may have."""
        return set.intersection(*({one.get(field) for one in alternatives} for alternatives in self.points))

    def agrees(self, facts):
        return all(facts.get(field) in values for field, values in self.same.items())


def key(number):
    return f"{number:.9g}"


def look(artist):
    return to_hex(artist.get_color()), artist.get_marker(), artist.get_linestyle(), str(artist.get_markerfacecolor())


def labelled(axes):
    """The label that is read at each line of these axes: those at the ends by their order, or those of a legend."""
    lines = [line for line in axes.get_lines() if not line.get_label().startswith("_")]
    if legend := axes.get_legend():
        entries = {
            look(handle): text.get_text()
            for handle, text in zip(legend.legend_handles, legend.get_texts())
            if hasattr(handle, "get_marker")
        }
        return {line: entries[look(line)] for line in axes.get_lines() if look(line) in entries}
    ends = sorted(lines, key=lambda line: axes.transData.transform((line.get_xdata()[-1], line.get_ydata()[-1]))[1])
    texts = sorted((text for text in axes.texts if text.xy[0] == 1), key=lambda text: text.xy[1])
    assert len(texts) == len(ends)
    for line, text in zip(ends, texts):
        assert to_hex(text.get_color()) == to_hex(line.get_color())
    texts = {line: text.get_text() for line, text in zip(ends, texts)}
    colours = {
        to_hex(line.get_color()): text for line, text in texts.items()
    }  # one without a label has that of its colour
    return {line: texts.get(line) or colours.get(to_hex(line.get_color()), "") for line in axes.get_lines()}


def items(axes, known):
    """Yield the Items of these axes; what is drawn besides must be a level, or the bound of 1/4 per layer."""
    labels = labelled(axes)
    for line in axes.get_lines():
        x, y = list(line.get_xdata()), list(line.get_ydata())
        if line.get_linestyle() == ":" and key(y[0]) not in known:
            assert len({*y}) == 1 or np.allclose(np.divide(y[1:], y[:-1]), 4) and key(y[-1]) in known
        elif len({*y}) > 1 or x != [0, 1]:
            yield Item(axes, x, y, known, labels.get(line, ""), look(line))
    for patch in axes.patches:
        values, edges, _ = patch.get_data()
        legend, colour = (
            next(filter(None, (one.get_legend() for one in axes.figure.axes))),
            to_hex(patch.get_edgecolor()),
        )
        texts = {
            to_hex(one.get_color()): text.get_text() for one, text in zip(legend.legend_handles, legend.get_texts())
        }
        yield Item(axes, edges[:-1], values, known, texts[colour])


def bands(axes):
    """Yield {x: (low, high)} of each band, and its colour."""
    for band in axes.collections:
        points = {}
        for path in band.get_paths():
            for x, y in path.vertices:
                points.setdefault(float(x), []).append(y)
        yield {x: (min(ys), max(ys)) for x, ys in points.items()}, to_hex(band.get_facecolor()[0])


NAMED = "activation", "init", "hidden", "training", "called", "epoch", "optimizer", "lr", "search", "quantity", "longer"
ABSCISSAE = {"epoch": "epoch", "layer": "called", "hidden layers": "hidden", "learning rate": "lr"}
COORDINATES = {"epoch": "epoch", "layer": "layer", "hidden layers": "depth", "learning rate": "lr", "output": "bin"}


def axis(axes, which):
    """The label of an axis, which may stand only at an outer one of the panels that share it."""
    shared = axes.get_shared_y_axes().get_siblings(axes)
    spans = {"x": lambda one: one.get_subplotspec().colspan, "y": lambda one: one.get_subplotspec().rowspan}
    line = [one for one in axes.figure.axes if one in shared and spans[which](one) == spans[which](axes)]
    return next(
        (
            one.get_label_text()
            for one in (getattr(other, f"{which}axis") for other in [axes, *line])
            if one.get_label_text()
        ),
        "",
    )


def check_bands(axes, items, known, note):
    """Each mean of several seeds has its band, from the smallest to the largest, but for grey lines; no other has."""
    left = list(bands(axes))
    for item in items:
        if "mean" in item.same.get("what", ()) and item.look and not item.grey and "smallest" not in item.same["what"]:
            told = re.search("mean of (.*) seeds, band: smallest to largest", note)[1].split(" or ")
            assert {*told} >= {*map(str, item.same["seeds"])}
            mine = [one for one in left if one[1] == item.look[0] and {*one[0]} == {*map(float, item.x)}]
            for points, colour in mine[:1]:
                left.remove((points, colour))
                for x, facts in zip(item.x, item.points):
                    for end, value in zip(("smallest", "largest"), points[x]):
                        assert any(
                            item.agrees(one | {"what": "mean"}) and one["what"] == end
                            for one in known.get(key(value), ())
                        ), value
            assert mine, (item.axes.get_title(loc="left"), item.label, item.look, item.x, left, item.same)
    assert not left


def check_place(item, every):
    """Each point is where its axis says, and the line or row of marks has all that there are of its kind."""
    heading, named = item.axes.get_title(loc="left"), axis(item.axes, "x").partition(" (")[0]
    if named:
        for number, (x, alternatives) in enumerate(zip(item.x, item.points)):
            at = {"bin": item.x[number]}
            assert any(
                x == one.get(COORDINATES[named], at) or named == "output" and one["bin"] == number
                for one in alternatives
            )
    whole = [facts for _, facts in every if item.agrees(facts)]
    if last := re.search(r"last (\d+) epochs", heading):
        whole = [facts for facts in whole if facts["epoch"] > EPOCHS - int(last[1])]
    kinds = {str([facts.get(field) for field in item.varying]) for facts in whole}
    assert item.label == "failed" or len(item.x) == len(kinds), (item.label, item.same, item.varying)


def check_words(item, items, glossary, title, note):
    """What is read nearest to an item, of what its figure has several of, is what the item shows."""
    heading, tick = item.axes.get_title(loc="left"), ""
    if not axis(item.axes, "x"):
        tick = dict(zip(item.axes.get_xticks(), item.axes.get_xticklabels()))[item.x[0]].get_text()
    label, heading = (
        f"{text} {glossary.get(part, '')}" for text in (item.label, heading) for part in text.split(": ")[:1]
    )
    if item.label == "failed":
        assert all(any(one.get("failed") for one in alternatives) for alternatives in item.points)
        return
    for field in NAMED:
        mine = item.same.get(field, {None}) - {None}
        if not mine or item.grey and field == "init" or field == ABSCISSAE.get(axis(item.axes, "x").partition(" (")[0]):
            continue
        others = set().union(*(one.same.get(field, {None}) for one in items)) - {None}
        if len(others) == 1 and field not in ("quantity", "called"):
            continue
        near = [naming(text, field, others) for text in (tick, label, heading, axis(item.axes, "y"))]
        near = [one for one in near if one] or [
            {value for value in others if naming(f"{title}; {note}", field, [value])}
        ]
        assert near[0] & mine, (item.label, heading, field, mine, near)
    if item.same["what"] == {"theory"}:
        assert item.look[2] == "--" and "dashed: " in note and "theory/1b" in note
    else:
        assert "theory/1b" not in note or not item.look or item.look[2] != "--"
    if item.same["what"] & {"run", "first seed"} and "mean" not in item.same["what"]:
        assert "every run" in note or "one seed" in note
    if item.grey:
        rest = [one for one in items if one.grey]
        assert f"grey: {sum(one.look[2] == '-' for one in rest)} other initialisations" in note


def needed(facts):
    """Whether a number has to be in a figure: all test accuracies, signals and outputs, and all results of searches."""
    if facts["part"] in ("arms", "plateau"):
        return facts["quantity"] == "test accuracy" and facts["what"] == "mean"
    if facts["part"] == "depth":
        seen = facts["quantity"] in ("signal", "weights") and facts["layer"] == 1
        return seen and facts["what"] in ("mean", "theory")
    return facts["part"] == "activations" or facts["what"] in ("run", "first seed")


def walk(module, record):
    """Check all figures that are drawn of a record; return {file name: title}."""
    every = list(numbers(record))
    known = {}
    for number, facts in every:
        known.setdefault(key(number), []).append(facts)
    titles, drawn = {}, set()
    for name, picture in module.draw(record):
        assert name not in titles
        title, note = (" ".join(text.split()) for text in (picture.get_suptitle(), picture.get_supxlabel()))
        titles[name] = title
        glossary = dict(part.split(": ", 1) for part in note.split("; ") if ": " in part)
        found = [item for axes in picture.axes for item in items(axes, known)]
        assert found
        for axes in picture.axes:
            check_bands(axes, [item for item in found if item.axes is axes], known, note)
        for item in found:
            check_place(item, every)
            check_words(item, found, glossary, title, note)
            drawn.update(key(value) for value in item.y)
        ends = {f"{value:.1%}" for item in found for value in item.y}
        assert ends.issuperset(re.findall(r"[\d.]+%", title.replace("within", ""))) or "within" in title, title
    for number, facts in every:
        if needed(facts):
            assert key(number) in drawn, facts
    return titles


# ---- the tests ----

MODULES = (ex2a, record_2a), (ex2b, record_2b)


@pytest.mark.parametrize("module, record", MODULES)
def test_every_number_is_that_of_its_label_panel_and_axis(module, record):
    walk(module, record(random.Random(0)))


@pytest.mark.parametrize("module, record", MODULES)
@pytest.mark.parametrize("seed", range(1, 7))
def test_any_arms_in_any_order_are_drawn(module, record, seed):
    draw = random.Random(seed)
    walk(module, record(draw, draw.uniform(0.05, 0.9)))


@pytest.mark.parametrize("number", [math.nan, 0.0])
def test_what_did_not_end_well_is_drawn(number):
    record, other = record_2a(random.Random(0)), record_2b(random.Random(0))
    for one in record["arms"] + record["depth"]:
        for kinds in (one["gradient_norm"], one["initial"]):
            kinds |= {kind: np.full(np.shape(values), number).tolist() for kind, values in kinds.items()}
        one |= {
            "status": ["non-finite"] * SEEDS,
            "layer_variance": np.full(np.shape(one["layer_variance"]), number).tolist(),
        }
    for run in other["runs"]:
        run["status"] = "collapsed"
    for module, record in ((ex2a, record), (ex2b, other)):
        for _, picture in module.draw(record):
            picture.save(io.BytesIO())
        for part in record.values():
            for entry in part if isinstance(part, list) else ():
                assert module.line(entry).count("\n") == 0
        assert module.table(record)


@pytest.mark.parametrize("module", [ex2a, ex2b, benchmark])
def test_the_committed_figures_are_those_of_the_record(module):
    """The same names always, the same bytes where the versions that draw are the same."""
    stem = module.__name__.rpartition(".")[2]
    record = records.read(FIGURES / f"{stem}.json")
    drawn = dict(module.draw(record))
    files = {path.name: path.read_bytes() for path in FIGURES.glob(f"{stem}_*.png")}
    assert set(files) == set(drawn) and max(map(len, files.values())) < 150_000
    if all(record["versions"][package] == version(package) for package in ("matplotlib", "pillow")):
        for name, picture in drawn.items():
            picture.save(file := io.BytesIO())
            assert file.getvalue() == files[name], name


def test_plot_only_replaces_every_picture(tmp_path):
    (tmp_path / "ex2b.json").write_bytes((FIGURES / "ex2b.json").read_bytes())
    names = {path.name for path in FIGURES.glob("ex2b_*.png")}
    for name in names:
        (tmp_path / name).write_bytes(b"old")
    script = FIGURES.parent / "ex2b_adam.py"
    subprocess.run([sys.executable, script, "--plot-only", "--out", tmp_path], check=True, capture_output=True)
    assert names and all((tmp_path / name).read_bytes()[1:4] == b"PNG" for name in names)
