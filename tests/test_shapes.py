"""A record is checked whole before anything is drawn: what its entries look like, figures/shapes.py says. The committed
ones are those of the scripts as shipped."""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from started import ROOT

import ex2a_vanishing
import ex2b_adam
from common.experiment import book, records, shapes
from figures.choices import cnn, rescue
from figures.shapes import EX2A, EX2B, meanings

NET = {"name": "a net", "hidden": [4], "activation": "relu", "init": "default", "batch_norm": False}
NET |= {"optimizer": "sgd", "lr": 0.1, "momentum": 0}
SETTINGS = {"epochs": 2, "seeds": 3, "lr": 0.1, "momentum": 0, "train_sample": 5}
LAYERS, FREE = 2, ("searches",)  # a list of any length


def numbers(*size):
    return np.full(size, 0.5).tolist()


def each(*size):
    return {kind: numbers(*size) for kind in ("weights", "biases", "signal")}


def arm(epochs):
    return NET | {
        "status": ["ok"] * 3,
        "test_accuracy": numbers(epochs, 3),
        "gradient_norm": each(LAYERS, epochs, 3),
        "initial": each(LAYERS, 3),
        "predicted": {"signal": numbers(LAYERS)},
        "layer_variance": numbers(LAYERS, 3),
    }


PARTS = {  # one entry of each
    "arms": (EX2A, arm(2)),
    "plateau": (EX2A, arm(15)),
    "depth": (
        EX2A,
        NET
        | {"hidden_layers": 1, "initial": each(LAYERS, 3), "unmoved": numbers(3)}
        | {"predicted": {"signal": numbers(LAYERS)}},
    ),
    "activations": (EX2A, NET | {"after": [0, 2], "range": [0, 4], "counts": np.full((2, 1, 6), 7).tolist()}),
    "runs": (
        EX2B,
        {"name": "a run", "optimizer": "adam", "lr": 0.1, "momentum": None, "searches": ["grid"], "seed": 0}
        | {"precision": "float32", "status": "ok", "final_train_accuracy": 0.5}
        | {key: numbers(2) for key in ("test_accuracy", "train_accuracy", "train_loss")},
    ),
}


def places(value):
    """Yield (container, key) of all that lies in a value."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from places(value[key])


def spoilt(value, key):
    """Yield what may have become of a value, but for a change from one fitting value to another."""
    yield {"of": "another type"}
    if isinstance(value, list) and key not in FREE:
        yield from (value[:-1], [*value, value[-1]])
    if isinstance(value, float):
        yield from (math.nan, math.inf, -1.0)


@pytest.mark.parametrize("part", PARTS)
def test_whatever_is_wrong_in_an_entry_is_told_with_its_place(part):
    shape, entry = PARTS[part]
    record = {"data": "x", "planned": 1, "settings": SETTINGS, part: [json.loads(json.dumps(entry))]}
    assert shapes.damage(record, shape) is None
    for container, key in places(record[part][0]):
        before = container[key]
        for wrong in spoilt(before, key):
            container[key] = wrong
            said = shapes.damage(record, shape)
            assert said and said.startswith(f"{part}[0]."), (key, wrong, said)
        if isinstance(container, dict):
            del container[key]
            assert shapes.damage(record, shape).startswith(f"{part}[0]."), key
        container[key] = before
    assert shapes.damage(record, shape) is None
    for wrong in ({}, 3, [7], [{}]):
        assert shapes.damage(record | {part: wrong}, shape).startswith(part)
    assert shapes.damage({key: value for key, value in record.items() if key != part}, shape) is None  # none as yet
    for key in ("data", "planned", "settings"):
        assert key in shapes.damage({name: value for name, value in record.items() if name != key}, shape)
    for key in ("epochs", "seeds"):
        assert shapes.damage(record | {"settings": SETTINGS | {key: ...}}, shape) == f"record.settings.{key}"


def test_accuracies_are_shares_and_no_number_belongs_to_a_run_that_ended_so():
    entry = arm(2)
    entry["test_accuracy"][1][2] = 13.0
    record = {"data": "x", "planned": 1, "settings": SETTINGS, "arms": [entry]}
    assert shapes.damage(record, EX2A) == "arms[0].test_accuracy[1][2]"
    entry["test_accuracy"][1][2], entry["layer_variance"][0][1] = 0.5, math.nan
    assert shapes.damage(record, EX2A) == "arms[0].layer_variance[0][1]"
    entry["status"] = ["ok", "non-finite", "ok"]
    assert shapes.damage(record, EX2A) is None
    entry["predicted"] = None  # the theory knows no batch normalisation
    assert shapes.damage(record, EX2A) is None
    assert [line.partition(":")[0] for line in meanings([entry])] == ["non-finite"] and not [*meanings([arm(2)])]


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("script", [ex2a_vanishing, ex2b_adam, cnn, rescue])
def test_generated_data_does_not_replace_a_committed_record(script, fresh):
    path = ROOT / script.experiment.folder / f"{script.experiment.name}.json"
    with pytest.raises(OSError, match="which generated data does not replace"):
        book.Book(script.experiment, script.Settings(stand_in=True, fresh=fresh), path, "stand-in", {})


def book_of(script, settings, path):
    """The Book of a record that is there, on the data that it was made on."""
    record, known = records.read(path), settings.determining() | script.experiment.fixed
    sizes = {name: value for name, value in record["settings"].items() if name not in known}
    assert {*sizes} <= {"train_images", "test_images", "train_sample", "held_out"}
    return book.Book(script.experiment, settings, path, record["data"], sizes)


@pytest.mark.parametrize("script", [ex2a_vanishing, ex2b_adam, cnn, rescue])
def test_the_committed_records_are_those_of_the_scripts_as_shipped(script):
    """Of the default settings nothing is missing, and entries are cases of the plan, in its order, with its names."""
    path, settings = ROOT / script.experiment.folder / f"{script.experiment.name}.json", script.Settings()
    record, made = records.read(path), book_of(script, settings, path)
    assert script in (cnn, rescue) or made.missing() == []
    for part, (_, cases) in script.plan(replace(settings, seeds=record["settings"]["seeds"])).items():
        planned = [records.plain(asdict(case) | {"name": case.name}) for case in cases]
        same = planned[0].keys() & record[part][0].keys()
        planned, found = ([{key: one[key] for key in same} for one in every] for every in (planned, record[part]))
        assert found == [one for one in planned if one in found], part
    for entry in record.get("activations", ()):
        bins, span = ex2a_vanishing.BINS, ex2a_vanishing.RANGE[entry["activation"]]
        assert entry["after"] == [*ex2a_vanishing.SEEN_AFTER] and entry["range"] == [*span]
        assert {len(counts) for each in entry["counts"] for counts in each} == {bins}
