"""How fast is this beside what anyone would pick instead? Not a test.

    python tests/benchmark.py 2a       seconds per model and epoch of Fashion-MNIST, (50, 30, 30), batch 64
    python tests/benchmark.py 2b       seconds per epoch of CIFAR-10, the default CNN, batch 128
    python tests/benchmark.py growth   as 2a, for more and more members, wider and deeper networks
    python tests/benchmark.py start    seconds until the scripts answer
    python tests/benchmark.py memory   GiB that the scripts take, all their processes together
    python tests/benchmark.py cluster  seconds for small sweeps on a Dask cluster whose workers all run on this machine

Each measurement is a process of its own that warms up and then times one pass over a part of the data, scaled to the
whole. The contenders, those of benchmark_*.py beside this file, take turns; their medians go to figures/benchmark.json,
from which figures/benchmark_growth.png is drawn. A quiet machine matters more than a fast one: what else runs on it is
measured too. JAX is left out where it is not installed.
"""

import importlib
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
TURNS = {"2a": 3, "2b": 3, "growth": 3, "start": 3, "memory": 1, "cluster": 3}


def timed(work, warm_up):
    """Return the seconds that work() takes, after warm_up()."""
    warm_up()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def two_at_once(part, name):
    """Let the contender take place in two processes at once, of one thread each: half of the slower one's time."""
    command = [sys.executable, __file__, part, name]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    return max(float(process.communicate()[0].split()[-1]) for process in both) / 2


def contenders(part):
    """Return {name: function that measures}, in the order in which they take turns."""
    return importlib.import_module(f"benchmark_{part}").CONTENDERS


def measure(part):
    """Let the contenders take turns; return {name: [what each turn measured]}."""
    values = {name: [] for name in contenders(part)}
    for turn in range(TURNS[part]):
        for name in list(values):
            done = subprocess.run([sys.executable, __file__, part, name], capture_output=True, text=True)
            if "No module named 'jax'" in done.stderr:
                print(f"{name}: left out, JAX is not installed")
                del values[name]
                continue
            if done.returncode:
                sys.exit(f"{name} failed:\n{done.stderr}")
            values[name].append(float(done.stdout.split()[-1]))
            print(f"turn {turn + 1}: {name:40} {values[name][-1]:9.4g}", flush=True)
    return values


def main(part):
    import torch

    from common.experiment import records, worker
    from figures import benchmark as figures

    unit = "gib" if part == "memory" else "seconds"
    medians = {name: statistics.median(values) for name, values in measure(part).items()}
    for name, value in medians.items():
        print(f"{name:40} {value:9.4g} {unit}")
    path = ROOT / "figures/benchmark.json"
    record = records.read(path) if path.exists() else {"schema": records.SCHEMA}
    versions, here = worker.describe(torch.device("cpu"))
    here |= {"cores": os.cpu_count(), "turns": TURNS[part]}
    rows = [{"contender": name, unit: value} for name, value in medians.items()]
    records.write(path, record | {part: rows, f"{part}_machine": here, "versions": versions})
    for name, picture in figures.draw(records.read(path)):
        with records.atomic(path.with_name(name)) as file:
            picture.save(file)


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] in TURNS:
        print(contenders(sys.argv[1])[sys.argv[2]]())
    elif len(sys.argv) == 2 and sys.argv[1] in TURNS:
        main(sys.argv[1])
    else:
        sys.exit(__doc__)
