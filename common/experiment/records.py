"""Records and other files: written whole or not at all, by one process at a time, and checked when they are read."""

import io
import json
import math
import os
import threading
from contextlib import contextmanager
from pathlib import Path

import filelock

from .shapes import damage

SCHEMA = 2  # of states and records


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
def lock(folder, name, flag):
    """Hold what is called `name` in `folder`, which the option `flag` gave, for one process at a time.

    What a process left there that was killed while it wrote is removed.
    """
    file = folder / f"{name}.lock"
    try:
        held = filelock.FileLock(file).acquire(timeout=0)  # which makes the folder
    except filelock.Timeout:
        raise OSError(f"{folder / name} is in use (by {_holder(file)}). Wait for it, or give another {flag}") from None
    except OSError as error:
        raise OSError(f"cannot write into {folder} ({error.strerror}). Give another {flag}") from None
    with held:
        file.write_text(f"process {os.getpid()}")
        for partial in folder.glob(f".{name}[-._]*"):
            partial.unlink(missing_ok=True)  # or it has just been moved to its place
        yield


def _holder(file):
    try:
        return file.read_text() or "another process"
    except OSError:  # where a lock keeps others from reading
        return "another process"


def write(path, record):
    """Write strict JSON with sorted keys and six significant digits, one line per entry of a list of objects."""
    dump, lines = json.JSONEncoder(sort_keys=True, allow_nan=False).encode, []
    for key, value in sorted(plain(record).items()):
        if isinstance(value, list) and value and all(isinstance(entry, dict) for entry in value):
            text = "[\n  " + ",\n  ".join(map(dump, value)) + "\n ]"
        else:
            text = dump(value)
        lines.append(f" {json.dumps(key)}: {text}")
    with atomic(path) as file:
        file.write(("{\n" + ",\n".join(lines) + "\n}\n").encode())


def plain(value, key=None):
    """Round to six significant digits, learning rates excepted; what is not finite becomes null, a tuple a list."""
    if isinstance(value, dict):
        return {name: plain(entry, name) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry, key) for entry in value]
    if isinstance(value, float):
        return None if not math.isfinite(value) else value if key == "lr" else float(f"{value:.6g}")
    return value


def read(path, shapes=None):
    """Read a record, with nan for each null in a list.

    shapes: what it must look like, see shapes.damage(). Raises OSError where there is none, or it is damaged.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise OSError(f"there is no record {path}. Run without --plot-only first") from None
    except ValueError:
        record = None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise OSError(f"{path} is no record of schema {SCHEMA} (damaged?). Remove it and run again")
    record = _with_nan(record)
    place = None if shapes is None else damage(record, shapes)
    if place:
        raise OSError(f"{path} is damaged at {place}. Restore it, or remove it and run again")
    return record


def _with_nan(value):
    """Undo what plain() did to numbers that are not finite."""
    if isinstance(value, dict):
        return {key: _with_nan(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [math.nan if entry is None else _with_nan(entry) for entry in value]
    return value
