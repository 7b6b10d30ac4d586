"""The scripts as shipped in odd places, under odd circumstances, and interrupted at their last step."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from shipped import ROOT, SCRIPTS, UNTHREADED, Experiment

BOTH = pytest.mark.parametrize("exercise", SCRIPTS)
NAME = "Figürchen mit Leerzeichen"


def pipe_without_reader():
    """The end of a pipe to write into; who has it closes it."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def oddly(exercise, folder, *flags, stdout, encoding):
    """Run a script through a link, optimised, without a home or a folder for temporary files; return how it ended.

    stdout: "file", "reader gone" or "closed".
    """
    link, output = folder / "ä link.py", folder / "stdout"
    link.symlink_to(ROOT / SCRIPTS[exercise])
    command = [sys.executable, "-O", link.name, *flags]
    environment = {name: value for name, value in UNTHREADED.items() if name not in ("HOME", "TERM")}
    environment |= {"TMPDIR": "/nowhere", "PYTHONIOENCODING": encoding}
    if stdout == "closed":
        command = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
    with open(output, "wb") as file:
        writer = pipe_without_reader()
        to = writer if stdout == "reader gone" else file
        done = subprocess.run(command, cwd=folder, env=environment, stdout=to, stderr=subprocess.PIPE, timeout=300)
        os.close(writer)
    said = done.stderr.decode(encoding)
    assert done.returncode == 0 and "Traceback" not in said, said
    return output.read_bytes().decode(encoding), said


def pictures(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


@pytest.mark.slow
@pytest.mark.parametrize(
    "stdout, encoding", [("file", "ascii"), ("file", "cp1252"), ("reader gone", "utf-8"), ("closed", "utf-8")]
)
@BOTH
def test_figures_are_redrawn_in_odd_surroundings(whole, tmp_path, exercise, stdout, encoding):
    out, record = tmp_path / NAME, f"ex{exercise}.json"
    out.mkdir()
    shutil.copy(whole(exercise).folder / "out" / record, out)
    printed, said = oddly(exercise, tmp_path, "--plot-only", "--out", NAME, stdout=stdout, encoding=encoding)
    assert pictures(out) == pictures(whole(exercise).folder / "out") and said == ""
    table = whole(exercise).stdout.splitlines()[:-1]  # the last line names the folder
    assert printed.splitlines()[:-1] == (table if stdout == "file" else [])


@pytest.mark.slow
@BOTH
def test_training_in_odd_surroundings_gives_the_same_record_in_plain_lines(whole, tmp_path, exercise):
    flags = "--quick", "--out", f"{NAME}/out", "--runs", f"{NAME}/runs"
    printed, said = oddly(exercise, tmp_path, *flags, stdout="file", encoding="ascii")
    there = Experiment(exercise, tmp_path / NAME)
    assert there.record() == whole(exercise).record() and there.leftovers() == []
    assert len(there.states()) == len(whole(exercise).states())
    assert printed.splitlines()[:-1] == whole(exercise).stdout.splitlines()[:-1]
    first, *lines, last = said.splitlines()  # progress: no bar, nothing that a terminal would have to interpret
    assert first.startswith("Training on stand-in") and all(line.isprintable() for line in said.splitlines())
    assert last.startswith("100/100 epochs" if exercise == "2a" else "30/30 epochs")


@pytest.mark.slow
@BOTH
def test_training_that_can_say_nothing_more_is_no_success(whole, tmp_path, exercise):
    writer = pipe_without_reader()
    process = Experiment(exercise, tmp_path).start(stderr=writer)
    os.close(writer)
    process.communicate(timeout=120)
    assert process.returncode == 1
    assert Experiment(exercise, tmp_path).run()[0] == 0
    assert Experiment(exercise, tmp_path).record() == whole(exercise).record()


@pytest.mark.slow
@BOTH
def test_control_c_while_drawing_leaves_every_figure_whole(whole, tmp_path, exercise):
    shutil.copytree(whole(exercise).folder / "out", tmp_path / "out")
    new = pictures(tmp_path / "out")
    for name in new:
        (tmp_path / "out" / name).write_bytes(b"old")
    process = Experiment(exercise, tmp_path).start("--plot-only")
    end = time.monotonic() + 60
    while set(pictures(tmp_path / "out").values()) == {b"old"}:
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in said
    left = pictures(tmp_path / "out")
    assert all(content in (b"old", new[name]) for name, content in left.items()) and left.keys() == new.keys()
    assert b"old" in left.values() and Experiment(exercise, tmp_path).leftovers() == []


FINALIZER = """
import os, signal, time
from common import command

class Dying:
    def __del__(self):
        os.kill(os.getpid(), signal.{name})

def main(settings):
    Dying()
    time.sleep(60)

command.run(main, command.Options())
"""


@pytest.mark.parametrize("name, code", [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_within_a_finalizer_is_not_lost(name, code):
    """Python ignores what a finalizer raises, so also the exception by which a signal ends the program."""
    command = [sys.executable, "-c", FINALIZER.format(name=name)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == code and "ignored" not in done.stderr and "Traceback" not in done.stderr


@BOTH
def test_importing_a_script_does_nothing(tmp_path, exercise):
    for name in ("common", "figures"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.png", "*.json"))
    shutil.copy(ROOT / SCRIPTS[exercise], tmp_path)
    before = set(tmp_path.rglob("*"))
    code = f"import sys, {SCRIPTS[exercise].removesuffix('.py')}; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "") and set(tmp_path.rglob("*")) == before
