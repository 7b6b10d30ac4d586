"""The committed figures are those of their records; and any other record is drawn, under titles that are true of it."""

import io
import json
import math
import random
import re
from importlib.metadata import version
from pathlib import Path

import pytest

from common import plots
from figures import benchmark, ex2a, ex2b

FIGURES = Path(ex2a.__file__).parent
DEEP = 50, 30, 30, 30


def read(file):
    """Return a committed record; null within a list is not a number."""

    def numbers(value):
        if isinstance(value, list):
            return [math.nan if one is None else numbers(one) for one in value]
        return {key: numbers(one) for key, one in value.items()} if isinstance(value, dict) else value

    return numbers(json.loads((FIGURES / file).read_text(encoding="utf-8")))


@pytest.mark.parametrize("module", [ex2a, ex2b, benchmark])
def test_the_committed_figures_are_those_of_the_record(module):
    """The same names always, the same bytes where the versions that draw are the same."""
    stem = module.__name__.rpartition(".")[2]
    record = read(f"{stem}.json")
    drawn = dict(module.draw(record))
    files = {path.name: path.read_bytes() for path in FIGURES.glob(f"{stem}_*.png")}
    assert set(files) == set(drawn) and max(map(len, files.values())) < 80_000
    if all(record["versions"][package] == version(package) for package in ("matplotlib", "pillow")):
        for name, picture in drawn.items():
            picture.save(file := io.BytesIO())
            assert file.getvalue() == files[name], name


def lines(axes):
    """What is labelled in these axes, {label: its values}; no two have one label."""
    found = [(line.get_label(), list(line.get_ydata())) for line in axes.get_lines() if line.get_label()[0] != "_"]
    assert len(dict(found)) == len(found), found
    return dict(found)


def drawn(module, record, save=()):
    """Yield (file name, title, {heading: lines} of its panels) of what is drawn of a record; no two have one name."""
    names = set()
    for name, picture in module.draw(record):
        panels = {axes.get_title() or axes.get_ylabel(): lines(axes) for axes in picture.axes}
        assert name not in names and len(panels) == len(picture.axes)
        names.add(name)
        if name in save:
            picture.save(io.BytesIO())
        yield name, " ".join(picture.get_suptitle().split()), panels


def test_lines_and_panels_are_called_what_they_are():
    record = read("ex2a.json")
    inits = {"default": "default", "orthogonal6, centred": "orthogonal6_from_layer2_centred"}
    arms = {label: ex2a.pick(record, "sigmoid", init, list(DEEP)) for label, init in inits.items()}
    figures = {name: panels for name, _, panels in drawn(ex2a, record | {"arms": list(arms.values()), "depth": []})}
    (alone,) = figures["ex2a_norms_sigmoid_50-30-30-30.png"].values()
    for arm, panel in [(arms["default"], alone)] + [(arms[key], figures["ex2a_norms_rescue.png"][key]) for key in arms]:
        assert list(panel) == ["layer 1", "layer 2", "layer 3", "layer 4", "output layer"]
        for layer, values in enumerate(panel.values()):
            both = [arm["gradient_norm"][kind][layer][-1] for kind in ("weights", "biases")]
            assert len(values) == 21 and values[-1] == pytest.approx(sum(map(math.hypot, *both)) / 5)


# ---- made-up records of exercise 2a ----


def arm(hidden, activation="sigmoid", init="default", accuracy=0.5, status="ok", seeds=2, scale=1.0, **fields):
    """An arm of two epochs, with norms that differ from layer to layer; `fields` are those that a record may lack."""
    layers = range(2, len(hidden) + 3)
    kinds = "weights", "biases", "signal"
    return fields | {
        "name": f"{activation} {hidden} {init} {fields}",
        "hidden": list(hidden),
        "activation": activation,
        "init": init,
        "status": [status] * seeds,
        "test_accuracy": [[0.1] * seeds, [accuracy] * seeds],
        "gradient_norm": {kind: [[[scale] * seeds, [scale * accuracy**n] * seeds] for n in layers] for kind in kinds},
        "initial": {kind: [[scale / n**2] * seeds for n in layers] for kind in kinds},
        "predicted": {"signal": [scale / n**2 for n in layers]},
        "layer_variance": [[scale * accuracy / n] * seeds for n in layers],
        "unmoved": [len(hidden) / 20] * seeds,
    }


def check(*arms, depth=(), save=()):
    """Draw these arms; return {name: title}. Each number of a title is drawn below it, and its activation is."""
    for number, one in enumerate(arms, 1):  # an accuracy of its own, by which an arm is known
        one["test_accuracy"][-1] = [value * (1 - number / 500) for value in one["test_accuracy"][-1]]
    record = {"data": "", "settings": {"lr": 0.005, "momentum": 0}, "arms": arms, "depth": list(depth), "planned": 99}
    names = {f"{one['test_accuracy'][-1][0]:.1%}": ex2a.NAMES.get(one["activation"], "identity") for one in arms}
    titles = {}
    for name, title, panels in drawn(ex2a, record, save):
        titles[name] = title
        shown = [list(panel.values()) for panel in panels.values()]
        ends = [[values[-1] for values in panel] for panel in shown]
        if name.startswith("ex2a_accuracy"):
            ends = {f"{end:.1%}" for end in ends[0]}
            numbers = re.findall(r"[\d.]+%", title)
            assert numbers and ends.issuperset(numbers) and title.startswith(tuple(names[end] for end in ends)), title
        elif name == "ex2a_depth.png":
            assert f" moves {1 - max(ends[1]):.0%} of" in title
        elif name.startswith("ex2a_norms") and not re.search("nan|/0", title):
            numbers = re.findall(r"(?:ends with|and|default,) (\d\S*)", title)
            assert numbers == [f"{panel[0] / panel[-1]:.2g}" for panel in ends], title
        elif name.startswith("ex2a_signal") and not re.search("nan|/0", title):
            assert f" gets {shown[0][0][0] / shown[0][0][-1]:.2g} of" in title
        elif name == "ex2a_layer_variance.png":
            numbers = re.findall(r"(\S+) (?:by default|with|rescued)", title)
            assert numbers and {f"{end:.2g}" for end in ends[0]}.issuperset(numbers), title
        if name != "ex2a_depth.png":  # a title without a name is of Sigmoid
            named = re.findall("Sigmoid|ReLU|identity", title) or ["Sigmoid"]
            assert {*names.values()}.issuperset(named), title
    assert ex2a.table(record).count("\n") == len(arms)
    return titles


def test_an_added_relu_arm_on_the_deepest_gets_no_sigmoid_title():
    titles = check(arm(DEEP), arm(DEEP, "relu"), arm(DEEP, init="gain4"), arm(DEEP, "relu", "kaiming_a0", 0.9))
    (title,) = [title for name, title in titles.items() if "inits_relu" in name]
    assert title == "ReLU (50, 30, 30, 30): 49.8% by default, 89.3% with kaiming a0"


def test_a_hundred_initialisations_are_more_than_there_are_looks():
    check(arm(DEEP), *(arm(DEEP, init=f"gain{n}", accuracy=0.3 + n / 150) for n in range(2, 100)))
    assert len({str(plots.look(number)) for number in range(81)}) == 81


def test_a_shallow_arm_with_a_gain_and_lists_without_relu_or_a_default():
    check(arm((50,)), arm((50, 30), init="gain4"), arm((50, 30), init="xavier_normal"))
    check(arm((50,), "relu", "kaiming_a0"), arm((20,), "relu", "kaiming_a0"), arm((30,), "identity", "gain4"))
    check(arm((50,), "relu"))


def test_the_rescue_is_the_best_initialisation_wherever_it_stands():
    best, default = arm(DEEP, init="gain4", accuracy=0.8), arm(DEEP, accuracy=0.1, status="collapsed")
    titles = check(arm(DEEP, init="xavier_normal", accuracy=0.3), best, default, arm(DEEP, "relu"))
    assert titles["ex2a_accuracy_inits.png"] == "Sigmoid (50, 30, 30, 30): 9.9% by default, 79.7% rescued"
    assert titles["ex2a_layer_variance.png"].endswith(": 0.017 by default, 0.13 rescued")
    default["status"] = ["ok"] * 2
    assert check(best, default)["ex2a_accuracy_inits.png"].endswith("with gain4")


def test_arms_that_differ_in_the_training_alone_are_told_apart():
    ways = {"optimizer": "adam", "lr": 0.001}, {"lr": 0.1}, {"momentum": 0.9}, {"batch_norm": True}, {"unknown": 1}
    titles = check(arm(DEEP), *(arm(DEEP, accuracy=0.9 - n / 10, **way) for n, way in enumerate(ways)))
    assert len([name for name in titles if "norms_sigmoid" in name]) == 6
    (title,) = [title for name, title in titles.items() if "trainings" in name]
    assert title == "Sigmoid, default (50, 30, 30, 30): 49.9% with SGD 0.005, 89.6% with Adam 0.001"


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("status, scale", [("non-finite", math.nan), ("collapsed", 0.0)])
def test_what_did_not_end_well_is_drawn(seeds, status, scale):
    arms = [arm(DEEP, "sigmoid", init, 0.1, status, seeds, scale) for init in ("default", "gain4")]
    save = ("ex2a_norms_rescue.png", "ex2a_layer_variance.png")[: 2 - seeds * (scale == 0)]
    check(*arms, depth=[arm([30] * 3, seeds=seeds, scale=scale)], save=save)
    assert ex2a.line(arms[0]).endswith(f": 9.98%, {seeds} {status}")


@pytest.mark.parametrize("seed", range(9))
def test_any_arms_in_any_order_are_drawn(seed):
    one = random.Random(seed)
    inits, ways = ["default", "xavier_normal", "xavier_uniform", "gain4"], [{}, {}, {"optimizer": "adam"}, {"lr": 0.1}]

    def any_arm(hidden):
        fields = one.choice(["sigmoid", "relu", "identity"]), one.choice(inits), one.uniform(0.1, 0.9)
        return arm(hidden, *fields, **one.choice(ways), batch_norm=one.random() < 0.2)

    arms = [any_arm(one.choice([(50,), (30,), (50, 30), (50, 30, 30), DEEP])) for _ in range(one.randint(1, 9))]
    check(*{arm["name"]: arm for arm in arms}.values(), depth=[any_arm([30] * n) for n in range(1, seed)])


# ---- parts of the record of exercise 2b ----


def runs(kind):
    """Some of the committed runs in some order, or changed."""
    some = read("bfloat16/ex2b.json" if kind == "bfloat16" else "ex2b.json")["runs"]
    if isinstance(kind, int):
        random.Random(kind).shuffle(some)
        del some[1 + 6 * kind :]
    for run in some:
        run["status"] = "collapsed" if kind == "failed" or kind == "default failed" and run["lr"] == 1e-3 else "ok"
    if kind == "more":
        near = {"lr": 1.0001e-3, "name": "adam 1.0001e-3, seed 0", "final_train_accuracy": 0.99}
        some += [some[0] | near, some[1] | {"optimizer": "rmsprop", "searches": ["wide"], "name": "rmsprop, seed 0"}]
        some += [some[1] | {"momentum": 0.5, "name": "sgd 1e0, momentum 0.5, seed 0"}]
    return some


@pytest.mark.parametrize("kind", ["bfloat16", "failed", "default failed", "more", *range(4)])
def test_any_runs_in_any_order_are_drawn(kind):
    record, save = read("ex2b.json") | {"runs": runs(kind)}, {"ex2b_accuracy.png"} if kind == "failed" else ()
    shown = {name: (title, list(panels.values())) for name, title, panels in drawn(ex2b, record, save)}
    for name, (title, panels) in shown.items():
        ends = [{label: values[-1] for label, values in panel.items()} for panel in panels]
        if name == "ex2b_accuracy.png":
            assert title == ", ".join(f"{label.split(', ')[0]} {end:.1%}" for label, end in ends[0].items())
        elif "epochs" in name:
            test, train = ends
            assert test.keys() == train.keys() and all("collapsed" in label for label in test) == ("failed" in title)
            label = re.search(r": (.*?\d)( is best|, [\d.]+% in training)", title)
            assert "failed" in title or title.endswith(f" and {test[label[1]]:.1%} in the test")
    found = {which for run in record["runs"] for which in run["searches"]} - {"default"}
    assert {f"ex2b_epochs_{which}.png" for which in found} == {name for name in shown if "epochs" in name}
    table = ex2b.table(record)
    assert all(run["name"] in table and ex2b.line(run).startswith(run["name"]) for run in record["runs"])
