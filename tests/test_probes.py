"""Norms: equal to autograd's, of any layers; outputs: as numpy says; what cannot be measured is an error."""

import copy
import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from common import data, models, probes, train
from common.batches import Batches


@pytest.fixture
def net():
    """Three members of a small sigmoid net in float64, and one batch."""
    model = models.mlp((6, 5, 4), "sigmoid", [("gain4", 0), ("default", 1), ("xavier_normal", 2)], features=9).double()
    return model, *batch()


def batch(channels=1, side=3):
    torch.manual_seed(0)
    return torch.randn(11, channels, side, side, dtype=torch.float64), torch.randint(10, (11,))


def conv(*channels, **options):
    return nn.Conv2d(*channels, 3, padding=1, **options)


ORDINARY = {  # every layer with parameters is measured
    "MLP": lambda: [nn.Flatten(), nn.Linear(9, 6), nn.Sigmoid(), nn.Linear(6, 10)],
    "no bias": lambda: [nn.Flatten(), nn.Linear(9, 6, bias=False), nn.ReLU(), nn.Linear(6, 10, bias=False)],
    "CNN": lambda: [
        *(conv(1, 4, bias=False), nn.BatchNorm2d(4), nn.ReLU()),
        *(conv(4, 6), nn.ELU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(6, 10)),
    ],
    "block": lambda: [nn.Flatten(), nn.Sequential(nn.Linear(9, 6), nn.ReLU(), nn.Linear(6, 5)), nn.Linear(5, 10)],
    "one member": lambda: models.mlp((6, 5), "relu", [("default", 0)], features=9),  # its first output is a view
}


@pytest.mark.parametrize("frozen", [(), (0,), (1,), (0, 1)])
@pytest.mark.parametrize("name", ORDINARY)
def test_norms_of_any_layers_equal_autograd_before_activations_that_overwrite(name, frozen):
    """A twin whose activations leave their inputs alone gives the reference; what is frozen or missing is nan."""
    twin = nn.Sequential(*ORDINARY[name]()).double()
    model, (images, labels) = copy.deepcopy(twin), batch()
    for stage in model:
        if hasattr(stage, "inplace"):
            stage.inplace = True
    places, zs = [i for i, stage in enumerate(twin) if [*stage.parameters()]], []
    for i in places:
        twin[i].register_forward_hook(lambda layer, inputs, z: zs.append(z))
    loss = train.member_losses(twin(images), labels).sum()
    gradients = torch.autograd.grad(loss, [*zs, *twin.parameters()])
    signals, own = gradients[: len(zs)], [gradient.norm().item() for gradient in gradients[len(zs) :]]
    for number in frozen:
        [*model.parameters()][number].requires_grad_(False)
        own[number] = math.nan
    expected = dict(zip(dict(twin.named_parameters()), own))
    with probes.GradientNorms(model[i] for i in places) as probe:
        train.forward_backward(model, images, labels)
    for number, i in enumerate(places):
        assert probe.norms["signal"][number] == pytest.approx([signals[number].norm().item()], rel=1e-12)
        for kind, end in (("weights", "weight"), ("biases", "bias")):
            mine = [norm for name, norm in expected.items() if name.startswith(f"{i}.") and name.endswith(end)]
            norm = math.hypot(*mine) if mine else math.nan
            assert probe.norms[kind][number] == pytest.approx([norm], rel=1e-12, nan_ok=True)


def test_norms_are_taken_in_float64():
    """Two entries of float32's smallest number: their norm, 1.41 of it, lies between two numbers of float32."""
    tiny = torch.full((1, 2), 1e-45)
    assert probes._norm([tiny], 1) == pytest.approx([2**0.5 * tiny[0, 0].item()], rel=1e-12, abs=0)


def unhooked(model):
    hooks = [module._forward_hooks for module in model.modules()] + [p._backward_hooks for p in model.parameters()]
    return not any(hooks)


def test_hooks_are_gone_and_nothing_has_changed_nor_counts_what_changes_later(net):
    model, images, labels = net
    train.forward_backward(model, images, labels)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    gradients = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    with probes.GradientNorms(models.linears(model)) as probe:
        train.forward_backward(model, images, labels)
    norms = probe.norms
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), gradients))
    assert unhooked(model)
    model.zero_grad()
    with probes.GradientNorms(models.linears(model)) as probe:
        train.forward_backward(model, images, labels)
        nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
    assert probe.norms == norms


def used_twice(model, images, labels):
    model[1](images.flatten(1).T)
    train.forward_backward(model, images, labels)


def backward_twice(model, images, labels):
    loss = train.member_losses(model(images), labels).sum()
    loss.backward(retain_graph=True)
    loss.backward()


def backward_besides(model, images, labels):
    train.forward_backward(model, images, labels)
    model[1].weight.square().sum().backward()  # through no layer's output


def left_over(model, images, labels):
    model[1].bias.grad = torch.ones_like(model[1].bias)
    train.forward_backward(model, images, labels)


def failure(model, images, labels):
    train.forward_backward(model, images, labels)
    raise ZeroDivisionError("another error")


@pytest.mark.parametrize(
    "block, sentence",
    [
        (lambda *_: None, "no backward pass in the block went through layer 1"),
        (lambda model, images, labels: model(images), "no backward pass in the block went through layer 1"),
        (used_twice, "layer 1 .MemberLinear. is used twice"),
        (backward_twice, "two backward passes in the block"),
        (backward_besides, "two backward passes in the block"),
        (left_over, "gradients from before the block would add up"),
        (failure, "another error"),
    ],
)
def test_what_is_not_one_pass_is_an_error_and_never_a_number(net, block, sentence):
    model, images, labels = net
    probe = probes.GradientNorms(models.linears(model))
    train.forward_backward(model, images, labels)
    model.zero_grad(set_to_none=False)  # zeros add nothing
    with probe:
        train.forward_backward(model, images, labels)
    model.zero_grad()
    with pytest.raises(ZeroDivisionError if block is failure else ValueError, match=sentence), probe:
        block(model, images, labels)
    assert probe.norms is None and unhooked(model)  # nor are they those of the block before


def test_layers_that_cannot_be_measured_are_refused():
    for layers, sentence in (([], "no layers"), ([nn.Linear(1, 1), nn.ReLU()], "layer 2 .ReLU. has no parameters")):
        with pytest.raises(ValueError, match=sentence):
            probes.GradientNorms(layers)
    layer = nn.LSTM(2, 3)
    with pytest.raises(ValueError, match="layer 1 .LSTM. gives a tuple"), probes.GradientNorms([layer]):
        layer(torch.zeros(4, 2))


def ensemble():
    return models.mlp((6, 9), "sigmoid", [("gain4", 0), ("default", 1), ("xavier_normal", 2)], features=9)


def ordinary():
    head = nn.Flatten(2), nn.Flatten(), nn.Dropout(), nn.Linear(36, 10)  # the first gives three axes, like an ensemble
    return nn.Sequential(conv(1, 4), nn.BatchNorm2d(4), nn.ReLU(True), *head)


@pytest.mark.parametrize("make, axis", [(ensemble, -1), (ordinary, 0)])
def test_outputs_vary_and_are_counted_as_numpy_says(make, axis):
    """Every output at once, over batches of 9, the number of units, and a last one of 3, the number of members.

    The variance is that across images of each unit. In the histogram borders are numbers of float32, and some outputs
    lie beyond the outermost.
    """
    split, _ = data.stand_in((3, 3, 1), 48, 10)
    torch.manual_seed(0)
    model, (bins, low, high) = make(), (6, 0.125, 0.875)
    model[1].eval()
    before = [module.training for module in model.modules()]
    layers, graphs = [*model[1:]], []
    model[-1].register_forward_pre_hook(lambda layer, inputs: graphs.append(inputs[0].requires_grad))
    variances = probes.output_variance(model, layers, Batches(split, 9))
    counts = probes.output_histograms(model, layers, Batches(split, 9), bins, low, high)
    assert [module.training for module in model.modules()] == before and unhooked(model) and not any(graphs)
    ((everything, _),) = Batches(split, 48)
    model.eval()
    for i, variance, counted in zip(range(2, len(model) + 1), variances, counts, strict=True):
        h = model[:i](everything).detach()
        expected = h.double().var(axis, correction=0)
        assert variance == pytest.approx((expected.mean(-1) if axis else expected.mean()[None]).tolist(), rel=1e-4)
        for member, got in zip(h if axis else h[None], counted, strict=True):
            assert got == np.histogram(member.clamp(low, high), bins, (low, high))[0].tolist()
    assert (h < low).any() and (h > high).any()
    same = torch.full((7, 1), 0.7, dtype=torch.float64)  # of whose variance rounding would make less than none
    assert probes.output_variance(flat := nn.Sequential(nn.Flatten()), flat, [(same, None)]) == [[0.0]]


@pytest.mark.parametrize("measure", [probes.output_variance, partial(probes.output_histograms, bins=2, low=0, high=1)])
def test_outputs_that_would_be_measured_wrong_are_refused(measure):
    split, _ = data.stand_in((3, 3, 1), 48, 10)
    shared, model = nn.ReLU(), ensemble()
    twice = nn.Sequential(nn.Flatten(), nn.Linear(9, 9), shared, nn.Linear(9, 10), shared).eval()
    for net, layer, batches, sentence in (
        (twice, shared, Batches(split, 9), "layer 1 is used 2 times"),
        (model, model[0], Batches(split, 9), "an output of shape .9, 9."),  # columns, of as many features as images
        (model, model[1], [], "no images"),
    ):
        with pytest.raises(ValueError, match=sentence):
            measure(net, [layer], batches)
        assert unhooked(net)
