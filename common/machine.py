"""What a machine has for training, and what of it belongs into a record. Torch is imported where it is needed."""

import os
import platform
from functools import wraps
from importlib.metadata import PackageNotFoundError, version

MACHINE = "device", "name", "capability", "threads"


def describe(device):
    """Return what a result may depend on besides the settings, for the record: versions, and MACHINE's values."""
    import torch

    packages = "torch", "torchvision", "numpy", "matplotlib", "pillow"
    try:
        versions = {"python": platform.python_version()} | {package: version(package) for package in packages}
    except PackageNotFoundError as error:
        raise OSError(f"{error.name} is not installed. pip install -r requirements.txt") from None
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    capability = torch.backends.cpu.get_cpu_capability()
    return versions, dict(zip(MACHINE, (str(device), name, capability, torch.get_num_threads())))


def device(name):
    """Return the torch.device of that name; raises OSError where an explicit choice cannot be had."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise OSError(f"--device {name} cannot be used here ({reason}). Give --device cpu or auto") from None
    return torch.device(name)


def offers(device):
    """Say what this machine has for runs on a torch.device, as a dict.

    device: its name; bfloat16: whether it is good at that; jobs: how many runs it takes at a time; gpus: those that
    the runs share out among them, as values of CUDA_VISIBLE_DEVICES.
    """
    import torch

    bfloat16, jobs, gpus = False, 1, []
    if device.type == "cpu":
        bfloat16 = torch.cpu._is_avx512_bf16_supported()
        jobs = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if device.type == "cuda":
        bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cuda" and device.index is None:
        found = torch.cuda.device_count()  # of those that the environment names, up to the first that is none
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(found)))).split(",")[:found]
        jobs = len(gpus)
    return {"device": str(device), "bfloat16": bfloat16, "jobs": jobs, "gpus": gpus}


def survey(name, load):
    """Look whether a run has what it needs here: the device `name`, the packages, and the data, which load() reads.

    load() returns what the data is, its training and its test part. Returns what it is, its sizes and offers().
    """
    found = device(name)
    describe(found)
    what, train, test = load()
    return what, {"train_images": len(train), "test_images": len(test)}, offers(found)


def within_memory(batch_size):
    """Decorate a function that trains by `settings`: where the memory of the device is full it raises OSError."""

    def decorate(train):
        @wraps(train)
        def guarded(*arguments, settings, **more):
            import torch

            try:
                return train(*arguments, settings=settings, **more)
            except torch.OutOfMemoryError:
                full = f"out of memory on {device(settings.device)} with batches of {batch_size}"
                raise OSError(f"{full}. Free some of it, or give --device cpu") from None

        return guarded

    return decorate
