"""Exercise 2a. Do gradients vanish in deep sigmoid networks, and can initialisation rescue them?

    python ex2a_vanishing.py            everything below on real Fashion-MNIST, minutes on two cores
    python ex2a_vanishing.py --quick    every arm on tiny generated data, in seconds
    python ex2a_vanishing.py --plot-only

Held fixed: SGD with learning rate 0.005 and no momentum, batch 64, 20 epochs, cross-entropy, pixels
standardised, PyTorch's biases (except where a scheme is centred), one batch order for all arms and seeds.
Varied: depth, activation, initialisation; five seeds of each. Measured: test accuracy after every epoch,
and per layer the gradient norms of the epoch's last batch. Written: figures/ex2a.json and figures/ex2a_*.png.
The theory it tests: theory/1b_unstable_gradients.md.
"""

import math
import os
from dataclasses import asdict, dataclass
from functools import partial

from common import command

SHAPES = (50,), (50, 30), (50, 30, 30), (50, 30, 30, 30)  # the sheet prints the third twice
DEEPEST = SHAPES[-1]
BATCH_SIZE, LR, ORDER_SEED, HELD_OUT = 64, 0.005, 0, 5000


@dataclass(frozen=True)
class Arm:
    hidden: tuple
    activation: str
    init: str = "default"

    @property
    def name(self):
        return f"{self.activation} {'-'.join(map(str, self.hidden))} {self.init}"


# The default method's own parameters, then what the logistic function needs (theory/1b, closing section).
PARAMETERS = "kaiming_a1", "kaiming_a0", "kaiming_a1_fan_out"
LADDER = "gain4", "gain4_from_layer2", "gain4_from_layer2_centred"
RESCUE = "orthogonal6_from_layer2_centred"  # the best of CANDIDATES on held-out training images
CANDIDATES = (
    "xavier_normal",
    *LADDER,
    "gain6_from_layer2_centred",
    "gain8_from_layer2_centred",
    "orthogonal4_from_layer2_centred",
    "orthogonal6_from_layer2_centred",
    "orthogonal8_from_layer2_centred",
)
ARMS = (
    *(Arm(shape, activation) for activation in ("sigmoid", "relu") for shape in SHAPES),
    *(Arm(shape, "sigmoid", "xavier_normal") for shape in SHAPES[2:]),
    *(Arm(DEEPEST, "sigmoid", scheme) for scheme in (*PARAMETERS, *LADDER, RESCUE)),
)
DEPTHS = range(1, 13)  # hidden layers of 30, measured before training only
DEPTH_ARMS = ("sigmoid", "default"), ("sigmoid", "xavier_normal"), ("sigmoid", RESCUE), ("relu", "default")
LABELS = {
    "default": "PyTorch's default",
    "xavier_normal": "Xavier",
    "kaiming_a1": "Kaiming, a=1",
    "kaiming_a0": "Kaiming, a=0",
    "kaiming_a1_fan_out": "Kaiming, a=1, fan_out",
    "gain4": "gain 4",
    "gain4_from_layer2": "gain 4 from layer 2",
    "gain4_from_layer2_centred": "the same, centred",
    "orthogonal6_from_layer2_centred": "orthogonal, gain 6",
}


@dataclass(frozen=True)
class Settings(command.Options):
    """Exercise 2a: vanishing gradients on Fashion-MNIST."""


def side_by_side(arms):
    """Group arms of one shape and activation: they train as one model."""
    groups = {}
    for arm in arms:
        groups.setdefault((arm.hidden, arm.activation), []).append(arm)
    return list(groups.values())


def prepare(arms, seeds, images):
    """Build the model of these arms; return it, its linear layers and the norms on epoch 1's last batch."""
    from common import data, models, probes, train as training

    members = [(arm.init, seed) for arm in arms for seed in range(seeds)]
    features = images.images[0].numel()
    model = models.mlp(arms[0].hidden, arms[0].activation, members, features).to(images.images.device)
    layers = list(model[1::2])
    *_, (last, labels) = data.Batches(images, BATCH_SIZE, ORDER_SEED, epoch=1)
    with probes.GradientNorms(layers) as probe:
        training.forward_backward(model, last, labels)
    return model, layers, probe.norms


def predict(arm, layers, initial, part):
    """Return the signal norm of each layer that theory/1b predicts from the output layer's measured one."""
    from common import theory

    weights, biases = ([p[part].detach().cpu().double().numpy() for p in ps] for ps in zip(*((l.weight, l.bias) for l in layers)))
    factor = theory.predict_net(weights, biases, arm.activation).factor
    return theory.signal(factor, mean(initial["signal"][-1][part])).tolist()


def train(arms, settings, images, scored, run):
    """Train arms of one shape and activation on one Split, score them on another; return each one's entry."""
    import torch

    from common import data, probes, train as training

    model, layers, initial = prepare(arms, settings.seeds, images)
    parts = [slice(i * settings.seeds, (i + 1) * settings.seeds) for i in range(len(arms))]
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    batches = partial(data.Batches, images, BATCH_SIZE, ORDER_SEED)
    scored_batches = data.Batches(scored, 1000)
    measure = partial(training.evaluate, model, scored_batches)
    predicted = [predict(arm, layers, initial, part) for arm, part in zip(arms, parts)]
    probe = probes.GradientNorms(layers)
    rows = training.fit(model, optimizer, settings.epochs, batches, measure, run, probe)
    variance = probes.output_variance(model, [*model[2::2], layers[-1]], scored_batches)
    status = training.statuses(rows[-1], classes=10)

    entries = []
    for arm, mine, signal in zip(arms, parts, predicted):
        entry = asdict(arm) | {"name": arm.name, "status": status[mine]}
        entry["test_accuracy"] = [[correct / len(scored) for correct in row["correct"][mine]] for row in rows]
        entry["gradient_norm"] = {
            kind: [[row["norms"][kind][layer][mine] for row in rows] for layer in range(len(layers))]
            for kind in probes.KINDS
        }
        entry["initial"] = {kind: [layer[mine] for layer in initial[kind]] for kind in probes.KINDS}
        entry["predicted"] = {"signal": signal}
        entry["layer_variance"] = [layer[mine] for layer in variance]
        entries.append(entry)
    return entries


def by_depth(settings, images):
    """Measure nets of 1, 2, ... hidden layers of 30 before training; "unmoved": layer 1's share of weights
    that one step of SGD leaves as they are, bit for bit, in float32."""
    entries = []
    for hidden_layers in DEPTHS:
        for activation, init in DEPTH_ARMS:
            _, layers, initial = prepare([Arm((30,) * hidden_layers, activation, init)], settings.seeds, images)
            weight = layers[0].weight.detach()
            unmoved = (weight - LR * layers[0].weight.grad == weight).double().mean((1, 2)).tolist()
            entry = {"hidden_layers": hidden_layers, "activation": activation, "init": init}
            entries.append(entry | {"initial": initial, "unmoved": unmoved})
    return entries


def experiment(settings, target):
    """Train what is missing; return where its record belongs, target(what the data is), and the record."""
    from common import data, runs

    device = command.device(settings.device)
    what, images, test = data.load("Fashion-MNIST", settings.data, settings.stand_in, settings.quick)
    runs.check_target(target(what), what)
    images, test = images.to(device), test.to(device)
    held_out = min(HELD_OUT, len(images) // 10)
    candidates = [Arm(DEEPEST, "sigmoid", scheme) for scheme in CANDIDATES]
    progress = command.Progress((len(ARMS) + len(candidates)) * settings.seeds * settings.epochs)
    seconds = 0.0

    def trained(arms, images, scored, part):
        nonlocal seconds
        shared = {"data": what, "part": part, "arms": [arm.name for arm in arms], "seeds": settings.seeds}
        shared |= {"epochs": settings.epochs, "batch_size": BATCH_SIZE, "lr": LR, "order_seed": ORDER_SEED}
        name = f"ex2a-{part}-{arms[0].activation}-{len(arms[0].hidden)}"
        n = len(arms) * settings.seeds
        run = runs.Run(settings.runs, name, shared, settings.fresh, lambda run: progress.step(run.path.stem, n))
        progress.step(run.path.stem, n * len(run.rows))
        entries = train(arms, settings, images, scored, run)
        seconds += run.seconds
        return entries

    with runs.lock(settings.runs, "ex2a"):
        search = trained(candidates, images[:-held_out], images[-held_out:], "search")
        arms = [entry for group in side_by_side(ARMS) for entry in trained(group, images, test, "all")]
    versions, machine = command.versions_and_machine(device)
    return target(what), {
        "schema": runs.SCHEMA,
        "exercise": "2a",
        "data": what,
        "settings": {
            **{"epochs": settings.epochs, "seeds": settings.seeds, "batch_size": BATCH_SIZE, "lr": LR, "momentum": 0},
            **{"order_seed": ORDER_SEED, "train_images": len(images), "test_images": len(test), "held_out": held_out},
        },
        "versions": versions,
        "machine": machine,
        "seconds": seconds,
        "arms": sorted(arms, key=lambda entry: [arm.name for arm in ARMS].index(entry["name"])),
        "search": [
            {"init": e["init"], "status": e["status"], "held_out_accuracy": e["test_accuracy"][-1]} for e in search
        ],
        "depth": by_depth(settings, images),
    }


# ---- what is drawn, from the record alone ----


def mean(values):
    return sum(values) / len(values)


def pick(record, activation, init="default", hidden=None):
    """The entries of the record with this activation and initialisation, and these hidden widths if given."""
    same = [arm for arm in record["arms"] if (arm["activation"], arm["init"]) == (activation, init)]
    return [arm for arm in same if hidden in (None, tuple(arm["hidden"]))]


def total_norm(arm):
    """Norm of all parameters of each layer, [layer][epoch, 0 first][seed]: what the figures call its gradient norm."""
    return [
        [[math.hypot(w, b) for w, b in zip(*pair)] for pair in zip([w0, *ws], [b0, *bs])]
        for w0, b0, ws, bs in zip(
            arm["initial"]["weights"],
            arm["initial"]["biases"],
            arm["gradient_norm"]["weights"],
            arm["gradient_norm"]["biases"],
        )
    ]


def draw_accuracy(record, title, curves):
    """curves: (label, entry of the record) pairs."""
    from common import plots

    made, (axes,) = plots.figure(title, note=plots.caption(record))
    for number, (label, arm) in enumerate(curves):
        epochs = range(1, len(arm["test_accuracy"]) + 1)
        plots.curve(axes, epochs, arm["test_accuracy"], label, number)
    plots.accuracy(axes)
    plots.end_labels(axes)
    return made


def draw_norms(record, title, panels, like):
    """panels: (heading, entry) pairs side by side; `like`: the entries that share the vertical range."""
    from common import plots

    made, each = plots.figure(title, len(panels), note=plots.caption(record))
    limits = plots.limits([total_norm(arm) for arm in like])
    for axes, (heading, arm) in zip(each, panels):
        for number, values in enumerate(total_norm(arm)):
            layer = "output layer" if number == len(arm["hidden"]) else f"layer {number + 1}"
            plots.curve(axes, range(len(values)), values, layer, number)
        plots.norms(axes, *limits)
        axes.set_title(heading)
        plots.end_labels(axes)
    each[0].set_ylabel("gradient norm of the layer")
    return made


def figures(record):
    """Yield (file name, Figure) of every figure of exercise 2a."""

    def final(arm):
        return f"{mean(arm['test_accuracy'][-1]):.1%}"

    def shrunk(arm):
        first, *_, last = total_norm(arm)
        return f"{mean(first[-1]) / mean(last[-1]):.2g}" if mean(last[-1]) else "0/0"

    def widths(arm):
        return "(" + ", ".join(map(str, arm["hidden"])) + ("," if len(arm["hidden"]) == 1 else "") + ")"

    for activation, name in (("sigmoid", "Sigmoid"), ("relu", "ReLU")):
        arms = pick(record, activation)
        title = f"{name}: {final(arms[0])} with one hidden layer, {final(arms[-1])} with four"
        yield f"ex2a_accuracy_{activation}.png", draw_accuracy(record, title, [(widths(arm), arm) for arm in arms])
        for arm in arms:
            title = f"{name} {widths(arm)}: in the end layer 1 has {shrunk(arm)} of the output layer's gradient norm"
            file = f"ex2a_norms_{activation}_{'-'.join(map(str, arm['hidden']))}.png"
            yield file, draw_norms(record, title, [("", arm)], like=arms)

    default = pick(record, "sigmoid")[2:]
    xavier = pick(record, "sigmoid", "xavier_normal")
    title = f"Xavier: {final(xavier[-1])} on {widths(xavier[-1])}, where the default gives {final(default[-1])}"
    curves = [(f"{label} {widths(arm)}", arm) for label, arms in (("default", default), ("Xavier", xavier)) for arm in arms]
    yield "ex2a_accuracy_xavier.png", draw_accuracy(record, title, curves)
    title = f"Xavier: in the end layer 1 has {shrunk(xavier[0])} and {shrunk(xavier[1])} of the output layer's gradient norm"
    panels = [(f"Xavier {widths(arm)}", arm) for arm in xavier]
    yield "ex2a_norms_xavier.png", draw_norms(record, title, panels, like=pick(record, "sigmoid") + xavier)

    inits = [arm for arm in record["arms"] if tuple(arm["hidden"]) == DEEPEST and arm["activation"] == "sigmoid"]
    default, rescued = inits[0], pick(record, "sigmoid", RESCUE)[0]
    title = f"Initialisation takes sigmoid {widths(default)} from {final(default)} to {final(rescued)}"
    yield "ex2a_accuracy_inits.png", draw_accuracy(record, title, [(LABELS[arm["init"]], arm) for arm in inits])
    title = f"{LABELS[RESCUE].capitalize()}: layer 1 has {shrunk(rescued)} of the output layer's gradient norm, by default {shrunk(default)}"
    panels = [(LABELS[arm["init"]], arm) for arm in (default, rescued)]
    yield "ex2a_norms_rescue.png", draw_norms(record, title, panels, like=[default, rescued])


def table(record):
    """The results as text, one line per arm."""
    lines = [f"{'arm':58}{'test accuracy':>16}  {'layer 1 gradient norm':>22}  status"]
    for arm in record["arms"]:
        accuracy, first = arm["test_accuracy"][-1], total_norm(arm)[0]
        spread = (max(accuracy) - min(accuracy)) / 2
        lines.append(
            f"{arm['name']:58}{mean(accuracy):9.2%} +-{spread:5.2%}  {mean(first[0]):9.2e} -> {mean(first[-1]):8.2e}  "
            + ", ".join(f"{arm['status'].count(status)} {status}" for status in sorted(set(arm["status"])))
        )
    return "\n".join(lines)


def main(settings):
    settings = command.small(settings)
    from common import runs

    def target(what):
        return command.folder(settings, what == "stand-in") / "ex2a.json"

    if settings.plot_only:
        path = target("stand-in" if settings.stand_in else "real")
    else:
        path, record = experiment(settings, target)
        runs.write_record(path, record)
    record = runs.read_record(path)
    for name, made in figures(record):
        with runs.atomic(path.with_name(name)) as file:
            from common import plots

            plots.save(made, file)
    print(table(record))
    print(f"{path} and {path.parent}{os.sep}ex2a_*.png")


if __name__ == "__main__":
    command.run(main, command.read(Settings, __doc__))
