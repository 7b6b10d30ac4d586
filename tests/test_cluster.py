"""Where runs are trained: devices, places of a Dask cluster, and what becomes of it when its parts die or differ."""

import copy
import importlib.util
import os
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import dask
import pytest
import torch
from distributed import Client
from started import Cluster, Folder, until

from common.experiment import engine, options, worker
from tests import third as script

# ---- devices ----


@pytest.fixture
def gpus(monkeypatch):
    """Return a function that makes this machine one of so many GPUs."""

    def of(number):
        zeros = torch.zeros
        monkeypatch.setattr(torch, "zeros", lambda *size, device: zeros(*size, device="meta" if number else device))
        monkeypatch.setattr(torch.cuda, "is_available", lambda: number > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: number)

    return of


def test_auto_is_cuda_where_it_works_and_every_gpu_takes_one_run_unless_it_is_named(gpus):
    gpus(0)
    assert worker.find_device("auto") == worker.find_device("cpu") == torch.device("cpu")
    gpus(3)
    assert worker.find_device("auto") == torch.device("cuda:0") and worker.find_device("cpu") == torch.device("cpu")
    assert worker.places("auto") == worker.places("cuda") == 3 and worker.places("cuda:1") == 1
    assert [worker.find_device("cuda", place).index for place in range(5)] == [0, 1, 2, 0, 1]
    assert {worker.find_device("cuda:1", place).index for place in range(5)} == {1}


def test_runs_are_float32_and_repeatable_on_a_gpu_too(call, tmp_path):
    """There cuDNN would otherwise multiply with fewer bits, and add in any order."""
    products = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    for product in products:
        product.fp32_precision = "tf32"
    torch.backends.cudnn.deterministic = False
    assert call(Folder(tmp_path)).code == 0
    assert [product.fp32_precision for product in products] == ["ieee", "ieee"] and torch.backends.cudnn.deterministic


# ---- the workers of this machine ----


def test_there_are_as_many_workers_as_places_or_asked_for_but_no_more_than_runs(call, tmp_path, monkeypatch):
    grown = []

    def grow(self, places):
        grown.append(places)
        raise KeyboardInterrupt

    monkeypatch.setattr(engine.Engine, "grow", grow)
    monkeypatch.setattr(worker, "CPU_COUNT", 4)
    for flags in ([], ["--jobs", "3"], ["--jobs", "9"]):
        assert call(Folder(tmp_path), "--device", "cpu", *flags).code == 130
    assert grown == [4, 3, 6]
    monkeypatch.setattr(engine, "of_this_machine", lambda states, jobs: grown.append(jobs) or 1 / 0)
    with pytest.raises(ZeroDivisionError):  # more do not even begin to start
        script.experiment.run(script.Settings(jobs=1, runs=tmp_path))
    assert grown[3:] == [1]


def test_as_many_as_the_cores_that_are_granted():
    """By a container, a batch system, or, here, taskset."""
    granted, spec = os.sched_getaffinity(0), importlib.util.spec_from_file_location(worker.__name__, worker.__file__)
    try:
        os.sched_setaffinity(0, {min(granted)})
        importlib.reload(dask.system)
        spec.loader.exec_module(again := importlib.util.module_from_spec(spec))
    finally:
        os.sched_setaffinity(0, granted)
        importlib.reload(dask.system)
    assert again.places("cpu") == 1


def test_they_have_a_thread_each_and_no_limits_and_let_nobody_in(tmp_path, monkeypatch):
    """Here within this process; whatever the user's Dask is told."""
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "77")
    monkeypatch.setattr(engine, "LocalCluster", partial(engine.LocalCluster, processes=False))
    monkeypatch.setattr(dask.config, "config", copy.deepcopy(dask.config.config))
    monkeypatch.setattr(engine, "CPU_COUNT", 9)
    for jobs, places in ((1, 1), (7, 2)):
        with engine.of_this_machine(tmp_path, jobs) as workers:
            assert len(workers._cluster.workers) == places
    with engine.of_this_machine(tmp_path) as workers:
        cluster = workers._cluster
        assert len(cluster.workers) == 2
        workers.grow(1)
        assert until(lambda: (workers.name, len(cluster.workers)) == ("1 process", 1), within=10)
        workers.grow(2)
        workers._client.wait_for_workers(2, timeout=10)
        assert (workers.name, len(cluster.workers)) == ("2 processes", 2)
        assert dask.config.get("distributed.scheduler.allowed-failures") == 3
        assert dask.config.get("distributed.nanny.pre-spawn-environ")["MALLOC_TRIM_THRESHOLD_"] is None
        assert dask.config.get("distributed.deploy.lost-worker-timeout") == "100 days"
        assert cluster.scheduler_address.startswith("tls://127.0.0.1") and cluster.scheduler.worker_ttl is None
        for one in cluster.workers.values():
            assert one.state.nthreads == 1 and not one.memory_manager.memory_limit
            assert Path(one.local_directory).is_relative_to(tmp_path)
        with pytest.raises((TypeError, OSError)):
            Client(cluster.scheduler_address, timeout=1)
    assert cluster.status.name == "closed"
    monkeypatch.setattr(engine, "LocalCluster", lambda **_: 1 / 0)
    with pytest.raises(OSError, match="has started .division by zero."), engine.of_this_machine(tmp_path):
        pass


@pytest.mark.parametrize("sent, end", [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_waits_until_they_have_started(sent, end):
    before, reached = signal.signal(signal.SIGTERM, lambda *_: sys.exit()), []
    try:
        with pytest.raises(end), engine._held_back():
            os.kill(os.getpid(), sent)
            time.sleep(0.01)
            reached.append(sent)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert reached and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_waits_until_all_is_closed(tmp_path, monkeypatch):
    closed = []

    class Part:
        def __init__(self, *_, **__):
            pass

        def close(self):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)
            closed.append(self)

    monkeypatch.setattr(dask.config, "config", copy.deepcopy(dask.config.config))
    monkeypatch.setattr(engine, "LocalCluster", Part)
    monkeypatch.setattr(engine, "Client", Part)
    with pytest.raises(KeyboardInterrupt), engine.of_this_machine(tmp_path):
        raise KeyboardInterrupt
    assert len(closed) == 2


def test_the_data_are_read_once_for_all_threads_of_a_worker():
    """From below the scripts where no folder is given."""
    read = []

    def load(*arguments):
        read.append(arguments)
        time.sleep(0.05)
        return "small images", {}

    experiment, settings = replace(script.experiment, load=load), script.Settings(quick=True)
    with ThreadPoolExecutor(3) as threads:
        found = [*threads.map(lambda _: worker._data(experiment, settings, False), range(3))]
    assert read == [(options.ROOT / "data", False, True)] and found == [("small images", {})] * 3


@pytest.mark.parametrize("there", ["stand-in", "small images"])
def test_a_worker_without_the_data_of_the_others_says_so(tmp_path, there):
    """Rather than train on what it has in its place, a stand-in or other images."""
    settings = script.Settings(data=tmp_path, runs=tmp_path)
    experiment = replace(script.experiment, load=lambda *asked: (there, script.load(*asked)[1]))
    run = "arms", (script.Arm(1.0),), 3
    with pytest.raises(OSError, match=f"lacks Fashion-MNIST, on which the others train. Lay it below {tmp_path}"):
        worker.carry_out(0, print, experiment, settings, {"data": "Fashion-MNIST"}, *run)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("data", ["small images", "stand-in"])
def test_an_entry_says_where_its_run_was_trained(tmp_path, monkeypatch, data):
    """Also a worker with the real data trains on generated ones where the others do."""
    settings, run = script.Settings(data=tmp_path, runs=tmp_path), ("arms", (script.Arm(1.0),), 1)
    for place in ("there", "here"):
        monkeypatch.setattr(worker, "describe", lambda device: ({"python": place}, {"name": place}))
        (entry,) = worker.carry_out(0, lambda told: None, script.experiment, settings, {"data": data}, *run)
        assert entry["machine"] == {"name": "there"} and entry["versions"] == {"python": "there"}


# ---- places of a cluster, within this process; that it gives the local record is shown in test_records.py ----


def at_a_time(monkeypatch):
    """Let runs last a while; return a list of how many go side by side, which grows with each run."""
    running, seen, train = set(), [], script.train

    def watched(run, *arguments):
        running.add(run)
        time.sleep(0.2)
        seen.append(len(running))
        running.discard(run)
        return train(run, *arguments)

    monkeypatch.setattr(script, "experiment", replace(script.experiment, train=watched))
    return seen


@pytest.mark.parametrize(
    "kind, said, most",
    [
        ({"threads_per_worker": 3}, "3 places of tcp://", 3),
        ({"threads_per_worker": 4, "resources": {"GPU": 1}}, "1 place of tcp://", 1),
        ({"n_workers": 2, "threads_per_worker": 2, "resources": {"GPU": 1}}, "2 places of tcp://", 2),
    ],
)
def test_threads_take_a_run_each_and_gpus_that_workers_declare_one_each(
    whole, call, tmp_path, monkeypatch, kind, said, most
):
    """Each worker has a place of its own, by which it takes a GPU."""
    seen, folder, taken, find = at_a_time(monkeypatch), Folder(tmp_path), set(), worker.find_device
    monkeypatch.setattr(worker, "find_device", lambda name, place=0: taken.add(place) or find(name, place))
    end = call(folder, **kind)
    assert end.code == 0 and said in end.stderr and "dashboard http" in end.stderr
    assert max(seen) == most and len(seen) == 6 and folder.record() == whole[0].record()
    assert taken == {*range(kind.get("n_workers", 1))}


def test_a_result_that_came_back_leaves_its_worker(places):
    """Or its run would be trained again where that worker dies."""
    cluster, came = places(), 0
    with engine.of_cluster(cluster.scheduler_address) as workers:
        for _ in workers.sweep("operator:is_", [(), (), ()]):
            came += 1
            tasks = cluster.scheduler.tasks
            assert until(lambda: came + len(tasks) <= 4, within=5), tasks  # the latest one may still be there
    assert came == 3


def test_a_cluster_without_workers_says_what_to_start(call, tmp_path):
    end = call(Folder(tmp_path), n_workers=0)
    assert end.code == 1 and "has no workers. Start some with: dask worker tcp://" in end.stderr


def test_a_worker_of_another_python_is_named(call, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "PYTHON", "2.7")
    end = call(Folder(tmp_path))
    assert end.code == 1 and "has Python 3." in end.stderr and "here are Python 2.7 and torch" in end.stderr


# ---- a cluster of processes ----


@pytest.fixture
def cluster(tmp_path):
    """A cluster without workers; its scheduler runs in a folder where there is no checkout."""
    made = Cluster(tmp_path)
    yield made
    made.stop()


LONG = "--epochs", "30"


@pytest.mark.slow
def test_workers_of_another_torch_or_outside_a_checkout_are_named(call, cluster, tmp_path):
    other, none = (tmp_path / folder / "torch-9.9.dist-info" for folder in ("9.9", "none"))
    for folder in (other, none):
        folder.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 9.9\n")
    for wrong, said in (
        ({"cwd": tmp_path}, "was not started in a checkout of this repository"),
        ({"path": other.parent}, " and torch 9.9, here are Python 3."),
        ({"path": none.parent}, " and torch None, here are Python 3."),
    ):
        process = cluster.worker("--nthreads", "1", **wrong)
        cluster.workers(1)
        end = call(Folder(tmp_path), address=cluster.address)
        assert end.code == 1 and said in end.stderr.splitlines()[-1] and "tcp://" in end.stderr.splitlines()[-1]
        process.terminate()
        process.wait()


def meanwhile(ready, kill):
    """Kill something as soon as ready()."""
    threading.Thread(target=lambda: until(ready) and kill(), daemon=True).start()


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_by_another_and_a_scheduler_that_dies_is_one_line(
    call, cluster, tmp_path, monkeypatch
):
    folder, undisturbed = Folder(tmp_path / "cluster"), Folder(tmp_path / "undisturbed")
    first, _ = cluster.worker("--nthreads", "2"), cluster.worker("--nthreads", "2")
    assert call(undisturbed, *LONG).code == 0
    expected = undisturbed.record()
    cluster.workers(2)
    meanwhile(folder.states, first.kill)
    end = call(folder, *LONG, address=cluster.address)
    assert end.code == 0 and f"4 places of {cluster.address}" in end.stderr and folder.record() == expected
    assert first.wait(10)

    monkeypatch.setattr(engine, "PATIENCE", 1)
    folder.file().unlink()
    meanwhile(lambda: folder.record() and len(folder.record()["arms"]) < 6, cluster.scheduler.kill)
    end = call(folder, *LONG, "--fresh", address=cluster.address)
    kept = folder.record()["arms"]
    gone = f"the scheduler at {cluster.address} is gone; {options.AGAIN}"
    assert end.code == 1 and end.stderr.endswith(gone + "\n"), end.stderr
    assert 0 < len(kept) < 6
    assert all(arm in expected["arms"] for arm in kept)
    cluster.stop()  # or what its worker has begun it would end while another trains the same
    assert call(folder, *LONG).code == 0 and folder.record() == expected


def test_a_scheduler_that_is_silent_is_one_line(call, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "PATIENCE", 1)
    with socket.socket() as deaf:  # accepts at the TCP level, never answers
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        address = f"tcp://127.0.0.1:{deaf.getsockname()[1]}"
        began = time.monotonic()
        end = call(Folder(tmp_path), address=address)
    assert end.code == 1 and f"no scheduler answers at {address} (" in end.stderr.splitlines()[-1]
    assert time.monotonic() - began < 5 and not (tmp_path / "out").exists()
