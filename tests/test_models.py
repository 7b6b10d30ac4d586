"""Networks: a member is the ordinary network of its seed under every scheme, the CNN is as its docstring says."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import reference
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from common import data, models, train
from common.batches import Batches


@pytest.mark.parametrize("activation, batch_norm", [("sigmoid", False), ("relu", False), ("sigmoid", True)])
def test_a_member_takes_the_trajectory_of_the_plain_network(activation, batch_norm):
    """All schemes and two seeds in one ensemble against each network alone, over two epochs with short last batches.

    In float64 the two differ by rounding only, 1e-16 relative a step; 12 steps at this rate leave far below 1e-9.
    """
    assert set(reference.INITS) == set(models.SCHEMES)
    images, test = data.stand_in((6, 6, 1), 45, 10)
    members = [(scheme, seed) for scheme in reference.INITS for seed in (0, 3)]
    ensemble = models.mlp((7, 5, 5), activation, members, features=36, batch_norm=batch_norm).double()
    optimizer = torch.optim.SGD(ensemble.parameters(), lr=0.05)
    arm = {"hidden": (7, 5, 5), "activation": activation, "batch_norm": batch_norm}
    plain = [reference.mlp(arm | {"init": scheme}, seed, features=36).double() for scheme, seed in members]
    steps = [torch.optim.SGD(one.parameters(), lr=0.05) for one in plain]
    for epoch in (1, 2):
        for x, labels in Batches(images, 8, 0, epoch):
            optimizer.zero_grad()
            losses = train.forward_backward(ensemble, x.double(), labels)
            optimizer.step()
            for m, (one, step) in enumerate(zip(plain, steps)):
                step.zero_grad()
                loss = nn.CrossEntropyLoss()(one(x.double()), labels)
                loss.backward()
                step.step()
                assert losses[m].item() == pytest.approx(loss.item(), rel=1e-10)
    shown = [ensemble.eval()(reference.unaltered(test).double()), *ensemble.state_dict().values()]
    for m, one in enumerate(plain):
        alone = [one.eval()(reference.unaltered(test).double()).T, *one.state_dict().values()]
        for together, expected in zip(shown, alone, strict=True):  # parameters and running statistics
            mine = together.reshape(len(members), *expected.shape)[m] if together.dim() else together
            assert torch.allclose(mine, expected, rtol=1e-9, atol=1e-11)


def test_parts():
    model = models.mlp((50, 30, 30, 30), "sigmoid", [("default", s) for s in range(3)])
    assert models.linears(model) == [model[i] for i in (1, 3, 5, 7, 9)]
    assert models.outputs(model) == [model[i] for i in (2, 4, 6, 8, 9)]
    assert {layer.members for layer in models.linears(model)} == {3}
    normalised = models.mlp((50, 30), "sigmoid", [("default", s) for s in range(3)], batch_norm=True)
    assert models.linears(normalised) == [normalised[i] for i in (1, 4, 7)]
    assert models.outputs(normalised) == [normalised[i] for i in (3, 6, 7)]
    assert normalised[2].members == 3


@pytest.mark.parametrize(
    "build, sentence",
    [
        (lambda: models.mlp((), "relu", [("default", 0)]), r"hidden layers .* \(got \(\)\)"),
        (lambda: models.mlp((5, 0), "relu", [("default", 0)]), r"width 1 or above \(got \(5, 0\)\)"),
        (lambda: models.mlp((5,), "swish", [("default", 0)]), "activation .*'swish'.* sigmoid, relu, identity"),
        (lambda: models.mlp((5,), "relu", [("default", 0), ("he", 1)]), "scheme .*'he'.* default, xavier_normal, .*"),
        (lambda: models.mlp((5,), "relu", []), "no members"),
        (lambda: models.cnn(0, 0), "width must be 1 or above .got 0"),
    ],
)
def test_what_is_no_network_is_said_in_a_sentence(build, sentence):
    with pytest.raises(ValueError, match=sentence):
        build()


@pytest.mark.parametrize(
    "build", [lambda seed: models.mlp((5,), "relu", [("xavier_normal", seed)]), lambda seed: models.cnn(4, seed)]
)
def test_a_network_is_a_function_of_its_seed_and_leaves_the_global_generator_alone(build, monkeypatch):
    """Also where threads build some at the same time."""
    torch.manual_seed(7)
    state = torch.get_rng_state()
    first, same, other = (build(seed) for seed in (0, 0, 1))
    assert torch.equal(state, torch.get_rng_state())
    for a, b, c in zip(first.parameters(), same.parameters(), other.parameters()):
        assert torch.equal(a, b)
        assert not torch.equal(a, c) or a.std() == 0  # normalisation starts as ones and zeros
    assert not torch.equal(next(first.parameters()), next(other.parameters()))
    monkeypatch.setattr(torch, "manual_seed", lambda seed, draw=torch.manual_seed: (draw(seed), time.sleep(0.01)))
    with ThreadPoolExecutor(4) as threads:
        for one, built in zip((first, other) * 4, threads.map(build, (0, 1) * 4)):
            assert all(map(torch.equal, one.parameters(), built.parameters()))


def formula(unit, width):
    """Evaluate the formula that stands before `unit` in the docstring of cnn()."""
    text = re.search(r"([0-9w^ +]+) " + unit, models.cnn.__doc__)[1].strip()
    return eval(text.replace("^", "**").replace(" w", "*w"), {"w": width})


@pytest.mark.parametrize("width", [1, 3, 8, 32])
def test_counts_and_shapes_of_the_cnn_are_those_of_its_docstring(width):
    model, shapes = models.cnn(width, seed=0).eval(), ["3, 32, 32"]
    assert sum(p.numel() for p in model.parameters()) == formula("parameters", width)
    for layer in model:
        layer.register_forward_hook(lambda layer, inputs, h: shapes.append(", ".join(map(str, h[0].shape))))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, 32, 32))
    assert counter.get_total_flops() == 2 * formula("multiply-adds", width)
    for hop in re.findall(r"\(batch, ([^)]+)\)", models.cnn.__doc__.split("the default go")[1]):
        assert re.sub(r"(\d*)w", lambda found: str(int(found[1] or 1) * width), hop) in shapes
    at_32 = f"at w = 32 that is {formula('parameters', 32)} and {formula('multiply-adds', 32) / 1e6:.1f} million"
    assert at_32 in models.cnn.__doc__


def test_the_layout_of_the_cnn_needs_no_copy():
    ((images, _),) = Batches(data.stand_in((32, 32, 3), 6, 10)[0], 6)
    for tensor in (images, *(p for p in models.cnn(4, seed=0).parameters() if p.dim() == 4)):
        assert tensor.is_contiguous(memory_format=torch.channels_last)
