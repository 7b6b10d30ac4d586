"""A figure's title states what the record has, and no longer where a little is changed; a printed table has the numbers
that its head names."""

import random
import re

import numpy as np
import pytest
from made_up import DEEP, arm, record_2a, record_2b
from test_figures import FIGURES, committed, words

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


def norms_of_layer_1(entry, by, epoch):
    for kind in ("weights", "biases"):
        entry["gradient_norm"][kind][0][epoch] = scale(entry["gradient_norm"][kind][0][epoch], by)


def ends(entry, values):
    entry["test_accuracy"][-1] = values


def last(run, split, by):
    run[f"{split}_accuracy"][-10:] = scale(run[f"{split}_accuracy"][-10:], by)


def signal_of_layer_1(entry, by):
    entry["initial"]["signal"][0] = scale(entry["initial"]["signal"][0], by)
    if entry["predicted"]:
        predicted_at_layer_1(entry, by)


def predicted_at_layer_1(entry, by):
    entry["predicted"]["signal"][0] *= by


def last_outputs(entry, snapshot):
    entry["counts"][-1][-1] = entry["counts"][0][snapshot]


def best_of_all(run, value=0.99):
    run["final_train_accuracy"] = value


def flat(run, value):
    run["train_accuracy"][-20:] = [value] * 20


PLAIN = {"init": "default", "optimizer": "sgd", "lr": 0.005, "momentum": 0, "batch_norm": False}
FOUR = [50, 30, 30, 30]
SIGMOID, RELU = ({"hidden": FOUR, "activation": name, **PLAIN} for name in ("sigmoid", "relu"))
RESCUE = SIGMOID | {"init": "orthogonal6_from_layer2_centred"}
TWELVE = {"hidden": [30] * 12, "activation": "sigmoid", "init": "default"}
GRID, RANDOM = {"optimizer": "adam", "seed": 0}, {"searches": ["random"]}
ENDS = [GRID | {"lr": 0.1}, GRID | {"lr": 1e-5}, *({"optimizer": "sgd", "lr": lr} for lr in (1.0, 1e-4))]
NEARLY = [  # by how little of the record another one must differ, so that its figure no longer says these words, but
    # those behind an arrow
    (ex2a.accuracy, "Sigmoid layer costs", lambda r: ends(at(r, **SIGMOID | {"hidden": FOUR[:3]}), [0.3] * 4 + [0.7])),
    (ex2a.accuracy, "all depths end near 86%", lambda r: ends(at(r, **RELU), [0.84] * 5)),
    (ex2a.accuracy, "all depths end near 86%", lambda r: at(r, **RELU).update(status=["collapsed"] * 5)),
    (ex2a.norms, "stays below a hundredth", lambda r: norms_of_layer_1(at(r, **SIGMOID), 4, 9)),
    (ex2a.norms, "ends above its output layer", lambda r: norms_of_layer_1(at(r, **RELU), 1 / 8, -1)),
    (ex2a.xavier, "Xavier helps", lambda r: ends(at(r, **SIGMOID | {"init": "xavier_normal"}), [0.1] + [0.3] * 4)),
    (ex2a.xavier, "only", lambda r: ends(at(r, **SIGMOID | {"init": "xavier_normal"}), [0.51] * 5)),
    (ex2a.deepest, "rescued", lambda r: at(r, **RESCUE).update(status=["ok"] * 4 + ["collapsed"])),
    (ex2a.deepest, "rescued", lambda r: at(r, **SIGMOID).update(status=["ok"] + ["collapsed"] * 4)),
    (ex2a.depth, "makes the Sigmoid fail", lambda r: at(r, **SIGMOID).update(status=["ok"] + ["collapsed"] * 4)),
    (ex2a.depth, "ReLU ends near 86%", lambda r: ends(at(r, **RELU), [0.84] * 5)),
    (ex2a.depth, "rescue reaches 86.8%", lambda r: at(r, **RESCUE).update(status=["ok"] * 4 + ["collapsed"])),
    (ex2a.trainings, "Slow, not stuck", lambda r: at(r, **SIGMOID).update(status=["ok"] + ["collapsed"] * 4)),
    (
        ex2a.trainings,
        "trainings get the default going",
        lambda r: at(r, **SIGMOID | {"lr": 0.05}).update(status=["collapsed"] * 5),
    ),
    (ex2a.trainings, "patience", lambda r: r["plateau"][0].update(status=["ok"] * 4 + ["collapsed"])),
    (per_layer.activations, "stays as it was", lambda r: last_outputs(r["activations"][0], -2)),
    (per_layer.activations, "the other networks move", lambda r: last_outputs(r["activations"][1], -1)),
    (per_layer.signals, "vanishes", lambda r: [signal_of_layer_1(one, 30) for one in r["arms"]]),
    (per_layer.signals, "grows", lambda r: [signal_of_layer_1(one, 1 / 3) for one in r["arms"]]),
    (per_layer.signals, "within 11% -> The signal before", lambda r: predicted_at_layer_1(at(r, **RESCUE), 0.1)),
    (per_layer.signals, "within 11% -> The signal before", lambda r: predicted_at_layer_1(at(r, **RESCUE), 10)),
    (
        per_layer.variance,
        "the rescue it holds",
        lambda r: at(r, **RESCUE)["layer_variance"].__setitem__(-2, [0.01] * 5),
    ),
    (per_layer.variance, "almost the same", lambda r: at(r, **SIGMOID)["layer_variance"].__setitem__(-2, [1e-3] * 5)),
    (per_layer.untrained, "most of", lambda r: at(r, "depth", **TWELVE).update(unmoved=[0.3] * 4 + [0.9])),
    (
        ex2b.accuracy,
        "averaged over the last 10 epochs their seeds overlap",
        lambda r: [last(run, "test", 0.9) for run in every(r, "runs", lr=0.1, optimizer="sgd")],
    ),
    *((ex2b.rates, "neither at an end", lambda r, end=end: best_of_all(at(r, "runs", **end))) for end in ENDS),
    (ex2b.epochs, "still gains most", lambda r: r["settings"].update(epochs=19)),
    (ex2b.epochs, "still gains most", lambda r: flat(at(r, "runs", lr=1e-5, **GRID), 0.7)),
    (
        ex2b.random,
        "No difference seen -> Random ahead",
        lambda r: [best_of_all(run) for run in every(r, "runs", **RANDOM)],
    ),
    (
        ex2b.random,
        "No difference seen -> The grid ahead",
        lambda r: [best_of_all(run, 0.4) for run in every(r, "runs", **RANDOM)],
    ),
]


def title(figure, record):
    """What the only picture of a figure is called."""
    two_b = figure.__module__.endswith("ex2b")
    with plots.style():
        ((_, picture),) = figure(record, searches.arms(record["runs"])) if two_b else figure(arms.Arms(record))
    return " ".join(picture.get_suptitle().split())


@pytest.mark.parametrize(
    "figure, words, change", NEARLY, ids=[f"{figure.__name__}: {words}" for figure, words, _ in NEARLY]
)
def test_a_title_says_no_more_than_the_record_has(figure, words, change):
    module = ex2b if figure.__module__.endswith("ex2b") else ex2a
    name = module.__name__.rpartition(".")[2]
    record, drawn = records.read(FIGURES / f"{name}.json"), committed(module)[1][f"{name}_{figure.__name__}.png"]
    says, _, then = words.partition(" -> ")
    assert says in " ".join(drawn.get_suptitle().split())
    change(record)
    changed = title(figure, record)
    assert says not in changed and then in changed


def test_what_a_title_says_of_the_default_does_not_depend_on_others():
    record = records.read(FIGURES / "ex2a.json")
    at(record, **SIGMOID | {"init": "xavier_normal", "lr": 0.05}).update(status=["collapsed"] * 5)
    assert "other trainings get the default going" in title(ex2a.trainings, record)


def test_one_deeper_arm_leaves_the_named_ones_their_names_and_of_two_networks_alike_the_deeper_is_named():
    record = record_2a(random.Random(1))
    before = [(one["name"], label) for one, label, _ in arms.Arms(record).stars]
    record["arms"].append(arm(random.Random(2), (*DEEP, 10)))
    assert [(one["name"], label) for one, label, _ in arms.Arms(record).stars] == before
    record["arms"] = [arm(random.Random(3), DEEP[:n]) for n in (2, 3, 1)]
    assert arms.Arms(record).network == record["arms"][1:2]
    assert [*map(arms.hidden, record["arms"])] == ["two hidden layers", "three hidden layers", "one hidden layer"]


def test_a_norm_without_biases_is_that_of_the_weights():
    bare = arm(random.Random(1), DEEP)
    for kinds in (bare["initial"], bare["gradient_norm"]):
        kinds["biases"] = np.full(np.shape(kinds["weights"]), np.nan).tolist()
    assert np.array_equal(np.array(arms.total_norms(bare))[:, 1:], bare["gradient_norm"]["weights"])


def test_the_title_of_several_random_searches_counts_those_that_beat_the_grid_by_the_means():
    record = next(filter(lambda record: "random 2" in str(record), (record_2b(random.Random(n)) for n in range(9))))
    for run in record["runs"]:
        value = 0.5 if "grid" in run["searches"] else {"random": 0.9 - 0.3 * run["seed"], "random 1": 0.4}
        run |= {"status": "ok", "final_train_accuracy": value if value == 0.5 else value.get(run["searches"][0], 0.7)}
    with plots.style():
        ((_, picture),) = ex2b.random(record, searches.arms(record["runs"]))
    assert picture.get_suptitle() == "2 of 3 random searches beat the grid in training"


def test_the_printed_table_of_2a_and_the_line_of_each_arm_have_what_the_head_names():
    record = record_2a(random.Random(1))
    record["arms"][0]["status"] = ["collapsed", "ok", "collapsed"]
    head, *rows = ex2a.table(record).splitlines()
    assert re.split(r"\s{2,}", head) == ["arm", "test accuracy", "layer 1's gradient norm", "status of the seeds"]
    for one, row in zip(record["arms"] + record["plateau"], rows):
        seeds, end, line = one["status"], f"{np.mean(one['test_accuracy'][-1]):.1%}", ex2a.line(one)
        lost = ", ".join(f"{seeds.count(status)} {status}" for status in sorted({*seeds}))
        cells = [end, f"{np.mean(arms.total_norms(one)[0][-1]):.2g}", lost]
        assert re.split(r"\s{2,}", row)[1:] == cells and (", 9 epochs" in row) == (one in record["plateau"])
        assert line.endswith(f", {len(one['test_accuracy'])} epochs: {end}{f', {lost}' * ({*seeds} != {'ok'})}")
        told = [text for field in ("hidden", "activation", "init") for text in words(field, str(one[field]))]
        told += words("training", str([one[field] for field in ("optimizer", "lr", "momentum", "batch_norm")]))
        assert all(word.lower() in text.lower() for text in (row, line) for word in told), (told, row, line)


def test_the_printed_table_of_2b_and_the_line_of_each_run_have_what_the_head_names():
    record = record_2b(random.Random(1))
    for number, run in enumerate(record["runs"]):
        run["train_loss"] = [1.0, 0.001 * number]
    head, *rows = ex2b.table(record).splitlines()
    assert re.split(r"\s{2,}", head)[2:] == ["training", "test", "last 10: training", "test", "loss", "status"]
    for run in record["runs"]:
        both = [f"{number:.2%}" for number in (run["final_train_accuracy"], run["test_accuracy"][-1])]
        late = [f"{np.mean(run[f'{split}_accuracy'][-10:]):.2%}" for split in ("train", "test")]
        name = f"{called(run)} {run['name'].partition(' ')[2]} {', '.join(run['searches'])}"
        found = [*name.split(), *both, *late, f"{run['train_loss'][-1]:.3f}", run["status"]]
        assert found in [row.split() for row in rows]
        lost = "" if run["status"] == "ok" else f", {run['status']}"
        assert ex2b.line(run) == f"{run['name']}: {both[0]} in training, {both[1]} in the test{lost}"
    for one in searches.arms(record["runs"]):
        both = (one["final"][split] for split in ("train", "test"))
        words = [f"{np.mean(values):.2%} +- {np.std(values, ddof=1):.2%} in " for values in both if len(values) > 1]
        name = f"{called(one)} {searches.rate(one['lr'])}{' collapsed' * ('collapsed' in one['status'])}, 3 seeds: "
        assert not words or f"{name}{words[0]}training and {words[1]}the test" in rows
    for which in ("sgd", "grid", "random", "wide one"):
        found = searches.of(searches.arms(record["runs"]), which)
        best = max(
            (one for one in found if one["status"][0] == "ok"), key=lambda one: one["final"]["train"][0], default=0
        )
        both = best and "{:.2%} in training, {:.2%} in the test".format(
            *(best["final"][k][0] for k in ("train", "test"))
        )
        said = f"{called(found[0])}{f', {which}' * (which != 'sgd')}, best of {len(found)}: "
        assert said + (f"{searches.rate(best['lr'])}, {both}" if best else "no winner") in rows


def called(run):
    return {"adam": "Adam", "sgd": "SGD"}.get(run["optimizer"], run["optimizer"])
