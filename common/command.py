"""The command line that both scripts share. Nothing here needs torch before the arguments are read."""

import os
import re
import signal
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

ROOT = Path(__file__).resolve().parent.parent


def _checked(read, metavar):
    """Make a tyro argument type of `read`, which raises ValueError with what is allowed."""
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda args: read(args[0]),
        is_instance=lambda value: True,
        str_from_instance=lambda value: [str(value)],
    )


def whole(low, high):
    """A whole number from `low` to `high`."""

    def read(text):
        if not re.fullmatch(r"[0-9]{1,15}", text) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high} (got '{text}')")
        return int(text)

    return _checked(read, f"{low}..{high}")


FOLDER = _checked(lambda text: Path(text).absolute(), "DIR")  # a path typed is taken from the current folder


def _device_name(text):
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]+)?", text):
        raise ValueError(f"must be auto, cpu, cuda, cuda:N or mps (got '{text}')")
    return text


def _scheduler_address(text):
    if not re.fullmatch(r"(tcp|tls)://\S+:[0-9]+", text):
        raise ValueError(f"must be tcp://HOST:PORT (got '{text}')")
    return text


SCHEDULER = _checked(_scheduler_address, "tcp://HOST:PORT")


@dataclass(frozen=True)
class Options:
    """What both scripts understand; each adds its own defaults and flags."""

    epochs: Annotated[int, whole(1, 10000)] = 20
    """epochs to train"""
    seeds: Annotated[int, whole(1, 1000)] = 5
    """seeds of every arm: 0, 1, ..."""
    data: Annotated[Path | None, FOLDER] = None
    """folder of the data sets, in torchvision's layout [data, beside the scripts]"""
    out: Annotated[Path | None, FOLDER] = None
    """folder for the record and the figures [figures; figures/quick, figures/stand-in]"""
    runs: Annotated[Path | None, FOLDER] = None
    """folder for the state of unfinished and finished runs [runs]"""
    jobs: Annotated[int | None, whole(1, 1000)] = None
    """runs at a time on this machine, one thread each on a CPU [number of cores, or of GPUs]"""
    device: Annotated[str, _checked(_device_name, "auto|cpu|cuda|cuda:N|mps")] = "auto"
    """where to train; auto is CUDA where it works, else the CPU"""
    stand_in: bool = False
    """train on generated data instead of the real one"""
    quick: bool = False
    """every arm, small: tiny generated data, at most two epochs and two seeds"""
    plot_only: bool = False
    """redraw the figures from the record"""
    fresh: bool = False
    """train again what is already trained; leave it out to go on after an interruption"""


def read(options, description):
    """Read the command line into the dataclass `options`; a usage error ends the program with code 2."""
    sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # None if closed
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # a path may have letters that the stream has not
    return tyro.cli(options, description=description, config=(tyro.conf.FlagCreatePairsOff,))


def run(main, settings):
    """Print what main(settings) returns and end the program with the exit code that belongs to what happened."""
    script = Path(sys.argv[0]).name
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.unraisablehook = _again
    try:
        _print(main(settings))
    except KeyboardInterrupt:
        same = "the same command without --fresh" if settings.fresh else "the same command"
        print(f"{script}: interrupted; {same} goes on from here", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        print(f"{script}: error: {error}", file=sys.stderr)
        sys.exit(1)


def _print(text):
    """Print to the end, or to where its reader has gone."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left for the interpreter to flush


def _again(lost):
    """Send a signal once more whose exception Python has dropped, because it came within a finalizer."""
    signals = {KeyboardInterrupt: signal.SIGINT, SystemExit: signal.SIGTERM}
    if lost.exc_type in signals:
        threading.Timer(0.1, os.kill, (os.getpid(), signals[lost.exc_type])).start()
    else:
        sys.__unraisablehook__(lost)


def beside(folder, name):
    """The folder given, else the one of that name beside the scripts, on whichever machine this is."""
    return folder or ROOT / name


def record_path(settings, name, what):
    """Where the record of data called `what` lies: in the folder given, else in one for real or for generated data."""
    if settings.out is not None:
        return settings.out / name
    return ROOT / "figures" / ("quick" if settings.quick else "stand-in" if what == "stand-in" else "") / name


def small(settings):
    """The settings that --quick stands for: at most two epochs and two seeds."""
    if not settings.quick:
        return settings
    return replace(settings, epochs=min(settings.epochs, 2), seeds=min(settings.seeds, 2))


class Progress:
    """Steps done and time left: a bar on a terminal, a plain line at most every ten seconds elsewhere."""

    def __init__(self, total):
        from tqdm import tqdm

        self.total, self.done, self.printed = total, 0, time.monotonic()
        self.bar = tqdm(total=total, disable=not sys.stderr.isatty(), dynamic_ncols=True)

    def step(self, text, n=1):
        self.done += n
        self.bar.set_description_str(text, refresh=False)
        self.bar.update(n)
        if self.bar.disable and (time.monotonic() - self.printed > 10 or self.done == self.total):
            self.printed = time.monotonic()
            print(f"{self.done}/{self.total} {text}", file=sys.stderr, flush=True)
