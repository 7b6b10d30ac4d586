"""The training loop: what a row says, that every image is scored, and that a resumed run is the same run."""

import math

import pytest
import torch
from torch import nn

from common import data, models, probes, runs, train
from common.batches import Batches


@pytest.fixture
def setting():
    """Images, and a function that makes model and optimizer anew."""
    images, test = data.stand_in((4, 4, 1), 60, 30)

    def make():
        model = models.mlp((6, 5), "sigmoid", [("gain4", 0), ("default", 1)], features=16)
        return model, torch.optim.Adam(model.parameters(), lr=0.01)

    return images, test, make


def fit(images, make, epochs, run):
    model, optimizer = make()
    probe = probes.GradientNorms(model[1::2])
    rows = train.fit(model, optimizer, epochs, lambda epoch: Batches(images, 8, 0, epoch), dict, run, probe)
    return rows, model


def test_losses_are_means_over_the_batch_of_each_member():
    logits, labels = torch.randn(3, 10, 7), torch.randint(10, (7,))
    expected = [nn.functional.cross_entropy(member.T, labels).item() for member in logits]
    assert train.member_losses(logits, labels).tolist() == pytest.approx(expected, rel=1e-5)


def test_a_row_holds_the_mean_loss_and_the_norms_of_the_last_batch(setting):
    """Repeat the epoch by hand; the last batch is short (4 of 8), so a mean of batch means would be another number."""
    images, _, make = setting
    (row,), _ = fit(images, make, 1, train.Unsaved())
    model, optimizer = make()
    total = 0.0
    for x, labels in Batches(images, 8, 0, 1):
        optimizer.zero_grad()
        losses = train.member_losses(model(x), labels)
        losses.sum().backward()
        norms = [layer.weight.grad.flatten(1).norm(dim=1).tolist() for layer in model[1::2]]
        optimizer.step()
        total = total + losses.detach() * len(labels)
    assert row["train_loss"] == pytest.approx((total / 60).tolist(), rel=1e-6)
    for got, expected in zip(row["norms"]["weights"], norms, strict=True):
        assert got == pytest.approx(expected, rel=1e-5)


def test_evaluate_counts_every_image(setting):
    _, test, make = setting
    model, _ = make()
    ((images, labels),) = Batches(test, 30)
    answers = model(images).argmax(1)
    expected = {
        "correct": [int((member == labels).sum()) for member in answers],
        "answered": [len(set(member.tolist())) for member in answers],
        "finite": [True, True],
    }
    assert train.evaluate(model, Batches(test, 7)) == expected  # the last batch is short
    assert not model.training


def test_evaluate_sees_what_is_not_finite(setting):
    _, test, make = setting
    model, _ = make()
    model[-1].weight.data[1, 0, 0] = math.nan
    assert train.evaluate(model, Batches(test, 7))["finite"] == [True, False]


def test_statuses():
    row = {
        "train_loss": [0.5, 0.5, 2.31, math.nan, 0.5],
        "answered": [10, 1, 10, 10, 10],
        "finite": [True] * 4 + [False],
    }
    assert train.statuses(row, 10) == ["ok", "collapsed", "collapsed", "non-finite", "non-finite"]


def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(setting, tmp_path):
    images, _, make = setting
    whole, model = fit(images, make, 4, train.Unsaved())
    fit(images, make, 1, runs.Run(tmp_path, "run", {"lr": 0.01}))
    fit(images, make, 3, runs.Run(tmp_path, "run", {"lr": 0.01}))
    parts, resumed = fit(images, make, 4, runs.Run(tmp_path, "run", {"lr": 0.01}))
    assert parts == whole and len(whole) == 4
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), resumed.parameters(), strict=True))
    again, finished = fit(images, make, 4, runs.Run(tmp_path, "run", {"lr": 0.01}))  # nothing left to train
    assert again == whole
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), finished.parameters(), strict=True))
