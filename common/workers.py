"""Independent runs in worker processes, which report as they go and never outlive the process that started them."""

import heapq
import multiprocessing
import os
import signal
import threading
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from datetime import timedelta
from statistics import mean


def report(*message):
    """Tell the process that started this worker; elsewhere it does nothing."""


@contextmanager
def pool(jobs, gpus=()):
    """Yield an executor of `jobs` spawned processes, and a function that gives what they reported since its last call.

    gpus: values of CUDA_VISIBLE_DEVICES that the workers take in turn. Leaving the block ends the workers, in
    the middle of their work too; a worker that dies by itself raises OSError.
    """
    context = multiprocessing.get_context("spawn")
    alive, held = context.Pipe(duplex=False)
    reports, places = context.SimpleQueue(), context.SimpleQueue()
    for job in range(jobs):
        places.put(gpus[job % len(gpus)] if gpus else None)
    executor = ProcessPoolExecutor(jobs, context, _begin, (alive, reports, places))

    def reported():
        while not reports.empty():
            yield reports.get()

    try:
        # Start them here, deaf to Ctrl-C from their first instruction: an ignored signal stays ignored in a child.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        for _ in range(jobs):
            executor.submit(os.getpid)
        signal.signal(signal.SIGINT, before)
        yield executor, reported
    except BrokenProcessPool:
        raise OSError("a worker process died (killed, or out of memory?). The same command goes on from here") from None
    finally:
        held.close()
        executor.shutdown(cancel_futures=True)


def time_left(epochs_left, seconds, jobs):
    """Estimate the seconds until all runs are done: each free worker takes the next run, an epoch takes `seconds`."""
    free = [0.0] * jobs
    for epochs in epochs_left:
        heapq.heapreplace(free, free[0] + epochs * seconds)
    return max(free)


def sweep(executor, reported, train, todo, epochs, jobs, progress, finished):
    """Call train(*run) in the executor for each run of `todo`, and finished(its result) as each one is done.

    While it trains, a run reports (run, epochs done, seconds so far), first where it goes on and then behind every
    epoch. progress(text, epochs done since the last call) shows it, with an estimate of the rest.
    """
    left, seconds, took = dict.fromkeys(todo, epochs), {}, []
    waiting = {executor.submit(train, *run) for run in todo}
    while waiting:
        done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
        for run, epoch, now in reported():
            new, left[run] = left[run] - (epochs - epoch), epochs - epoch
            if run in seconds:
                took.append(now - seconds[run])
            seconds[run] = now
            text = f"epochs, {len(todo) - len(waiting)}/{len(todo)} runs"
            if took:
                text += f", about {timedelta(seconds=round(time_left(left.values(), mean(took), jobs)))} left"
            progress(text, new)
        for future in done:
            finished(future.result())


def _begin(alive, reports, places):
    """Make this process a worker: deaf to Ctrl-C, with a GPU of its own where there are, and gone with its parent."""
    global report
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(alive,), daemon=True).start()
    report = lambda *message: reports.put(message)  # noqa: E731
    gpu = places.get()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu


def _end_with(alive):
    """Wait for the end of the pipe, which comes when the parent closes it or dies, of whatever cause."""
    try:
        alive.recv()
    finally:
        os._exit(1)
