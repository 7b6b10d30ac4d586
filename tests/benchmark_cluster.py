"""The sweep of exercise 2b on a Dask cluster: functions that return seconds, once every worker has trained a run."""

import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmark import ROOT, timed


@contextmanager
def dask(places):
    """Yield the workers.Engine of a scheduler and `places` workers of one thread, all on this machine."""
    from shipped import Cluster

    from common import workers

    with tempfile.TemporaryDirectory() as folder:
        started = Cluster(Path(folder))
        try:
            for _ in range(places):
                started.worker("--nthreads", "1")
            started.workers(places)
            with workers.cluster(started.address) as engine:
                yield engine
        finally:
            started.stop()


def sweep(engine, runs, work):
    """Let work(arm, seed) be done for so many runs."""
    import ex2b_adam
    from common import workers

    todo = [(ex2b_adam.ARMS[number % 15], number // 15) for number in range(runs)]
    workers.sweep(engine, work, todo, 2, lambda *shown: None, lambda result: None)


def small_sweep(place, places):
    """Twelve runs of exercise 2b, each of two epochs on 1280 generated images."""
    with tempfile.TemporaryDirectory() as folder, place(places) as engine:
        work = small_work(folder)
        return timed(lambda: sweep(engine, 12, work), lambda: sweep(engine, 2 * places, work))


def small_work(folder):
    import ex2b_adam

    settings = ex2b_adam.Settings(epochs=2, quick=True, width=8, runs=Path(folder), fresh=True)
    shared = {"data": "stand-in", "epochs": 2, "batch_size": 128, "momentum": 0.9, "width": 8}
    shared |= {"precision": "float32", "train_sample": 1000, "train_images": 1280, "test_images": 500}
    return partial(ex2b_adam.train, settings=settings, shared=shared)


def waiting_sweep(places):
    """Sixteen runs that wait half a second each: what the engine adds where the cores set no limit."""
    with dask(places) as engine:
        return timed(lambda: sweep(engine, 16, wait), lambda: sweep(engine, places, wait))


def wait(arm, seed):
    time.sleep(0.5)


def empty_run():
    """A run that does nothing, on one worker: what sending, scheduling and coming back take."""
    with dask(1) as engine:
        return timed(lambda: sweep(engine, 300, nothing), lambda: sweep(engine, 10, nothing)) / 300


def nothing(arm, seed):
    return {}


def start_up():
    """A cluster of one worker, from its start to the end of its first run, less the second run's time."""
    began = time.perf_counter()
    with dask(1) as engine, tempfile.TemporaryDirectory() as folder:
        work = small_work(folder)
        seconds = timed(lambda: sweep(engine, 1, work), lambda: sweep(engine, 1, work))
        return time.perf_counter() - began - 2 * seconds


def write_record():
    """Write a record of exercise 2b with 10000 runs, as it is written behind every run."""
    from common import runs

    record = runs.read_record(ROOT / "figures/ex2b.json")
    record["runs"] = [record["runs"][0]] * 10000
    with tempfile.TemporaryDirectory() as folder:
        write = partial(runs.write_record, Path(folder) / "ex2b.json", record)
        return timed(write, write)


def local(places):
    from common import workers

    return workers.pool(places)


CONTENDERS = {
    "12 small runs, 1 process, no cluster": partial(small_sweep, local, 1),
    "12 small runs, 2 processes, no cluster": partial(small_sweep, local, 2),
    **{f"12 small runs, cluster of {n}": partial(small_sweep, dask, n) for n in (1, 2, 4)},
    **{f"16 waiting runs, cluster of {n}": partial(waiting_sweep, n) for n in (1, 2, 4)},
    "an empty run, cluster of 1": empty_run,
    "start of a cluster of 1": start_up,
    "writing a record of 10000 runs": write_record,
}
