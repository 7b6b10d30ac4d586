"""Exercise 2b. Is Adam better than SGD, off the shelf and tuned, and does random search outperform grid search?

    python ex2b_adam.py            15 runs of 50 epochs on real CIFAR-10: hours on two cores, resumable
    python ex2b_adam.py --quick    every arm on tiny generated data, in seconds
    python ex2b_adam.py --plot-only

Held fixed: a plain CNN (common.models.cnn, width 32), 50 epochs, batch 128, cross-entropy, constant learning
rate, no weight decay, random flip and 4-pixel crop, pixels standardised per channel.
Varied: the optimizer and its learning rate. Adam at its default 1e-3; SGD with momentum 0.9 at 10^-k for
k = 0..4; Adam by grid search at 10^-k for k = 1..5 and by random search at five k from U[1, 5].
Measured after every epoch: accuracy on the test set and on the first 10000 training images. The searches compare
the final training accuracy: evaluation mode, whole training set, unaltered images. The test set never chooses.
Written: figures/ex2b.json and figures/ex2b_*.png.
"""

import math
import os
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Annotated, Literal

from common import command, workers

BATCH_SIZE, MOMENTUM, TRAIN_SAMPLE = 128, 0.9, 10000
RANDOM_K = (  # numpy.random.default_rng(0).uniform(1, 5, 5): five k from U[1, 5], seed 0, fixed before any run
    3.5478467492858172,
    2.0791468550554812,
    1.1638940957447788,
    1.0661105421141164,
    4.25308095680109,
)


@dataclass(frozen=True)
class Arm:
    optimizer: str
    lr: float
    searches: tuple

    @property
    def name(self):
        return f"{self.optimizer} {rate(self.lr)}"


ARMS = (  # in the order in which they are trained
    Arm("adam", 1e-3, ("default", "grid")),
    *(Arm("sgd", lr, ("sgd",)) for lr in (1e-0, 1e-1, 1e-2, 1e-3, 1e-4)),
    *(Arm("adam", lr, ("grid",)) for lr in (1e-1, 1e-2, 1e-4, 1e-5)),
    *(Arm("adam", 10**-k, ("random",)) for k in RANDOM_K),
)
SEARCHES = {"sgd": "SGD", "grid": "Adam, grid", "random": "Adam, random"}


@dataclass(frozen=True)
class Settings(command.Options):
    """Exercise 2b: Adam, SGD and two searches on CIFAR-10."""

    epochs: Annotated[int, command.whole(1, 10000)] = 50
    """epochs to train"""
    seeds: Annotated[int, command.whole(1, 1000)] = 1
    """seeds of every arm: 0, 1, ..."""
    width: Annotated[int, command.whole(1, 1024)] = 32
    """channels of the CNN's first stage"""
    jobs: Annotated[int | None, command.whole(1, 1000)] = None
    """runs at a time, one thread each on a CPU [number of cores, or of GPUs]"""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """arithmetic of the network; auto is bfloat16 where the processor or GPU has it"""


def rate(lr):
    """Write a learning rate: 1e-3, 2.8e-4."""
    digits, power = f"{lr:.1e}".split("e")
    return f"{float(digits):g}e{int(power)}"


# ---- training: each run in a worker process ----


@lru_cache(1)
def images(root, stand_in, quick, device):
    """Return the training and the test Split on the device, read once per process."""
    from common import data

    return tuple(split.to(device) for split in data.load("CIFAR-10", root, stand_in, quick)[1:])


def optimizer_of(arm, parameters):
    """Return the torch optimizer of an arm; everything but the learning rate and SGD's momentum is PyTorch's default."""
    import torch

    if arm.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=arm.lr)
    return torch.optim.SGD(parameters, lr=arm.lr, momentum=MOMENTUM)


def train(arm, seed, settings, shared):
    """Train one arm under one seed; return its entry in the record.

    shared: what all runs of the record have in common, which with the arm and the seed determines the result.
    """
    import torch

    torch.set_num_threads(1)  # also on many cores, so that results do not depend on how many runs go side by side
    from common import data, models, runs, train as training

    device = command.device(settings.device)
    train_split, test = images(settings.data, shared["data"] == "stand-in", settings.quick, device)
    sample = train_split[:TRAIN_SAMPLE]
    model = models.cnn(shared["width"], seed).to(device)
    dtype = torch.bfloat16 if shared["precision"] == "bfloat16" else None

    def count(split):
        return training.evaluate(model, data.Batches(split, 500), dtype)

    def measure():
        return count(test) | {"train_correct": count(sample)["correct"]}

    def batches(epoch):
        return data.Batches(train_split, BATCH_SIZE, seed, epoch, augment=True)

    def after(run):
        workers.report((arm, seed), len(run.rows), run.seconds)

    mine = shared | {"optimizer": arm.optimizer, "lr": arm.lr, "seed": seed}
    run = runs.Run(settings.runs, f"ex2b-{arm.name.replace(' ', '-')}-{seed}", mine, settings.fresh, after)
    after(run)
    try:
        optimizer = optimizer_of(arm, model.parameters())
        rows = training.fit(model, optimizer, shared["epochs"], batches, measure, run, dtype=dtype)
        (final,) = count(train_split)["correct"]
    except torch.OutOfMemoryError:
        raise OSError(f"out of memory on {device} with batches of {BATCH_SIZE}. Give fewer --jobs") from None
    versions, machine = command.versions_and_machine(device)
    (status,) = training.statuses(rows[-1], classes=10)
    return {
        **{"optimizer": arm.optimizer, "lr": arm.lr, "searches": arm.searches, "seed": seed},
        **{"momentum": MOMENTUM if arm.optimizer == "sgd" else None},
        **{"status": status, "precision": shared["precision"], "device": machine["device"]},
        **{"threads": machine["threads"], "versions": versions, "seconds": run.seconds},
        "test_accuracy": [row["correct"][0] / len(test) for row in rows],
        "train_accuracy": [row["train_correct"][0] / len(sample) for row in rows],
        "train_loss": [row["train_loss"][0] for row in rows],
        "final_train_accuracy": final / len(train_split),
    }


def resolve_precision(wanted, recorded, device):
    """Return "float32" or "bfloat16": what is asked for, else what the record has, else what the device is good at."""
    import torch

    if device.type == "cuda":
        able = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        able = device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    precision = (recorded or ("bfloat16" if able else "float32")) if wanted == "auto" else wanted
    if precision == "bfloat16" and not able:
        why = "the record's runs have it" if wanted == "auto" else "--precision"
        raise OSError(f"bfloat16 cannot be had on {device} ({why}). Give --precision float32, and another --out")
    return precision


def places(settings, device):
    """Return how many runs to train at a time, and the GPUs that the workers share out among them."""
    import torch

    gpus = []
    if device.type == "cuda" and device.index is None:
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(torch.cuda.device_count())))).split(",")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return settings.jobs or (cores if device.type == "cpu" else max(1, len(gpus))), gpus


def experiment(settings, target):
    """Train what is missing from the record at target(what the data is), rewriting it behind every run; return its path."""
    from common import data, runs

    device = command.device(settings.device)
    what, train_split, test = data.load("CIFAR-10", settings.data, settings.stand_in, settings.quick)
    path, lengths = target(what), {"train_images": len(train_split), "test_images": len(test)}
    del train_split, test  # the workers have their own
    runs.check_target(path, what)
    old = runs.read_record(path) if path.exists() and not settings.fresh else {"settings": {}, "runs": []}
    precision = resolve_precision(settings.precision, old["settings"].get("precision"), device)
    shared = {
        **{"data": what, "epochs": settings.epochs, "batch_size": BATCH_SIZE, "momentum": MOMENTUM},
        **{"width": settings.width, "precision": precision, "train_sample": TRAIN_SAMPLE, **lengths},
    }
    before = {"data": old.get("data")} | old["settings"]
    differ = [f"{key} {before.get(key)}, now {value}" for key, value in shared.items() if before.get(key) != value]
    if old["runs"] and differ:
        raise OSError(f"{path} holds other runs ({'; '.join(differ)}). Give another --out, or --fresh to replace it")
    entries = {(entry["optimizer"], entry["lr"], entry["seed"]): entry for entry in old["runs"]}
    seeds = max(settings.seeds, old["settings"].get("seeds", 1))
    order = {(arm.optimizer, arm.lr, seed): (arm, seed) for seed in range(seeds) for arm in ARMS}
    todo = [(arm, seed) for key, (arm, seed) in order.items() if seed < settings.seeds and key not in entries]

    def finished(entry):
        entries[entry["optimizer"], entry["lr"], entry["seed"]] = entry
        versions, machine = command.versions_and_machine(device)
        kept = [entries[key] for key in order if key in entries]
        record = {"schema": runs.SCHEMA, "exercise": "2b", "data": what, "settings": {"seeds": seeds, **shared}}
        del record["settings"]["data"]
        record |= {"versions": versions, "machine": machine | {"threads": entry["threads"]}}
        runs.write_record(path, record | {"seconds": sum(entry["seconds"] for entry in kept), "runs": kept})

    if todo:
        jobs, gpus = places(settings, device)
        jobs = min(jobs, len(todo))
        with runs.lock(settings.runs, "ex2b"), workers.pool(jobs, gpus) as (executor, reported):
            one = partial(train, settings=settings, shared=shared)
            progress = command.Progress(len(todo) * settings.epochs)
            workers.sweep(executor, reported, one, todo, settings.epochs, jobs, progress.step, finished)
    return path


# ---- what is drawn, from the record alone ----


def caption(record):
    from common import plots

    planned = len(ARMS) * record["settings"]["seeds"]
    made = len(record["runs"])
    return plots.caption(record) + (f"; {made} of {planned} runs" if made < planned else "")


def epochs_of(record):
    return range(1, record["settings"]["epochs"] + 1)


def label(arm):
    return rate(arm["lr"]) + ("" if arm["ok"] else " " + next(status for status in arm["status"] if status != "ok"))


def outcome(arm):
    return f"{arm['train']:.1%} in training and {arm['test']:.1%} in the test"


def draw_accuracy(record):
    """Test accuracy over epochs: Adam's default, Adam's best and SGD's best."""
    from common import plots, searches

    every = searches.arms(record)
    default = next(iter(searches.of(every, "default")), None)
    adam, sgd = searches.best(every, "grid"), searches.best(every, "sgd")
    shown = [("Adam by default and best", adam)] if adam is default else [("Adam by default", default), ("Adam's best", adam)]
    shown = [(name, arm) for name, arm in (*shown, ("SGD's best", sgd)) if arm]
    title = ", ".join(f"{name} {arm['test']:.1%}" for name, arm in shown) or "The searches name no winner"
    made, (axes,) = plots.figure(title, note=caption(record) + "; best by final training accuracy")
    for number, (name, arm) in enumerate(shown):
        plots.curve(axes, epochs_of(record), arm["curves"]["test"], f"{name}, {label(arm)}", number)
    lowest = min((min(map(min, arm["curves"]["test"])) for _, arm in shown), default=0)
    plots.accuracy(axes, bottom=max(0, math.ceil(10 * lowest) - 1) / 10)
    return made


def draw_marks(axes, arms, key, name, number):
    """Draw the final accuracy `key` of each arm at its learning rate."""
    from common import plots

    if arms:
        lr, accuracy, failed = zip(*((arm["lr"], arm[key], not arm["ok"]) for arm in arms))
        plots.marks(axes, lr, accuracy, failed, name, number)


def draw_rates(record):
    """Final training and test accuracy against the learning rate, every run one mark."""
    from common import plots, searches

    every = searches.arms(record)
    winners = [(which, searches.best(every, which)) for which in SEARCHES]
    title = ", ".join(f"{which} {rate(arm['lr'])} {arm['train']:.1%}" for which, arm in winners if arm)
    title = f"Best in training: {title.replace('sgd', 'SGD')}" if title else "Every run failed: the searches name no winner"
    made, panels = plots.figure(title, 2, note=caption(record) + "; crosses: collapsed or non-finite")
    for axes, key, name in zip(panels, ("train", "test"), ("final training accuracy", "final test accuracy")):
        for number, (which, text) in enumerate(SEARCHES.items()):
            draw_marks(axes, searches.of(every, which), key, text, number)
        plots.rates(axes, name)
    panels[1].legend(fontsize=8)
    return made


def draw_epochs(record, which):
    """Test and training accuracy over epochs for every learning rate of one search."""
    from common import plots, searches

    every = searches.arms(record)
    found, winner = searches.of(every, which), searches.best(every, which)
    title = f"{rate(winner['lr'])} is best, {outcome(winner)}" if winner else "every run failed"
    title = f"{SEARCHES[which]}: {title}"
    sample = f"curves of training accuracy: first {record['settings']['train_sample']} images"
    made, panels = plots.figure(title, 2, note=f"{caption(record)}; {sample}")
    for axes, key, name in zip(panels, ("test", "train"), ("test accuracy", "training accuracy")):
        for number, arm in enumerate(found):
            plots.curve(axes, epochs_of(record), arm["curves"][key], label(arm), number)
        plots.accuracy(axes, name)
    return made


def draw_random_against_grid(record):
    """The response curve through all measured rates of Adam, and the distribution of the best of five random draws."""
    import numpy as np

    from common import plots, searches

    every = searches.arms(record)
    adam = sorted((arm for arm in every if arm["optimizer"] == "adam"), key=lambda arm: arm["lr"])
    if searches.best(every, "grid"):
        grid, wins, expected = searches.random_against_grid(every)
        title = f"Five random rates beat the grid in {wins:.0%} of draws: {expected:.1%} on average against {grid:.1%}"
        planned = sum(arm.optimizer == "adam" for arm in ARMS)
        if len(adam) < planned:
            title = f"From {len(adam)} of {planned} rates: random search beats the grid in {wins:.0%} of draws"
    else:
        title = "Random against grid: the grid names no winner"
    limit = f"linear in log(rate) between the {len(adam)} measured rates: it cannot exceed the best measured one"
    note = f"{caption(record)}; {limit}"
    made, (left, right) = plots.figure(title, 2, note=note, sharey=False)
    left.plot([arm["lr"] for arm in adam], [arm["train"] for arm in adam], color="0.5", linewidth=1)
    for number, which in ((1, "grid"), (2, "random")):
        draw_marks(left, searches.of(every, which), "train", SEARCHES[which], number)
    plots.rates(left, "final training accuracy")
    left.legend(fontsize=8)
    accuracy, probability = searches.best_of_random(adam)
    below = np.cumsum(probability)
    right.plot(accuracy, below, color=plots.COLOURS[0], label="best of five random draws")
    drawn = len(searches.of(every, "random"))
    for number, which, name in ((1, "grid", "best of the grid"), (2, "random", f"best of the {drawn} drawn")):
        if searches.best(every, which):
            right.axvline(searches.best(every, which)["train"], color=plots.COLOURS[number], linestyle="--", label=name)
    right.set(xlabel="best final training accuracy", ylabel="share of draws that stay below", ylim=(0, 1))
    right.set_xlim(left=accuracy[np.searchsorted(below, 0.01)] - 0.01)
    right.xaxis.set_major_formatter(plots.PercentFormatter(1.0))
    right.yaxis.set_major_formatter(plots.PercentFormatter(1.0, decimals=0))
    right.legend(loc="upper left", fontsize=8)
    return made


def figures(record):
    """Yield (file name, Figure) of every figure that the record has runs for."""
    from common import searches

    every = searches.arms(record)
    yield "ex2b_accuracy.png", draw_accuracy(record)
    yield "ex2b_rates.png", draw_rates(record)
    for which in SEARCHES:
        if searches.of(every, which):
            yield f"ex2b_epochs_{which}.png", draw_epochs(record, which)
    if any(arm["optimizer"] == "adam" for arm in every):
        yield "ex2b_random_against_grid.png", draw_random_against_grid(record)


def table(record):
    """The results as text: one line per run, then what the searches found."""
    from common import searches

    lines = [f"{'run':24}{'search':15}{'final training':>15}{'test':>8}  {'last ten epochs':17}status"]
    for run in sorted(record["runs"], key=lambda run: (run["optimizer"], -run["lr"], run["seed"])):
        last = run["test_accuracy"][-10:]
        lines.append(
            f"{run['optimizer']} {rate(run['lr'])}, seed {run['seed']}".ljust(24)
            + f"{'+'.join(run['searches']):15}{run['final_train_accuracy']:15.2%}{run['test_accuracy'][-1]:8.2%}"
            + f"  {min(last):.2%} - {max(last):.2%}  {run['status']}"
        )
    every = searches.arms(record)
    for which, name in SEARCHES.items():
        arm = searches.best(every, which)
        lines.append(f"{name}: " + (f"{rate(arm['lr'])}, {outcome(arm)}" if arm else "no winner"))
    if searches.best(every, "grid"):
        grid, wins, expected = searches.random_against_grid(every)
        lines.append(f"Best of five random rates: {expected:.2%} on average, above the grid's {grid:.2%} in {wins:.0%} of draws")
    return "\n".join(lines)


def main(settings):
    settings = command.small(settings)
    if settings.quick:
        settings = replace(settings, width=min(settings.width, 4))
    from common import runs

    def target(what):
        return command.folder(settings, what == "stand-in") / "ex2b.json"

    if settings.plot_only:
        path = target("stand-in" if settings.stand_in else "real")
    else:
        path = experiment(settings, target)
    record = runs.read_record(path)
    for name, made in figures(record):
        with runs.atomic(path.with_name(name)) as file:
            from common import plots

            plots.save(made, file)
    print(table(record))
    print(f"{path} and {path.parent}{os.sep}ex2b_*.png")


if __name__ == "__main__":
    command.run(main, command.read(Settings, __doc__))
