"""The networks: mlp(), whose members train side by side, and cnn(); and the initialisation schemes."""

import threading
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import init

ACTIVATIONS = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU, "identity": nn.Identity}


class MemberLinear(nn.Module):
    """One linear layer of every member: weight (members, out, in), bias (members, out).

    weight[m] has the layout of nn.Linear.weight. Takes (in, batch), shared by the members, or
    (members, in, batch); gives (members, out, batch).
    """

    def __init__(self, layers):
        super().__init__()
        self.members = len(layers)
        self.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))

    def forward(self, h):
        if h.dim() == 3:
            return torch.baddbmm(self.bias[:, :, None], self.weight, h)
        # One product (members * out, in) x (in, batch) for all members.
        return torch.addmm(self.bias.reshape(-1, 1), self.weight.flatten(0, 1), h).unflatten(0, self.bias.shape)


class MemberBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of every member by itself: to (members, features, batch) what nn.BatchNorm1d does to
    (batch, features)."""

    def __init__(self, members, features):
        super().__init__(members * features)
        self.members = members

    def forward(self, h):
        return super().forward(h.reshape(1, -1, h.shape[-1])).reshape(h.shape)


class Columns(nn.Module):
    """Turn images (batch, channels, height, width) into columns (features, batch), as the sheet writes them."""

    def forward(self, images):
        return images.flatten(1).T


_one_at_a_time = threading.Lock()


@contextmanager
def _seeded(seed):
    """Let PyTorch's initialisers draw under `seed`; the global generator is left as it was, other threads wait."""
    with _one_at_a_time, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # of the CPU; torch.manual_seed would seed all GPUs too
        yield


def mlp(hidden, activation, members, features=784, classes=10, batch_norm=False):
    """Build an ensemble of MLPs; logits (members, classes, batch).

    hidden: widths; activation: a key of ACTIVATIONS; members: (scheme, seed) pairs, with a scheme of SCHEMES;
    batch_norm: whether batch normalisation, as PyTorch makes it, stands before each activation.
    Member m equals the plain nn.Sequential that PyTorch makes after torch.manual_seed(seed), with the
    scheme then applied to it, so that all schemes share the biases that PyTorch drew. Raises ValueError.
    """
    members = list(members)
    if not members:
        raise ValueError("no members were given. Give (scheme, seed) pairs, one for each network")
    for scheme, _ in members:
        check_mlp(hidden, activation, scheme)
    sizes = (features, *hidden, classes)
    columns = []
    for scheme, seed in members:
        with _seeded(seed):
            layers = [nn.Linear(*pair) for pair in zip(sizes, sizes[1:])]
            with torch.no_grad():
                SCHEMES[scheme](layers)
        columns.append(layers)
    stages = [Columns()]
    for *layers, width in zip(*columns, hidden):  # which ends before the output layer
        stages.append(MemberLinear(layers))
        if batch_norm:
            stages.append(MemberBatchNorm(len(layers), width))
        stages.append(ACTIVATIONS[activation]())
    return nn.Sequential(*stages, MemberLinear([layers[-1] for layers in columns]))


def check_mlp(hidden, activation, scheme):
    """Raise ValueError where mlp() would, without drawing a weight."""
    if not hidden or min(hidden) < 1:
        raise ValueError(f"the hidden layers must be one or more, of width 1 or above (got {tuple(hidden)})")
    for what, name, choices in (("activation", activation, ACTIVATIONS), ("scheme", scheme, SCHEMES)):
        if name not in choices:
            raise ValueError(f"no {what} is called {name!r}. Choose from {', '.join(choices)}")


def linears(model):
    """Return the linear layers of an mlp(), first layer first: len(hidden) + 1 of them."""
    return [module for module in model if isinstance(module, MemberLinear)]


def outputs(model):
    """Return the modules of an mlp() whose output is h_l, first layer first: its activations, then the output layer."""
    return [*(module for module in model if isinstance(module, tuple(ACTIVATIONS.values()))), model[-1]]


# Initialisation schemes: functions that change a list of nn.Linear, first layer first, in place. The layers
# arrive holding PyTorch's default, kaiming_uniform_(a=sqrt(5)), and biases keep it wherever a scheme does not write.


def unchanged(layers):
    """Keep what nn.Linear does: weights and biases U(+-1/sqrt(fan_in)), Var = 1 / (3 fan_in)."""


def weights(method, **options):
    """The scheme that draws every weight matrix by a function of torch.nn.init."""

    def scheme(layers):
        for layer in layers:
            method(layer.weight, **options)

    return scheme


def from_layer2(method, gain):
    """The scheme with `gain` where the input is a Sigmoid output, and gain 1 in layer 1, which sees pixels."""

    def scheme(layers):
        weights(method)(layers[:1])
        weights(method, gain=gain)(layers[1:])

    return scheme


def centred(scheme):
    """`scheme` with b_j = -1/2 sum_k W_jk from layer 2 on, for inputs of mean 1/2, and b = 0 in layer 1."""

    def centred_scheme(layers):
        scheme(layers)
        layers[0].bias.zero_()
        for layer in layers[1:]:
            layer.bias.copy_(-layer.weight.sum(1) / 2)

    return centred_scheme


SCHEMES = {
    "default": unchanged,
    "xavier_normal": weights(init.xavier_normal_),  # Glorot & Bengio (2010): Var(W) = 2 / (fan_in + fan_out)
    "kaiming_a1": weights(init.kaiming_uniform_, a=1),  # Var(W) = 1 / fan_in
    "kaiming_a0": weights(init.kaiming_uniform_, a=0),  # He et al. (2015): Var(W) = 2 / fan_in
    "kaiming_a1_fan_out": weights(init.kaiming_uniform_, a=1, mode="fan_out"),  # Var(W) = 1 / fan_out
    "kaiming_a0_fan_out": weights(init.kaiming_uniform_, a=0, mode="fan_out"),  # Var(W) = 2 / fan_out
    "kaiming_tanh": weights(init.kaiming_uniform_, nonlinearity="tanh"),  # Var(W) = 25 / (9 fan_in)
    "kaiming_tanh_fan_out": weights(init.kaiming_uniform_, mode="fan_out", nonlinearity="tanh"),
    "gain4": weights(init.xavier_normal_, gain=4.0),  # undoes the slope 1/4 of the Sigmoid at 0
    "gain4_from_layer2": from_layer2(init.xavier_normal_, 4.0),
    "gain4_from_layer2_centred": centred(from_layer2(init.xavier_normal_, 4.0)),
    "gain6_from_layer2_centred": centred(from_layer2(init.xavier_normal_, 6.0)),
    "gain8_from_layer2_centred": centred(from_layer2(init.xavier_normal_, 8.0)),
    "orthogonal4_from_layer2_centred": centred(from_layer2(init.orthogonal_, 4.0)),  # Saxe et al. (2014)
    "orthogonal6_from_layer2_centred": centred(from_layer2(init.orthogonal_, 6.0)),
    "orthogonal8_from_layer2_centred": centred(from_layer2(init.orthogonal_, 8.0)),
}


STAGES = (1,), (2,), (4, 4), (4,)  # chosen by figures/choices/cnn.py; its record is figures/choices/cnn.json


def cnn(width, seed, stages=STAGES):
    """Build a plain CNN for images (batch, 3, 32, 32); logits (batch, 10).

    stages: for each stage the channels of its 3x3 convolutions, in multiples of `width`. Between stages the
    sides are halved by max pooling, right behind the convolution: the maximum is then normalised and rectified,
    which is a quarter of the work. With w = width the default goes

        (batch, 3, 32, 32)  conv, pool -> (batch, w, 16, 16)  conv, pool -> (batch, 2w, 8, 8)  conv ->
        (batch, 4w, 8, 8)   conv, pool -> (batch, 4w, 4, 4)   conv -> (batch, 4w, 4, 4)  mean ->
        (batch, 4w)         linear -> (batch, 10)

    with batch normalisation and ReLU behind each conv or pool: 378 w^2 + 97 w + 10 parameters and
    20736 w^2 + 27688 w multiply-adds an image; at w = 32 that is 390186 and 22.1 million.
    Weights are PyTorch's default after torch.manual_seed(seed), in channels_last. Raises ValueError.
    """
    if width < 1:
        raise ValueError(f"width must be 1 or above (got {width})")
    with _seeded(seed):
        layers, channels = [], 3
        for stage in stages:
            if layers:
                layers.insert(-2, nn.MaxPool2d(2))  # between the stage's last convolution and its normalisation
            for multiple in stage:
                layers += [
                    nn.Conv2d(channels, multiple * width, 3, padding=1, bias=False),  # normalisation has the bias
                    nn.BatchNorm2d(multiple * width),
                    nn.ReLU(),
                ]
                channels = multiple * width
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)]
        return nn.Sequential(*layers, *head).to(memory_format=torch.channels_last)
