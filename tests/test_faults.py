"""Faults, injected into both scripts as shipped: earlier results stay whole, nothing is left over, the same command
goes on, and the final record equals the uninterrupted one."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from shipped import SCRIPTS, Experiment, ended
from test_runs import DAMAGES

resource = pytest.importorskip("resource", reason="limits as Unix has them")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits and signals as Linux has them"),
]


@pytest.fixture(params=SCRIPTS)
def experiment(request, tmp_path):
    return Experiment(request.param, tmp_path)


def copy_of(whole, experiment, *parts):
    for part in parts:
        shutil.copytree(whole(experiment.exercise).folder / part, experiment.folder / part)


def test_twenty_kills_at_random_moments(whole, experiment):
    moments, kills = random.Random(), 0
    seed = moments.randrange(10**6)
    moments.seed(seed)
    expected = whole(experiment.exercise).record()
    while kills < 20:
        process = experiment.start()
        try:
            process.communicate(timeout=moments.uniform(0.5, 10))
            assert process.returncode == 0 and experiment.record() == expected, f"seed {seed}"
            shutil.rmtree(experiment.folder / "out")
            shutil.rmtree(experiment.folder / "runs")
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate(timeout=20)  # until no worker holds the other end of its pipes
            kills += 1
            part = experiment.record()
            if experiment.exercise == "2a":  # it writes its record at the end
                assert part in (None, expected), f"seed {seed}"
            else:
                assert part is None or all(run in expected["runs"] for run in part["runs"]), f"seed {seed}"
    assert experiment.run()[0] == 0 and experiment.record() == expected, f"seed {seed}"
    assert experiment.leftovers() == []


def session(leader):
    """Process ids of the session that `leader` began: the script and its workers."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def gone(leader, within=10):
    """Whether every process of the session ends by itself; those that do not are ended."""
    end = time.monotonic() + within
    while session(leader):
        if time.monotonic() > end:
            os.killpg(leader, signal.SIGKILL)
            return False
        time.sleep(0.1)
    return True


def started(experiment, ready):
    """The script in a session of its own, once it is ready()."""
    process, end = experiment.start(start_new_session=True), time.monotonic() + 120
    while not ready(process):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)
    return process


def has_workers(process):
    return len(session(process.pid)) > 2


@pytest.mark.parametrize("sent, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("whom", ["script", "group"])
def test_signals_end_it_quietly_and_the_same_command_goes_on(whole, experiment, sent, code, whom):
    for states in (0, 1, 3):
        process = started(experiment, lambda process: has_workers(process) and len(experiment.states()) >= states)
        (os.kill if whom == "script" else os.killpg)(process.pid, sent)
        assert ended(process, within=20)[0] == code and gone(process.pid)
        assert experiment.exercise == "2b" or experiment.record() is None  # it is written at the end
    assert experiment.run()[0] == 0 and experiment.record() == whole(experiment.exercise).record()
    assert experiment.leftovers() == []


def test_a_worker_that_dies(whole, experiment):
    some_results = experiment.record if experiment.exercise == "2b" else experiment.states
    process = started(experiment, lambda process: some_results())
    worker = next(pid for pid in session(process.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(worker, signal.SIGKILL)
    code, said = ended(process, within=20)
    assert code == 1 and "a worker process died" in said and gone(process.pid)
    expected, kept = whole(experiment.exercise).record(), experiment.record()
    if experiment.exercise == "2b":
        assert kept["runs"] and all(run in expected["runs"] for run in kept["runs"])
    assert experiment.run()[0] == 0 and experiment.record() == expected


def limited(size):
    """No file of this process may grow beyond `size` bytes: the write fails, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_state_that_does_not_fit_on_the_disk(whole, experiment):
    code, said = experiment.run(preexec_fn=partial(limited, 3000))
    assert code == 1 and "cannot write" in said.splitlines()[-1] and ".pt" in said.splitlines()[-1]
    assert experiment.states() == [] and experiment.record() is None and experiment.leftovers() == []
    assert experiment.run()[0] == 0 and experiment.record() == whole(experiment.exercise).record()


def test_a_record_and_a_figure_that_do_not_fit_on_the_disk(whole, experiment):
    copy_of(whole, experiment, "runs", "out")
    before = {path: path.read_bytes() for path in (experiment.folder / "out").iterdir()}
    code, said = experiment.run(preexec_fn=partial(limited, 1000))
    assert code == 1 and "cannot write" in said.splitlines()[-1]
    assert {path: path.read_bytes() for path in (experiment.folder / "out").iterdir()} == before


def test_damaged_states_are_moved_aside_and_their_runs_start_again(whole, experiment):
    copy_of(whole, experiment, "runs")
    victims = experiment.states()[: len(DAMAGES)]
    for victim, damage in zip(victims, DAMAGES, strict=True):
        victim.write_bytes(damage(victim.read_bytes()))
    code, said = experiment.run()
    assert code == 0 and said.count("warning:") == len(victims)
    assert all(victim.with_suffix(".bad").exists() and victim.exists() for victim in victims)
    assert experiment.record() == whole(experiment.exercise).record()


def test_two_at_once(whole, experiment):
    first = experiment.start()
    holder = experiment.folder / "runs" / f"ex{experiment.exercise}.holder"
    end = time.monotonic() + 60
    while not (holder.exists() and holder.read_text()):
        assert first.poll() is None and time.monotonic() < end
        time.sleep(0.02)
    code, said = experiment.run()
    assert code == 1 and f"process {first.pid}" in said and said.count("\n") == 1
    first.communicate(timeout=200)
    assert first.returncode == 0 and experiment.record() == whole(experiment.exercise).record()
