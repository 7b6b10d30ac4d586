"""States: whole or absent, checked when read, resumed at an epoch to the same bits.

All of it on the third exercise, whose runs are trained on a Dask worker within this process.
"""

import io
import json
import zipfile
from types import SimpleNamespace

import torch
from started import Folder
from test_records import RUNS, fails_at, numbers

import ex2b_adam
from common.experiment import progress, state
from common.experiment.state import Run
from tests import third as script


def test_a_state_has_weights_statistics_moments_and_what_went_before(tmp_path):
    def begun(**where):
        model = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.BatchNorm1d(1))
        optimizer = torch.optim.Adam(model.parameters())
        model(torch.eye(2)).sum().backward()
        optimizer.step()
        run = Run(tmp_path, "third", "arms", (script.Arm(1.0),), 3, torch.device("cpu"), {}, where, False, print)
        return run, model, optimizer

    (before, *parts), (_, *others) = begun(at="here"), begun(at="there")
    parts[1].state[parts[0][0].bias]["exp_avg"][:] = 7
    before.append({"loss": 1.0}, *parts)
    after = begun(at="there")[0]
    after.restore(*others)
    for one, other in zip(parts, others):
        torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)
    assert after.rows == [{"loss": 1.0}] and after.where == {"at": "here"} and after.seconds == before.seconds


def test_states_of_different_runs_lie_side_by_side_under_names_that_all_systems_take(tmp_path, monkeypatch):
    one = {"part": "arms", "cases": (script.Arm(1.0),), "epochs": 3, "settings": {}, "device": None, "here": {}}
    others = {"part": "a"}, {"cases": (script.Arm(1.0), script.Arm(2.0))}, {"epochs": 4}, {"settings": {"seeds": 1}}
    runs = [Run(tmp_path, "third", fresh=True, tell=print, **one | other) for other in ({}, *others)]
    assert len({run.path for run in runs}) == len(runs)
    arms = [ex2b_adam.Arm("sgd", 1.0, ("sgd",), repeated) for repeated in (False, True)]  # which are equal
    assert len({Run(tmp_path, "x", fresh=True, tell=print, **one | {"cases": [arm]}).path for arm in arms}) == 1
    named = SimpleNamespace(name="64 | 1/2, a=1")
    monkeypatch.setattr(state, "identity", vars)
    assert Run(tmp_path, "x", fresh=True, tell=print, **one | {"cases": (named,)}).path.stem.startswith("x-64-1-2-a-1-")


def test_a_run_goes_on_behind_its_last_epoch_to_the_same_bits(whole, call, tmp_path, monkeypatch):
    folder = Folder(tmp_path)
    with monkeypatch.context() as patch:
        fails_at(patch, "seed-0", times=2)
        assert call(folder).code == 1
    (begun,) = [state for state in folder.states() if "rate-0.1-seed-0" in state.name]
    kept = torch.load(begun)
    assert len(kept["rows"]) == 2
    torch.save(kept | {"seconds": 1000.0}, begun)
    left = 3 * RUNS - sum(len(torch.load(state)["rows"]) for state in folder.states())
    steps, step = [], progress.Progress.step
    monkeypatch.setattr(
        progress.Progress,
        "step",
        lambda self, *counted, **how: steps.append((*counted, how)) or step(self, *counted, **how),
    )
    end = call(folder)
    assert sum(epochs for epochs, how in steps if how.get("new", True)) == left  # the pace is that of what is new
    assert sum(epochs for epochs, how in steps) == 3 * RUNS and sum(how.get("finished", 0) for _, how in steps) == RUNS
    assert end.code == 0 and folder.record() == whole[0].record()
    assert [numbers(state) for state in folder.states()] == [numbers(state) for state in whole[0].states()]
    seconds = [arm["seconds"] for arm in json.loads(folder.file().read_text())["arms"]]
    assert seconds[0] > 1000 > sum(seconds[1:])  # also those of the earlier start


def test_a_state_that_cannot_be_read_is_named_and_left_as_it_is(third, call, monkeypatch):
    third.file().unlink()
    before = third.contents()

    def fails(path):
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr(zipfile, "ZipFile", fails)
    end = call(third)
    assert end.code == 1 and "Input/output error: '" in end.stderr and third.contents() == before


def truncate(content):
    return content[: len(content) // 2]


def flip_a_weight(content):
    """One bit of the stored numbers: torch.load alone would not see it."""
    at = content.index(b"data/0") + 200
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


def flip_a_name(content):
    """One bit of a file's name in the archive's directory, which is no valid UTF-8 any more."""
    at = content.rindex(b"PK\1\2") + 46
    return content[:at] + bytes([content[at] ^ 128]) + content[at + 1 :]


def hostile(content):
    """What would print something if it were unpickled."""

    class Payload:
        def __reduce__(self):
            return print, ("payload ran",)

    torch.save(Payload(), file := io.BytesIO())
    return file.getvalue()


DAMAGES = truncate, flip_a_weight, flip_a_name, lambda content: b"", hostile


def test_damaged_states_are_moved_aside_with_one_warning_and_their_runs_start_again(whole, call, tmp_path):
    """A sound one alone gives its entry, as where the program was killed between a run's last state and the record."""
    folder = Folder(tmp_path).copy_of(whole[0], "runs")
    *victims, sound = folder.states()
    for victim, damage in zip(victims, DAMAGES, strict=True):
        victim.write_bytes(damage(victim.read_bytes()))
    aside, before = [victim.read_bytes() for victim in victims], sound.read_bytes()
    end = call(folder)
    assert end.code == 0 and end.stderr.count("warning: ") == len(victims) and folder.record() == whole[0].record()
    assert [victim.with_suffix(".bad").read_bytes() for victim in victims] == aside and sound.read_bytes() == before
    assert all(str(victim) in end.stderr for victim in victims) and "payload ran" not in end.stdout
