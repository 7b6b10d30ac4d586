"""What is the scripts' own: their arms are those of the sheet, what cannot be trained is refused, and a third script
has at most 40 lines."""

import ast
import math
import re
import sys
import tokenize
from collections import Counter
from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from started import ROOT, THIRD, Folder
from test_shapes import book_of

import ex2a_vanishing
import ex2b_adam
from common import models, train
from common.experiment import options
from figures.choices import cnn, rescue

DEEPEST = (50, 30, 30, 30)


def lines_of_code(path):
    """Count the lines that have code: neither docstrings nor other bare texts, comments, blank lines nor imports."""
    with tokenize.open(path) as file:
        tree = ast.parse(file.read())
        file.seek(0)
        tokens = list(tokenize.generate_tokens(file.readline))
    blank = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines = {n for token in tokens if token.type not in blank for n in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(tree):
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if text or isinstance(node, (ast.Import, ast.ImportFrom)):
            lines -= set(range(node.lineno, node.end_lineno + 1))
    return len(lines)


def test_a_third_exercise_takes_at_most_40_lines_of_code():
    """Among them the line by which it finds the repository, since it lies below tests/."""
    assert 30 < lines_of_code(ROOT / THIRD) <= 40


# ---- the arms ----


DEEP = ex2a_vanishing.Arm(DEEPEST, "sigmoid", "default", optimizer="sgd", lr=0.005, momentum=0, batch_norm=False)
BEYOND = (
    *({"init": f"kaiming_{changed}"} for changed in ("a1", "a0", "a1_fan_out", "a0_fan_out", "tanh", "tanh_fan_out")),
    *({"init": "xavier_normal", "lr": lr} for lr in (0.005, 0.05)),
    *({"lr": 0.05}, {"lr": 0.5}, {"optimizer": "adam", "lr": 0.001}, {"momentum": 0.9}, {"batch_norm": True}),
    *({"init": ex2a_vanishing.RESCUE}, {"activation": "relu", "init": "kaiming_a0"}),
)


def test_the_arms_of_2a_are_those_of_the_sheet_and_go_beyond_them_by_one_difference_each():
    arms, shapes = ex2a_vanishing.ARMS, ((50,), (50, 30), (50, 30, 30), DEEPEST)
    assert list(arms[:8]) == [replace(DEEP, hidden=h, activation=a) for a in ("sigmoid", "relu") for h in shapes]
    assert {replace(DEEP, **changes) for changes in BEYOND} <= set(arms)
    how = [
        (arm.hidden, arm.activation, arm.init, (arm.optimizer, arm.lr), arm.momentum, arm.batch_norm) for arm in arms
    ]
    assert all(any(sum(a != b for a, b in zip(arm, other)) == 1 for other in how) for arm in how)


def test_the_other_parts_of_2a():
    settings, deepest = ex2a_vanishing.Settings(), ex2a_vanishing.DEEPEST
    assert (settings.epochs, settings.seeds, ex2a_vanishing.BATCH_SIZE, deepest) == (20, 5, 64, DEEPEST)
    four = [("sigmoid", init) for init in ("default", "xavier_normal", ex2a_vanishing.RESCUE)] + [("relu", "default")]
    assert ex2a_vanishing.plan(settings) == {
        "depth": (
            0,
            tuple(replace(DEEP, hidden=(30,) * n, activation=a, init=i) for n in range(1, 13) for a, i in four),
        ),
        "plateau": (150, (DEEP,)),
        "arms": (20, ex2a_vanishing.ARMS),
        "activations": (20, tuple(replace(DEEP, activation=a, init=i) for a, i in four)),
    }
    assert ex2a_vanishing.SEEN_AFTER == (0, 3, 20)


def test_the_runs_of_2a_have_every_arm_once_and_only_such_as_train_as_one_model():
    """The long ones first."""
    for seeds in (1, 2, 5, 40):
        settings = ex2a_vanishing.Settings(seeds=seeds)
        for part, (epochs, arms) in ex2a_vanishing.plan(settings).items():
            runs = ex2a_vanishing.together(part, list(arms), settings)
            assert Counter(arm for run in runs for arm in run) == Counter(arms)
            assert epochs or len(runs) == 1
            assert [*map(len, runs)] == sorted(map(len, runs), reverse=True)
            if epochs:
                assert all(len({replace(arm, init="") for arm in run}) == 1 for run in runs)
                assert all(len(run) * seeds <= 16 or len(run) == 1 for run in runs)


def test_the_arms_of_2b_are_those_of_the_sheet_in_their_order():
    arms = ex2b_adam.ARMS
    assert [(arm.optimizer, arm.lr) for arm in arms[:10]] == [
        *[("adam", 1e-3), ("sgd", 1.0), ("sgd", 0.1), ("sgd", 0.01), ("sgd", 0.001), ("sgd", 0.0001)],
        *[("adam", 0.1), ("adam", 0.01), ("adam", 0.0001), ("adam", 0.00001)],
    ]
    assert [arm.lr for arm in arms[10:]] == [10**-k for k in np.random.default_rng(0).uniform(1, 5, 5).tolist()]
    searches = [("default", "grid"), *[("sgd",)] * 5, *[("grid",)] * 4, *[("random",)] * 5]
    assert [arm.searches for arm in arms] == searches
    assert {(arm.optimizer, arm.momentum) for arm in arms} == {("adam", None), ("sgd", 0.9)}
    settings = ex2b_adam.Settings()
    assert (settings.epochs, settings.seeds, settings.bfloat16, ex2b_adam.BATCH_SIZE) == (50, 1, False, 128)


def test_further_searches_of_2b_have_draws_of_their_own_and_further_seeds_are_for_what_is_compared():
    ((epochs, one),) = ex2b_adam.plan(ex2b_adam.Settings()).values()
    ((_, all_of_them),) = ex2b_adam.plan(ex2b_adam.Settings(seeds=3, draws=3)).values()
    assert epochs == 50 and one == ex2b_adam.ARMS == all_of_them[:15]
    drawn, seeds = all_of_them[15:25], all_of_them[25:]
    assert [(arm.optimizer, arm.lr, arm.seed, arm.searches) for arm in drawn] == [
        ("adam", 10**-k, s, (f"random {s}",))
        for s in (1, 2)
        for k in np.random.default_rng(s).uniform(1, 5, 5).tolist()
    ]
    compared = [("adam", 1e-3), ("sgd", 0.1), ("sgd", 0.01), ("adam", 1e-2), ("adam", one[11].lr)]
    assert [(arm.optimizer, arm.lr, arm.seed) for arm in seeds] == [(*arm, seed) for seed in (1, 2) for arm in compared]
    assert {search for arm in seeds for search in arm.searches} == {"default", "grid", "sgd", "random"}


def test_more_of_what_extends_a_record_leaves_what_it_has_as_it_is():
    extending = [(script, name) for script in (ex2a_vanishing, ex2b_adam, cnn) for name in script.Settings.EXTENDING]
    for script, name in extending:
        few, many = (script.plan(script.Settings(**{name: number})) for number in (2, 4))
        for part, (epochs, cases) in few.items():
            assert many[part][0] == epochs and {*cases} <= {*many[part][1]}, (name, part)
    assert [name for _, name in extending] == ["seeds", "draws", "seeds"]  # of 2b, and of the choice of its network


# ---- what cannot be trained ----

ARM = ex2a_vanishing.ARMS[0]
WRONG = [
    (ex2a_vanishing, "ARMS", replace(ARM, init="xavier_abnormal"), "'xavier_abnormal'"),
    (ex2a_vanishing, "UNTRAINED", replace(ARM, activation="tan"), "'tan'"),
    (ex2a_vanishing, "SEEN", replace(ARM, hidden=()), "(got ())"),
    (ex2a_vanishing, "PLATEAU", replace(ARM, optimizer="sgdd"), "'sgdd'"),
    (ex2a_vanishing, "ARMS", replace(ARM, optimizer="adam", momentum=0.9), "takes no momentum (got 0.9)"),
    (ex2a_vanishing, "ARMS", ARM, f"{ARM.name} is planned twice in 'arms'"),
    (ex2b_adam, "ARMS", replace(ex2b_adam.ARMS[0], optimizer="adamm"), "'adamm'"),
    (ex2b_adam, "ARMS", replace(ex2b_adam.ARMS[0], searches=()), "is planned twice"),
]


@pytest.mark.parametrize("script, part, arm, said", WRONG, ids=[said for *_, said in WRONG])
def test_an_arm_that_cannot_be_trained_is_refused_before_training(call, tmp_path, monkeypatch, script, part, arm, said):
    monkeypatch.setattr(script, part, (*getattr(script, part), arm))
    folder = Folder(tmp_path)
    end = call(folder, "--quick", script=script)
    assert end.code == 1 and said in end.stderr.splitlines()[-1] and folder.contents() == {}, end.stderr


@pytest.mark.parametrize("good", [True, False])
def test_bfloat16_that_is_only_emulated_is_refused(monkeypatch, good):
    monkeypatch.setattr(train, "good_at_bfloat16", lambda device: good)
    for bfloat16 in (False, True):
        try:
            ex2b_adam.check(ex2b_adam.Settings(bfloat16=bfloat16), torch.device("cpu"))
            assert good or not bfloat16
        except ValueError as error:
            assert bfloat16 and not good and "cpu only emulates bfloat16" in str(error) and "float32" in str(error)


# ---- how 2b computes ----


@pytest.fixture
def watched(monkeypatch):
    """watched(watch, **settings): train an arm of 2b for an epoch, return its entry in the record.

    watch(number, logits) sees those of each batch, may return others, and knows it by its number: 0 to 5 are for
    training, 6 and 7 the test images, 8 the sample of the training images, 9 to 11 all of these.
    """
    build, (_, parts) = models.cnn, ex2b_adam.load(None, stand_in=True, quick=True)

    def train_watched(watch, **settings):
        def cnn(*arguments):
            model, number = build(*arguments), count()
            model[-1].register_forward_hook(lambda layer, inputs, logits: watch(next(number), logits))
            return model

        monkeypatch.setattr(models, "cnn", cnn)
        run = SimpleNamespace(cases=ex2b_adam.ARMS[:1], epochs=1, device=torch.device("cpu"), rows=[])
        run.restore, run.append = lambda *_: None, lambda row, *_: run.rows.append(row)
        return ex2b_adam.train(run, ex2b_adam.Settings(width=2, **settings), parts)[0]

    return train_watched


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_2b_computes_all_of_a_run_as_told(watched, precision):
    """And scores without gradients."""
    seen, dtype, bfloat16 = [], getattr(torch, precision), precision == "bfloat16"
    entry = watched(lambda _, logits: seen.append((logits.dtype, logits.requires_grad)), bfloat16=bfloat16)
    assert seen == [(dtype, True)] * 6 + [(dtype, False)] * 6 and entry["precision"] == precision


@pytest.mark.parametrize("batch, value", [(6, math.inf), (7, math.nan)])
def test_one_logit_of_any_batch_of_test_images_that_is_not_finite_is_seen(watched, batch, value):
    def spoil(number, logits):
        if number == batch:
            logits[7, 3] = value

    entry = watched(spoil)
    assert entry["status"] == "non-finite"


# ---- the commands that the pages and docstrings name ----


SAID = [(ROOT / path).read_text(encoding="utf-8") for path in ("README.md", "figures/README.md", "figures/speed.md")]
COMMAND = r"python (?:-m figures\.choices\.)?(ex2a_vanishing|ex2b_adam|cnn|rescue)(?:\.py)?"
COMMAND += r"((?:\s--[\w-]+(?: [^-\s`][^\s`]*)?)*)"
NAMED = {
    (name, " ".join(flags.split()))
    for text in (*SAID, ex2a_vanishing.__doc__, ex2b_adam.__doc__)
    for name, flags in re.findall(COMMAND, text)
}


@pytest.mark.parametrize("name, flags", sorted(NAMED))
def test_a_command_goes_on_with_a_committed_record_or_begins_one_of_its_own(monkeypatch, name, flags):
    script = {"ex2a_vanishing": ex2a_vanishing, "ex2b_adam": ex2b_adam, "cnn": cnn, "rescue": rescue}[name]
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", [name, *flags.split()])
    settings = options.read(script.Settings, "")
    path = script.experiment._path(settings, "real images")
    if path.exists() and not settings.plot_only:
        missing = book_of(script, settings, path).missing()
        assert {part for part, *_ in missing} <= {"runs"}  # of which some are still to come
