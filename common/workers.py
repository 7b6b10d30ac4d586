"""Independent runs in worker processes, of this machine or of a Dask cluster, which report as they go."""

import heapq
import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, CancelledError, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from multiprocessing import resource_tracker
from queue import Empty, SimpleQueue
from statistics import mean


AGAIN = "The same command goes on from here"
ENDING = {signal.SIGINT, signal.SIGTERM}


@dataclass(frozen=True)
class Engine:
    """Where runs are trained.

    submit(function, *arguments): a concurrent.futures.Future of its result. reports: a queue, with empty() and get(),
    of what runs report. places: how many run at a time. name: for people.
    """

    submit: Callable
    reports: object
    places: int
    name: str


_thread = threading.local()  # a worker of a cluster may do several runs at a time, each in a thread of its own


def report(*message):
    """Tell the process that asked for this run; outside a worker it does nothing."""
    tell = getattr(_thread, "tell", None)
    if tell:
        tell(message)


def tell_by(tell):
    """Let report() of this thread call tell(message) from now on."""
    _thread.tell = tell


@contextmanager
def pool(jobs, gpus=()):
    """Yield an Engine of `jobs` spawned processes.

    gpus: values of CUDA_VISIBLE_DEVICES that the workers take in turn. Leaving the block ends the workers, in
    the middle of their work too, and they never outlive this process; one that dies by itself raises OSError.
    """
    context = multiprocessing.get_context("spawn")
    alive, held = context.Pipe(duplex=False)
    reports, places = context.SimpleQueue(), context.SimpleQueue()
    for job in range(jobs):
        places.put(gpus[job % len(gpus)] if gpus else None)
    executor = ProcessPoolExecutor(jobs, context, _begin, (alive, reports, places))
    name = f"{jobs} process{'es' * (jobs > 1)}"
    try:
        with _held_back():
            for _ in range(jobs):
                executor.submit(os.getpid)
        yield Engine(executor.submit, reports, jobs, name)
    except BrokenProcessPool:
        raise OSError(f"a worker process died (killed, or out of memory?). {AGAIN}") from None
    finally:
        held.close()
        executor.shutdown(cancel_futures=True)


@contextmanager
def cluster(address):
    """Yield an Engine of the Dask cluster whose scheduler is at `address`.

    Each thread of a worker takes one run at a time; where workers declare a resource GPU, each of those does.
    The scheduler repeats the run of a worker that dies on another one. Raises OSError where no scheduler answers,
    none has workers or it is lost; what a worker has begun it then ends alone, and keeps the state.
    """
    try:
        from distributed import Client, KilledWorker, get_worker
    except ImportError:
        raise OSError("--scheduler needs dask.distributed, which is not installed. pip install distributed") from None
    for name in ("distributed", "distributed.client"):  # of a scheduler that is lost it prints tracebacks
        logging.getLogger(name).setLevel(logging.CRITICAL)
    client = _within(11, partial(Client, address, timeout=10))  # alone it waits for ever on a server that is silent
    if client is None:
        raise OSError(f"no scheduler answers at {address}. Start one with: dask scheduler")
    with client:
        found = client.scheduler_info(n_workers=-1)["workers"].values()
        gpus = int(sum(worker["resources"].get("GPU", 0) for worker in found))
        places = gpus or sum(worker["nthreads"] for worker in found)
        if not places:
            raise OSError(f"the scheduler at {address} has no workers. Start some with: dask worker {address}")
        reports, topic = SimpleQueue(), f"runs of {client.id}"
        client.subscribe_topic(topic, lambda event: reports.put(pickle.loads(event[1])))
        executor = client.get_executor(pure=False, resources={"GPU": 1} if gpus else None)

        def on_worker(call):  # a local function travels by value: the scheduler needs nothing of ours
            if os.getcwd() not in sys.path:
                sys.path.insert(0, os.getcwd())
            try:
                from common import workers
            except ImportError:
                raise OSError(f"{get_worker().address} was not started in a checkout of this repository") from None
            tell = partial(get_worker().log_event, topic)
            workers.tell_by(lambda message: tell(pickle.dumps(message)))
            function, arguments = pickle.loads(call)
            return function(*arguments)

        def submit(function, *arguments):
            return executor.submit(on_worker, pickle.dumps((function, arguments)))

        name = f"{places} place{'s' * (places > 1)} of {address}, dashboard {client.dashboard_link}"
        try:
            yield Engine(submit, reports, places, name)
        except KilledWorker as error:
            raise OSError(f"a run's workers died again and again ({error.last_worker.address}). {AGAIN}") from None
        except CancelledError:
            raise OSError(f"the scheduler at {address} is gone. {AGAIN}") from None


def _within(seconds, call):
    """Return what call() returns; None where it raises or takes longer, and is left to itself."""
    result = SimpleQueue()

    def answer():
        with suppress(Exception):
            result.put(call())

    threading.Thread(target=answer, daemon=True).start()
    with suppress(Empty):
        return result.get(timeout=seconds)


def time_left(epochs_left, seconds, jobs):
    """Estimate the seconds until all runs are done: each free worker takes the next run, an epoch takes `seconds`."""
    free = [0.0] * jobs
    for epochs in epochs_left:
        heapq.heapreplace(free, free[0] + epochs * seconds)
    return max(free)


def sweep(engine, train, todo, epochs, progress, finished, size=lambda run: 1, later=0):
    """Call train(*run) in the Engine for each run of `todo`, and finished(its result) as each one is done.

    While it trains, a run reports (run, epochs done, seconds so far), first where it goes on and then behind every
    epoch. progress(text, epochs done since the last call) shows it, with an estimate of the rest. size(run): how many
    networks it trains side by side, each of whose epochs counts. later: how many more runs the rest has, of size 1.
    """
    left, seconds, took = {run: epochs * size(run) for run in todo}, {}, []
    waiting = {engine.submit(train, *run) for run in todo}
    while waiting:
        done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
        while not engine.reports.empty():
            run, epoch, now = engine.reports.get()
            before, left[run] = left[run], (epochs - epoch) * size(run)
            new = before - left[run]
            if new > 0 and run in seconds:  # not where a worker died and another one begins again
                took.append((now - seconds[run]) / new)
            seconds[run] = now
            text = f"epochs, {len(todo) - len(waiting)}/{len(todo)} runs"
            if took:
                rest = time_left([*left.values(), *[epochs] * later], mean(took), engine.places)
                text += f", about {timedelta(seconds=round(rest))} left"
            progress(text, new)
        for future in done:
            finished(future.result())


@contextmanager
def _held_back():
    """Hold back Ctrl-C and SIGTERM to the end of the block, and in the processes that it starts until _begin()."""
    late = []
    before = {number: signal.signal(number, lambda number, _: late.append(number)) for number in ENDING}
    if hasattr(signal, "pthread_sigmask"):  # not on Windows; a process inherits what is blocked
        resource_tracker.ensure_running()  # it would let them in again
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in late:
            signal.raise_signal(number)


def _begin(alive, reports, places):
    """Make this process a worker: deaf to Ctrl-C, with a GPU of its own where there are, and gone with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    threading.Thread(target=_end_with, args=(alive,), daemon=True).start()
    tell_by(reports.put)
    gpu = places.get()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu


def _end_with(alive):
    """Wait for the end of the pipe, which comes when the parent closes it or dies, of whatever cause."""
    try:
        alive.recv()
    finally:
        os._exit(1)
