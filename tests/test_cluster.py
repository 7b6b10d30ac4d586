"""Exercise 2b on a Dask cluster: a real scheduler and real workers on the loopback address, ended at bad moments."""

import signal
import socket
import subprocess
import sys
import time

import pytest
from shipped import ROOT, SCRIPTS, Cluster, Experiment, ended, without

from common import workers

pytest.importorskip("distributed")


@pytest.fixture
def cluster(tmp_path):
    """A cluster without workers."""
    made = Cluster(tmp_path)
    yield made
    made.stop()


def start(folder, *flags):
    return Experiment("2b", folder).start(*flags)


def finished(folder):
    """What the record has of finished runs, without what tells the time."""
    return (Experiment("2b", folder).record() or {"runs": []})["runs"]


def until(number, folder, process, within=120):
    """Wait until so many runs are finished, which are not all."""
    end = time.monotonic() + within
    while len(finished(folder)) < number:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The runs as one machine trains them without a cluster."""
    folder = tmp_path_factory.mktemp("local")
    assert ended(start(folder))[0] == 0
    assert len(finished(folder)) == 15
    return finished(folder)


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_and_the_results_are_the_local_ones(local, cluster, tmp_path):
    first, _ = cluster.worker("--nthreads", "1"), cluster.worker("--nthreads", "1")
    cluster.workers(2)
    process = start(tmp_path, "--scheduler", cluster.address)
    until(3, tmp_path, process)
    first.kill()
    code, said = ended(process)
    assert (
        code == 0 and f"2 places of {cluster.address}" in said and "30/30 epochs" in said and "dashboard http" in said
    ), said
    assert finished(tmp_path) == local


@pytest.mark.slow
def test_several_threads_of_one_worker_train_side_by_side(local, cluster, tmp_path):
    cluster.worker("--nthreads", "3")
    cluster.workers(1)
    code, said = ended(start(tmp_path, "--scheduler", cluster.address))
    assert code == 0 and "3 places" in said, said
    assert finished(tmp_path) == local


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["scheduler", "script"])
def test_what_came_back_is_kept_and_the_same_command_goes_on(local, cluster, tmp_path, victim):
    cluster.worker("--nthreads", "1")
    cluster.workers(1)
    process = start(tmp_path, "--scheduler", cluster.address)
    until(2, tmp_path, process)
    (cluster.scheduler if victim == "scheduler" else process).kill()
    code, said = ended(process)
    kept = finished(tmp_path)
    assert 2 <= len(kept) < 15 and all(run in local for run in kept)
    if victim == "scheduler":
        assert code == 1 and said.splitlines()[-1].endswith(
            f"the scheduler at {cluster.address} is gone. The same command goes on from here"
        )
        assert ended(start(tmp_path))[0] == 0  # here, for want of another cluster
    else:
        assert code == -signal.SIGKILL
        assert ended(start(tmp_path, "--scheduler", cluster.address))[0] == 0
    assert finished(tmp_path) == local


def test_a_gpu_that_workers_declare_takes_one_run_at_a_time(cluster):
    cluster.worker("--nthreads", "4", "--resources", "GPU=1")
    cluster.workers(1)
    with workers.cluster(cluster.address) as engine:
        assert engine.places == 1
        spans = [future.result(60) for future in [engine.submit(nap, number) for number in range(3)]]
        assert sorted(engine.reports.get(timeout=10)[0] for _ in range(3)) == [0, 1, 2] and engine.reports.empty()
    spans.sort()
    assert all(end <= begin for (_, end), (begin, _) in zip(spans, spans[1:]))


def nap(number):
    """Report and sleep; return when it began and ended."""
    began = time.monotonic()
    workers.report(number)
    time.sleep(0.3)
    return began, time.monotonic()


@pytest.mark.parametrize(
    "place, said",
    [("a checkout", ""), ("elsewhere", "was not started in a checkout"), ("nowhere", "has no workers")],
)
def test_workers_need_a_checkout_and_the_scheduler_none(cluster, tmp_path, place, said):
    """The scheduler runs in an empty folder, and so does the worker `elsewhere`."""
    if place != "nowhere":
        cluster.worker("--nthreads", "1", cwd=tmp_path if place == "elsewhere" else ROOT)
        cluster.workers(1)
    try:
        with workers.cluster(cluster.address) as engine:
            assert engine.submit(sum, (1, 2)).result(60) == 3
        assert place == "a checkout"
    except OSError as error:
        assert said and said in str(error)


def test_an_unreachable_scheduler_is_one_line_within_15_seconds(tmp_path):
    with socket.socket() as deaf:  # accepts at the TCP level, never answers
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        address = f"tcp://127.0.0.1:{deaf.getsockname()[1]}"
        began = time.monotonic()
        code, said = ended(start(tmp_path, "--scheduler", address))
    assert code == 1 and said.count("\n") == 1 and f"no scheduler answers at {address}" in said, said
    assert time.monotonic() - began < 15
    assert not (tmp_path / "out").exists()


def test_without_dask_it_says_what_to_install(tmp_path):
    command = [sys.executable, str(ROOT / SCRIPTS["2b"]), "--quick", "--scheduler", "tcp://127.0.0.1:1"]
    done = subprocess.run(command, capture_output=True, text=True, env=without("distributed", tmp_path))
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "pip install distributed" in done.stderr


def test_a_worker_without_the_data_of_the_others_says_so(tmp_path, monkeypatch):
    """Rather than train on generated data in their place."""
    from common import data

    def missing(root):
        raise data.Missing("nothing there")

    monkeypatch.setattr(data, "cifar10", missing)
    with pytest.raises(OSError, match=f"lacks CIFAR-10.*{tmp_path}"):
        data.again.__wrapped__("CIFAR-10", "CIFAR-10", tmp_path, False, "cpu")
