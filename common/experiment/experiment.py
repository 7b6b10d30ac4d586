"""An experiment from the command line to the figures; what it compares and how it trains, the script says."""

import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import lazy_loader

from . import options, records
from .book import Book

engine, progress = (  # which --help and --plot-only need not wait for
    lazy_loader.load(f"common.experiment.{name}", suppress_warning=True) for name in ("engine", "progress")
)


@dataclass(frozen=True, eq=False)
class Experiment:
    """What a script says of its experiment: `load`, `check` and `train` are called in worker processes, the rest here.

    A *case* is what becomes one entry of the record: a frozen dataclass with a `name`, whose compared fields say what
    it is. A script calls its Experiment `experiment`, at its top level, and main() under `if __name__ == "__main__"`.
    """

    name: str
    """of the record, <name>.json, and of the figures, <name>_*.png"""
    settings: type
    """the subclass of Options that is the command line"""
    load: Callable
    """load(folder, stand_in, quick): what the data is called, "stand-in" if it is generated, and {name: part of it}"""
    plan: Callable
    """plan(settings): {part of the record: (epochs, cases in the record's order)}; by its module the script is found"""
    train: Callable
    """train(run, settings, parts of the data): a dict for each of run.cases, which state.Run describes"""
    figures: ModuleType
    """draw(record) yields (file name, picture with a method save(file)), those first that are to be seen first;
    table(record) and line(entry) return text; SHAPES, if it is there, is what shapes.damage() takes"""
    together: Callable = lambda part, cases, settings: [(case,) for case in cases]
    """together(part, cases, settings): [cases that train as one run], in the order in which they shall be trained"""
    check: Callable = lambda case, settings, device: None
    """check(case, settings, device) raises ValueError where a case cannot be trained"""
    fixed: dict = field(default_factory=dict)
    """what is held fixed, for the record"""
    folder: str = "figures"
    """where the record goes, beside the scripts"""

    @property
    def shapes(self):
        return getattr(self.figures, "SHAPES", {})

    def main(self, description):
        """Read the command line, train what is missing, draw, print; the exit code says what happened."""
        script = Path(sys.argv[0]).name
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        sys.unraisablehook = _again
        try:
            experiment = self._importable()
            settings = options.read(experiment.settings, description)
            try:
                results = experiment.run(settings)
            except BrokenPipeError:  # of stderr: with nobody to hear of it, no end is a success
                sys.exit(1)
            print(results, flush=True)
        except BrokenPipeError:  # of stdout, whose reader has gone: nothing is left for the interpreter to flush
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except KeyboardInterrupt as end:
            done = end.args or getattr(end.__context__, "args", ())  # a second one comes while the first one ends it
            print(f"{script}: interrupted{f'; {options.AGAIN}' if any(done) else ''}", file=sys.stderr)
            sys.exit(130)
        except OSError as error:
            print(f"{script}: error: {error}", file=sys.stderr)
            sys.exit(1)

    def _importable(self):
        """Return this experiment as workers know it: of the script imported under its own name."""
        if self.plan.__module__ != "__main__":
            return self
        script = Path(self.plan.__globals__["__file__"]).resolve()
        folder = options.ROOT if script.is_relative_to(options.ROOT) else script.parent
        sys.path.insert(0, str(folder))
        name = ".".join(script.relative_to(folder).with_suffix("").parts)
        sys.modules.pop(name, None)  # a notebook may have imported it before it was edited
        return importlib.import_module(name).experiment

    def __reduce__(self):
        return _arrived, (self.plan.__module__,)

    def run(self, settings):
        """Train what is missing, which keeps the record up to date, and draw from it; return the results as text."""
        settings = settings.small() if settings.quick else settings
        generated = "stand-in" if settings.stand_in else None
        path = self._path(settings, generated) if settings.plot_only else self._train_missing(settings, generated)
        record, drawn = records.read(path, self.shapes), []
        for name, picture in self.figures.draw(record):
            with records.atomic(path.with_name(name)) as file:
                picture.save(file)
            drawn.append(name)
        lines = [self.figures.table(record), f"To look at in this order, in {path.parent}:", *drawn, path.name]
        if record["data"] == "stand-in":
            lines.append("Generated data: without --quick and --stand-in real ones are used, if they can be had.")
        return "\n".join(lines)

    def _path(self, settings, what):
        """Where the record of data called `what` lies: in the folder given, else in one for real or generated data."""
        folder = "figures/quick" if settings.quick else "figures/stand-in" if what == "stand-in" else self.folder
        return (settings.out or options.ROOT / folder) / f"{self.name}.json"

    def _train_missing(self, settings, generated):
        """Train what the record lacks, rewriting it behind every run; return its path."""
        states = settings.runs_folder
        with ExitStack() as held:
            held.enter_context(records.lock(states, self.name, "--runs"))
            locked = {states}

            def book_of(what, sizes):
                path = self._path(settings, what)
                if path.parent not in locked:
                    held.enter_context(records.lock(path.parent, self.name, "--out"))
                    locked.add(path.parent)
                return Book(self, settings, path, what, sizes)

            there = any(settings.data_folder.glob("*"))  # if not, generated data may take it elsewhere
            certain = settings.out or generated or there
            if certain and self._path(settings, generated).parent.exists():  # it is not made for what is then refused
                book_of(generated, {})  # refuses at once what it can
            planned = sum(len(cases) for _, cases in self.plan(settings).values())
            said = f"{self.name}: is to train what its record lacks of {planned} entries. Workers are starting ..."
            print(said, file=sys.stderr, flush=True)
            address, jobs = settings.scheduler, settings.jobs
            place = engine.of_cluster(address) if address else engine.of_this_machine(states, jobs)
            workers = held.enter_context(place)
            what, sizes, places = workers.submit("common.experiment.worker:look", self, settings).result()
            book = book_of(what, sizes)
            todo = book.missing()
            if todo:
                workers.grow(min(jobs or places, len(todo)))
                parts = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in sizes.items())
                runs = f"{len(todo)} run{'s' * (len(todo) > 1)}"
                print(f"Training on {what} ({parts}): {runs}, {workers.name}", file=sys.stderr, flush=True)
                self._sweep(workers, settings, book, todo)
            else:
                book.write()  # without what is no longer planned
                said = f"Nothing to train: {book.path} has all of it. --fresh, or another --out, trains it again"
                print(said, file=sys.stderr, flush=True)
        return book.path

    def _sweep(self, workers, settings, book, todo):
        """Carry out the runs `todo`, (part, cases, epochs) each, and enter them in the book as they end."""
        calls = [(self, settings, book.shared, *run) for run in todo]
        to_do = {}  # epochs left of the runs that have begun
        with progress.Progress(sum(epochs * len(cases) for _, cases, epochs in todo), len(todo)) as shown:
            try:
                for number, event in workers.sweep("common.experiment.worker:carry_out", calls):
                    part, cases, epochs = todo[number]
                    begun, before = number in to_do, to_do.get(number, epochs)
                    if isinstance(event, int):  # epochs done: first those of earlier starts; fewer where a worker died
                        to_do[number] = min(before, epochs - event)
                        shown.step(len(cases) * (before - to_do[number]), new=begun)
                        continue
                    book.add(part, cases, event)
                    for line in filter(None, map(self.figures.line, event)):
                        shown.write(line, file=sys.stderr)
                    shown.step(len(cases) * before, finished=True)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(shown.done) from None  # whether there is something to go on from


def _again(lost):
    """Send a signal once more whose exception Python has dropped, since it came within a finalizer or a collection."""
    signals = {KeyboardInterrupt: signal.SIGINT, SystemExit: signal.SIGTERM}
    if lost.exc_type in signals:
        threading.Timer(0.1, os.kill, (os.getpid(), signals[lost.exc_type])).start()
    else:
        sys.__unraisablehook__(lost)


def _arrived(module):
    """Return it where its runs are trained, by several threads: lazy modules, not made for that, are loaded before."""
    script = importlib.import_module(module)
    for value in vars(script).values():
        if isinstance(value, ModuleType):
            vars(value)
    return script.experiment
