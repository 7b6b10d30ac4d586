"""Sweeps on a Dask cluster: functions that return seconds, once every worker has trained a run."""

import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmark import ROOT, timed

CARRY_OUT = "common.experiment.worker:carry_out"
WAIT, NOTHING = f"{__name__}:wait", f"{__name__}:nothing"


@contextmanager
def dask(places):
    """Yield the Engine of a scheduler and `places` workers of one thread, all on this machine."""
    from started import Cluster

    from common.experiment import engine

    with tempfile.TemporaryDirectory() as folder:
        started = Cluster(Path(folder))
        try:
            for _ in range(places):
                started.worker("--nthreads", "1")
            started.workers(places)
            with engine.of_cluster(started.address) as workers:
                yield workers
        finally:
            started.stop()


@contextmanager
def local(places):
    """Yield the Engine of so many processes, as the scripts start them."""
    from common.experiment import engine

    with tempfile.TemporaryDirectory() as folder, engine.of_this_machine(folder, places) as workers:
        workers.grow(places)
        yield workers


def sweep(workers, function, calls):
    """Let function(place, tell, *call) be done for each of the calls."""
    for _, event in workers.sweep(function, calls):
        if hasattr(event, "result"):
            event.result()


def small_runs(folder, number):
    """Runs of exercise 2b, each of two epochs on few generated images, as calls of worker.carry_out."""
    import ex2b_adam

    settings = ex2b_adam.Settings(epochs=2, quick=True, width=8, runs=Path(folder), fresh=True)
    cases = (replace(ex2b_adam.ARMS[n % 15], seed=n // 15) for n in range(number))
    return [(ex2b_adam.experiment, settings, {"data": "stand-in"}, "runs", (case,), 2) for case in cases]


def small_sweep(place, places):
    """Twelve small runs, once the workers have done others."""
    with tempfile.TemporaryDirectory() as folder, place(places) as workers:
        twelve, first = small_runs(folder, 12), small_runs(folder, 2 * places)
        return timed(lambda: sweep(workers, CARRY_OUT, twelve), lambda: sweep(workers, CARRY_OUT, first))


def waiting_sweep(places):
    """Sixteen runs that wait half a second each: what the engine adds where the cores set no limit."""
    with dask(places) as workers:
        return timed(lambda: sweep(workers, WAIT, [()] * 16), lambda: sweep(workers, WAIT, [()] * places))


def wait(place, tell):
    time.sleep(0.5)


def empty_run():
    """A run that does nothing, on one worker: what sending, scheduling and coming back take."""
    with dask(1) as workers:
        return timed(lambda: sweep(workers, NOTHING, [()] * 300), lambda: sweep(workers, NOTHING, [()] * 10)) / 300


def nothing(place, tell):
    return {}


def start_up():
    """A cluster of one worker, from its start to the end of its first run, less the second run's time."""
    began = time.perf_counter()
    with dask(1) as workers, tempfile.TemporaryDirectory() as folder:
        one = partial(sweep, workers, CARRY_OUT, small_runs(folder, 1))
        seconds = timed(one, one)
        return time.perf_counter() - began - 2 * seconds


def write_record():
    """Write a record of exercise 2b with 10000 runs, as it is written behind every run."""
    from common.experiment import records

    record = records.read(ROOT / "figures/ex2b.json")
    record["runs"] = [record["runs"][0]] * 10000
    with tempfile.TemporaryDirectory() as folder:
        write = partial(records.write, Path(folder) / "ex2b.json", record)
        return timed(write, write)


CONTENDERS = {
    "12 small runs, 1 process, no cluster": partial(small_sweep, local, 1),
    "12 small runs, 2 processes, no cluster": partial(small_sweep, local, 2),
    **{f"12 small runs, cluster of {n}": partial(small_sweep, dask, n) for n in (1, 2, 4)},
    **{f"16 waiting runs, cluster of {n}": partial(waiting_sweep, n) for n in (1, 2, 4)},
    "an empty run, cluster of 1": empty_run,
    "start of a cluster of 1": start_up,
    "writing a record of 10000 runs": write_record,
}
