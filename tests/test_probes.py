"""Norms: equal to autograd's and to differences, with exact identities that need no reference."""

import pytest
import torch
from torch import nn

from common import data, models, probes, train
from common.batches import Batches


@pytest.fixture
def net():
    """Three members of a small sigmoid net in float64, and one batch."""
    model = models.mlp((6, 5, 4), "sigmoid", [("gain4", 0), ("default", 1), ("xavier_normal", 2)], features=9).double()
    torch.manual_seed(0)
    return model, torch.randn(11, 1, 3, 3, dtype=torch.float64), torch.randint(10, (11,))


def measure(model, images, labels):
    with probes.GradientNorms(model[1::2]) as probe:
        train.forward_backward(model, images, labels)
    return probe.norms


def test_norms_equal_autograd_member_by_member(net):
    model, images, labels = net
    norms = measure(model, images, labels)
    for m in range(3):
        h, leaves, zs = images.flatten(1), [], []
        for number, layer in enumerate(model[1::2]):
            weight, bias = layer.weight[m].detach().requires_grad_(), layer.bias[m].detach().requires_grad_()
            z = h @ weight.T + bias
            leaves += [weight, bias]
            zs.append(z)
            h = torch.sigmoid(z)
        loss = nn.functional.cross_entropy(z, labels)
        gradients = torch.autograd.grad(loss, leaves + zs)
        for number in range(4):
            expected = (gradients[2 * number], gradients[2 * number + 1], gradients[8 + number])
            for kind, gradient in zip(probes.KINDS, expected):
                assert norms[kind][number][m] == pytest.approx(gradient.norm().item(), rel=1e-12)


def test_norms_equal_central_differences(net):
    """Step 1e-5 in float64: truncation near 1e-10, rounding near 1e-11, so 1e-6 relative is safe."""
    model, images, labels = net
    norms = measure(model, images, labels)

    def loss(m):
        with torch.no_grad():
            return train.member_losses(model(images), labels)[m].item()

    for m in range(3):
        for number, layer in enumerate(model[1::2]):
            for kind, parameter in (("weights", layer.weight), ("biases", layer.bias)):
                squares = 0.0
                entries = parameter.data[m].view(-1)
                for i in range(len(entries)):
                    kept = entries[i].item()
                    entries[i] = kept + 1e-5
                    up = loss(m)
                    entries[i] = kept - 1e-5
                    down = loss(m)
                    entries[i] = kept
                    squares += ((up - down) / 2e-5) ** 2
                assert norms[kind][number][m] == pytest.approx(squares**0.5, rel=1e-6)


def bias_free(hidden, activation="relu"):
    model = models.mlp(hidden, activation, [("kaiming_a0", 0), ("kaiming_a0", 1)], features=9).double()
    for layer in model[1::2]:
        layer.bias.data.zero_()
    return model


def test_weights_and_their_gradients_have_one_inner_product_in_every_layer():
    """Euler's theorem for homogeneous functions: scaling any layer of a bias-free ReLU net scales the logits alike."""
    model = bias_free((8, 7, 6))
    torch.manual_seed(0)
    measure(model, torch.randn(12, 1, 3, 3, dtype=torch.float64), torch.randint(10, (12,)))
    products = torch.stack([(layer.weight * layer.weight.grad).sum((1, 2)) for layer in model[1::2]])
    assert torch.allclose(products, products[:1].expand_as(products), rtol=1e-10, atol=1e-13)
    assert products[0].abs().min() > 1e-3  # not trivially zero


def test_the_probe_obeys_the_same_identity():
    """In a chain of single identity units the product is abs(w) times the probe's own norm, the same in each layer."""
    model = bias_free((1, 1, 1), "identity")
    torch.manual_seed(0)
    norms = measure(model, torch.randn(12, 1, 3, 3, dtype=torch.float64), torch.randint(10, (12,)))
    products = [
        [abs(layer.weight[m].item()) * norms["weights"][number][m] for m in range(2)]
        for number, layer in enumerate(model[1::2])
        if layer.weight[0].numel() == 1
    ]
    assert len(products) == 2 and products[0] == pytest.approx(products[1], rel=1e-10) and min(products[0]) > 0


def test_the_signal_shrinks_at_least_by_a_quarter_of_the_spectral_norm(net):
    model, images, labels = net
    signal = measure(model, images, labels)["signal"]
    for number, layer in enumerate(list(model[1::2])[1:]):
        for m in range(3):
            spectral = torch.linalg.matrix_norm(layer.weight[m].detach(), 2).item()
            assert signal[number][m] <= 0.25 * spectral * signal[number + 1][m] * (1 + 1e-12)


def test_norms_are_taken_in_float64():
    """Two entries of float32's smallest number: their norm, 1.41 of it, lies between two numbers of float32."""
    tiny = torch.full((1, 2), 1e-45)
    assert probes._norm(tiny).item() == pytest.approx(2**0.5 * tiny[0, 0].item(), rel=1e-12, abs=0)


def test_hooks_are_gone_and_nothing_has_changed(net):
    model, images, labels = net
    train.forward_backward(model, images, labels)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    gradients = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    measure(model, images, labels)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), gradients))
    for module in model.modules():
        assert not module._forward_hooks and not module._backward_hooks
    with pytest.raises(ZeroDivisionError):
        with probes.GradientNorms(model[1::2]):
            1 / 0
    assert not any(module._forward_hooks for module in model.modules())


def test_recording_changes_no_weight():
    images, _ = data.stand_in((4, 4, 1), 60, 10)
    finals = []
    for watch in (True, False):
        model = models.mlp((5, 5), "sigmoid", [("default", 0), ("gain4", 1)], features=16)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        probe = probes.GradientNorms(model[1::2]) if watch else None
        rows = train.fit(model, optimizer, 2, lambda e: Batches(images, 8, 0, e), dict, train.Unsaved(), probe)
        assert all(("norms" in row) == watch for row in rows)
        finals.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*finals)


def test_output_variance_is_the_variance_across_images(net):
    model, images, labels = net
    model = model.float()
    split = data.stand_in((3, 3, 1), 50, 10)[0]
    found = probes.output_variance(model, [model[2], model[-1]], Batches(split, 8))
    ((everything, _),) = Batches(split, 50)
    for got, outputs in zip(found, (model[:3](everything), model(everything))):
        assert got == pytest.approx(outputs.double().var(-1, correction=0).mean(-1).tolist(), rel=1e-4)
