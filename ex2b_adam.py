"""Exercise 2b. Is Adam better than SGD, off the shelf and tuned, and does random search outperform grid search?

    python ex2b_adam.py              15 runs of 50 epochs on real CIFAR-10: hours on two cores, resumable
    python ex2b_adam.py --seeds 3    then two more seeds of what is compared
    python ex2b_adam.py --quick      every arm on tiny generated data, in seconds
    python ex2b_adam.py --plot-only

Answer: there is no difference that three seeds could show. The best of Adam's five rates by training accuracy is its
default, the best of SGD's five is 1e-1. Over three seeds they end at 86.8 % and 86.4 % in the test; averaged over the
last ten epochs SGD is ahead by 0.1 percentage points. The best of five random rates, 8.3e-3, ends at 95.5 % in training
over three seeds, as the default does, and at 86.3 % in the test.

Held fixed: a plain CNN (common.models.cnn, width 32), 50 epochs, batch 128, cross-entropy, constant learning
rate, no weight decay, random flip and 4-pixel crop, pixels standardised per channel.
Varied: the optimizer and its learning rate. Adam at its default 1e-3; SGD with momentum 0.9 at 10^-k for
k = 0..4; Adam by grid search at 10^-k for k = 1..5 and by random search at five k from U[1, 5].
Measured after every epoch: accuracy on the test set and on the first 10000 training images. The searches compare
the final training accuracy: evaluation mode, whole training set, unaltered images. The test set never chooses.
Written: figures/ex2b.json and figures/ex2b_*.png.
"""

import sys
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Literal

from common import command, machine, searches, workers

BATCH_SIZE, MOMENTUM, TRAIN_SAMPLE = 128, 0.9, 10000
PARTS = "data", "settings", "runs"  # of the record
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
        return f"{self.optimizer} {searches.rate(self.lr)}"


ARMS = (  # in the order in which they are trained
    Arm("adam", 1e-3, ("default", "grid")),
    *(Arm("sgd", lr, ("sgd",)) for lr in (1e-0, 1e-1, 1e-2, 1e-3, 1e-4)),
    *(Arm("adam", lr, ("grid",)) for lr in (1e-1, 1e-2, 1e-4, 1e-5)),
    *(Arm("adam", 10**-k, ("random",)) for k in RANDOM_K),
)


@dataclass(frozen=True)
class Settings(command.Options):
    """Exercise 2b: Adam, SGD and two searches on CIFAR-10."""

    epochs: Annotated[int, command.whole(1, 10000)] = 50
    """epochs to train"""
    seeds: Annotated[int, command.whole(1, 1000)] = 1
    """seeds 0, 1, ... of Adam's default and the best of each search; the other rates have one"""
    width: Annotated[int, command.whole(1, 1024)] = 32
    """channels of the CNN's first stage"""
    scheduler: Annotated[str | None, command.SCHEDULER] = None
    """train on the workers of this Dask cluster instead"""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """arithmetic of the network; auto is bfloat16 where the processor or GPU has it"""


# ---- training: each run in a worker process ----


def survey(settings):
    """Look, where the runs will be, for what they need; see machine.survey()."""
    from common import data

    root = command.beside(settings.data, "data")
    return machine.survey(settings.device, partial(data.load, "CIFAR-10", root, settings.stand_in, settings.quick))


def optimizer_of(arm, parameters):
    """Return the torch optimizer of an arm: PyTorch's defaults but for the learning rate and SGD's momentum."""
    import torch

    if arm.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=arm.lr)
    return torch.optim.SGD(parameters, lr=arm.lr, momentum=MOMENTUM)


@machine.within_memory(BATCH_SIZE)
def train(arm, seed, *, settings, shared):
    """Train one arm under one seed; return its entry in the record.

    shared: what all runs of the record have in common, which with the arm and the seed determines the result.
    """
    import torch

    torch.set_num_threads(1)  # also on many cores, so that results do not depend on how many runs go side by side
    from common import data, models, runs, train as training
    from common.batches import Batches

    device = machine.device(settings.device)
    root, states = command.beside(settings.data, "data"), command.beside(settings.runs, "runs")
    train_split, test = data.again("CIFAR-10", shared["data"], root, settings.quick, device)
    sample = train_split[:TRAIN_SAMPLE]
    model = models.cnn(shared["width"], seed).to(device)
    dtype = torch.bfloat16 if shared["precision"] == "bfloat16" else None

    def count(split):
        return training.evaluate(model, Batches(split, 250), dtype)

    def measure():
        return count(test) | {"train_correct": count(sample)["correct"]}

    def batches(epoch):
        return Batches(train_split, BATCH_SIZE, seed, epoch, augment=True)

    def after(run):
        workers.report((arm, seed), len(run.rows), run.seconds)

    mine = shared | {"optimizer": arm.optimizer, "lr": arm.lr, "seed": seed}
    name = f"ex2b-{arm.name.replace(' ', '-')}-{seed}"
    run = runs.Run(states, name, mine, settings.fresh, after, machine.describe(device))
    after(run)
    optimizer = optimizer_of(arm, model.parameters())
    rows = training.fit(model, optimizer, shared["epochs"], batches, measure, run, dtype=dtype)
    (final,) = count(train_split)["correct"]
    versions, here = run.where
    (status,) = training.statuses(rows[-1], classes=10)
    return {
        **{"optimizer": arm.optimizer, "lr": arm.lr, "searches": arm.searches, "seed": seed},
        **{"momentum": MOMENTUM if arm.optimizer == "sgd" else None},
        **{"status": status, "precision": shared["precision"], "seconds": run.seconds},
        **{"versions": versions, **here},
        "test_accuracy": [row["correct"][0] / len(test) for row in rows],
        "train_accuracy": [row["train_correct"][0] / len(sample) for row in rows],
        "train_loss": [row["train_loss"][0] for row in rows],
        "final_train_accuracy": final / len(train_split),
    }


def resolve_precision(wanted, recorded, offers):
    """Return "float32" or "bfloat16": what is asked for, else what the record has, else what the device is good at."""
    able = offers["bfloat16"]
    precision = (recorded or ("bfloat16" if able else "float32")) if wanted == "auto" else wanted
    if precision == "bfloat16" and not able:
        why = "the record's runs have it" if wanted == "auto" else "--precision"
        where = offers["device"]
        raise OSError(f"bfloat16 cannot be had on {where} ({why}). Give --precision float32, and another --out")
    return precision


def engine(settings, jobs=1, gpus=()):
    """Return the workers.Engine that the settings ask for, as a context."""
    return workers.cluster(settings.scheduler) if settings.scheduler else workers.pool(jobs, gpus)


def experiment(settings, record_path):
    """Train what the record at record_path(what the data is) lacks, rewriting it behind every run; return the path.

    This process only keeps the books: what needs PyTorch or the data happens in the workers.
    """
    from common import runs

    with engine(settings) as single:
        what, lengths, offers = single.submit(survey, settings).result()
    if settings.scheduler and what == "stand-in" and not (settings.stand_in or settings.quick):
        print("\nNO REAL DATA on the cluster, its worker says why. GENERATED DATA takes its place.\n", file=sys.stderr)
    path = record_path(what)
    runs.check_target(path, what)
    old = {"settings": {}, "runs": []}
    if path.exists() and not settings.fresh:
        old = runs.read_record(path, *PARTS)
    precision = resolve_precision(settings.precision, old["settings"].get("precision"), offers)
    shared = {
        **{"data": what, "epochs": settings.epochs, "batch_size": BATCH_SIZE, "momentum": MOMENTUM},
        **{"width": settings.width, "precision": precision, "train_sample": TRAIN_SAMPLE, **lengths},
    }
    if old["runs"]:
        runs.check_same(path, old, shared)
    entries = {(entry["optimizer"], entry["lr"], entry["seed"]): entry for entry in old["runs"]}
    seeds = max(settings.seeds, old["settings"].get("seeds", 1))
    arms = {(arm.optimizer, arm.lr): arm for arm in ARMS}
    order = [(*arm, seed) for arm in arms for seed in range(seeds)]

    def kept():
        return [entries[key] for key in order if key in entries]

    def finished(entry):
        entries[entry["optimizer"], entry["lr"], entry["seed"]] = entry
        record = {"schema": runs.SCHEMA, "exercise": "2b", "data": what, "settings": {"seeds": seeds, **shared}}
        del record["settings"]["data"]
        record |= {"versions": entry["versions"], "machine": {key: entry[key] for key in machine.MACHINE}}
        runs.write_record(path, record | {"seconds": sum(entry["seconds"] for entry in kept()), "runs": kept()})

    def missing():
        wanted = searches.wanted(ARMS, kept(), settings.seeds)
        return [(arms[optimizer, lr], seed) for optimizer, lr, seed in wanted if (optimizer, lr, seed) not in entries]

    while todo := missing():  # twice where there are further seeds: the first runs tell which arms have them
        jobs, states = min(settings.jobs or offers["jobs"], len(todo)), command.beside(settings.runs, "runs")
        with runs.lock(states, "ex2b", path.parent), engine(settings, jobs, offers["gpus"]) as many:
            later = len(searches.COMPARED) * (settings.seeds - 1) if todo[0][1] == 0 else 0
            runs_of = f"{len(todo)} run{'s' * (len(todo) > 1)}" + f", then up to {later} of further seeds" * (later > 0)
            print(f"Training on {what}: {lengths['train_images']} images, {many.name}, {runs_of}", file=sys.stderr)
            each = partial(train, settings=settings, shared=shared)
            progress = command.Progress(len(todo) * settings.epochs)
            workers.sweep(many, each, todo, settings.epochs, progress.step, finished, later=later)
    return path


def main(settings):
    """Train what is missing, which keeps the record up to date, and draw from it; return the results as text."""
    from common import plots, runs
    from figures import ex2b

    settings = command.small(settings)
    if settings.quick:
        settings = replace(settings, width=min(settings.width, 4))
    record_path = partial(command.record_path, settings, "ex2b.json")
    if settings.plot_only:
        path = record_path("stand-in" if settings.stand_in else "")
    else:
        path = experiment(settings, record_path)
    record = runs.read_record(path, *PARTS)
    for name, made in ex2b.figures(record, ARMS):
        with runs.atomic(path.with_name(name)) as file:
            plots.save(made, file)
    return f"{ex2b.table(record)}\n{path} and its ex2b_*.png are written"


if __name__ == "__main__":
    from ex2b_adam import Settings, main  # under the name by which workers know it

    command.run(main, command.read(Settings, __doc__))
