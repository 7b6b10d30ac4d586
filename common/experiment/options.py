"""The command line that all experiments share."""

import os
import re
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

ROOT = Path(__file__).resolve().parent.parent.parent  # of the scripts
AGAIN = "the same command, without --fresh, goes on from here"


def _argument(pattern, allowed, metavar, make=str):
    """Describe to tyro an argument of one word that matches `pattern`; `make` makes it a value."""

    def read(words):
        if not re.fullmatch(pattern, words[0], re.S):
            raise ValueError(f"must be {allowed} (got '{words[0]}')")
        return make(words[0])

    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=read,
        is_instance=lambda value: True,
        str_from_instance=lambda value: [str(value)],
    )


def _otherwise(default):
    """Let --help say in words what stands in for a flag that is left out."""
    return tyro.conf.arg(help_behavior_hint=f"(default: {default})")


WHOLE = _argument("0*([1-9][0-9]{0,3}|10000)", "a whole number from 1 to 10000", "1..10000", int)
DEVICE = _argument("auto|cpu|mps|cuda(:[0-9]+)?", "auto, cpu, cuda, cuda:N or mps", "auto|cpu|cuda|cuda:N|mps")
ADDRESS = _argument(r"(tcp|tls)://\S+:[0-9]+", "tcp://HOST:PORT", "tcp://HOST:PORT")
FOLDER = _argument(".+", "a folder", "DIR", lambda text: Path(os.path.realpath(text)))  # typed: from the current folder


@dataclass(frozen=True)
class Options:
    """What all experiments understand; each has a subclass with defaults and further flags of its own.

    What a subclass adds, with `epochs` and `seeds`, determines the results and is recorded. EXTENDING names those whose
    larger value only adds entries to the record, so that a record of a smaller one goes on.
    """

    EXTENDING: ClassVar[tuple] = ()

    epochs: int = 20
    """epochs to train"""
    seeds: int = 5
    """seeds 0, 1, ... of everything that is compared"""
    data: Annotated[Path | None, FOLDER, _otherwise("data, beside the scripts")] = None
    """folder of the data sets, in torchvision's layout"""
    out: Annotated[Path | None, FOLDER, _otherwise("figures, or figures/quick or figures/stand-in")] = None
    """folder for the record and the figures"""
    runs: Annotated[Path | None, FOLDER, _otherwise("runs, beside the scripts")] = None
    """folder for the state of unfinished and finished runs"""
    jobs: Annotated[int | None, WHOLE, _otherwise("cores, or GPUs")] = None
    """runs at a time on this machine, of one thread each on a CPU"""
    device: Annotated[str, DEVICE] = "auto"
    """where to train; auto is CUDA where there is a GPU for it, else the CPU"""
    scheduler: Annotated[str | None, ADDRESS, _otherwise("this machine")] = None
    """train on the workers of this Dask cluster"""
    stand_in: bool = False
    """train on generated data instead of the real one"""
    quick: bool = False
    """everything, small: tiny generated data, at most two epochs and two seeds"""
    plot_only: bool = False
    """redraw the figures from the record"""
    fresh: bool = False
    """train again what is already trained; leave it out to go on after an interruption: what was not reached by then
    keeps its earlier result"""

    @property
    def data_folder(self):
        return self.data or ROOT / "data"

    @property
    def runs_folder(self):
        return self.runs or ROOT / "runs"

    def small(self):
        """The settings that --quick stands for."""
        return replace(self, stand_in=True, epochs=min(self.epochs, 2), seeds=min(self.seeds, 2))

    def determining(self):
        """What determines the results, by name."""
        others = {field.name for field in fields(Options)} - {"epochs", "seeds"}
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in others}


def read(options, description):
    """Read the command line into the dataclass `options`; a usage error ends the program with code 2."""
    sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # None if closed
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not a notebook's
            stream.reconfigure(errors="backslashreplace")  # a path may have letters that the stream has not
    if {"-h", "--help"} & {*sys.argv[1:]}:
        print(description)  # as it was written: tyro would join its lines
    registry = tyro.constructors.ConstructorRegistry()
    registry.primitive_rule(lambda found: WHOLE if found.type is int else None)
    return tyro.cli(options, description="", config=(tyro.conf.FlagCreatePairsOff,), registry=registry)
