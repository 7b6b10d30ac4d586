"""What starts the scripts and a Dask cluster, as processes of their own or, in a moment, within this one."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = {"2a": "ex2a_vanishing.py", "2b": "ex2b_adam.py"}
THIRD = "tests/third.py"


def until(ready, within=120):
    """Wait until ready(); return whether it came to that."""
    end = time.monotonic() + within
    while not ready():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@dataclass(frozen=True)
class Folder:
    """Where an experiment puts its record, below out/, and its states, below runs/."""

    path: Path
    name: str = "third"

    @property
    def flags(self):
        return "--out", str(self.path / "out"), "--runs", str(self.path / "runs")

    def copy_of(self, other, *parts):
        """Begin with these folders of another one; return this."""
        for part in parts:
            shutil.copytree(other.path / part, self.path / part)
        return self

    def file(self):
        return self.path / "out" / f"{self.name}.json"

    def record(self):
        """The record without what tells the time; None where there is none."""
        if not self.file().exists():
            return None
        record = json.loads(self.file().read_text())
        entries = [entry for part in record.values() if isinstance(part, list) for entry in part]
        for timed in (record, *entries):
            del timed["seconds"]
        return record

    def change(self, **changes):
        """Rewrite the record with these changes."""
        self.file().write_text(json.dumps(json.loads(self.file().read_text()) | changes))

    def states(self):
        return sorted((self.path / "runs").glob("*.pt"))

    def contents(self):
        """What lies here in files, those of locks and of Dask aside."""
        files = (path for path in self.path.rglob("*") if path.is_file() and path.suffix != ".lock")
        return {path: path.read_bytes() for path in files if "dask" not in str(path)}

    def leftovers(self):
        """Files that somebody has begun to write."""
        return [path.name for path in self.contents() if path.name.startswith(".")]

    def start(self, *flags, script=THIRD, **options):
        """Start a script here, in a session of its own."""
        command = [sys.executable, str(ROOT / script), *self.flags, *flags]
        to = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
        return subprocess.Popen(command, **to | options)


class Ended(NamedTuple):
    """How a script has ended, and what it printed, which is no traceback."""

    code: int
    stdout: str
    stderr: str


def ended(process, within=300):
    """Wait for a script, of whose session nothing is left 3 s later."""
    printed = process.communicate(timeout=within)
    assert "Traceback" not in printed[1], printed[1]
    assert until(lambda: not session(process.pid), within=3), "processes are left"
    return Ended(process.returncode, *printed)


def session(leader):
    """Process ids of the session that `leader` began, as Linux knows them: the script and its workers."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


class Cluster:
    """A scheduler and its workers, with no nanny to start a killed one again."""

    def __init__(self, folder):
        self.folder, self.processes = folder, []  # of the logs and the workers' own files
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        self.scheduler = self.start("dask_scheduler", "--dashboard-address", ":0", "--host", self.address, cwd=folder)

    def start(self, what, *arguments, cwd, path=ROOT / "tests"):
        """path: where the process looks for modules first."""
        with open(self.folder / f"{what}-{len(self.processes)}.log", "w") as log:
            command = [sys.executable, "-P", "-m", f"distributed.cli.{what}", *arguments]  # -P: as `dask` does
            environment = os.environ | {"PYTHONPATH": str(path)}
            self.processes.append(subprocess.Popen(command, cwd=cwd, env=environment, stdout=log, stderr=log))
        return self.processes[-1]

    def worker(self, *more, cwd=ROOT, **options):
        alone = "--no-nanny", "--local-directory", str(self.folder)
        return self.start("dask_worker", self.address, *alone, *more, cwd=cwd, **options)

    def workers(self, number, within=60):
        """Wait until so many have joined."""
        from distributed import Client

        with Client(self.address, timeout=within) as client:
            client.wait_for_workers(number, timeout=within)

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()
