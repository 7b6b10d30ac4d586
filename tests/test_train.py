"""The training loop: it equals a plain loop and scores every image; a resumed run is the same, as test_states shows."""

import copy
import math
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from common import data, probes, train
from common.batches import Batches


def test_what_is_no_optimizer_is_said_with_the_choices():
    with pytest.raises(ValueError, match="'adagrad'.* 'sgd' and 'adam'"):
        train.optimizer("adagrad", [nn.Parameter(torch.zeros(1))], 0.1)
    with pytest.raises(ValueError, match="momentum .got 0.9"):
        train.optimizer("adam", [nn.Parameter(torch.zeros(1))], 0.1, 0.9)


def test_an_ordinary_network_and_a_data_loader_go_as_in_a_loop_written_by_hand():
    """With batch normalisation, which goes wrong in the wrong mode, and a short last batch.

    In float64, where ten steps apart in rounding stay far below 1e-9.
    """
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.Linear(8, 3)).double()
    twin, x, labels = copy.deepcopy(net), torch.randn(40, 6, dtype=torch.float64), torch.randint(3, (40,))
    loader = DataLoader(TensorDataset(x, labels), batch_size=9)
    steps = [torch.optim.SGD(each.parameters(), lr=0.1, momentum=0.9) for each in (net, twin)]
    probe, measure = probes.GradientNorms([net[0], net[3]]), partial(train.evaluate, net, loader)
    rows = train.fit(net, steps[0], 2, loader, measure, probe=probe)
    for row in rows:
        losses = []
        twin.train()
        for images, targets in loader:
            steps[1].zero_grad()
            loss = nn.CrossEntropyLoss()(twin(images), targets)
            loss.backward()
            steps[1].step()
            losses += [loss.item()] * len(targets)
        assert row["train_loss"] == pytest.approx([np.mean(losses)], rel=1e-9)
        assert row["norms"]["weights"][1] == pytest.approx([twin[3].weight.grad.norm().item()], rel=1e-9)
        answers = twin.eval()(x).argmax(1)
        assert row["correct"] == [(answers == labels).sum().item()]
        assert row["answered"] == [len(answers.unique())] and row["finite"] == [True]
    for got, expected in zip(net.state_dict().values(), twin.state_dict().values(), strict=True):
        assert torch.allclose(got, expected, rtol=1e-9)


@pytest.mark.parametrize("batches, given", [([], "0 of 0"), (lambda _: [], "0 of 0"), (60, "1 of 2"), (20, "3 of 2")])
def test_an_epoch_without_what_its_length_says_is_none(batches, given):
    """The last batch would not be known, and the norms beside its row would be another epoch's."""

    class Two(list):
        def __len__(self):
            return 2

    (images, _), net = data.stand_in((4, 4, 1), 60, 30), nn.Sequential(nn.Flatten(), nn.Linear(16, 10))
    given_batches = Two(Batches(images, batches)) if isinstance(batches, int) else batches
    with pytest.raises(ValueError, match=f"epoch 1 gave {given}"):
        train.fit(net, train.optimizer("sgd", net.parameters(), 0.1), 1, given_batches)
    with pytest.raises(ValueError, match="no batches"):
        train.evaluate(net, [])


def test_a_run_is_restored_also_where_nothing_is_left_to_train():
    """As where the program was killed between its last state and the record: what is measured then is its own."""
    restored, net = [], nn.Linear(2, 2)
    run = SimpleNamespace(rows=[{"train_loss": [1.0]}], restore=lambda *parts: restored.append(parts))
    optimizer = train.optimizer("sgd", net.parameters(), 0.1)
    assert train.fit(net, optimizer, 1, [], run=run) == run.rows and restored == [(net, optimizer)]


@pytest.mark.parametrize("batch, value", [(0, math.inf), (1, -math.inf), (2, math.nan)])
def test_one_logit_of_any_batch_that_is_not_finite_is_seen(batch, value):
    logits, labels = torch.zeros(3, 2, 10, 8), torch.zeros(8, dtype=torch.int64)  # of two members
    logits[batch, 1, 3, 7] = value
    assert train.evaluate(nn.Identity(), [(one, labels) for one in logits])["finite"] == [True, False]


def test_statuses():
    row = {
        "train_loss": [0.5, 0.5, math.log(10), math.nan, 0.5],
        "answered": [10, 1, 10, 1, 1],
        "finite": [True] * 4 + [False],
    }
    assert train.statuses(row, 10) == ["ok", "collapsed", "collapsed", "non-finite", "non-finite"]


def test_a_device_is_good_at_bfloat16_where_it_has_instructions_for_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    assert train.good_at_bfloat16(torch.device("cuda", 1)) and not train.good_at_bfloat16(torch.device("meta"))
    if (processor := Path("/proc/cpuinfo")).exists():
        assert train.good_at_bfloat16(torch.device("cpu")) == ("avx512_bf16" in processor.read_text())
