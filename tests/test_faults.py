"""Ends at bad moments, of the third exercise as its script trains it: no process is left, nothing is lost, the same
command goes on, and the final record equals that of an undisturbed start."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from started import ROOT, Folder, ended, session, until

from common.experiment.options import AGAIN

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes and signals as Linux has them"),
]
LONG = "--epochs", "40"


@pytest.fixture
def long(call, tmp_path_factory):
    """The record of an undisturbed start."""
    folder = Folder(tmp_path_factory.getbasetemp() / "undisturbed")
    assert folder.record() or call(folder, *LONG).code == 0
    return folder.record()


def workers(process):
    """Process ids of the workers of a script, which are its children by multiprocessing."""
    commands = {one: Path(f"/proc/{one}/cmdline") for one in session(process.pid)}
    return [one for one, command in commands.items() if command.exists() and b"spawn_main" in command.read_bytes()]


def begun(process):
    """Workers that have threads: a script killed while it still tells one what to do leaves it a traceback of Python's
    own."""
    return [one for one in workers(process) if len([*Path(f"/proc/{one}/task").glob("*")]) > 1]


def test_signals_end_it_quietly_and_kills_at_once_while_workers_start_and_train(long, call, tmp_path):
    """Sent to the script alone, as by kill, or to its whole group, as a terminal sends Ctrl-C; also while it ends."""
    folder = Folder(tmp_path)

    def is_there(process):
        return len(session(process.pid)) > 1

    def has_trained(process):
        return folder.contents() != before

    for moment, send, sent, times in (
        (is_there, os.killpg, signal.SIGINT, 1),
        (begun, os.kill, signal.SIGKILL, 1),
        (workers, os.kill, signal.SIGTERM, 1),
        (has_trained, os.kill, signal.SIGKILL, 1),
        (has_trained, os.killpg, signal.SIGTERM, 1),
        (has_trained, os.killpg, signal.SIGINT, 2),
    ):
        before = folder.contents()
        process = folder.start(*LONG, "--jobs", "2")
        assert until(lambda: moment(process))
        second = call(folder)
        assert second.code == 1 and f"is in use (by process {process.pid})" in second.stderr
        for _ in range(times):
            send(process.pid, sent)
            time.sleep(0.05)
        end = ended(process)
        code = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}[sent]
        assert end.code == code, (moment, end.stderr)
        said, more = end.stderr.splitlines()[-1], "" if moment is is_there else f"; {AGAIN}"
        assert sent != signal.SIGINT or said in ("third.py: interrupted", "third.py: interrupted" + more)
        assert all(arm in long["arms"] for arm in (folder.record() or {"arms": []})["arms"])
    assert folder.states() and call(folder, *LONG).code == 0
    assert folder.record() == long and folder.leftovers() == []


def test_the_run_of_a_worker_that_is_killed_is_repeated(long, tmp_path):
    """By another one, which may take long to start: Dask gives a worker up, for good, when 15 s have gone by."""
    folder = Folder(tmp_path)
    process = folder.start(*LONG, "--jobs", "2")
    assert until(lambda: len(workers(process)) == 2 and len(folder.states()) > 1)
    before = workers(process)
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    assert until(lambda: len(set(workers(process)) - set(before)) == 2)
    late = set(workers(process)) - set(before)
    for sent, seconds in ((signal.SIGSTOP, 16), (signal.SIGCONT, 0)):
        for worker in late:
            os.kill(worker, sent)
        time.sleep(seconds)
    end = ended(process)
    assert end.code == 0 and folder.record() == long and "2 processes" in end.stderr


SUICIDAL = f"""
import os, signal, sys
from dataclasses import replace
sys.path.insert(0, {str(ROOT)!r})
from tests import third

def plan(settings):
    return third.plan(settings)

def train(run, settings, parts):
    os.kill(os.getpid(), signal.SIGKILL)

experiment = replace(third.experiment, plan=plan, train=train)

if __name__ == "__main__":
    experiment.main("It kills its own workers.")
"""


def test_a_run_that_kills_its_workers_is_one_line(tmp_path):
    """The script lies outside of the repository."""
    (tmp_path / "suicidal.py").write_text(SUICIDAL)
    end = ended(Folder(tmp_path).start("--jobs", "1", script=tmp_path / "suicidal.py"))
    assert end.code == 1 and "a run's workers died again and again" in end.stderr.splitlines()[-1]
    assert end.stderr.splitlines()[-1].startswith("suicidal.py: error: ")
