"""A figure's title states what the record has, and no longer where a little is changed; a printed table has the numbers
that its head names."""

import random
import re

import numpy as np
import pytest
from test_figures import DEEP, FIGURES, arm, record_2a, record_2b

from common import plots
from common.experiment import records
from figures import arms, ex2a, ex2b, per_layer, searches


def every(record, part, **fields):
    return [entry for entry in record[part] if fields.items() <= entry.items()]


def at(record, part="arms", **fields):
    (found,) = every(record, part, **fields)
    return found


def scale(values, by):
    return (np.array(values) * by).tolist()


def norms_of_layer_1(entry, by):
    for kind in ("weights", "biases"):
        for kinds in (entry["initial"], entry["gradient_norm"]):
            kinds[kind][0] = scale(kinds[kind][0], by)


def ends(entry, values):
    entry["test_accuracy"][-1] = values


def last(run, split, by):
    run[f"{split}_accuracy"][-10:] = scale(run[f"{split}_accuracy"][-10:], by)


def flat(run, value):
    run["train_accuracy"][-20:] = [value] * 20


PLAIN = {"init": "default", "optimizer": "sgd", "lr": 0.005, "momentum": 0, "batch_norm": False}
FOUR = [50, 30, 30, 30]
SIGMOID, RELU = ({"hidden": FOUR, "activation": name, **PLAIN} for name in ("sigmoid", "relu"))
RESCUE = SIGMOID | {"init": "orthogonal6_from_layer2_centred"}
TWELVE = {"hidden": [30] * 12, "activation": "sigmoid", "init": "default"}
GRID, RANDOM = {"optimizer": "adam", "seed": 0}, {"searches": ["random"]}
NEARLY = [  # by how little of the record another one must differ, so that its figure no longer says these words
    (ex2a.accuracy, "Sigmoid layer costs", lambda r: ends(at(r, **SIGMOID | {"hidden": FOUR[:3]}), [0.3] * 4 + [0.7])),
    (ex2a.accuracy, "depth costs nothing", lambda r: ends(at(r, **RELU), [0.84] * 5)),
    (ex2a.accuracy, "depth costs nothing", lambda r: at(r, **RELU).update(status=["collapsed"] * 5)),
    (ex2a.norms, "stays below a hundredth", lambda r: norms_of_layer_1(at(r, **SIGMOID), 2)),
    (ex2a.norms, "ends above it", lambda r: norms_of_layer_1(at(r, **RELU), 1 / 8)),
    (ex2a.xavier, "helps wherever", lambda r: ends(at(r, **SIGMOID | {"init": "xavier_normal"}), [0.1] + [0.3] * 4)),
    (ex2a.xavier, "only", lambda r: ends(at(r, **SIGMOID | {"init": "xavier_normal"}), [0.51] * 5)),
    (ex2a.depth, "costs the Sigmoid everything", lambda r: at(r, **SIGMOID).update(status=["ok"] + ["collapsed"] * 4)),
    (ex2a.depth, "gives it back", lambda r: ends(at(r, **RESCUE), [0.82] + [0.87] * 4)),
    (ex2a.trainings, "all other trainings", lambda r: at(r, **SIGMOID | {"lr": 0.05}).update(status=["collapsed"] * 5)),
    (ex2a.trainings, "patience", lambda r: r["plateau"][0].update(status=["ok"] * 4 + ["collapsed"])),
    (per_layer.signals, "within 11%", lambda r: at(r, **RESCUE)["predicted"]["signal"].__setitem__(0, 0.1)),
    (per_layer.variance, "rescued it grows", lambda r: at(r, **RESCUE)["layer_variance"].__setitem__(-1, [0.01] * 5)),
    (per_layer.variance, "are lost", lambda r: at(r, **SIGMOID)["layer_variance"].__setitem__(-1, [1e-3] * 5)),
    (per_layer.untrained, "most of", lambda r: at(r, "depth", **TWELVE).update(unmoved=[0.4] * 5)),
    (ex2b.accuracy, "overlap", lambda r: [last(run, "test", 0.9) for run in every(r, "runs", lr=0.1, optimizer="sgd")]),
    (ex2b.rates, "neither at an end", lambda r: at(r, "runs", lr=0.1, **GRID).update(final_train_accuracy=0.99)),
    (ex2b.epochs, "still gains most", lambda r: flat(at(r, "runs", lr=1e-5, **GRID), 0.7)),
    (ex2b.random, "Level", lambda r: [run.update(final_train_accuracy=0.99) for run in every(r, "runs", **RANDOM)]),
]


@pytest.mark.parametrize(
    "figure, words, change", NEARLY, ids=[f"{figure.__name__}: {words}" for figure, words, _ in NEARLY]
)
def test_a_title_says_no_more_than_the_record_has(figure, words, change):
    name = "ex2b" if figure.__module__.endswith("ex2b") else "ex2a"
    record = records.read(FIGURES / f"{name}.json")

    def title():
        given = (record, searches.arms(record["runs"])) if name == "ex2b" else (arms.Arms(record),)
        with plots.style():
            ((_, picture),) = figure(*given)
        return " ".join(picture.get_suptitle().split())

    assert words in title()
    change(record)
    assert words not in title()


def test_one_deeper_arm_leaves_the_named_ones_their_names():
    record = record_2a(random.Random(1))
    before = [(one["name"], label) for one, label, _ in arms.Arms(record).stars]
    record["arms"].append(arm(random.Random(2), (*DEEP, 10)))
    assert [(one["name"], label) for one, label, _ in arms.Arms(record).stars] == before


def percentages(text):
    return re.findall(r"[\d.]+%", text)


def test_the_printed_table_of_2a_has_what_its_head_names():
    record = record_2a(random.Random(1))
    head, *rows = ex2a.table(record).splitlines()
    assert re.split(r"\s{2,}", head) == ["arm", "test accuracy", "layer 1's gradient norm", "status of the seeds"]
    for one, row in zip(record["arms"] + record["plateau"], rows):
        norm = np.mean(arms.total_norms(one)[0][-1])
        assert percentages(row) == [f"{np.mean(one['test_accuracy'][-1]):.1%}"] and f" {norm:.2g} " in row


def test_the_printed_table_of_2b_has_what_its_head_names():
    record = record_2b(random.Random(1))
    head, *rows = ex2b.table(record).splitlines()
    assert re.split(r"\s{2,}", head)[2:] == ["training", "test", "last 10: training", "test", "loss", "status"]
    runs, found = record["runs"], [percentages(row) for row in rows]
    late = [[np.mean(run[f"{split}_accuracy"][-10:]) for split in ("train", "test")] for run in runs]
    for run, means in zip(runs, late):
        assert [f"{number:.2%}" for number in (run["final_train_accuracy"], run["test_accuracy"][-1], *means)] in found
    for one in searches.arms(runs):
        both = (one["final"][split] for split in ("train", "test"))
        if len(one["status"]) > 1:
            assert [f"{number:.2%}" for values in both for number in (np.mean(values), np.std(values, ddof=1))] in found
