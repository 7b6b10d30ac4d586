"""Both experiments once more, in plain PyTorch, one network at a time: what a run of either script must record.

Of common/ the caller takes only pixels and labels (data.Split) and the order, crops and flips of the batches (Batches),
which have tests of their own. Here `epochs` is for each epoch the list of its batches, (images, labels); lists are as
in the record, without its axis of the seeds.
"""

import math
from functools import partial

import torch
from torch import nn
from torch.nn.functional import cross_entropy


def unaltered(split):
    """Return the images of a data.Split, standardised, (n, channels, height, width)."""
    return ((split.images - split.mean) / split.std).permute(0, 3, 1, 2)


@torch.no_grad()
def outputs(model, images):
    return model.eval()(images)


def status(loss, logits):
    """Name what became of a network by the last epoch's training loss and its logits for the test images."""
    if not math.isfinite(loss) or not logits.isfinite().all():
        return "non-finite"
    return "collapsed" if len(logits.argmax(1).unique()) == 1 or loss >= math.log(10) else "ok"


def train_epoch(model, optimizer, batches, look=lambda *last: None):
    """Train; return the mean loss over the images, and what `look` saw of the last batch before its step.

    The loss is taken of logits (1, classes, batch), as the scripts do. Of (batch, classes) its gradients differ in the
    last bits, which learning rates of 0.01 and more blow up to one answer in twenty within two epochs.
    """
    model.train()
    total, seen = 0, 0
    for images, labels in batches:
        if labels is batches[-1][1]:
            saw = look(model, images, labels)
        loss = cross_entropy(model(images).T[None], labels[None])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total, seen = total + loss.item() * len(labels), seen + len(labels)
    return total / seen, saw


# ---- exercise 2a ----

INITS = {  # what is done to the weights of layer i = 0, 1, ... of a network that PyTorch made
    "default": lambda i, weight: None,
    "xavier_normal": lambda i, weight: nn.init.xavier_normal_(weight),
    "kaiming_a1": lambda i, weight: nn.init.kaiming_uniform_(weight, a=1),
    "kaiming_a0": lambda i, weight: nn.init.kaiming_uniform_(weight),
    "kaiming_a1_fan_out": lambda i, weight: nn.init.kaiming_uniform_(weight, a=1, mode="fan_out"),
    "gain4": lambda i, weight: nn.init.xavier_normal_(weight, 4),
    "gain4_from_layer2": lambda i, weight: nn.init.xavier_normal_(weight, 4 if i else 1),
    "gain4_from_layer2_centred": lambda i, weight: nn.init.xavier_normal_(weight, 4 if i else 1),
    "gain6_from_layer2_centred": lambda i, weight: nn.init.xavier_normal_(weight, 6 if i else 1),
    "gain8_from_layer2_centred": lambda i, weight: nn.init.xavier_normal_(weight, 8 if i else 1),
    "orthogonal4_from_layer2_centred": lambda i, weight: nn.init.orthogonal_(weight, 4 if i else 1),
    "orthogonal6_from_layer2_centred": lambda i, weight: nn.init.orthogonal_(weight, 6 if i else 1),
    "orthogonal8_from_layer2_centred": lambda i, weight: nn.init.orthogonal_(weight, 8 if i else 1),
}


def mlp(hidden, activation, init, seed):
    torch.manual_seed(seed)
    layers = [nn.Linear(*sizes) for sizes in zip((784, *hidden), (*hidden, 10))]
    for i, layer in enumerate(layers):
        INITS[init](i, layer.weight)
        if init.endswith("centred"):
            layer.bias.data = -layer.weight.data.sum(1) / 2 if i else torch.zeros(len(layer.bias))
    between = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU}[activation]
    stages = [stage for layer in layers for stage in (layer, between())]
    return nn.Sequential(nn.Flatten(), *stages[:-1])


def norms(model, images, labels):
    """Return the norms of one batch's gradients, {kind: [layer]}; the network is left as it is."""
    h, z = images, []
    for stage in model:
        h = stage(h)
        if isinstance(stage, nn.Linear):
            z.append(h)
    parameters = list(model.parameters())
    sources = {"weights": parameters[::2], "biases": parameters[1::2], "signal": z}
    loss = cross_entropy(h, labels)
    gradients = {kind: torch.autograd.grad(loss, source, retain_graph=True) for kind, source in sources.items()}
    return {kind: [gradient.double().norm().item() for gradient in gradients[kind]] for kind in sources}


def mlp_before(hidden, activation, init, seed, batch):
    """Return the norms with the initial weights, and the share of layer 1's weights that one step does not move."""
    model = mlp(hidden, activation, init, seed)
    first, initial = model[1].weight.detach().clone(), norms(model, *batch)
    train_epoch(model, torch.optim.SGD(model.parameters(), lr=0.005), [batch])
    return {"initial": initial, "unmoved": (model[1].weight == first).double().mean().item()}


def mlp_trained(hidden, activation, init, seed, epochs, test_images):
    """Return what is recorded of one seed of an arm; logits are those of the test images after each epoch."""
    model = mlp(hidden, activation, init, seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.005)
    logits, seen = [], []
    for batches in epochs:
        loss, saw = train_epoch(model, optimizer, batches, norms)
        logits.append(outputs(model, test_images))
        seen.append(saw)
    layers = [outputs(model[:end], test_images) for end in (*range(3, len(model), 2), len(model))]
    return {
        "status": status(loss, logits[-1]),
        "logits": logits,
        "gradient_norm": {kind: list(zip(*(saw[kind] for saw in seen))) for kind in saw},
        "layer_variance": [h.double().var(0, correction=0).mean().item() for h in layers],
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


def cnn_trained(model, optimizer, lr, epochs, train_images, test_images):
    """Train a cnn(); return what is recorded of one run; logits are those of all images after each epoch."""
    rule = {"adam": torch.optim.Adam, "sgd": partial(torch.optim.SGD, momentum=0.9)}[optimizer]
    optimizer, losses, train_logits, test_logits = rule(model.parameters(), lr), [], [], []
    for batches in epochs:
        losses.append(train_epoch(model, optimizer, batches)[0])
        train_logits.append(outputs(model, train_images))
        test_logits.append(outputs(model, test_images))
    return {
        "status": status(losses[-1], test_logits[-1]),
        "train_loss": losses,
        "train_logits": train_logits,
        "test_logits": test_logits,
    }
