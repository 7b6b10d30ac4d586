"""How much memory the scripts take, in GiB: the most at any time, what processes share counted once."""

import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmark import ROOT
from started import SCRIPTS


def family(process):
    """The process and all its descendants."""
    yield process
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from family(child)


def taken(process):
    """GiB of the process and its descendants now; a page that several share is divided among them."""
    total = 0
    for member in family(process):
        rollup = Path(f"/proc/{member}/smaps_rollup").read_text()
        total += int(rollup.split("Pss:")[1].split()[0])
    return total / 2**20


def most(exercise, seconds, *flags):
    """The most that real training takes in its first `seconds`, or until it ends."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, ROOT / SCRIPTS[exercise], "--out", folder, "--runs", folder, *flags]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        found, end = 0.0, time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < end:
            try:
                found = max(found, taken(process.pid))
            except (OSError, IndexError):  # a process that ended while it was looked at
                pass
            time.sleep(0.2)
        process.terminate()
        process.wait()
        return found


CONTENDERS = {
    "ex2a_vanishing.py": partial(most, "2a", 600, "--epochs", "1"),
    "ex2b_adam.py, 2 jobs": partial(most, "2b", 200, "--epochs", "1", "--jobs", "2"),
}
