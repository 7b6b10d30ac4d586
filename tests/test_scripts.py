"""What is the scripts' own: their arms are those of the sheet, what cannot be trained is refused, and a third script
has at most 40 lines."""

import ast
import re
import sys
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from started import ROOT, THIRD
from test_shapes import book_of

import ex2a_vanishing
import ex2b_adam
from common import models, train
from common.experiment import options
from figures.choices import cnn, rescue


def test_a_third_exercise_takes_at_most_40_lines_of_code():
    """Imports and texts aside; among them the line by which it finds the repository, since it lies below tests/."""
    tree, other = ast.parse((ROOT / THIRD).read_text(encoding="utf-8")), (ast.Import, ast.ImportFrom)
    for block in ast.walk(tree):
        if isinstance(getattr(block, "body", None), list):  # not of a lambda
            texts = [one for one in block.body if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)]
            block.body = [one for one in block.body if one not in texts and not isinstance(one, other)]
    assert 30 < sum(map(bool, ast.unparse(tree).splitlines())) <= 40


# ---- the arms ----


def test_each_arm_of_2a_differs_from_another_one_in_one_thing():
    """Which arms there are, test_shapes compares with the records, and test_answers these with the sheet."""
    fields = "hidden", "activation", "init", "rate", "momentum", "batch_norm"
    how = [vars(arm) | {"rate": (arm.optimizer, arm.lr)} for arm in ex2a_vanishing.ARMS]
    assert all(any(sum(one[of] != other[of] for of in fields) == 1 for other in how) for one in how)


def test_the_runs_of_2a_have_every_arm_once_and_only_such_as_train_as_one_model():
    """The long ones first."""
    for seeds in (1, 2, 5, 40):
        settings = ex2a_vanishing.Settings(seeds=seeds)
        for part, (epochs, arms) in ex2a_vanishing.plan(settings).items():
            runs = ex2a_vanishing.together(part, list(arms), settings)
            assert Counter(arm for run in runs for arm in run) == Counter(arms)
            assert epochs or len(runs) == 1
            listed = [replace(arm, hidden=[*arm.hidden]) for arm in arms]  # as an edited script may have it
            assert [*map(len, ex2a_vanishing.together(part, listed, settings))] == [*map(len, runs)]
            assert [*map(len, runs)] == sorted(map(len, runs), reverse=True)
            if epochs:
                assert all(len({replace(arm, init="") for arm in run}) == 1 for run in runs)
                assert all(len(run) * seeds <= 16 or len(run) == 1 for run in runs)


def test_further_searches_of_2b_have_draws_of_their_own_and_further_seeds_are_for_what_is_compared():
    ((epochs, one),) = ex2b_adam.plan(ex2b_adam.Settings()).values()
    ((_, all_of_them),) = ex2b_adam.plan(ex2b_adam.Settings(seeds=3, draws=3)).values()
    assert epochs == 50 and one == ex2b_adam.ARMS == all_of_them[:15]
    assert replace(one[0], searches=(), repeated=False) == one[0]  # which say nothing of what it is
    drawn, seeds = all_of_them[15:25], all_of_them[25:]
    assert [(arm.optimizer, arm.lr, arm.seed, arm.searches) for arm in drawn] == [
        ("adam", 10**-k, s, (f"random {s}",))
        for s in (1, 2)
        for k in np.random.default_rng(s).uniform(1, 5, 5).tolist()
    ]
    compared = [("adam", 1e-3), ("sgd", 0.1), ("sgd", 0.01), ("adam", 1e-2), ("adam", one[11].lr)]
    assert [(arm.optimizer, arm.lr, arm.seed) for arm in seeds] == [(*arm, seed) for seed in (1, 2) for arm in compared]
    assert {search for arm in seeds for search in arm.searches} == {"default", "grid", "sgd", "random"}
    extending = [name for script in (ex2a_vanishing, ex2b_adam, cnn) for name in script.Settings.EXTENDING]
    assert extending == ["seeds", "draws", "seeds"]


# ---- what cannot be trained ----

ARM = ex2a_vanishing.ARMS[0]
WRONG = [
    (ex2a_vanishing, "ARMS", replace(ARM, init="xavier_abnormal"), "'xavier_abnormal'"),
    (ex2a_vanishing, "UNTRAINED", replace(ARM, activation="tan"), "'tan'"),
    (ex2a_vanishing, "SEEN", replace(ARM, hidden=()), "(got ())"),
    (ex2a_vanishing, "PLATEAU", replace(ARM, optimizer="sgdd"), "'sgdd'"),
    (ex2a_vanishing, "ARMS", replace(ARM, optimizer="adam", momentum=0.9), "takes no momentum (got 0.9)"),
    (ex2a_vanishing, "ARMS", replace(ARM, lr=-0.1), "-0.1"),
    (ex2b_adam, "ARMS", replace(ex2b_adam.ARMS[0], optimizer="adamm"), "'adamm'"),
    (ex2b_adam, "ARMS", replace(ex2b_adam.ARMS[0], lr=-0.1), "-0.1"),
]


@pytest.mark.parametrize("script, part, arm, said", WRONG, ids=[said for *_, said in WRONG])
def test_an_arm_that_cannot_be_trained_is_refused(monkeypatch, script, part, arm, said):
    """That this ends the program before training, and an arm that is there twice, test_input shows."""
    monkeypatch.setattr(script, part, (*getattr(script, part), arm))
    with pytest.raises(ValueError, match=re.escape(said)):
        for _, arms in script.plan(script.Settings()).values():
            for one in arms:
                script.experiment.check(one, script.Settings(), torch.device("cpu"))


def test_bfloat16_that_is_only_emulated_is_refused(monkeypatch):
    check, cpu, arm = ex2b_adam.experiment.check, torch.device("cpu"), ex2b_adam.ARMS[0]
    for good in (True, False):
        monkeypatch.setattr(train, "good_at_bfloat16", lambda device: good)
        check(arm, ex2b_adam.Settings(bfloat16=good), cpu)
    with pytest.raises(ValueError, match="cpu only emulates bfloat16.*float32"):
        check(arm, ex2b_adam.Settings(bfloat16=True), cpu)


# ---- how 2b computes ----


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_2b_computes_all_of_a_run_as_told(monkeypatch, precision):
    """And scores without gradients: two batches of test images, one of the sample, two of all training images."""
    seen, build, (_, parts) = [], models.cnn, ex2b_adam.load(None, stand_in=True, quick=True)

    def cnn(*arguments):
        model = build(*arguments)
        model[-1].register_forward_hook(lambda layer, inputs, logits: seen.append((logits.dtype, logits.requires_grad)))
        return model

    monkeypatch.setattr(models, "cnn", cnn)
    run = SimpleNamespace(cases=ex2b_adam.ARMS[:1], epochs=1, device=torch.device("cpu"), rows=[])
    run.restore, run.append = lambda *_: None, lambda row, *_: run.rows.append(row)
    (entry,) = ex2b_adam.train(run, ex2b_adam.Settings(width=2, bfloat16=precision == "bfloat16"), parts)
    dtype = getattr(torch, precision)
    assert seen == [(dtype, True)] * 3 + [(dtype, False)] * 5 and entry["precision"] == precision


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
