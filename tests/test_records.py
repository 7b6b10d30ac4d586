"""Records: written whole or not at all, behind every run, extended, never of other settings, by one process at a time.

All of it on the third exercise, whose runs are trained on a Dask worker within this process, but for the first test.
"""

import json
import math
import os
import platform
import shutil
import signal
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from started import Folder, ended

from common.experiment import options, progress, records
from tests import third as script

EPOCHS, SEEDS, RUNS = 3, 3, 6
GENERATED = "Generated data: without --quick and --stand-in real ones are used, if they can be had."


def numbers(state):
    """All that a state has of a network and its training, the time aside."""
    state = torch.load(state)
    return state["rows"], {name: tensor.tolist() for name, tensor in state["model"].items()}, state["optimizer"]


def fails_at(monkeypatch, part, times=0):
    """Let the disk be full whenever a file whose name has this part is written, after so many times."""
    replace, met = os.replace, []

    def full(source, target):
        met.extend([target] * (part in str(target)))
        if part in str(target) and len(met) > times:
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)


# ---- what an experiment gets ----


def test_an_experiment_gets_a_record_states_a_figure_a_table_and_progress(whole, tmp_path):
    """From its script on this machine. A cluster gives the same, on which those tests stand that train here."""
    folder = Folder(tmp_path)
    end = ended(folder.start("--jobs", "1"))
    assert end.code == 0
    record = json.loads(folder.file().read_text())
    assert record["schema"] == records.SCHEMA and record["exercise"] == "third" and record["data"] == "small images"
    assert record["settings"] == {"epochs": EPOCHS, "seeds": SEEDS, "batch_size": 10, "train_images": 100}
    assert record["planned"] == RUNS == len(folder.states())
    (_, planned) = script.plan(script.Settings())["arms"]
    assert [arm["name"] for arm in record["arms"]] == [arm.name for arm in planned]
    assert record["seconds"] == pytest.approx(sum(arm["seconds"] for arm in record["arms"]), rel=1e-5)
    assert {*record["versions"]} == {"python", "torch", "torchvision", "numpy", "matplotlib", "pillow"}
    machine = {"device": "cpu", "name": platform.machine(), "threads": 1}
    assert record["machine"] == machine | {"capability": torch.backends.cpu.get_cpu_capability()}
    for arm in record["arms"]:
        assert [arm[name] for name in ("versions", "machine")] == [record[name] for name in ("versions", "machine")]
        assert len(arm["loss"]) == EPOCHS and (arm["lr"] == 1.0 or arm["loss"][0] > arm["loss"][-1])
        assert arm["versions"]["torch"] == torch.__version__.split("+")[0] and arm["machine"]["threads"] == 1
    (picture,) = (folder.path / "out").glob("*.png")
    assert picture.name == "third_loss.png" and picture.read_bytes()[:4] == b"\x89PNG" and folder.leftovers() == []
    *table, look, drawn, last = end.stdout.splitlines()
    assert table == [script.line(arm) for arm in record["arms"]]
    assert str(folder.file().parent) in look and (drawn, last) == (picture.name, folder.file().name)
    first, second, *lines, last = end.stderr.splitlines()
    assert "lacks of 6 entries" in first and second.endswith("small images (100 train images): 6 runs, 1 process")
    assert set(table) < set(lines) and "18/18 epochs" in last
    assert folder.record() == whole[0].record()
    for mine, other in zip(folder.states(), whole[0].states(), strict=True):
        assert mine.name == other.name and numbers(mine) == numbers(other)
    assert picture.read_bytes() == (whole[0].path / "out/third_loss.png").read_bytes()


def test_what_is_no_longer_planned_leaves_the_record(third, call):
    before = third.file().read_bytes()
    arms = third.record()["arms"]
    third.change(arms=[*json.loads(before)["arms"], arms[0] | {"lr": 7.0, "name": "rate 7", "seconds": 1}], planned=7)
    _, last = call(third).stderr.splitlines()
    assert last.startswith(f"Nothing to train: {third.file()} has all") and third.file().read_bytes() == before


# ---- whole or absent ----


def test_a_file_that_the_disk_does_not_keep_leaves_the_old_one_and_nothing_else(tmp_path, monkeypatch):
    """One that cannot take its place: see the full disk; one that is interrupted: see the figure."""

    def full(*_):
        raise OSError(28, "No space left on device")

    path = tmp_path / "record.json"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device"), records.atomic(path) as file:
        file.write(b"half")
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["record.json"]


def test_records_are_strict_json_with_six_digits_and_one_line_per_entry(tmp_path):
    path = tmp_path / "record.json"
    arms = [{"name": "b", "x": (1e-9 / 3, math.nan)}, {"name": "a", "lr": 0.0012345678901}]
    records.write(path, {"schema": records.SCHEMA, "arms": arms, "lr": 1 / 3, "none": None})
    text = path.read_text()
    assert "NaN" not in text and len([line for line in text.splitlines() if '"name"' in line]) == 2
    record = records.read(path)
    assert record["arms"][0]["x"] == pytest.approx([3.33333e-10, math.nan], 1e-12, 0, nan_ok=True)
    assert record["arms"][1] == arms[1] and record["lr"] == 1 / 3 and record["none"] is None
    assert list(record) == sorted(record)


@pytest.mark.parametrize("part, states, arms", [(".pt", 0, None), ("third.json", 1, None), (".png", RUNS, RUNS)])
def test_a_full_disk_is_one_line_and_the_same_command_goes_on(whole, call, tmp_path, monkeypatch, part, states, arms):
    """For a state, the record and a figure; what another run has begun meanwhile may end."""
    folder = Folder(tmp_path)
    with monkeypatch.context() as patch:
        fails_at(patch, part)
        end = call(folder)
    last = end.stderr.splitlines()[-1]
    assert end.code == 1 and last.startswith("third.py: error: cannot write ") and part in last and "No space" in last
    assert folder.leftovers() == [] and len(folder.states()) >= states
    assert (folder.record() and len(folder.record()["arms"])) == arms
    assert call(folder).code == 0 and folder.record() == whole[0].record()


def test_plot_only_replaces_every_picture(third, call, monkeypatch):
    files, draw = [third.path / f"out/third_{name}.png" for name in ("loss", "more", "last")], script.draw
    expected = files[0].read_bytes()
    for file in files:
        file.write_bytes(b"old")
    monkeypatch.setattr(
        script, "draw", lambda record: [(file.name, made) for file in files for _, made in draw(record)]
    )
    said = call(third, "--plot-only").stdout
    assert said.splitlines()[-4:-1] == [file.name for file in files]
    assert [file.read_bytes() for file in files] == [expected] * 3


def test_a_figure_that_is_interrupted_is_the_old_one(third, call, monkeypatch):
    class Interrupted:
        def save(self, file):
            file.write(b"half")
            raise KeyboardInterrupt

    before = third.contents()
    monkeypatch.setattr(script, "draw", lambda record: [("third_loss.png", Interrupted())])
    end = call(third, "--plot-only")
    assert (end.code, end.stderr) == (130, "third.py: interrupted\n") and third.contents() == before


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("epochs, said", [(0, ""), (3, "; the same command, without --fresh, goes on from here")])
def test_only_what_has_trained_is_said_to_go_on(call, tmp_path, monkeypatch, epochs, said, times):
    class Interrupted(progress.Progress):
        def __exit__(self, *raised):
            super().__exit__(*raised)
            if times == 2:
                raise KeyboardInterrupt

        def step(self, *counted, **options):
            if self.done == epochs:
                raise KeyboardInterrupt
            super().step(*counted, **options)

    monkeypatch.setattr(progress, "Progress", Interrupted)
    end = call(Folder(tmp_path))
    assert end.code == 130 and end.stderr.splitlines()[-1] == f"third.py: interrupted{said}"


@pytest.mark.parametrize("sent, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_within_a_finalizer_is_not_lost(third, call, monkeypatch, sent, code):
    """Python ignores what a finalizer or a callback of a collection raises, so also what ends the program."""

    class Dying:
        def __del__(self):
            os.kill(os.getpid(), sent)

    def draw(record):
        Dying()
        time.sleep(20)
        yield from ()

    monkeypatch.setattr(script, "draw", draw)
    end = call(third, "--plot-only")
    assert end.code == code and "ignored" not in end.stderr and "Dying" not in end.stderr


# ---- what the record has, and what is missing ----


def test_fresh_trains_everything_again_whatever_is_there(third, call):
    before = third.contents()
    expected = third.record()
    third.file().write_text("damaged")
    end = call(third, "--fresh")
    assert end.code == 0 and ": 6 runs" in end.stderr and third.record() == expected
    assert not set(before.values()) & {state.read_bytes() for state in third.states()}


def test_the_record_grows_behind_every_run(whole, call, tmp_path, monkeypatch):
    """Here in the folder that the states have."""
    folder, seen, line = Folder(tmp_path), [], script.line

    def look(arm):
        seen.append(folder.record())
        return line(arm)

    monkeypatch.setattr(script, "line", look)
    assert call(folder, "--runs", str(tmp_path / "out")).code == 0
    for number, record in enumerate(seen[:RUNS], 1):  # the rest are lines of the table
        assert record["planned"] == RUNS and record["arms"] == whole[0].record()["arms"][:number]


def test_arms_that_are_gone_are_dropped_and_the_missing_ones_alone_are_trained(third, call):
    expected, record = third.record(), json.loads(third.file().read_text())
    third.change(arms=[record["arms"][0] | {"lr": 7.0, "name": "gone"}, *record["arms"][:0:-2]])  # and out of order
    for state in third.states():
        state.unlink()
    end = call(third)
    assert end.code == 0 and ": 3 runs" in end.stderr and third.record() == expected
    trained = [state.name.split("-rate-")[1][:-12] for state in third.states()]
    assert trained == ["0.1-seed-0", "0.1-seed-2", "1-seed-1"]


def test_more_seeds_extend_a_record_and_fewer_keep_it(third, call):
    old = third.record()
    end = call(third, "--seeds", "4")
    more, whole = third.record(), json.loads(third.file().read_text())
    assert whole["seconds"] == pytest.approx(sum(arm["seconds"] for arm in whole["arms"]), rel=1e-5)
    assert end.code == 0 and ": 2 runs" in end.stderr and more["settings"]["seeds"] == 4 and more["planned"] == 8
    assert [arm for arm in more["arms"] if arm["seed"] < 3] == old["arms"] and len(more["arms"]) == 8
    before = third.contents()
    end = call(third, "--seeds", "1")
    assert end.code == 0 and "Training on" not in end.stderr and third.contents() == before
    third.change(arms=json.loads(third.file().read_text())["arms"][1:])
    end = call(third, "--seeds", "1")
    assert end.code == 0 and ": 1 run" in end.stderr and third.record() == more


def test_what_stands_in_for_data_that_is_lacking_is_said_to_do_so_and_goes_elsewhere(
    whole, call, tmp_path, monkeypatch
):
    """Where there are data, what the record of the real ones refuses is said at once."""
    monkeypatch.setattr(options, "ROOT", tmp_path)
    monkeypatch.setattr(Folder, "flags", ())
    lacking = replace(script.experiment, load=lambda folder, stand_in, quick: script.load(folder, True, quick))
    monkeypatch.setattr(script, "experiment", lacking)
    real = tmp_path / "figures/third.json"
    real.parent.mkdir()
    shutil.copy(whole[0].file(), real)
    with records.lock(tmp_path / "figures/stand-in", "third", "--any"):
        assert "figures/stand-in/third is in use" in call(Folder(tmp_path)).stderr
    assert call(Folder(tmp_path), "--epochs", "2").stdout.splitlines()[-1] == GENERATED
    assert (tmp_path / "figures/stand-in/third.json").exists() and real.read_bytes() == whole[0].file().read_bytes()
    (tmp_path / "data/some").mkdir(parents=True)
    (said,) = call(Folder(tmp_path), "--epochs", "2").stderr.splitlines()
    assert f"{real} holds other runs" in said


@pytest.mark.parametrize(
    "flags, folder",
    [([], "figures"), (["--stand-in"], "figures/stand-in"), (["--quick", "--stand-in"], "figures/quick")],
)
def test_results_go_beside_the_scripts_each_kind_into_its_own_folder(call, tmp_path, monkeypatch, flags, folder):
    monkeypatch.setattr(options, "ROOT", tmp_path)
    monkeypatch.setattr(Folder, "flags", ())
    end = call(Folder(tmp_path), *flags)
    assert end.code == 0
    assert end.stdout.splitlines()[-1] == (GENERATED if flags else "third.json")
    assert {path.parent for path in tmp_path.rglob("third*") if path.suffix in (".json", ".png")} == {tmp_path / folder}
    assert len(list((tmp_path / "runs").glob("third*.pt"))) == (4 if "--quick" in flags else RUNS)
    assert call(Folder(tmp_path), "--plot-only", *flags).stdout == end.stdout
    with records.lock(tmp_path / folder, "third", "--any"):
        assert "is in use" in call(Folder(tmp_path), *flags, "--runs", str(tmp_path / "others")).stderr


# ---- one process at a time ----


@pytest.mark.parametrize("held, flag", [("runs", "--runs"), ("out", "--out")])
def test_the_second_of_two_is_refused_and_may_look_on(third, call, held, flag):
    before = third.contents()
    with records.lock(third.path / held, "third", "--any"):
        end = call(third, "--fresh")
        assert end.code == 1 and third.contents() == before
        (said,) = end.stderr.splitlines()
        assert f"{third.path / held / 'third'} is in use (by process {os.getpid()})" in said and flag in said
        assert call(third, "--plot-only").code == 0
    assert records._holder(third.path) == "another process"  # where it cannot be read
    with records.lock(third.path / held, "another", "--any"):
        assert call(third).code == 0


def test_what_a_killed_process_left_is_cleared_by_the_next_of_the_same_name(third, call):
    left = [third.path / name for name in ("runs/.third-a.pt.1.2", "out/.third.json.1.2", "out/.third_a.png.1.2")]
    others = [third.path / name for name in ("runs/.thirdly-a.pt.1.2", "out/.ex2a.json.1.2", "out/third_note")]
    for path in (*left, *others):
        path.write_bytes(b"half")
    assert call(third).code == 0
    assert not any(path.exists() for path in left) and all(path.exists() for path in others)


# ---- progress ----


def test_epochs_that_are_trained_again_count_once(monkeypatch):
    """As where a worker died behind two of them, and another began anew."""
    steps, added, told = [], [], (1, 2, 0, 1, 3, [{"name": "x", "loss": [1.0]}] * 2)
    monkeypatch.setattr(progress.Progress, "step", lambda self, epochs, **how: steps.append((epochs, self.total)))
    workers = SimpleNamespace(sweep=lambda name, calls: [(0, event) for event in told])
    book = SimpleNamespace(shared={}, add=lambda *entered: added.append(entered))
    script.experiment._sweep(workers, script.Settings(), book, [("arms", ("one case", "another"), 3)])
    assert steps == [(epochs, 6) for epochs in (2, 2, 0, 0, 2, 0)]  # of two networks
    assert added == [("arms", ("one case", "another"), told[-1])]


def test_the_pace_is_that_of_what_is_new(monkeypatch, capsys):
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.Progress(100, 2) as shown:
        shown.step(40, new=False)  # of an earlier start
        for seconds, epochs in ((49, 2), (11, 8), (60, 10)):
            now[0] += seconds
            shown.step(epochs)
            assert ("left" in shown.desc) == (epochs > 2)  # sooner it would be a guess
        shown.write("a line", file=sys.stderr)
        now[0] += 60
        shown.step(39)
        shown.step(1, finished=True)
        shown.step(0, finished=True)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 7  # a line every ten seconds at most
    assert said[:2] == ["40/100 epochs, 0/2 runs", "42/100 epochs, 0/2 runs"]
    assert "50/100 epochs" in said[2] and "about 5 min left" in said[2]  # 10 epochs a minute, 50 are left
    assert "60/100 epochs" in said[3] and "about 4 min left" in said[3]
    assert said[4] == "a line" and "99/100 epochs, 0/2 runs, about 1 min left" in said[5]
    assert "100/100 epochs, 2/2 runs" in said[-1] and "left" not in said[-1]
