"""What is the scripts' own: their arms are those of the sheet, what cannot be trained is refused, and a third script
has at most 40 lines."""

import ast
import tokenize
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from started import ROOT, THIRD, Folder

import ex2a_vanishing
import ex2b_adam
from common import train
from common.experiment import book

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


def test_the_arms_of_2a_are_those_of_the_sheet():
    arms = [(arm.hidden, arm.activation, arm.init) for arm in ex2a_vanishing.ARMS]
    shapes = (50,), (50, 30), (50, 30, 30), DEEPEST
    assert arms[:8] == [(shape, activation, "default") for activation in ("sigmoid", "relu") for shape in shapes]
    assert (DEEPEST, "sigmoid", "xavier_normal") in arms and (DEEPEST, "sigmoid", ex2a_vanishing.RESCUE) in arms
    assert len(set(arms)) == len(arms) and ex2a_vanishing.DEEPEST == DEEPEST
    assert {(arm.optimizer, arm.lr, arm.momentum) for arm in ex2a_vanishing.ARMS} == {("sgd", 0.005, 0)}
    settings = ex2a_vanishing.Settings()
    assert (settings.epochs, settings.seeds, ex2a_vanishing.BATCH_SIZE) == (20, 5, 64)


def test_the_runs_of_2a_have_every_arm_once_and_only_such_as_train_as_one_model():
    for seeds in (1, 2, 5, 40):
        settings = ex2a_vanishing.Settings(seeds=seeds)
        for part, (epochs, arms) in ex2a_vanishing.plan(settings).items():
            runs = ex2a_vanishing.together(part, list(arms), settings)
            assert Counter(arm for run in runs for arm in run) == Counter(arms)
            if epochs:
                same = [{(a.hidden, a.activation, a.optimizer, a.lr, a.momentum) for a in run} for run in runs]
                assert all(len(one) == 1 for one in same)
                assert all(len(run) * seeds <= 16 or len(run) == 1 for run in runs)


def test_the_arms_of_2b_are_those_of_the_sheet_in_their_order():
    arms = ex2b_adam.ARMS
    assert [(arm.optimizer, arm.lr) for arm in arms[:10]] == [
        *[("adam", 1e-3), ("sgd", 1.0), ("sgd", 0.1), ("sgd", 0.01), ("sgd", 0.001), ("sgd", 0.0001)],
        *[("adam", 0.1), ("adam", 0.01), ("adam", 0.0001), ("adam", 0.00001)],
    ]
    k = np.random.default_rng(0).uniform(1, 5, 5)
    assert list(ex2b_adam.RANDOM_K) == k.tolist() and [arm.lr for arm in arms[10:]] == [10**-x for x in k.tolist()]
    searches = [("default", "grid"), *[("sgd",)] * 5, *[("grid",)] * 4, *[("random",)] * 5]
    assert [arm.searches for arm in arms] == searches
    assert {(arm.optimizer, arm.momentum) for arm in arms} == {("adam", None), ("sgd", 0.9)}
    settings = ex2b_adam.Settings()
    assert (settings.epochs, settings.seeds, settings.bfloat16, ex2b_adam.BATCH_SIZE) == (50, 1, False, 128)


def test_further_seeds_of_2b_are_for_what_is_compared_and_come_last():
    ((epochs, one),) = ex2b_adam.plan(ex2b_adam.Settings()).values()
    ((_, three),) = ex2b_adam.plan(ex2b_adam.Settings(seeds=3)).values()
    compared = [arm for arm in ex2b_adam.ARMS if arm.repeated]
    assert epochs == 50 and one == ex2b_adam.ARMS == three[:15]
    assert [(arm.optimizer, arm.lr, arm.seed) for arm in three[15:]] == [
        (arm.optimizer, arm.lr, seed) for seed in (1, 2) for arm in compared
    ]
    assert {search for arm in compared for search in arm.searches} == {"default", "grid", "sgd", "random"}


@pytest.mark.parametrize("script", [ex2a_vanishing, ex2b_adam])
def test_no_two_arms_have_one_name_or_identity(script):
    arms = [arm for _, arms in script.plan(script.Settings(seeds=2)).values() for arm in arms]
    for what in (lambda arm: arm.name, lambda arm: str(book.identity(arm))):
        assert max(Counter(map(what, arms)).values()) == 1


# ---- what cannot be trained ----

ARM = ex2a_vanishing.ARMS[0]
WRONG = [
    (ex2a_vanishing, replace(ARM, init="xavier_abnormal"), "'xavier_abnormal'"),
    (ex2a_vanishing, replace(ARM, activation="tan"), "'tan'"),
    (ex2a_vanishing, replace(ARM, hidden=()), "(got ())"),
    (ex2a_vanishing, replace(ARM, optimizer="sgdd"), "'sgdd'"),
    (ex2a_vanishing, ARM, f"{ARM.name} is planned twice"),
    (ex2b_adam, replace(ex2b_adam.ARMS[0], optimizer="adamm"), "'adamm'"),
    (ex2b_adam, replace(ex2b_adam.ARMS[0], searches=()), "is planned twice"),
]


@pytest.mark.parametrize("script, arm, said", WRONG, ids=[said for *_, said in WRONG])
def test_an_arm_that_cannot_be_trained_is_refused_before_training(call, tmp_path, monkeypatch, script, arm, said):
    monkeypatch.setattr(script, "ARMS", (*script.ARMS, arm))
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
