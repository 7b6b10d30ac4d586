"""The scripts as shipped, and a Dask cluster on the loopback address, for tests and the benchmark to start."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = {"2a": "ex2a_vanishing.py", "2b": "ex2b_adam.py"}
UNTHREADED = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}  # their choice


def without(package, folder):
    """An environment whose scripts cannot import `package`: a module of that name in `folder` comes first."""
    (folder / f"{package}.py").write_text(f"raise ImportError('{package} is not here')")
    return os.environ | {"PYTHONPATH": str(folder)}


def ended(process, within=600):
    """Wait so many seconds for a script; return its exit code and stderr, which has no traceback."""
    _, said = process.communicate(timeout=within)
    assert "Traceback" not in said
    return process.returncode, said


@dataclass
class Experiment:
    """One exercise in a folder of its own, `--quick` or on other data."""

    exercise: str
    folder: Path
    size: tuple = ("--quick",)
    stdout: str = ""
    stderr: str = ""

    def start(self, *flags, **options):
        script = ROOT / SCRIPTS[self.exercise]
        command = [sys.executable, str(script), *self.size, "--out", str(self.folder / "out")]
        command += ["--runs", str(self.folder / "runs"), *flags]
        options = {"env": UNTHREADED, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
        return subprocess.Popen(command, **options)

    def run(self, *flags, **options):
        """Return the exit code and stderr."""
        return ended(self.start(*flags, **options))

    def record(self):
        """The record without what tells the time; None where there is none."""
        path = self.folder / "out" / f"ex{self.exercise}.json"
        if not path.exists():
            return None
        record = json.loads(path.read_text())
        del record["seconds"]
        for entry in record.get("runs", ()):
            del entry["seconds"]
        return record

    def states(self):
        return sorted((self.folder / "runs").glob("*.pt"))

    def leftovers(self):
        """Files that are neither results nor states, those of the lock aside."""
        return [path.name for path in self.folder.rglob(".*") if path.is_file()]


class Cluster:
    """A scheduler and its workers, each of one thread, with no nanny to start a killed one again."""

    def __init__(self, folder):
        self.folder, self.processes = folder, []  # of the logs and the workers' own files
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        self.scheduler = self.start("dask_scheduler", "--dashboard-address", ":0", "--host", self.address, cwd=folder)

    def start(self, what, *arguments, cwd):
        with open(self.folder / f"{what}-{len(self.processes)}.log", "w") as log:
            command = [sys.executable, "-m", f"distributed.cli.{what}", *arguments]
            environment = os.environ | {"PYTHONPATH": str(ROOT / "tests")}  # for functions that are defined here
            self.processes.append(subprocess.Popen(command, cwd=cwd, env=environment, stdout=log, stderr=log))
        return self.processes[-1]

    def worker(self, *more, cwd=ROOT):
        return self.start(
            "dask_worker", self.address, "--no-nanny", "--local-directory", str(self.folder), *more, cwd=cwd
        )

    def workers(self, number, within=60):
        """Wait until so many have joined."""
        from distributed import Client

        with Client(self.address, timeout=within) as client:
            client.wait_for_workers(number, timeout=within)

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()
