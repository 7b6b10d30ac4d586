"""Networks: what is none, what a seed makes, the CNN of its docstring. That a member is the ordinary network of its
seed under every scheme, test_reference shows."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from common import data, models
from common.batches import Batches


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
    """Also those of GPUs, and where threads build some at the same time."""
    torch.manual_seed(7)
    monkeypatch.delattr(torch.cuda, "manual_seed_all")
    state = torch.get_rng_state()
    first, same, other = (build(seed) for seed in (0, 0, 1))
    assert torch.equal(state, torch.get_rng_state())
    for a, b, c in zip(first.parameters(), same.parameters(), other.parameters()):
        assert torch.equal(a, b)
        assert not torch.equal(a, c) or a.std() == 0  # normalisation starts as ones and zeros
    assert not torch.equal(next(first.parameters()), next(other.parameters()))
    seed_it = torch.default_generator.manual_seed
    slow = SimpleNamespace(manual_seed=lambda seed: (seed_it(seed), time.sleep(0.01)))
    monkeypatch.setattr(torch, "default_generator", slow)
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
