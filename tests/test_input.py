"""What a user may type or have lying about, and what comes back: one table for both scripts.

Code 2: the parser's message, which names the flag, the value and what is allowed. Code 1: one line, what it is, what
was given, what to do. Never a traceback, and what lies in the output folder stays as it is.
"""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from shipped import SCRIPTS

from common import runs

BOTH = tuple(SCRIPTS)
RANGE = "whole number from 1 to "

# ---- what is prepared in a folder before the script starts; `file` is a file, `data` a folder of data ----

FILES = {"2a": "FashionMNIST/raw/t10k-labels-idx1-ubyte", "2b": "cifar-10-batches-py/data_batch_3"}


def data_file(content):
    """Put something in the place of one file of the data."""

    def prepare(folder, exercise):
        path = folder / "data" / FILES[exercise]
        path.parent.mkdir(parents=True)
        path.write_bytes(content)

    return prepare


def folder_for_a_file(folder, exercise):
    (folder / "data" / FILES[exercise]).mkdir(parents=True)


class Payload:
    """A pickle that leaves a folder behind when it is opened."""

    def __reduce__(self):
        return os.mkdir, ("payload ran",)


def flipped(folder, exercise):
    """One bit of the real file, the others missing."""
    real = Path(__file__).parent.parent / "data" / FILES[exercise]
    if not real.exists():
        pytest.skip("the real data is not in data/")
    content = bytearray(real.read_bytes())
    content[1000] ^= 1
    data_file(bytes(content))(folder, exercise)


def record_of_schema(schema):
    def prepare(folder, exercise):
        (folder / "out" / f"ex{exercise}.json").write_text(json.dumps({"schema": schema, "data": "stand-in"}))

    return prepare


def record_of_real_data(folder, exercise):
    name = "Fashion-MNIST" if exercise == "2a" else "CIFAR-10"
    runs.write_record(folder / "out" / f"ex{exercise}.json", {"schema": runs.SCHEMA, "data": name, "settings": {}})


def record_of_other_epochs(folder, exercise):
    path = folder / "out" / f"ex{exercise}.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"settings": {"epochs": 7}, "arms": [{}], "runs": [{}]}))


def record_without(part):
    def prepare(folder, exercise):
        path = folder / "out" / f"ex{exercise}.json"
        record = json.loads(path.read_text())
        del record[part]
        path.write_text(json.dumps(record))

    return prepare


def no_record(folder, exercise):
    (folder / "out" / f"ex{exercise}.json").unlink()


def nothing(folder, exercise):
    pass


USAGE = [  # flags, what is said, scripts
    *((["--epochs", value], RANGE + "10000", BOTH) for value in ("0", "-1", "2.5", "ten", "", "9" * 20, "١")),
    *((["--seeds", value], RANGE + "1000", BOTH) for value in ("0", "-1", "x", "1000000000")),
    (["--epochs"], "--epochs", BOTH),
    (["--epoch", "3"], "--epochs", BOTH),
    (["--epochs=0"], RANGE + "10000", BOTH),
    (["--device", "foo"], "must be auto, cpu, cuda, cuda:N or mps", BOTH),
    (["--quick=yes"], "yes", BOTH),
    (["extra"], "extra", BOTH),
    (["--width", "0"], RANGE + "1024", ["2b"]),
    (["--jobs", "0"], RANGE + "1000", BOTH),
    (["--precision", "float8"], "bfloat16", ["2b"]),
    (["--scheduler", "somewhere"], "tcp://HOST:PORT", ["2b"]),
    (["--width", "2"], "--width", ["2a"]),
]
REFUSED = [  # flags, what is prepared, what is said; for both scripts
    (["--device", "cuda:9", "--quick"], nothing, "--device cpu or auto"),
    (["--data", "{file}"], nothing, "{file}"),
    (["--data", "{data}"], data_file(b""), "is not the published file"),
    (["--data", "{data}"], data_file(b"something else"), "is not the published file"),
    (["--data", "{data}"], flipped, "is not the published file"),
    (["--data", "{data}"], data_file(pickle.dumps(Payload())), "is not the published file"),
    (["--data", "{data}"], folder_for_a_file, "cannot read"),
    (["--quick", "--out", "{file}"], nothing, "{file}"),
    (["--quick", "--out", "/dev/null/figures"], nothing, "Give another --out"),
    (["--quick", "--runs", "{file}"], nothing, "{file}"),
    (["--quick", "--runs", "/dev/null/runs"], nothing, "Give another --runs"),
    (["--quick"], record_of_schema(runs.SCHEMA + 1), f"has schema {runs.SCHEMA + 1}"),
    (["--quick"], record_of_schema(runs.SCHEMA - 1), f"has schema {runs.SCHEMA - 1}"),
    (["--quick"], record_of_real_data, "is a record of real data"),
    (["--quick"], record_of_other_epochs, "holds other runs (epochs 7, now 2;"),
    (["--plot-only"], record_of_schema(runs.SCHEMA - 1), f"has schema {runs.SCHEMA - 1}"),
    (["--plot-only"], record_without("settings"), "has no settings"),
    (["--plot-only"], record_without("data"), "has no data"),
    (["--quick"], record_without("data"), "has no data"),
    (["--plot-only"], no_record, "without --plot-only"),
]
ROWS = [(exercise, 2, flags, nothing, said) for flags, said, which in USAGE for exercise in which]
ROWS += [(exercise, 1, *row) for row in REFUSED for exercise in BOTH]


def marked(row):
    """The rows that need PyTorch run with the long tests."""
    exercise, code, flags, prepare, said = row
    slow = [pytest.mark.slow] if code == 1 and "--plot-only" not in flags else []
    return pytest.param(*row, marks=slow, id=f"{exercise} {' '.join(flags)} {prepare.__name__}")


@pytest.mark.parametrize("exercise, code, flags, prepare, said", [marked(row) for row in ROWS])
def test_bad_input(root, tmp_path, exercise, code, flags, prepare, said):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "out").mkdir()
    earlier = {"schema": runs.SCHEMA, "data": "stand-in", "settings": {}, "arms": [], "depth": [], "runs": []}
    (tmp_path / "out" / f"ex{exercise}.json").write_text(json.dumps(earlier))
    (tmp_path / "out" / f"ex{exercise}_mine.png").write_text("mine")
    prepare(tmp_path, exercise)
    places = {name: tmp_path / name for name in ("file", "data")}
    flags = [flag.format(**places) for flag in flags]
    for name in ("out", "runs"):
        if f"--{name}" not in flags:
            flags = [f"--{name}", str(tmp_path / name), *flags]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    command = [sys.executable, str(root / SCRIPTS[exercise]), *flags]
    wide = os.environ | {"COLUMNS": "200"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path, env=wide)

    said = said.format(**places)
    assert done.returncode == code and said in done.stderr and "Traceback" not in done.stderr, done.stderr
    if code == 1:
        assert done.stderr.count("\n") == 1 and done.stderr.startswith(f"{SCRIPTS[exercise]}: error: ")
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "runs"}
    assert after == before and not (tmp_path / "payload ran").exists()
