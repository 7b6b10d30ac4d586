"""Both experiments once more, in plain PyTorch, one network at a time: what a run of either script must record.

Of common/ the caller takes only pixels and labels (data.Split) and the order, crops and flips of the batches (Batches),
which have tests of their own. Here `arm` is an entry of the record, of which only the fields of an arm are read, and
`epochs` is for each epoch the list of its batches, (images, labels). Lists are as in the record, for one seed.
"""

import math

import torch
from torch import nn
from torch.nn.functional import cross_entropy


def unaltered(split):
    """Return the images of a data.Split, standardised, (n, channels, height, width)."""
    return ((split.images - split.mean) / split.std).permute(0, 3, 1, 2)


@torch.no_grad()
def outputs(model, images):
    """Return what each activation gives in evaluation mode, first layer first, and at last the logits."""
    h, found = images, []
    for stage in model.eval():
        h = stage(h)
        found += [h] * isinstance(stage, (nn.Sigmoid, nn.ReLU))
    return [*found, h]


def status(loss, logits):
    """Name what became of a network by the last epoch's training loss and its logits for the test images."""
    if not math.isfinite(loss) or not logits.isfinite().all():
        return "non-finite"
    return "collapsed" if len(logits.argmax(1).unique()) == 1 or loss >= math.log(10) else "ok"


def rule(arm, model):
    more = () if arm["optimizer"] == "adam" else (arm["momentum"],)
    return {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[arm["optimizer"]](model.parameters(), arm["lr"], *more)


def train(model, arm, epochs):
    """Train; yield after each epoch the mean loss over its images, and the norms of the last batch's gradients.

    norms: {kind: [linear layer]}. The loss is taken of logits (1, classes, batch), as the scripts do. Of (batch,
    classes) its gradients differ in the last bits, which learning rates of 0.01 and more blow up.
    """
    optimizer, layers = rule(arm, model), [stage for stage in model if isinstance(stage, nn.Linear)]
    for batches in epochs:
        model.train()
        total, seen = 0, 0
        for images, labels in batches:
            h, z = images, []
            for stage in model:
                h = stage(h)
                if stage in layers:
                    h.retain_grad()
                    z.append(h)
            loss = cross_entropy(h.T[None], labels[None])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()  # which leaves the gradients
            total, seen = total + loss.item() * len(labels), seen + len(labels)
        sources = {
            "weights": [layer.weight for layer in layers],
            "biases": [layer.bias for layer in layers],
            "signal": z,
        }
        yield total / seen, {kind: [each.grad.double().norm().item() for each in sources[kind]] for kind in sources}


# ---- exercise 2a ----

INITS = {  # what is done to the weights of layer i = 0, 1, ... of a network that PyTorch made
    "default": lambda i, weight: None,
    "xavier_normal": lambda i, weight: nn.init.xavier_normal_(weight),
    "kaiming_a1": lambda i, weight: nn.init.kaiming_uniform_(weight, a=1),
    "kaiming_a0": lambda i, weight: nn.init.kaiming_uniform_(weight),
    "kaiming_a1_fan_out": lambda i, weight: nn.init.kaiming_uniform_(weight, a=1, mode="fan_out"),
    "kaiming_a0_fan_out": lambda i, weight: nn.init.kaiming_uniform_(weight, mode="fan_out"),
    "kaiming_tanh": lambda i, weight: nn.init.kaiming_uniform_(weight, nonlinearity="tanh"),
    "kaiming_tanh_fan_out": lambda i, weight: nn.init.kaiming_uniform_(weight, 0, "fan_out", "tanh"),
    "gain4": lambda i, weight: nn.init.xavier_normal_(weight, 4),
    "gain4_from_layer2": lambda i, weight: nn.init.xavier_normal_(weight, 4 if i else 1),
    "gain4_from_layer2_centred": lambda i, weight: nn.init.xavier_normal_(weight, 4 if i else 1),
    "gain6_from_layer2_centred": lambda i, weight: nn.init.xavier_normal_(weight, 6 if i else 1),
    "gain8_from_layer2_centred": lambda i, weight: nn.init.xavier_normal_(weight, 8 if i else 1),
    "orthogonal4_from_layer2_centred": lambda i, weight: nn.init.orthogonal_(weight, 4 if i else 1),
    "orthogonal6_from_layer2_centred": lambda i, weight: nn.init.orthogonal_(weight, 6 if i else 1),
    "orthogonal8_from_layer2_centred": lambda i, weight: nn.init.orthogonal_(weight, 8 if i else 1),
}


def mlp(arm, seed, features=784):
    torch.manual_seed(seed)
    stages, sizes = [nn.Flatten()], (features, *arm["hidden"], 10)
    for i, (fan_in, fan_out) in enumerate(zip(sizes, sizes[1:])):
        stages += [nn.Linear(fan_in, fan_out), *[nn.BatchNorm1d(fan_out)] * arm["batch_norm"]]
        stages.append({"sigmoid": nn.Sigmoid, "relu": nn.ReLU}[arm["activation"]]())
    for i, layer in enumerate(stage for stage in stages if isinstance(stage, nn.Linear)):
        INITS[arm["init"]](i, layer.weight)
        if arm["init"].endswith("centred"):
            layer.bias.data = -layer.weight.data.sum(1) / 2 if i else torch.zeros(len(layer.bias))
    return nn.Sequential(*stages[: stages.index(layer) + 1])


def mlp_before(arm, seed, batch):
    """Return the norms with the initial weights, and the share of layer 1's weights that one step does not move."""
    model = mlp(arm, seed)
    first = model[1].weight.detach().clone()
    ((_, initial),) = train(model, arm, [[batch]])
    return {"initial": initial, "unmoved": (model[1].weight == first).double().mean().item()}


def mlp_trained(arm, seed, epochs, test_images):
    """Return what is recorded of one seed of an arm; outputs are [epoch, from 0][layer] for the test images."""
    model, norms = mlp(arm, seed), []
    shown = [outputs(model, test_images)]
    for loss, last in train(model, arm, epochs):
        norms.append(last)
        shown.append(outputs(model, test_images))
    return {
        "status": status(loss, shown[-1][-1]),
        "gradient_norm": {kind: list(zip(*(each[kind] for each in norms))) for kind in last},
        "layer_variance": [h.double().var(0, correction=0).mean().item() for h in shown[-1]],
        "outputs": shown,
    }


# ---- exercise 2b ----


def cnn(w, seed):
    torch.manual_seed(seed)
    stages = [nn.Conv2d(3, w, 3, padding=1, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(w), nn.ReLU()]
    stages += [nn.Conv2d(w, 2 * w, 3, padding=1, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(2 * w), nn.ReLU()]
    stages += [nn.Conv2d(2 * w, 4 * w, 3, padding=1, bias=False), nn.BatchNorm2d(4 * w), nn.ReLU()]
    stages += [nn.Conv2d(4 * w, 4 * w, 3, padding=1, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(4 * w), nn.ReLU()]
    stages += [nn.Conv2d(4 * w, 4 * w, 3, padding=1, bias=False), nn.BatchNorm2d(4 * w), nn.ReLU()]
    stages += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * w, 10)]
    return nn.Sequential(*stages).to(memory_format=torch.channels_last)


def cnn_trained(arm, w, epochs, train_images, test_images):
    """Return what is recorded of one run; logits are [training, test][epoch] for all of these images."""
    model, losses, logits = cnn(w, arm["seed"]), [], []
    for loss, _ in train(model, arm, epochs):
        losses.append(loss)
        logits.append([outputs(model, images)[-1] for images in (train_images, test_images)])
    return {"status": status(loss, logits[-1][1]), "train_loss": losses, "logits": list(zip(*logits))}
