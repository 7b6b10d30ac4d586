"""Exercise 2a. Do gradients vanish in deep sigmoid networks, and can initialisation rescue them?

    python ex2a_vanishing.py            all of it on real Fashion-MNIST, five minutes on two cores
    python ex2a_vanishing.py --quick    every arm on tiny generated data, seconds
    python ex2a_vanishing.py --plot-only

Answer: they do. With PyTorch's default initialisation the test accuracy falls from 82.55 % with one hidden layer to
10.00 % with four, where layer 1 gets 0.00041 times the output layer's signal. ReLU reaches 85.84 % with the same four;
for the Sigmoid Xavier gives 26.80 %, and orthogonal weights of gain 6 with centred biases 86.79 %.

Varied: depth, activation, initialisation; five seeds of each. Held fixed: SGD with learning rate 0.005 and no
momentum, batch 64, 20 epochs, cross-entropy on standardised pixels, PyTorch's biases (unless a scheme says
centred), one order of the batches for all. Measured: the test accuracy after every epoch, and per layer the
gradient norms of the epoch's last batch. Written: figures/ex2a.json, and figures/ex2a_*.png, drawn from it.
The theory under test: theory/1b_unstable_gradients.md.
"""

import sys
from collections import deque
from dataclasses import asdict, dataclass
from functools import partial

from common import command, machine, workers

SHAPES = (50,), (50, 30), (50, 30, 30), (50, 30, 30, 30)  # the sheet prints the third in place of the fourth
DEEPEST = SHAPES[-1]
BATCH_SIZE, LR, ORDER_SEED, HELD_OUT = 64, 0.005, 0, 5000
PARTS = "data", "settings", "arms", "depth"  # of the record


@dataclass(frozen=True)
class Arm:
    hidden: tuple
    activation: str
    init: str = "default"

    @property
    def name(self):
        return f"{self.activation} {'-'.join(map(str, self.hidden))} {self.init}"


PARAMETERS = "kaiming_a1", "kaiming_a0", "kaiming_a1_fan_out"  # those of the default method, turned towards us
LADDER = "gain4", "gain4_from_layer2", "gain4_from_layer2_centred"  # what the logistic function needs
BEYOND = (
    "gain6_from_layer2_centred",
    "gain8_from_layer2_centred",
    *(f"orthogonal{gain}_from_layer2_centred" for gain in (4, 6, 8)),
)
RESCUE = "orthogonal6_from_layer2_centred"  # the best of LADDER and BEYOND on held-out training images
ARMS = (
    *(Arm(shape, activation) for activation in ("sigmoid", "relu") for shape in SHAPES),
    *(Arm(shape, "sigmoid", "xavier_normal") for shape in SHAPES[2:]),
    *(Arm(DEEPEST, "sigmoid", init) for init in (*PARAMETERS, *LADDER, RESCUE)),
)
CANDIDATES = tuple(Arm(DEEPEST, "sigmoid", init) for init in (*LADDER, *BEYOND))
DEPTHS = range(1, 13)  # hidden layers of 30, looked at before training only
DEPTH_ARMS = ("sigmoid", "default"), ("sigmoid", "xavier_normal"), ("sigmoid", RESCUE), ("relu", "default")


@dataclass(frozen=True)
class Settings(command.Options):
    """Exercise 2a: vanishing gradients on Fashion-MNIST."""


def side_by_side(arms):
    """Group arms of one shape and activation: they train as one model."""
    groups = {}
    for arm in arms:
        groups.setdefault((arm.hidden, arm.activation), []).append(arm)
    return [tuple(group) for group in groups.values()]


RUNS = sorted(  # (the part of the record, arms): each is one model; the long ones first
    [("search", CANDIDATES), *(("all", arms) for arms in side_by_side(ARMS))], key=lambda run: -len(run[1])
)


def last_batch(images):
    """Return the batch on which gradients are read before training: images and labels of the last one of epoch 1."""
    from common.batches import Batches

    return deque(Batches(images, BATCH_SIZE, ORDER_SEED, epoch=1), maxlen=1).pop()


def prepare(arms, seeds, batch):
    """Build the model of these arms; return it, its linear layers and the norms on `batch`."""
    from common import models, probes, train as training

    images, labels = batch
    members = [(arm.init, seed) for arm in arms for seed in range(seeds)]
    model = models.mlp(arms[0].hidden, arms[0].activation, members, images[0].numel()).to(images.device)
    layers = list(model[1::2])
    with probes.GradientNorms(layers) as probe:
        training.forward_backward(model, images, labels)
    return model, layers, probe.norms


def predict(arm, layers, mine, at_output):
    """Return the signal norm of each layer, [layer], that theory/1b derives from the output layer's, [seed]."""
    from common import theory

    weights = [layer.weight.detach()[mine].cpu().double().numpy() for layer in layers]
    biases = [layer.bias.detach()[mine].cpu().double().numpy() for layer in layers]
    factor = theory.predict_net(weights, biases, arm.activation).factor
    return theory.signal(factor, sum(at_output) / len(at_output)).tolist()


def train(arms, settings, images, scored, run):
    """Train arms of one shape and activation on one Split, score them on another; return the record's entries."""
    import torch

    from common import probes, train as training
    from common.batches import Batches

    model, layers, initial = prepare(arms, settings.seeds, last_batch(images))
    parts = [slice(i * settings.seeds, (i + 1) * settings.seeds) for i in range(len(arms))]
    predicted = [predict(arm, layers, mine, initial["signal"][-1][mine]) for arm, mine in zip(arms, parts)]

    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    batches = partial(Batches, images, BATCH_SIZE, ORDER_SEED)
    measure = partial(training.evaluate, model, Batches(scored, 1000))
    rows = training.fit(model, optimizer, settings.epochs, batches, measure, run, probes.GradientNorms(layers))
    status = training.statuses(rows[-1], classes=10)
    variance = probes.output_variance(model, [*model[2::2], layers[-1]], Batches(scored, 1000))

    def entry(arm, mine, signal):
        def norms(kind):
            return [[row["norms"][kind][layer][mine] for row in rows] for layer in range(len(layers))]

        return asdict(arm) | {
            "name": arm.name,
            "status": status[mine],
            "test_accuracy": [[correct / len(scored) for correct in row["correct"][mine]] for row in rows],
            "gradient_norm": {kind: norms(kind) for kind in probes.KINDS},
            "initial": {kind: [layer[mine] for layer in initial[kind]] for kind in probes.KINDS},
            "predicted": {"signal": signal},
            "layer_variance": [layer[mine] for layer in variance],
        }

    return [entry(*each) for each in zip(arms, parts, predicted)]


# ---- in worker processes, of one thread each on a CPU, so that results do not depend on how many there are ----


def survey(settings):
    """Look for what the runs need; see machine.survey()."""
    from common import data

    root = command.beside(settings.data, "data")
    return machine.survey(settings.device, partial(data.load, "Fashion-MNIST", root, settings.stand_in, settings.quick))


def splits(settings, what):
    """Return the training and the test Split on the device, where this process uses one thread from now on."""
    import torch

    from common import data

    torch.set_num_threads(1)
    root, device = command.beside(settings.data, "data"), machine.device(settings.device)
    return data.again("Fashion-MNIST", what, root, settings.quick, device)


@machine.within_memory(BATCH_SIZE)
def carry_out(part, arms, *, settings, shared):
    """Train one of RUNS; return its part, the record's entries, the seconds, versions and machine.

    shared: what all runs have in common, which with the arms determines the result. The search is scored on
    training images that are held out, the rest on the test set.
    """
    from common import runs

    images, scored = splits(settings, shared["data"])
    if part == "search":
        images, scored = images[: -shared["held_out"]], images[-shared["held_out"] :]

    def after(run):
        workers.report((part, arms), len(run.rows), run.seconds)

    name = f"ex2a-{part}-{arms[0].activation}-{len(arms[0].hidden)}"
    determined_by = shared | {"arms": [arm.name for arm in arms]}
    here = machine.describe(images.images.device)
    run = runs.Run(command.beside(settings.runs, "runs"), name, determined_by, settings.fresh, after, here)
    after(run)
    entries = train(arms, settings, images, scored, run)
    return part, entries, run.seconds, *run.where


@machine.within_memory(BATCH_SIZE)
def by_depth(what, *, settings):
    """Measure deeper and deeper nets before training, the entries of "depth".

    unmoved: the share of layer 1's weights that one step of SGD leaves as they are in float32, bit for bit.
    """
    images, _ = splits(settings, what)
    entries, batch = [], last_batch(images)
    for hidden_layers in DEPTHS:
        for activation, init in DEPTH_ARMS:
            arm = Arm((30,) * hidden_layers, activation, init)
            _, layers, initial = prepare([arm], settings.seeds, batch)
            weight, signal = layers[0].weight, predict(arm, layers, slice(None), initial["signal"][-1])
            entry = {"hidden_layers": hidden_layers, "activation": activation, "init": init, "initial": initial}
            entry["predicted"] = {"signal": signal}
            entry["unmoved"] = (weight - LR * weight.grad == weight).cpu().double().mean((1, 2)).tolist()
            entries.append(entry)
    return entries


# ---- in the script itself, which only keeps the books ----


def experiment(settings, record_path):
    """Train what is missing and write the record to record_path(what the data is); return that path."""
    from common import runs

    with workers.pool(1) as single:
        what, lengths, offers = single.submit(survey, settings).result()
    path = record_path(what)
    runs.check_target(path, what)
    shared = {
        **{"data": what, "epochs": settings.epochs, "seeds": settings.seeds, "batch_size": BATCH_SIZE, "lr": LR},
        **{"momentum": 0, "order_seed": ORDER_SEED, **lengths},
        "held_out": min(HELD_OUT, lengths["train_images"] // 10),
    }
    if path.exists() and not settings.fresh:
        old = runs.read_record(path, *PARTS)
        if old["arms"]:
            runs.check_same(path, old, shared)
    entries, ended = {"search": [], "all": []}, []

    def finished(result):
        part, found, *rest = result
        entries[part] += found
        ended.append(rest)

    def members(run):
        return len(run[1]) * settings.seeds

    jobs, states = min(settings.jobs or offers["jobs"], len(RUNS)), command.beside(settings.runs, "runs")
    with runs.lock(states, "ex2a", path.parent), workers.pool(jobs, offers["gpus"]) as many:
        print(f"Training on {what}: {lengths['train_images']} images, {many.name}", file=sys.stderr)
        depth = many.submit(partial(by_depth, settings=settings), what)
        progress = command.Progress(settings.epochs * sum(map(members, RUNS)))
        each = partial(carry_out, settings=settings, shared=shared)
        workers.sweep(many, each, RUNS, settings.epochs, progress.step, finished, members)
        record = {"schema": runs.SCHEMA, "exercise": "2a", "depth": depth.result()}
    seconds, versions, machines = zip(*ended)
    record |= {"data": shared.pop("data"), "settings": shared, "seconds": sum(seconds)}
    record |= {"versions": versions[-1], "machine": machines[-1]}
    order = [arm.name for arm in ARMS]
    record["arms"] = sorted(entries["all"], key=lambda entry: order.index(entry["name"]))
    record["search"] = [
        {"init": entry["init"], "status": entry["status"], "held_out_accuracy": entry["test_accuracy"][-1]}
        for entry in entries["search"]
    ]
    runs.write_record(path, record)
    return path


def main(settings):
    """Train what is missing, which writes the record, and draw from it; return the results as text."""
    from common import plots, runs
    from figures import ex2a

    settings = command.small(settings)
    record_path = partial(command.record_path, settings, "ex2a.json")
    if settings.plot_only:
        path = record_path("stand-in" if settings.stand_in else "")
    else:
        path = experiment(settings, record_path)
    record = runs.read_record(path, *PARTS)
    for name, made in ex2a.figures(record):
        with runs.atomic(path.with_name(name)) as file:
            plots.save(made, file)
    return f"{ex2a.table(record)}\n{path} and its ex2a_*.png are written"


if __name__ == "__main__":
    from ex2a_vanishing import Settings, main  # under the name by which workers know it

    command.run(main, command.read(Settings, __doc__))
