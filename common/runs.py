"""Runs and records on disk: written whole or not at all, resumed at an epoch, checked when they are read."""

import hashlib
import io
import json
import math
import os
import sys
import tempfile
import threading
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path

SCHEMA = 1  # of states and records


@contextmanager
def atomic(path):
    """Yield a binary buffer that takes the place of `path` once it is complete; nothing is left behind otherwise."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        buffer = io.BytesIO()
        yield buffer
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "wb") as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise OSError(f"cannot write {path} ({error.strerror or error}). Earlier results are untouched") from None
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def lock(folder, name, *more):
    """Hold `folder` for the exercise `name`, so that one process at a time works on its runs.

    What a process left there, or in the folders `more`, that was killed while it wrote, is removed.
    """
    import filelock

    folder = Path(folder)
    holder = folder / f"{name}.holder"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = filelock.FileLock(folder / f"{name}.lock").acquire(timeout=0)
    except filelock.Timeout:
        who = holder.read_text() if holder.exists() else "another process"
        raise OSError(f"the runs in {folder} are in use (by {who}). Wait for it, or give another --runs") from None
    except OSError as error:
        raise OSError(f"cannot write into {folder} ({error.strerror}). Give another --runs") from None
    with held:
        holder.write_text(f"process {os.getpid()}")
        for partial in (path for place in (folder, *more) for path in Path(place).glob(f".{name}*")):
            partial.unlink()
        yield


class Run:
    """What is trained and resumed as one: the rows of its finished epochs, its weights and its optimizer's state.

    settings: everything that determines the result. The file's name carries their digest, so that runs of
    other settings lie side by side. after(run) is called behind each epoch, to show progress. where: what
    machine.describe() says here; the attribute says it of the machine that trained the last epoch.
    """

    def __init__(self, folder, name, settings, fresh=False, after=lambda run: None, where=None):
        text = json.dumps(settings, sort_keys=True)
        self.settings = json.loads(text)  # as it comes back from a file
        self.path = Path(folder) / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.pt"
        self.after, self._here = after, where
        self._state = None if fresh else self._read()
        self.rows = self._state["rows"] if self._state else []
        self.seconds = self._state["seconds"] if self._state else 0.0
        self.where = self._state["where"] if self._state else where

    def _read(self):
        import torch

        if not self.path.exists():
            return None
        try:
            damaged = zipfile.ZipFile(self.path).testzip()  # torch.load does not compare checksums
            state = None if damaged else torch.load(self.path, map_location="cpu", weights_only=True)
        except OSError:
            raise
        except Exception:  # whatever a reader says of bytes that nobody wrote
            state = None
        if not isinstance(state, dict) or "schema" not in state:
            aside = self.path.with_suffix(".bad")
            os.replace(self.path, aside)
            print(f"warning: {self.path} was damaged; it is now {aside.name} and the run starts again", file=sys.stderr)
            return None
        if state["schema"] != SCHEMA or state["settings"] != self.settings or "where" not in state:
            raise OSError(f"{self.path} belongs to other settings or another version. Remove it, or use --fresh")
        return state

    def restore(self, model, optimizer):
        """Put the saved weights and moments back, where there are any, and start the clock."""
        if self._state:
            model.load_state_dict(self._state["model"])
            optimizer.load_state_dict(self._state["optimizer"])
        self._began = time.monotonic() - self.seconds

    def append(self, row, model, optimizer):
        """Save the state behind an epoch with its row."""
        import torch

        self.rows.append(row)
        self.seconds, self.where = time.monotonic() - self._began, self._here
        state = {"schema": SCHEMA, "settings": self.settings, "rows": self.rows, "seconds": self.seconds}
        state |= {"where": self.where, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
        with atomic(self.path) as file:
            torch.save(state, file)
        self.after(self)


def write_record(path, record):
    """Write strict JSON with sorted keys and six significant digits, one line per entry of a list of objects."""
    lines = []
    for key, value in sorted(_plain(record).items()):
        if isinstance(value, list) and value and isinstance(value[0], dict):
            text = (
                "[\n"
                + ",\n".join("  " + json.dumps(entry, sort_keys=True, allow_nan=False) for entry in value)
                + "\n ]"
            )
        else:
            text = json.dumps(value, sort_keys=True, allow_nan=False)
        lines.append(f" {json.dumps(key)}: {text}")
    with atomic(path) as file:
        file.write(("{\n" + ",\n".join(lines) + "\n}\n").encode())


def _plain(value, key=None):
    """Round to six significant digits, learning rates excepted; what is not finite becomes null."""
    if isinstance(value, dict):
        return {name: _plain(entry, name) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry, key) for entry in value]
    if isinstance(value, float):
        return None if not math.isfinite(value) else value if key == "lr" else float(f"{value:.6g}")
    return value


def read_record(path, *parts):
    """Read a record, with nan for each null in a list; raises OSError where there is none, or none with these parts."""
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise OSError(f"there is no record {path}. Run without --plot-only first") from None
    except ValueError:
        record = None
    if not isinstance(record, dict):
        raise OSError(f"{path} is not a record (damaged?). Remove it and run again")
    if record.get("schema") != SCHEMA:
        raise OSError(f"{path} has schema {record.get('schema')}, this version reads {SCHEMA}. Remove it and run again")
    missing = [part for part in parts if part not in record]
    if missing:
        raise OSError(f"{path} has no {', '.join(missing)} (damaged?). Remove it and run again")
    return _with_nan(record)


def _with_nan(value):
    """Undo what _plain did to numbers that are not finite."""
    if isinstance(value, dict):
        return {key: _with_nan(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [math.nan if entry is None else _with_nan(entry) for entry in value]
    return value


def check_target(path, what):
    """Refuse, before anything is trained, a record that could not be written or would replace a real one."""
    folder = Path(path).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"cannot write into {folder} ({error.strerror}). Give another --out") from None
    if what == "stand-in" and Path(path).exists() and read_record(path, "data")["data"] != "stand-in":
        raise OSError(f"{path} is a record of real data, which generated data does not replace. Give another --out")


def check_same(path, record, settings):
    """Refuse to mix a record with, or to replace it by, runs of other settings; "data" is one of them."""
    before = {"data": record["data"]} | record["settings"]
    differ = [f"{key} {before.get(key)}, now {value}" for key, value in settings.items() if before.get(key) != value]
    if differ:
        raise OSError(f"{path} holds other runs ({'; '.join(differ)}). Give another --out, or --fresh to replace it")
