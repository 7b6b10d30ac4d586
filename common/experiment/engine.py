"""Where runs are trained: on Dask's workers, of this machine or of a cluster."""

import logging
import os
import pickle
import signal
import sys
import threading
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from functools import partial
from importlib.metadata import version
from multiprocessing import resource_tracker
from pkgutil import resolve_name
from queue import Empty, SimpleQueue

import dask
from dask.system import CPU_COUNT
from dask.utils import SerializableLock
from distributed import Client, Future, KilledWorker, LocalCluster, fire_and_forget, get_worker
from distributed.comm import CommClosedError

from . import options

PYTHON, TORCH = "{}.{}".format(*sys.version_info), version("torch")
LOADING = SerializableLock("modules")  # one for all threads of a worker: a lazy module must not be loaded by two
PATIENCE = 10  # seconds, with a scheduler that does not answer
SILENT = logging.CRITICAL + 1
for _name in ("distributed", "distributed.client"):  # of a scheduler that is lost they print tracebacks
    logging.getLogger(_name).setLevel(SILENT)


class Engine:
    """Workers that carry out calls. name: what they are, for people; cluster: the LocalCluster of this machine."""

    def __init__(self, client, name="1 process", cluster=None, resources=None):
        self.name, self._client, self._cluster, self._resources = name, client, cluster, resources

    def grow(self, places):
        """Let so many runs go side by side on this machine; a cluster has the workers that it has."""
        if self._cluster:
            self._cluster.scale(places)
            self.name = f"{places} process{'es' * (places > 1)}"

    def submit(self, name, *arguments, telling=None):
        """Return the distributed.Future of a call of the function "module:name", which is looked up where it is called.

        telling: (topic, number) of what it tells; before the arguments it gets place and tell then, see sweep().
        """
        elsewhere = not self._cluster

        def on_worker(call):  # a local function travels by value: the scheduler opens it too, and needs nothing of ours
            host = get_worker()
            if elsewhere and os.getcwd() not in sys.path:
                sys.path.insert(0, os.getcwd())
            with LOADING:
                try:
                    function, arguments = resolve_name(name), pickle.loads(call)
                except (ImportError, SystemExit) as error:
                    outside = f"{host.address} was not started in a checkout of this repository ({error})"
                    raise OSError(outside) from None
            if telling is None:
                return function(*arguments)
            (topic, number), place = telling, host.name if isinstance(host.name, int) else 0
            return function(place, lambda told: host.log_event(topic, (number, told)), *arguments)

        return self._client.submit(on_worker, pickle.dumps(arguments), pure=False, resources=self._resources)

    def sweep(self, name, calls):
        """Call the function with place, tell and each call; yield (number, what it tells or returns) as they come.

        place: the worker's number on this machine, 0 on a cluster; tell() takes what can be sent as it is, a number or
        a text.
        """
        events, topic = SimpleQueue(), f"runs of {self._client.id}"
        self._client.subscribe_topic(topic, lambda event: events.put(event[1]))
        futures = [self.submit(name, *call, telling=(topic, number)) for number, call in enumerate(calls)]
        for number, future in enumerate(futures):
            future.add_done_callback(lambda future, number=number: events.put((number, future)))
        left = len(futures)
        while left:
            with suppress(Empty):
                number, event = events.get(timeout=1)  # not for ever: Windows lets no signal through
                if isinstance(event, Future):
                    left -= 1
                    event, future = event.result(), event
                    future.release()  # or it would be called again where the worker that has its result dies
                yield number, event


@contextmanager
def of_this_machine(folder, jobs=None):
    """Yield an Engine of at most two worker processes, closed to others; leaving the block ends their work too.

    folder: of Dask's own files. jobs: how many processes are wanted, one a core if that is left open; how many there
    shall be, grow() is told. The user's Dask configuration is set aside. A worker that dies is replaced, and its run
    repeated. Workers are deaf to Ctrl-C and SIGTERM, and never outlive this process.
    """
    dask.config.refresh(paths=[], env={})
    dask.config.set(
        {
            "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,  # it slows training by half
            "distributed.deploy.lost-worker-timeout": "100 days",  # or one that is being replaced then is given up
            "distributed.scheduler.worker-ttl": None,  # or a machine that has slept loses its workers
        }
    )
    start = partial(
        LocalCluster,
        n_workers=min(2, jobs or CPU_COUNT),
        threads_per_worker=1,
        memory_limit=0,
        dashboard_address=None,
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # of its health, or a second program finds 8787 taken
        security=True,
        protocol="tls://",
        local_directory=str(folder),
        silence_logs=SILENT,
    )
    cluster = None
    try:
        with _held_back():
            cluster, failed = _within(30, start)
        if failed:
            raise OSError(f"no worker process has started ({failed}). Is this machine's loopback interface up?")
        with _connected(Client(cluster), "this machine's scheduler") as client:
            engine = Engine(client, cluster=cluster)
            for _ in cluster.workers:  # which load PyTorch side by side
                fire_and_forget(engine.submit("torch:get_num_threads"))
            yield engine
    finally:
        if cluster:
            _end(cluster.close)


@contextmanager
def of_cluster(address):
    """Yield an Engine of the Dask cluster whose scheduler is at `address`.

    Each thread of a worker takes one run at a time; where workers declare a resource GPU, each of those does.
    The scheduler repeats the run of a worker that dies on another one. Raises OSError where no scheduler answers,
    none has workers or it is lost; what a worker has begun it then ends alone, and keeps the state.
    """
    # Alone it waits for ever on a server that is silent.
    client, failed = _within(PATIENCE + 1, partial(Client, address, timeout=PATIENCE))
    if failed:
        raise OSError(f"no scheduler answers at {address} ({failed}). Start one with: dask scheduler")
    with _connected(client, f"the scheduler at {address}"):
        found = client.scheduler_info(n_workers=-1)["workers"].values()
        gpus = int(sum(worker["resources"].get("GPU", 0) for worker in found))
        places = gpus or sum(worker["nthreads"] for worker in found)
        if not places:
            raise OSError(f"the scheduler at {address} has no workers. Start some with: dask worker {address}")
        for worker, versions in client.get_versions(packages=["torch"])["workers"].items():
            python, torch = versions["host"]["python"], versions["packages"]["torch"]
            if not python.startswith(f"{PYTHON}.") or torch != TORCH:
                there, here = f"Python {python} and torch {torch}", f"Python {PYTHON} and torch {TORCH}"
                raise OSError(f"{worker} has {there}, here are {here}. Start it with the same")
        name = f"{places} place{'s' * (places > 1)} of {address}, dashboard {client.dashboard_link}"
        yield Engine(client, name, resources={"GPU": 1} if gpus else None)


@contextmanager
def _connected(client, scheduler):
    """Yield the Client and close it; make what Dask raises where its parts die an OSError of one line."""
    try:
        yield client
    except KilledWorker as error:
        died = f"a run's workers died again and again ({error.last_worker.address}; out of memory?)"
        raise OSError(f"{died}; {options.AGAIN}") from None
    except (CancelledError, CommClosedError):
        raise OSError(f"{scheduler} is gone; {options.AGAIN}") from None
    finally:
        _end(client.close)


def _end(close):
    """Let a part of Dask close; a second Ctrl-C waits for that, since halfway it would give tracebacks."""
    with _held_back():
        _within(60, close)  # it may fail or wait for ever where a worker is being replaced


def _within(seconds, call):
    """Return (what call() returns, None); (None, why) where it raises, or takes longer and is left to itself."""
    result = SimpleQueue()

    def answer():
        try:
            result.put((call(), None))
        except Exception as error:
            result.put((None, " ".join(str(error).split()) or type(error).__name__))

    threading.Thread(target=answer, daemon=True).start()
    try:
        return result.get(timeout=seconds)
    except Empty:
        return None, f"within {seconds} s"


@contextmanager
def _held_back():
    """Hold back Ctrl-C and SIGTERM to the end of the block, and for good in the processes that it starts."""
    late, ending = [], {signal.SIGINT, signal.SIGTERM}
    before = {number: signal.signal(number, lambda number, _: late.append(number)) for number in ending}
    if hasattr(signal, "pthread_sigmask"):  # not on Windows; a thread or process inherits what is blocked
        resource_tracker.ensure_running()  # it would let them in again
        signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    try:
        yield
    finally:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ending)
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in late:
            signal.raise_signal(number)
