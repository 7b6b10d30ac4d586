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

from collections import deque
from dataclasses import dataclass
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

    @property
    def name(self):
        trained = f"{self.optimizer} {self.lr:g} momentum {self.momentum:g}"
        words = [self.activation, "-".join(map(str, self.hidden)), self.init]
        return " ".join(words if trained == f"sgd {LR:g} momentum 0" else [*words, trained])


PARAMETERS = "kaiming_a1", "kaiming_a0", "kaiming_a1_fan_out"  # those of the default method, turned towards us
LADDER = "gain4", "gain4_from_layer2", "gain4_from_layer2_centred"  # what the logistic function needs
RESCUE = "orthogonal6_from_layer2_centred"  # the best on held-out training images: figures/choices/rescue.py
ARMS = (
    *(Arm(shape, activation) for activation in ("sigmoid", "relu") for shape in SHAPES),
    *(Arm(shape, "sigmoid", "xavier_normal") for shape in SHAPES[2:]),
    *(Arm(DEEPEST, "sigmoid", init) for init in (*PARAMETERS, *LADDER, RESCUE)),
)
UNTRAINED = tuple(  # looked at before training only
    Arm((30,) * depth, activation, init)
    for depth in range(1, 13)
    for activation, init in (
        ("sigmoid", "default"),
        ("sigmoid", "xavier_normal"),
        ("sigmoid", RESCUE),
        ("relu", "default"),
    )
)


@dataclass(frozen=True)
class Settings(Options):
    """Exercise 2a: vanishing gradients on Fashion-MNIST."""


def load(folder, stand_in, quick):
    """Fashion-MNIST, or generated images in its place."""
    return data.fashion_mnist(folder, stand_in, quick)


def plan(settings):
    """What the record has: for each part the epochs, and its arms."""
    return {"depth": (0, UNTRAINED), "arms": (settings.epochs, ARMS)}


def together(part, arms, settings):
    """Group arms that differ in initialisation only, which train as one model of at most about 16 members."""
    if part == "depth":
        return [arms]
    groups, most = {}, max(1, 16 // settings.seeds)
    for arm in arms:
        groups.setdefault((arm.hidden, arm.activation, arm.optimizer, arm.lr, arm.momentum), []).append(arm)
    runs = [same[start : start + most] for same in groups.values() for start in range(0, len(same), most)]
    return sorted(runs, key=lambda run: -len(run))  # the long ones first


def check(settings, device):
    """Refuse arms that cannot be trained."""
    for arm in (*ARMS, *UNTRAINED):
        models.check_mlp(arm.hidden, arm.activation, arm.init)
        training.check_optimizer(arm.optimizer, arm.momentum)


def prepare(arms, seeds, batch):
    """Build the model of these arms and seeds; return it, its layers and the norms on a batch, (images, labels)."""
    members = [(arm.init, seed) for arm in arms for seed in range(seeds)]
    model = models.mlp(arms[0].hidden, arms[0].activation, members, batch[0][0].numel()).to(batch[0].device)
    layers = models.linears(model)
    with probes.GradientNorms(layers) as probe:
        training.forward_backward(model, *batch)
    return model, layers, probe.norms


def predict(arm, layers, mine, at_output):
    """Return the signal norm of each layer, [layer], that theory/1b derives from the output layer's, [seed]."""
    weights = [layer.weight.detach()[mine].cpu().double().numpy() for layer in layers]
    biases = [layer.bias.detach()[mine].cpu().double().numpy() for layer in layers]
    factor = theory.predict_net(weights, biases, arm.activation).factor
    return theory.signal(factor, sum(at_output) / len(at_output)).tolist()


def train(run, settings, parts):
    """Train the arms of a run side by side; return an entry of the record for each."""
    images, test = (parts[name].to(run.device) for name in ("train_images", "test_images"))
    in_order = partial(batches.Batches, images, BATCH_SIZE, ORDER_SEED)
    last_batch = deque(in_order(epoch=1), maxlen=1).pop()
    if run.part == "depth":
        return [untrained(arm, settings.seeds, last_batch) for arm in run.cases]
    arm, seeds = run.cases[0], settings.seeds
    model, layers, initial = prepare(run.cases, seeds, last_batch)
    members = [slice(number * seeds, (number + 1) * seeds) for number in range(len(run.cases))]
    predicted = [predict(arm, layers, mine, initial["signal"][-1][mine]) for arm, mine in zip(run.cases, members)]

    optimizer = training.optimizer(arm.optimizer, model.parameters(), arm.lr, arm.momentum)
    measure = partial(training.evaluate, model, batches.Batches(test, 1000))
    rows = training.fit(model, optimizer, run.epochs, in_order, measure, run, probes.GradientNorms(layers))
    status = training.statuses(rows[-1], classes=10)
    variance = probes.output_variance(model, models.outputs(model), batches.Batches(test, 1000))

    def over_epochs(kind, mine):
        return [[row["norms"][kind][layer][mine] for row in rows] for layer in range(len(layers))]

    return [
        {
            "status": status[mine],
            "test_accuracy": [[correct / len(test) for correct in row["correct"][mine]] for row in rows],
            "gradient_norm": {kind: over_epochs(kind, mine) for kind in probes.KINDS},
            "initial": {kind: [layer[mine] for layer in initial[kind]] for kind in probes.KINDS},
            "predicted": {"signal": signal},
            "layer_variance": [layer[mine] for layer in variance],
        }
        for mine, signal in zip(members, predicted)
    ]


def untrained(arm, seeds, batch):
    """Measure a net before training. unmoved: the share of layer 1's weights that a step of SGD leaves bit for bit."""
    _, layers, initial = prepare([arm], seeds, batch)
    weight = layers[0].weight
    return {
        "hidden_layers": len(arm.hidden),
        "initial": initial,
        "predicted": {"signal": predict(arm, layers, slice(None), initial["signal"][-1])},
        "unmoved": (weight - arm.lr * weight.grad == weight).cpu().double().mean((1, 2)).tolist(),
    }


experiment = Experiment(
    "ex2a",
    Settings,
    load,
    plan,
    train,
    figures=ex2a,
    together=together,
    check=check,
    fixed={"batch_size": BATCH_SIZE, "lr": LR, "momentum": 0, "order_seed": ORDER_SEED},
)

if __name__ == "__main__":
    experiment.main(__doc__)
