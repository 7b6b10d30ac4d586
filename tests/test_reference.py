"""The scripts as shipped against tests/reference.py: every arm, every seed, all that a record says of a network.

Two programs for one experiment agree to rounding, or one of them is wired wrongly: another momentum, the weights of
another seed, gradients of another batch or after the step (a change of 8e-4), held-out images trained on, no crops.

RTOL: a record's six digits are 5e-6 of a number that begins with 1, and no number was found further off. Behind them
a network alone and one among others, whose products are summed in another order, differ by 3e-7 in the norms and by
4e-6 in the variances after the two epochs of 2a. In 2b rates of 0.01 and more would blow rounding up, to 1e-2 in a loss
and one answer in fifteen; there both programs take the same steps on one thread, to the last bit.
TIE: all answers were found equal. Rounding may turn one whose logit, of order 1, is closer to the second; hardly three.
"""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import reference
import torch

from common import data
from common.batches import Batches

RTOL, TIE = 5e-5, 2e-5
SHAPES = [50], [50, 30], [50, 30, 30], [50, 30, 30, 30]
KINDS = "weights", "biases", "signal"
SEARCHES = "default", "grid", "sgd", "random"
SEEDS = range(2)


def shipped(root, folder, *script):
    """Run a script; return its record, the training and the test Split: all that is known here of command lines."""
    command = [sys.executable, *script, "--quick", "--seeds", "2", "--out", folder, "--runs", folder / "runs"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.json")
    record = json.loads(path.read_text())
    shape = (32, 32, 3) if record["exercise"] == "2b" else (28, 28, 1)
    return record, *data.stand_in(shape, *data.QUICK)


@pytest.fixture(autouse=True)
def one_thread():
    """As in the scripts' workers: another number of threads has other last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def epochs(split, batch_size, seed, settings, **options):
    return [list(Batches(split, batch_size, seed, 1 + epoch, **options)) for epoch in range(settings["epochs"])]


def agree(recorded, found, *what):
    """found: what the reference has for each seed, which is the last axis of what is recorded."""
    np.testing.assert_allclose(np.array(recorded, float), np.stack(found, -1), rtol=RTOL, err_msg=f"{what}")


def answers_agree(accuracies, logits, labels, *what):
    """accuracies and logits: for each epoch a fraction of the labels, and (batch, classes)."""
    for accuracy, shown in zip(accuracies, logits, strict=True):
        best, second = shown.topk(2).values.T
        right, near_ties = (shown.argmax(1) == labels).sum().item(), (best - second < TIE).sum().item()
        turned = abs(accuracy * len(labels) - right)
        assert turned <= min(2, near_ties) + 0.01, what  # 0.01 for the record's six digits


def test_2a(root, tmp_path):
    """The entries of "arms" and of "depth"; how theory/1b goes on from the output layer is tested with the theory."""
    record, train, test = shipped(root, tmp_path, "ex2a_vanishing.py")
    settings, arms, depth = record["settings"], record["arms"], record["depth"]
    assert {"batch_size": 64, "lr": 0.005, "momentum": 0}.items() <= settings.items()
    assert [entry["hidden_layers"] for entry in depth] == [layers for layers in range(1, 13) for _ in range(4)]
    assert all((arm["optimizer"], arm["lr"], arm["momentum"]) == ("sgd", 0.005, 0) for arm in arms + depth)
    nets = [(arm["hidden"], arm["activation"], arm["init"]) for arm in arms]
    sheet = [(hidden, activation, "default") for activation in ("sigmoid", "relu") for hidden in SHAPES]
    assert all(net in nets for net in [*sheet, (SHAPES[-1], "sigmoid", "xavier_normal")])
    nets += [([30] * entry["hidden_layers"], entry["activation"], entry["init"]) for entry in depth]
    batches, images = epochs(train, 64, settings["order_seed"], settings), reference.unaltered(test)
    for entry, net in zip(arms + depth, nets, strict=True):
        found = [reference.mlp_before(*net, seed, batches[0][-1]) for seed in SEEDS]
        for kind in KINDS:
            agree(entry["initial"][kind], [each["initial"][kind] for each in found], net, kind, "initial")
        assert not np.allclose(*np.transpose(entry["initial"]["weights"]), rtol=10 * RTOL, atol=0), f"one seed: {net}"
        assert entry["predicted"]["signal"][-1] == pytest.approx(np.mean(entry["initial"]["signal"][-1]), RTOL)
        if entry in depth:  # rounding decides for one or two of 784 x 30 weights whether a step moves them
            assert entry["unmoved"] == pytest.approx([each["unmoved"] for each in found], rel=1e-6, abs=2.1 / 23520)
            continue
        found = [reference.mlp_trained(*net, seed, batches, images) for seed in SEEDS]
        for kind in KINDS:
            agree(entry["gradient_norm"][kind], [each["gradient_norm"][kind] for each in found], net, kind)
        agree(entry["layer_variance"], [each["layer_variance"] for each in found], net, "variance")
        for accuracies, each in zip(np.transpose(entry["test_accuracy"]), found, strict=True):
            answers_agree(accuracies, each["logits"], test.labels, net)
        assert entry["status"] == [each["status"] for each in found], net


def test_the_rescue_of_2a(root, tmp_path):
    """It trains without the last tenth of the training images, at most 5000, and is scored on these."""
    record, train, _ = shipped(root, tmp_path, "-m", "figures.choices.rescue")
    held_out = min(5000, len(train) // 10)
    assert {"train_images": len(train) - held_out, "held_out": held_out}.items() <= record["settings"].items()
    batches = epochs(train[:-held_out], 64, record["settings"]["order_seed"], record["settings"])
    images, labels = reference.unaltered(train[-held_out:]), train[-held_out:].labels
    for entry in record["search"]:
        found = [reference.mlp_trained(SHAPES[-1], "sigmoid", entry["init"], seed, batches, images) for seed in SEEDS]
        for accuracy, each in zip(entry["held_out_accuracy"], found, strict=True):
            answers_agree([accuracy], each["logits"][-1:], labels, entry["init"])
        assert entry["status"] == [each["status"] for each in found], entry["init"]


def test_2b(root, tmp_path):
    """A second seed is for what is compared: Adam's default, SGD at 0.1 and the second of the random rates."""
    record, train, test = shipped(root, tmp_path, "ex2b_adam.py")
    settings, runs, sample = record["settings"], record["runs"], record["settings"]["train_sample"]
    assert {"batch_size": 128, "momentum": 0.9}.items() <= settings.items()
    of = {name: [run for run in runs if name in run["searches"] and run["seed"] == 0] for name in SEARCHES}
    assert [len(of[name]) for name in SEARCHES] == [1, 5, 5, 5] and of["default"][0]["lr"] == 1e-3
    assert sorted(run["lr"] for run in of["grid"]) == [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
    further = [(run["optimizer"], run["lr"]) for run in runs if run["seed"] == 1]
    assert further == [("adam", 1e-3), ("sgd", 0.1), ("adam", 10 ** -np.random.default_rng(0).uniform(1, 5, 5)[1])]
    assert len({tuple(run["train_loss"]) for run in runs}) == len(runs) == 15 + len(further)  # no two are the same
    assert sample == len(train) // 5 < len(train)

    batches = [epochs(train, 128, seed, settings, augment=True) for seed in SEEDS]
    images = reference.unaltered(train), reference.unaltered(test)
    models = [reference.cnn(settings["width"], run["seed"]) for run in runs]  # here, since threads share the generator

    def again(model, run):
        return reference.cnn_trained(model, run["optimizer"], run["lr"], batches[run["seed"]], *images)

    with ThreadPoolExecutor(2) as pool:
        repeated = list(pool.map(again, models, runs))
    for run, found in zip(runs, repeated):
        name = run["optimizer"], run["lr"], run["seed"]
        assert run["momentum"] == {"adam": None, "sgd": 0.9}[run["optimizer"]]
        agree(np.transpose([run["train_loss"]]), [found["train_loss"]], name)
        sampled = [logits[:sample] for logits in found["train_logits"]]
        answers_agree(run["test_accuracy"], found["test_logits"], test.labels, name, "test")
        answers_agree(run["train_accuracy"], sampled, train.labels[:sample], name, "sample")
        answers_agree([run["final_train_accuracy"]], found["train_logits"][-1:], train.labels, name, "final")
        assert run["status"] == found["status"], name
