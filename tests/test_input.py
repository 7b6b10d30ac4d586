"""What a user may type or have lying about, and what comes back; and the program in odd surroundings.

Code 2: the parser's message, which names the flag, the value and what is allowed. Code 1: one line, what it is, what
was given, what to do. Never a traceback, and what lies in the output folder stays as it is.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import filelock
import pytest
import torch
from started import ROOT, SCRIPTS, THIRD, Ended, Folder, session, until

import common
import ex2b_adam
from common.experiment import options, records
from tests import third as script

RANGE = "must be a whole number from 1 to 10000"
USAGE = [  # flags, what is said
    *(
        ("--epochs", value, f"--epochs: {RANGE} (got '{value}')")
        for value in ("0", "-1", "2.5", "ten", "", "9" * 20, "١")
    ),
    *(("--seeds", value, f"--seeds: {RANGE} (got '{value}')") for value in ("0", "-1", "x", "1000000000")),
    ("--width", "0", f"--width: {RANGE} (got '0')"),
    ("--jobs", "0", f"--jobs: {RANGE} (got '0')"),
    ("--epochs", "Missing value"),
    ("--epochs=0", RANGE),
    ("--epoch", "3", "--epochs"),
    *(("--device", value, f"must be auto, cpu, cuda, cuda:N or mps (got '{value}')") for value in ("foo", "cuda:x")),
    *(("--scheduler", value, f"must be tcp://HOST:PORT (got '{value}')") for value in ("x", "tcp://x", "http://x:1")),
    ("--quick=yes", "Unrecognized options: yes"),
    ("--bfloat16", "8", "Unrecognized options: 8"),
    ("--widths", "2", "--width"),
    ("--out", "", "must be a folder (got '')"),
    ("extra", "Unrecognized options: extra"),
]


@pytest.mark.parametrize("row", USAGE, ids=" ".join)
def test_usage_errors_name_the_flag_the_value_and_what_is_allowed(monkeypatch, capsys, row):
    *flags, said = row
    monkeypatch.setattr(sys, "argv", ["third.py", *flags])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as end:
        options.read(ex2b_adam.Settings, "")
    printed = capsys.readouterr().err
    assert end.value.code == 2 and said in printed, printed


def test_what_is_typed_is_read(monkeypatch):
    def read(line):
        monkeypatch.setattr(sys, "argv", ["x", *line.split()])
        return options.read(ex2b_adam.Settings, "")

    determining = {"epochs": 50, "seeds": 1, "draws": 1, "width": 32, "bfloat16": False}
    others = dict.fromkeys(("data", "out", "runs", "jobs", "scheduler")) | {"device": "auto"}
    others |= dict.fromkeys(("stand_in", "quick", "plot_only", "fresh"), False)
    assert vars(read("")) == determining | others and read("").determining() == determining
    folders = {name: ROOT.cwd() / name for name in ("data", "out", "runs")}
    assert vars(read("--data data --out out/x/.. --runs runs")) == determining | others | folders
    for device in ("auto", "cpu", "mps", "cuda", "cuda:12"):
        assert read(f"--device {device}").device == device
    for address in ("tcp://127.0.0.1:8786", "tls://h:1"):
        assert read(f"--scheduler {address}").scheduler == address
    small = determining | {"epochs": 2, "seeds": 2, "width": 4}
    assert read("--quick --epochs 7 --seeds 3").small().determining() == small
    fewer = read("--quick --epochs 1 --seeds 1 --width 3").small().determining()
    assert fewer == small | {"epochs": 1, "seeds": 1, "width": 3}


# ---- code 1: what is prepared in a folder that has a finished experiment; `file` is a file of the user's ----


def nothing(folder, patch):
    pass


def written(text):
    return lambda folder, patch: folder.file().write_text(text)


def changed(**changes):
    return lambda folder, patch: folder.change(**changes)


def without_record(folder, patch):
    folder.file().unlink()


def state_with(**changes):
    def prepare(folder, patch):
        folder.file().unlink()
        torch.save(torch.load(folder.states()[0]) | changes, folder.states()[0])

    return prepare


def full(allocate):
    def prepare(folder, patch):
        experiment = replace(script.experiment, train=lambda run, settings, parts: allocate())
        patch.setattr(script, "experiment", experiment)

    return prepare


def no_more_of_a_gpu():
    raise torch.OutOfMemoryError


def an_arm_twice(folder, patch):
    arm = script.Arm
    patch.setattr(script, "Arm", lambda lr, seed: arm(1.0, seed))


def check_fails(folder, patch):
    def check(arm, settings, device):
        if arm.lr == 1:
            raise ValueError(f"it cannot be trained on {device}")

    patch.setattr(script, "experiment", replace(script.experiment, check=check))


def no_lock(folder, patch):
    (folder.path / "runs/third.lock").unlink()
    (folder.path / "runs/third.lock").mkdir()


def read_only(folder, patch):
    def refuse(self, **options):
        raise OSError(30, "Read-only file system")

    patch.setattr(filelock.FileLock, "acquire", refuse)


OTHER_STATE = "belongs to other settings or another version. Remove it, or use --fresh"
REFUSED = [  # flags, what is prepared, what is said
    (["--out", "{file}"], nothing, "cannot write into {file}"),
    (["--runs", "{file}"], nothing, "cannot write into {file}"),
    (["--runs", "/dev/null/runs"], nothing, "Give another --runs"),
    ([], no_lock, "Give another --runs"),
    ([], read_only, "(Read-only file system). Give another --runs"),
    *(
        (flags, written(text), said)
        for flags in ([], ["--plot-only"])
        for text, said in (
            *((text, "{record} is no record of schema 2 (damaged?). Remove it") for text in ("", "{{", "[]")),
            *((json.dumps({"schema": schema}), "{record} is no record of schema 2") for schema in (1, 3)),
            (json.dumps({"schema": records.SCHEMA}), "{record} is damaged at record.data. Restore it"),
        )
    ),
    *(
        (
            flags,
            changed(arms=[arm]),
            f"{{record}} is damaged at arms[0].{place}. Restore it, or remove it and run again",
        )
        for flags in ([], ["--plot-only"])
        for arm, place in (
            ({"name": "x", "lr": 0.1}, "loss"),
            ({"name": "x", "lr": 0.1, "loss": [0.5, 0.5]}, "loss"),
            ({"name": "x", "lr": 0.1, "loss": [0.5, 13.0, 0.5]}, "loss[1]"),
            ({"name": "x", "lr": "0.1", "loss": [0.5] * 3}, "lr"),
        )
    ),
    (["--stand-in"], nothing, "{record} is a record of real data, which generated data does not replace"),
    (["--quick", "--fresh"], nothing, "{record} is a record of real data, which generated data does not replace"),
    (["--epochs", "7"], nothing, "{record} holds other runs (epochs 3, now 7). Give another --out, or --fresh"),
    (["--plot-only"], without_record, "there is no record {record}. Run without --plot-only first"),
    ([], an_arm_twice, "rate 1, seed 0 is planned twice"),
]
REFUSED_BY_WORKERS = [  # which alone know the device, the data and the states; or once they have found all in order
    (["--out", "/dev/null/figures"], nothing, "Give another --out"),
    (["--device", "cuda:99"], nothing, "--device cuda:99 cannot be used here"),
    (["--device", "cuda:99", "--fresh"], nothing, "Give --device cpu"),
    ([], changed(data="other"), "{record} holds other runs (data other, now small images)"),
    (
        [],
        changed(settings={"epochs": 3, "seeds": 3, "batch_size": 10, "train_images": 9}),
        "{record} holds other runs (train_images 9, now 100)",
    ),
    ([], check_fails, "rate 1, seed 0: it cannot be trained on cpu"),
    ([], state_with(schema=records.SCHEMA + 1), OTHER_STATE),
    ([], state_with(settings={"epochs": 7}), OTHER_STATE),
    (["--fresh"], full(no_more_of_a_gpu), "out of memory on cpu (batch_size 10)"),
    (["--fresh"], full(lambda: torch.empty(2**56)), "out of memory on cpu (batch_size 10)"),
]


@pytest.mark.parametrize(
    "flags, prepare, said, at_once",
    [*((*row, True) for row in REFUSED), *((*row, False) for row in REFUSED_BY_WORKERS)],
)
def test_what_is_refused_is_one_line_and_leaves_all_as_it_was(third, call, monkeypatch, flags, prepare, said, at_once):
    mine = third.path / "file"
    mine.write_text("mine")
    prepare(third, monkeypatch)
    before = third.contents()
    end = call(third, *(flag.format(file=mine) for flag in flags))
    *before_it, last = end.stderr.splitlines()
    assert at_once == (before_it == [])
    assert end.code == 1 and last.startswith("third.py: error: ") and end.stderr.count("error") == 1, end.stderr
    assert said.format(file=mine, record=third.file()) in last
    assert third.contents() == before


# ---- in odd surroundings ----

NAME = "Figürchen mit Leerzeichen"


def pipe_without_reader():
    """The end of a pipe to write into; who has it closes it."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


RC = "figure.dpi: 40\nfont.size: 20\naxes.facecolor: red\nlines.linewidth: 9\ntext.usetex: True\nsavefig.bbox: tight\n"
LIBRARY = f"""
import os, sys
from pathlib import Path
from tests.third import Settings, experiment
print(experiment.run(Settings(plot_only=True, out=Path("{NAME}/out").absolute())))
os.environ["MPLBACKEND"]
"""
STARTS = {  # ways to start the third exercise, from another folder
    "script": ["ä link.py"],
    "module": ["-m", "tests.third"],
    "library": ["-c", LIBRARY],
}


def oddly(folder, *flags, start="script", streams="files", encoding="ascii"):
    """How it ends through a link, optimised, without a home or a folder for temporary files, where the user's Dask has
    a cluster and encrypts everything, and matplotlib a style and the backend of a notebook that is not installed. One
    that is installed stays for the user of the library.

    streams: "files", "reader gone" of stdout or "closed", stdin too.
    """
    (folder / "ä link.py").symlink_to(ROOT / THIRD)
    (folder / "matplotlibrc").write_text(RC)
    command = [sys.executable, "-O", *STARTS[start], "--out", NAME + "/out", "--runs", NAME + "/runs", *flags]
    if streams == "closed":
        command = ["sh", "-c", 'exec "$@" >&- <&-', "sh", *command]
    backend = "matplotlib.backends.backend_svg" if start == "library" else "matplotlib_inline.backend_inline"
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "TERM")}
    environment |= {
        "PYTHONPATH": "" if start == "script" else str(ROOT),
        "TMPDIR": "/nowhere",
        "PYTHONIOENCODING": encoding,
        "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True",
        "DASK_SCHEDULER_ADDRESS": "tcp://127.0.0.1:1",
        "MPLBACKEND": f"module://{backend}",
    }
    with open(folder / "stdout", "wb") as file:
        writer = pipe_without_reader()
        to = writer if streams == "reader gone" else file
        done = subprocess.run(command, cwd=folder, env=environment, stdout=to, stderr=subprocess.PIPE, timeout=120)
        os.close(writer)
    said = done.stderr.decode(encoding)
    assert "Traceback" not in said, said
    return Ended(done.returncode, (folder / "stdout").read_bytes().decode(encoding), said)


@pytest.mark.parametrize(
    "start, streams, encoding",
    [("script", "reader gone", "ascii"), ("module", "closed", "utf-8"), ("library", "files", "cp1252")],
)
def test_figures_are_redrawn_in_odd_surroundings(whole, tmp_path, start, streams, encoding):
    expected, undisturbed = whole
    there = Folder(tmp_path / NAME).copy_of(expected, "out")
    picture = there.path / "out/third_loss.png"
    picture.unlink()
    end = oddly(tmp_path, "--plot-only", start=start, streams=streams, encoding=encoding)
    assert end.code == 0 and end.stderr == ""
    assert picture.read_bytes() == (expected.path / "out/third_loss.png").read_bytes()
    expected = undisturbed.stdout.replace(str(expected.path), NAME)
    assert end.stdout.replace(str(tmp_path / NAME), NAME) == (expected if streams == "files" else "")


NOTEBOOK = """
import asyncio, io, runpy, sys

async def cell():
    runpy.run_path(sys.argv[0], run_name="__main__")

sys.argv[:] = sys.argv[1:]
for lr in ("0.1", "0.2"):
    sys.stdout = sys.stderr = io.StringIO()
    asyncio.run(cell())
    with open(sys.argv[0]) as file:
        text = file.read()
    with open(sys.argv[0], "w") as file:
        file.write(text.replace("(0.1, 1.0)", "(0.2,)"))
"""


@pytest.mark.slow
def test_a_notebook_runs_a_script_that_is_edited_meanwhile(tmp_path):
    """Its streams are no files, and an event loop runs."""
    folder, text = Folder(tmp_path), (ROOT / THIRD).read_text()
    edited, root = tmp_path / "edited.py", "str(Path(__file__).resolve().parent.parent)"
    assert root in text and "(0.1, 1.0)" in text
    edited.write_text(text.replace(root, repr(str(ROOT))))
    command = [sys.executable, "-B", "-c", NOTEBOOK, edited, "--epochs", "1", "--seeds", "1", "--jobs", "1"]
    done = subprocess.run([*command, *folder.flags], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [arm["lr"] for arm in folder.record()["arms"]] == [0.2]


@pytest.mark.slow
def test_training_in_odd_surroundings_gives_the_same_record_in_plain_lines(whole, tmp_path):
    end, there = oddly(tmp_path), Folder(tmp_path / NAME)
    assert end.code == 0 and there.record() == whole[0].record() and there.leftovers() == []
    assert [path.name for path in there.states()] == [path.name for path in whole[0].states()]
    assert all(line.isprintable() for line in end.stderr.splitlines())  # nothing that a terminal would interpret
    assert not list(tmp_path.glob("*dask*"))


@pytest.mark.slow
def test_training_of_which_nobody_hears_is_no_success(tmp_path):
    writer = pipe_without_reader()
    process = Folder(tmp_path).start(stderr=writer)
    os.close(writer)
    assert process.wait(60) == 1 and until(lambda: not session(process.pid), within=3)


@pytest.mark.parametrize("program", [THIRD, *SCRIPTS.values()])
def test_help_and_usage_errors_answer_without_torch(tmp_path, program):
    """--help has the docstring as it was written."""
    for name in ("torch", "matplotlib", "distributed"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} was loaded')")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    helped, refused = (
        subprocess.run([sys.executable, ROOT / program, *flags], env=environment, capture_output=True, text=True)
        for flags in (["--help"], ["--epochs", "0"])
    )
    assert helped.returncode == 0 and refused.returncode == 2 and RANGE in refused.stderr
    docstring = (ROOT / program).read_text().split('"""')[1]
    assert helped.stdout.startswith(docstring) and "None" not in helped.stdout
    said, without = " ".join(helped.stdout.replace("│", "").split()), {"jobs": "cores, or GPUs"}
    without |= {"data": "data, beside the scripts", "runs": "runs, beside the scripts", "scheduler": "this machine"}
    for flag, default in without.items():
        assert f"(default: {default})" in said.rpartition(f"--{flag} ")[2].partition(" --")[0], flag
    assert options.ROOT == ROOT


def test_a_part_that_does_not_exist_is_not_there():
    assert not hasattr(common, "nothing") and callable(common.models.mlp)


@pytest.mark.parametrize("program", [THIRD, *SCRIPTS.values()])
def test_a_package_that_is_missing_is_one_line(program):
    """-S: without installed packages. It names all that is not for tests only."""
    done = subprocess.run([sys.executable, "-S", ROOT / program], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    required = {line.partition(">=")[0] for line in (ROOT / "requirements.txt").read_text().split()}
    named = {*done.stderr.partition(" not installed. Install requirements.txt: pip install -r")[0].split(", ")}
    assert named == required - {"pytest", "pytest-xdist", "hypothesis", "mpmath", "scipy"}


def test_importing_the_scripts_does_nothing(tmp_path):
    for name in ("common", "figures", "tests"):
        kept_out = shutil.ignore_patterns("__pycache__", "*.png", "*.json")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=kept_out)
    for name in SCRIPTS.values():
        shutil.copy(ROOT / name, tmp_path)
    before, code = set(tmp_path.rglob("*")), "import ex2a_vanishing, ex2b_adam, tests.third"
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "") and set(tmp_path.rglob("*")) == before
