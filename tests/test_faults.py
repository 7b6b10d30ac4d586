"""Ends at bad moments, of the third exercise as its script trains it: no process is left, nothing is lost, the same
command goes on, and the final record equals that of an undisturbed start."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from started import ROOT, Folder, ended, session, until
from test_records import fails_at

import ex2a_vanishing
import ex2b_adam
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


def part_of(record, whole):
    return record is None or all(arm in whole["arms"] for arm in record["arms"])


def goes_on(call, folder, record):
    return call(folder, *LONG).code == 0 and folder.record() == record and folder.leftovers() == []


def test_signals_end_it_quietly_while_workers_start_and_train(long, call, tmp_path):
    """Sent to the script alone, as by kill, or to its whole group, as a terminal sends Ctrl-C; also twice."""
    folder = Folder(tmp_path)

    def is_there(process):
        return len(session(process.pid)) > 1

    def has_trained(process):
        return folder.contents() != before

    for moment, send, sent, times in (
        (is_there, os.killpg, signal.SIGINT, 1),
        (workers, os.kill, signal.SIGTERM, 1),
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
        end = ended(process)
        assert end.code == {signal.SIGINT: 130, signal.SIGTERM: 143}[sent], (moment, end.stderr)
        said, more = end.stderr.splitlines()[-1], "" if moment is is_there else f"; {AGAIN}"
        assert sent == signal.SIGTERM or said in ("third.py: interrupted", "third.py: interrupted" + more)
        assert part_of(folder.record(), long)
    assert folder.states() and goes_on(call, folder, long)


def test_kills_at_random_moments(long, call, tmp_path):
    folder, moments = Folder(tmp_path), random.Random()
    seed = moments.randrange(10**6)
    moments.seed(seed)
    for number in range(3):
        process = folder.start(*LONG, "--jobs", "2")
        before = folder.contents()
        assert number == 0 or until(lambda: folder.contents() != before or process.poll() is not None), f"seed {seed}"
        try:
            process.wait(moments.uniform(0, 1))
        except subprocess.TimeoutExpired:
            process.kill()
        ended(process)
        assert part_of(folder.record(), long), f"seed {seed}"
    assert goes_on(call, folder, long), f"seed {seed}"


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


STATEFUL = [  # arms with every kind of state that an epoch leaves: moments, momentum, statistics
    *(
        (ex2a_vanishing, arm)
        for arm in ex2a_vanishing.ARMS
        if arm.batch_norm or arm.momentum or arm.optimizer == "adam"
    ),
    *((ex2b_adam, arm) for arm in ex2b_adam.ARMS[:2]),
]


@pytest.mark.parametrize("script, arm", STATEFUL, ids=[arm.name for _, arm in STATEFUL])
def test_arms_of_the_exercises_go_on_behind_an_epoch_to_the_same_record(call, tmp_path, monkeypatch, script, arm):
    name = script.experiment.name
    folder, undisturbed = Folder(tmp_path / "one", name), Folder(tmp_path / "other", name)
    monkeypatch.setattr(script, "ARMS", [arm])
    monkeypatch.setattr(script.experiment.figures, "draw", lambda record: ())
    for part in vars(script).keys() & {"UNTRAINED", "PLATEAU", "SEEN"}:
        monkeypatch.setattr(script, part, ())
    assert call(undisturbed, "--quick", script=script).code == 0
    with monkeypatch.context() as patch:
        fails_at(patch, ".pt", times=1)
        assert call(folder, "--quick", script=script).code == 1
    assert [len(torch.load(state)["rows"]) for state in folder.states()] == [1]
    assert call(folder, "--quick", script=script).code == 0
    assert folder.record() == undisturbed.record() and folder.leftovers() == []
