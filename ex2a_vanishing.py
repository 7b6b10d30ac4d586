"""Exercise 2a. Do gradients vanish in deep Sigmoid networks, and can initialisation rescue them?

    python ex2a_vanishing.py --out mine    all of it on real Fashion-MNIST, eleven minutes or more on two cores
    python ex2a_vanishing.py --quick       every arm on tiny generated data, seconds
    python ex2a_vanishing.py               what the record lacks: nothing as shipped, so it is only redrawn

Answer: they do, and it can. With PyTorch's default the Sigmoid's test accuracy falls from 82.55 % with one hidden
layer to 10.00 % with four, where layer 1 starts with 0.0045 times the output layer's gradient norm. ReLU reaches
85.84 % with the same four; the Sigmoid 26.80 % with Xavier, 86.79 % with orthogonal weights of gain 6 and centred
biases, and 85.20 % by default with Adam in place of SGD.

Varied: depth, activation, initialisation, optimizer and its rate, momentum, batch normalisation, five seeds of each.
Held fixed unless an arm says otherwise: SGD with learning rate 0.005 and no momentum, batch 64, 20 epochs,
cross-entropy on standardised pixels, PyTorch's biases, one order of the batches for all. Measured: test accuracy after
each epoch, and per layer the gradient norms of the epoch's last batch. Theory: theory/1b_unstable_gradients.md.
"""

from collections import deque
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial

from common import batches, data, models, probes, theory, train as training
from common.experiment import Experiment, Options
from figures import ex2a

BATCH_SIZE, LR, ORDER_SEED = 64, 0.005, 0
SHAPES = (50,), (50, 30), (50, 30, 30), (50, 30, 30, 30)  # the sheet prints the third in place of the fourth
DEEPEST = SHAPES[-1]


@dataclass(frozen=True)
class Arm:
    hidden: tuple
    activation: str
    init: str = "default"
    optimizer: str = "sgd"
    lr: float = LR
    momentum: float = 0
    batch_norm: bool = False

    @property
    def name(self):
        words = [self.activation, "-".join(map(str, self.hidden)), self.init]
        words += [f"{self.optimizer} {self.lr:g}"] * ((self.optimizer, self.lr) != ("sgd", LR))
        words += [f"momentum {self.momentum:g}"] * bool(self.momentum) + ["batch norm"] * self.batch_norm
        return " ".join(words)


# The parameters of the default method, kaiming_uniform_: a, mode, nonlinearity.
TUNED = "kaiming_a1", "kaiming_a0", "kaiming_a1_fan_out", "kaiming_a0_fan_out", "kaiming_tanh", "kaiming_tanh_fan_out"
LADDER = "gain4", "gain4_from_layer2", "gain4_from_layer2_centred"  # what the Sigmoid needs
RESCUE = "orthogonal6_from_layer2_centred"  # the best on held-out training images: figures/choices/rescue.py
ARMS = (
    *(Arm(shape, activation) for activation in ("sigmoid", "relu") for shape in SHAPES),
    *(Arm(shape, "sigmoid", "xavier_normal") for shape in SHAPES[2:]),
    *(Arm(DEEPEST, "sigmoid", init) for init in (*TUNED, *LADDER, RESCUE)),
    Arm(DEEPEST, "relu", "kaiming_a0"),
    Arm(DEEPEST, "sigmoid", batch_norm=True),
    Arm(DEEPEST, "sigmoid", optimizer="adam", lr=1e-3),
    *(Arm(DEEPEST, "sigmoid", lr=lr) for lr in (0.05, 0.5)),
    Arm(DEEPEST, "sigmoid", momentum=0.9),
    Arm(DEEPEST, "sigmoid", "xavier_normal", lr=0.05),
)
FOUR = ("sigmoid", "default"), ("sigmoid", "xavier_normal"), ("sigmoid", RESCUE), ("relu", "default")
UNTRAINED = tuple(Arm((30,) * depth, *net) for depth in range(1, 13) for net in FOUR)  # looked at before training only
PLATEAU = (Arm(DEEPEST, "sigmoid"),)  # trained 7.5 times as long
SEEN = tuple(Arm(DEEPEST, *net) for net in FOUR)  # for their activations, in BINS of RANGE after these epochs
SEEN_AFTER, BINS, RANGE = (0, 3, 20), 40, {"sigmoid": (0, 1), "relu": (0, 4)}


@dataclass(frozen=True)
class Settings(Options):
    """Exercise 2a: vanishing gradients on Fashion-MNIST."""


def load(folder, stand_in, quick):
    """Fashion-MNIST, or generated images in its place."""
    return data.fashion_mnist(folder, stand_in, quick)


def plan(settings):
    """What the record has: for each part the epochs, and its arms."""
    return {
        "depth": (0, UNTRAINED),
        "plateau": (settings.epochs * 15 // 2, PLATEAU),
        "arms": (settings.epochs, ARMS),
        "activations": (settings.epochs, SEEN),
    }


def together(part, arms, settings):
    """Group arms that differ in initialisation only, which train as one model of at most about 16 members."""
    if part == "depth":
        return [arms]
    groups, most = {}, max(1, 16 // settings.seeds)
    for arm in arms:
        groups.setdefault(str(replace(arm, init="")), []).append(arm)
    runs = [same[start : start + most] for same in groups.values() for start in range(0, len(same), most)]
    return sorted(runs, key=lambda run: -len(run))  # the long ones first


def check(arm, settings, device):
    """Refuse an arm that cannot be trained."""
    models.check_mlp(arm.hidden, arm.activation, arm.init)
    training.check_optimizer(arm.optimizer, arm.lr, arm.momentum)


def prepare(arms, seeds, batch):
    """Build the model of these arms, which differ in initialisation only, and look at a copy of it, since batch
    normalisation keeps a trace; return the model, and the copy's layers and norms with the gradients of the batch."""
    arm, members = arms[0], [(arm.init, seed) for arm in arms for seed in range(seeds)]
    model = models.mlp(arm.hidden, arm.activation, members, batch[0][0].numel(), batch_norm=arm.batch_norm)
    copy = deepcopy(model.to(batch[0].device))
    with probes.GradientNorms(models.linears(copy)) as probe:
        training.forward_backward(copy, *batch)
    return model, probe.layers, probe.norms


def train(run, settings, parts):
    """Train the arms of a run side by side; return an entry of the record for each."""
    images, test = (parts[name].to(run.device) for name in ("train_images", "test_images"))
    in_order = partial(batches.Batches, images, BATCH_SIZE, ORDER_SEED)
    last_batch = deque(in_order(epoch=1), maxlen=1).pop()
    if run.part == "depth":
        return [untrained(arm, settings.seeds, last_batch) for arm in run.cases]
    arm, seeds = run.cases[0], settings.seeds if run.part != "activations" else 1
    model, layers, initial = prepare(run.cases, seeds, last_batch)
    optimizer = training.optimizer(arm.optimizer, model.parameters(), arm.lr, arm.momentum)
    tested, probe = batches.Batches(test, 1000), probes.GradientNorms(models.linears(model))
    if run.part == "activations":
        return activations(run, model, optimizer, in_order, tested)
    rows = training.fit(model, optimizer, run.epochs, in_order, partial(training.evaluate, model, tested), run, probe)
    status = training.statuses(rows[-1], classes=10)
    variance = probes.output_variance(model, models.outputs(model), tested)
    predict = partial(theory.signal_in_net, layers, arm.activation, initial["signal"][-1])
    seeds_of_arms = [slice(number * seeds, (number + 1) * seeds) for number in range(len(run.cases))]

    def over_epochs(kind, mine):  # [layer][epoch][seed]
        return [[row["norms"][kind][layer][mine] for row in rows] for layer in range(len(layers))]

    return [
        {
            "status": status[mine],
            "test_accuracy": [[correct / len(test) for correct in row["correct"][mine]] for row in rows],
            "gradient_norm": {kind: over_epochs(kind, mine) for kind in probes.KINDS},
            "initial": {kind: [layer[mine] for layer in initial[kind]] for kind in probes.KINDS},
            "predicted": None if arm.batch_norm else {"signal": predict(mine)},  # the theory knows no normalisation
            "layer_variance": [layer[mine] for layer in variance],
        }
        for mine in seeds_of_arms
    ]


def activations(run, model, optimizer, in_order, tested):
    """Train, one seed of each arm, and count the hidden activations for the test images before and meanwhile."""
    low, high = RANGE[run.cases[0].activation]

    def measure():
        return {"counts": probes.output_histograms(model, models.outputs(model)[:-1], tested, BINS, low, high)}

    rows = [measure(), *training.fit(model, optimizer, run.epochs, in_order, measure, run)]
    seen = sorted({min(epoch, run.epochs) for epoch in SEEN_AFTER})
    return [
        {
            "after": seen,
            "range": [low, high],
            "counts": [[layer[member] for layer in rows[epoch]["counts"]] for epoch in seen],
        }
        for member in range(len(run.cases))
    ]


def untrained(arm, seeds, batch):
    """Measure a net before training. unmoved: the share of layer 1's weights that a step of SGD leaves bit for bit."""
    _, layers, initial = prepare([arm], seeds, batch)
    weight = layers[0].weight
    return {
        "hidden_layers": len(arm.hidden),
        "initial": initial,
        "predicted": {"signal": theory.signal_in_net(layers, arm.activation, initial["signal"][-1])},
        "unmoved": (weight - arm.lr * weight.grad == weight).cpu().double().mean((1, 2)).tolist(),
    }


FIXED = {"batch_size": BATCH_SIZE, "lr": LR, "momentum": 0, "order_seed": ORDER_SEED}
experiment = Experiment("ex2a", Settings, load, plan, train, figures=ex2a, together=together, check=check, fixed=FIXED)

if __name__ == "__main__":
    experiment.main(__doc__)
