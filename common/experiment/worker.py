"""What happens where a run is trained: look at the device and the data, train, and say on what it was done.

An Experiment calls look() once and carry_out() for each run, by name and through engine.Engine, which puts place and
tell before carry_out()'s other arguments.
"""

import platform
import threading
import time
from functools import lru_cache
from importlib.metadata import version

import torch
from dask.system import CPU_COUNT

from . import state
from .book import identity

PACKAGES = "torch", "torchvision", "numpy", "matplotlib", "pillow"


def describe(device):
    """Return (versions, machine), what a result may depend on besides the settings."""
    versions = {"python": platform.python_version()} | {package: version(package) for package in PACKAGES}
    machine = {
        "device": str(device),
        "name": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }
    return versions, machine


def find_device(name, place=0):
    """Return the torch.device called `name`, for "cuda" the GPU whose turn it is at this place (0, 1, ...).

    Raises OSError where an explicit choice cannot be had.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise OSError(f"--device {name} cannot be used here ({reason}). Give --device cpu") from None
    return torch.device(name, place % torch.cuda.device_count()) if name == "cuda" else torch.device(name)


def places(name):
    """Return how many runs go side by side on this machine where --device is `name`: one a core, or one a GPU."""
    if find_device(name).type == "cpu":
        return CPU_COUNT  # which a container or a batch system may have limited
    return torch.cuda.device_count() if name in ("auto", "cuda") else 1


_one_at_a_time = threading.Lock()


@lru_cache(1)
def _once(load, *arguments):
    return load(*arguments)


def _data(experiment, settings, stand_in):
    """Return what the data is called and its parts, as the script's function gives them, to all threads of a worker."""
    with _one_at_a_time:
        return _once(experiment.load, settings.data_folder, stand_in, settings.quick)


def look(experiment, settings):
    """Look whether a run has what it needs here: device, packages, data, and cases that can be trained.

    Returns what the data is called, how long each part of it is, and places().
    """
    device = find_device(settings.device)
    for case in (case for _, cases in experiment.plan(settings).values() for case in cases):
        try:
            experiment.check(case, settings, device)
        except ValueError as error:
            raise OSError(f"{case.name}: {error}") from None
    name, parts = _data(experiment, settings, settings.stand_in)
    return name, {key: len(part) for key, part in parts.items()}, places(settings.device)


def carry_out(place, tell, experiment, settings, shared, part, cases, epochs):
    """Train `cases` on the data that shared["data"] names; return their entries in the record.

    shared: what determines the results of all runs. place, tell: see engine.Engine.sweep.
    """
    torch.set_num_threads(1)  # also on many cores, so that results do not depend on how many runs go side by side
    for gpu in (torch.backends.cuda.matmul, torch.backends.cudnn.conv):
        gpu.fp32_precision = "ieee"  # or it multiplies with 10 bits of the 23
    torch.backends.cudnn.deterministic = True  # or it adds in any order, and no run can be repeated
    device = find_device(settings.device, place)
    what = shared["data"]
    found, parts = _data(experiment, settings, what == "stand-in")
    if found != what:
        said = f"{platform.node()} lacks {what}, on which the others train"
        raise OSError(f"{said}. Lay it below {settings.data_folder} there")
    folder, here, began = settings.runs_folder, describe(device), time.monotonic()
    run = state.Run(folder, experiment.name, part, cases, epochs, device, shared, here, settings.fresh, tell)
    try:
        entries = experiment.train(run, settings, parts)
    except RuntimeError as error:
        full = isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)  # a GPU's, or the CPU's
        if not full:
            raise
        held = ", ".join(f"{key} {value}" for key, value in experiment.fixed.items())
        raise OSError(f"out of memory on {device} ({held}). Free some of it, or give --device cpu") from None
    versions, machine = run.where
    seconds = run.seconds if run.rows else time.monotonic() - began
    stamp = {"seconds": seconds, "versions": versions, "machine": machine}
    return [identity(case) | {"name": case.name} | entry | stamp for case, entry in zip(cases, entries, strict=True)]
