"""States and records: whole or absent, checked when read, never of other settings."""

import json
import math
import os

import pytest
import torch

from common import models, runs


def add_an_epoch(run, loss):
    model = models.mlp((5,), "relu", [("default", 0)], features=16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    run.restore(model, optimizer)
    run.append({"train_loss": [loss]}, model, optimizer)


@pytest.fixture
def saved(tmp_path):
    """The folder and the settings of a run with one finished epoch."""
    settings = {"lr": 0.1, "arms": ["a"]}
    run = runs.Run(tmp_path, "run", settings, where="there")
    add_an_epoch(run, 1.5)
    return tmp_path, settings, run.path


def test_a_run_is_found_again_by_its_settings_alone(saved):
    folder, settings, path = saved
    assert runs.Run(folder, "run", settings).rows == [{"train_loss": [1.5]}]
    assert runs.Run(folder, "run", settings, fresh=True).rows == []
    assert runs.Run(folder, "run", settings | {"lr": 0.2}).rows == []
    assert path.exists()


def test_a_run_knows_where_its_last_epoch_was_trained(saved):
    folder, settings, path = saved
    run = runs.Run(folder, "run", settings, where="here")
    assert run.where == "there"
    add_an_epoch(run, 1.4)
    assert run.where == "here" and runs.Run(folder, "run", settings, where="elsewhere").where == "here"


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


DAMAGES = truncate, flip_a_weight, flip_a_name, lambda content: b"", lambda content: b"something else"


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_moved_aside_with_one_warning(saved, capsys, damage):
    folder, settings, path = saved
    path.write_bytes(damage(path.read_bytes()))
    assert runs.Run(folder, "run", settings).rows == []
    assert not path.exists() and path.with_suffix(".bad").exists()
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("change", [{"schema": runs.SCHEMA + 1}, {"settings": {"lr": 0.3}}])
def test_a_state_of_another_version_or_settings_is_named(saved, change):
    folder, settings, path = saved
    torch.save(torch.load(path) | change, path)
    with pytest.raises(OSError, match=path.name):
        runs.Run(folder, "run", settings)


def test_an_unfinished_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "record.json"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        with runs.atomic(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["record.json"]


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    path = tmp_path / "record.json"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="record.json.*No space left on device"):
        runs.write_record(path, {"schema": runs.SCHEMA})
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["record.json"]


def test_records_are_strict_json_with_six_digits_and_one_line_per_arm(tmp_path):
    path = tmp_path / "record.json"
    arms = [{"name": "b", "x": [1 / 3, math.nan]}, {"name": "a", "lr": 0.0012345678901}]
    runs.write_record(path, {"schema": runs.SCHEMA, "arms": arms, "lr": 1 / 3})
    assert os.listdir(tmp_path) == ["record.json"]
    text = path.read_text()
    assert "NaN" not in text and len([line for line in text.splitlines() if '"name"' in line]) == 2
    record = runs.read_record(path)
    assert record["arms"][0]["x"] == pytest.approx([0.333333, math.nan], nan_ok=True, abs=0)
    assert record["arms"][1] == {"name": "a", "lr": 0.0012345678901}
    assert list(record) == sorted(record) and record["lr"] == 1 / 3


@pytest.mark.parametrize("text", ["", "{", json.dumps({"schema": runs.SCHEMA + 1}), "[]"])
def test_a_record_that_is_none_is_named(tmp_path, text):
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(OSError, match="record.json"):
        runs.read_record(path)


def test_a_missing_record_says_what_to_do(tmp_path):
    with pytest.raises(OSError, match="--plot-only"):
        runs.read_record(tmp_path / "record.json")


def test_generated_data_never_replaces_a_record_of_real_data(tmp_path):
    path = tmp_path / "record.json"
    runs.write_record(path, {"schema": runs.SCHEMA, "data": "Fashion-MNIST"})
    runs.check_target(path, "Fashion-MNIST")
    with pytest.raises(OSError, match="record.json"):
        runs.check_target(path, "stand-in")


def test_one_process_at_a_time(tmp_path):
    with runs.lock(tmp_path, "ex"):
        with pytest.raises(OSError, match=f"process {os.getpid()}"):
            with runs.lock(tmp_path, "ex"):
                pass
        with runs.lock(tmp_path, "another"):
            pass


def test_what_a_killed_process_left_is_removed_and_nothing_of_another_exercise(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    left, others = (tmp_path / ".ex-run.pt.1.2", out / ".ex.json.1.2"), (tmp_path / ".a-run.pt.1.2", out / "ex.json")
    for path in (*left, *others):
        path.write_bytes(b"half")
    with runs.lock(tmp_path, "ex", out):
        assert not any(path.exists() for path in left) and all(path.exists() for path in others)


def test_a_folder_that_cannot_be_locked_is_one_line(tmp_path):
    (tmp_path / "ex.lock").mkdir()
    with pytest.raises(OSError, match="cannot write into .*Give another --runs"):
        with runs.lock(tmp_path, "ex"):
            pass


def test_a_record_of_other_settings_is_kept(tmp_path):
    record = {"data": "CIFAR-10", "settings": {"epochs": 2, "seeds": 1}}
    runs.check_same("record", record, {"data": "CIFAR-10", "epochs": 2})
    for other, said in (({"epochs": 3}, "epochs 2, now 3"), ({"data": "stand-in"}, "data CIFAR-10, now stand-in")):
        with pytest.raises(OSError, match=said):
            runs.check_same("record", record, other)
