"""The scripts as shipped against tests/reference.py: every arm, every seed, all that a record says of a network.

Two programs for one experiment agree to rounding, or one of them is wired wrongly: another momentum, the weights of
another seed, gradients of another batch or after the step (a change of 8e-4), held-out images trained on, no crops.

RTOL: a record's six digits are 5e-6 of a number that begins with 1, and no number was found further off. Behind them
a network alone and one among others, whose products are summed in another order, differ by 3e-7 in the norms and by
4e-6 in the variances after the two epochs of 2a. In 2b rates of 0.01 and more would blow rounding up, to 1e-2 in a loss
and one answer in fifteen; there both programs take the same steps on one thread, to the last bit.
ZERO: behind a bias that batch normalisation takes away again the gradient is 0, and what is measured is rounding.
TIE: all answers were found equal. Rounding may turn one whose logit, of order 1, is closer to the second; hardly three.
Likewise an activation that is closer to the border of two bins may be counted in the other one.
"""

import json

import numpy as np
import pytest
import reference
import torch
from started import SCRIPTS, Folder, ended
from test_models import formula

import ex2a_vanishing
import ex2b_adam
from common import data, models, plots, theory
from common.batches import Batches
from figures.choices import cnn, rescue

RTOL, ZERO, TIE = 5e-5, 1e-6, 2e-5
KINDS = "weights", "biases", "signal"
SEEDS = range(2)


def trained(call, monkeypatch, path, exercise, *flags):
    """Let a script train, within this process, and draw; return its record, the training and the test Split."""
    folder, script = Folder(path, f"ex{exercise}"), {"2a": ex2a_vanishing, "2b": ex2b_adam}[exercise]
    monkeypatch.setattr(plots.Picture, "save", lambda picture, file: None)  # which takes longer than to train
    end = call(folder, "--quick", "--seeds", "2", *flags, script=script)
    assert end.code == 0, end.stderr
    whole = json.loads(folder.file().read_text())
    runs = {entry["seconds"] for part in whole.values() if isinstance(part, list) for entry in part}
    assert whole["seconds"] == pytest.approx(sum(runs), rel=0.01), "what trains as one run counts once"
    assert min(runs) > 0 and len(folder.states()) == len(runs) - ("depth" in whole), "what trains keeps its state"
    return folder.record(), *data.stand_in((32, 32, 3) if exercise == "2b" else (28, 28, 1), *data.QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("exercise", SCRIPTS)
def test_the_scripts_as_shipped_train_and_draw(tmp_path, exercise):
    """By workers of their own; the tests below let them train within this process."""
    folder = Folder(tmp_path, f"ex{exercise}")
    end = ended(folder.start("--quick", script=SCRIPTS[exercise]))
    pictures = sorted(path.name for path in folder.file().parent.glob("*.png"))
    assert end.code == 0 and pictures, end.stderr
    assert pictures == sorted(line for line in end.stdout.splitlines() if line.endswith(".png"))


def epochs(split, batch_size, seed, number, **options):
    return [list(Batches(split, batch_size, seed, 1 + epoch, **options)) for epoch in range(number)]


def agree(recorded, found, *what, atol=0.0):
    """found: what the reference has for each seed, which is the last axis of what is recorded."""
    np.testing.assert_allclose(np.array(recorded, float), np.stack(found, -1), RTOL, atol, err_msg=f"{what}")


def norms_agree(entry, what, found):
    for kind in KINDS:
        zero = ZERO if entry["batch_norm"] and kind == "biases" else 0
        agree(entry[what][kind], [each[what][kind] for each in found], entry["name"], what, kind, atol=zero)


def answers_agree(accuracies, logits, labels, *what):
    """accuracies and logits: for each epoch a fraction of the labels, and (batch, classes)."""
    for accuracy, shown in zip(accuracies, logits, strict=True):
        best, second = shown.topk(2).values.T
        right, near_ties = (shown.argmax(1) == labels).sum().item(), (best - second < TIE).sum().item()
        turned = abs(accuracy * len(labels) - right)
        assert turned <= min(2, near_ties) + 0.01, what  # 0.01 for the record's six digits


def counts_agree(counts, low, high, h, *what):
    """counts [bin]: how many entries of h are in each of equal bins from low to high, those beyond in the outermost."""
    borders, below = torch.linspace(low, high, len(counts) + 1)[1:-1], np.cumsum(counts)
    fewest, most = ((h.flatten() < border[:, None]).sum(1).numpy() for border in (borders - TIE, borders + TIE))
    assert below[-1] == h.numel() and (fewest <= below[:-1]).all() and (below[:-1] <= most).all(), what


def before_agrees(entry, batch):
    """What is measured before training, and what theory/1b (tested by itself) makes of the weights of then."""
    found = [reference.mlp_before(entry, seed, batch) for seed in SEEDS]
    norms_agree(entry, "initial", found)
    assert not np.allclose(*np.transpose(entry["initial"]["weights"]), rtol=10 * RTOL, atol=0), f"one seed: {entry}"
    if entry["batch_norm"]:
        assert entry["predicted"] is None
    else:
        nets = [[stage for stage in reference.mlp(entry, seed) if isinstance(stage, torch.nn.Linear)] for seed in SEEDS]
        weights, biases = (
            [np.stack([getattr(layer, name).detach().double() for layer in same]) for same in zip(*nets)]
            for name in ("weight", "bias")
        )
        factor = theory.predict_net(weights, biases, entry["activation"]).factor
        at_output = np.mean(entry["initial"]["signal"][-1])
        assert entry["predicted"]["signal"] == pytest.approx(theory.signal(factor, at_output).tolist(), RTOL)
    if "unmoved" in entry:  # rounding decides for one or two of 784 x 30 weights whether a step moves them
        assert entry["unmoved"] == pytest.approx([each["unmoved"] for each in found], rel=1e-6, abs=2.1 / 23520)


def training_agrees(entry, batches, images, labels):
    found = [reference.mlp_trained(entry, seed, batches, images) for seed in SEEDS]
    norms_agree(entry, "gradient_norm", found)
    agree(entry["layer_variance"], [each["layer_variance"] for each in found], entry["name"], "variance")
    for accuracies, each in zip(np.transpose(entry["test_accuracy"]), found, strict=True):
        answers_agree(accuracies, [layers[-1] for layers in each["outputs"][1:]], labels, entry["name"])
    assert entry["status"] == [each["status"] for each in found], entry["name"]


def activations_agree(entry, batches, images):
    """All hidden layers of seed 0."""
    shown = reference.mlp_trained(entry, 0, batches, images)["outputs"]
    assert entry["after"] == [0, len(batches)]
    for epoch, layers in zip(entry["after"], entry["counts"], strict=True):
        for counts, h in zip(layers, shown[epoch][:-1], strict=True):
            counts_agree(counts, *entry["range"], h, entry["name"], epoch)


def test_2a(call, tmp_path, monkeypatch):
    """Which arms there are is tested with the scripts. The test images are scored in two batches, a short one last."""
    monkeypatch.setattr(data, "QUICK", (266, 1100))
    record, train, test = trained(call, monkeypatch, tmp_path, "2a")
    settings, number = record["settings"], record["settings"]["epochs"]
    assert {"batch_size": 64, "lr": 0.005, "momentum": 0, "seeds": len(SEEDS)}.items() <= settings.items()
    assert sum(len(part) for part in record.values() if isinstance(part, list)) == record["planned"]
    batches, images = epochs(train, 64, settings["order_seed"], number * 15 // 2), reference.unaltered(test)
    for entry in record["depth"] + record["plateau"] + record["arms"]:
        before_agrees(entry, batches[0][-1])
    for entry in record["arms"]:
        training_agrees(entry, batches[:number], images, test.labels)
    for entry in record["plateau"]:
        training_agrees(entry, batches, images, test.labels)
    for entry in record["activations"]:
        activations_agree(entry, batches[:number], images)


@pytest.mark.parametrize("script, base", [(rescue, ex2a_vanishing), (cnn, ex2b_adam)])
@pytest.mark.parametrize("images, held_out", [(60000, 5000), (266, 26)])
def test_choices_are_made_on_the_last_training_images_and_without_training_on_them(
    monkeypatch, script, base, images, held_out
):
    monkeypatch.setattr(base, "load", lambda *asked: (asked, {"train_images": range(images), "test_images": ()}))
    parts = {"train_images": range(images - held_out), "held_out": range(images - held_out, images)}
    assert script.load(1, 2, 3) == ((1, 2, 3), parts)
    entry = {"init": "x", "name": "x", "held_out_accuracy": [0.1, 0.3]}  # of two seeds, or after two epochs
    assert script.line(entry) == f"x: {'20' if script is rescue else '30'}.00% on held-out images"


def chosen(call, path, script, shape):
    """Run the script of a choice; return its folder, its training images, and those held out as they are shown."""
    folder, (train, _), held_out = (
        Folder(path, script.experiment.name),
        data.stand_in(shape, *data.QUICK),
        data.QUICK[0] // 10,
    )
    assert call(folder, "--quick", "--seeds", "2", script=script).code == 0
    return folder, train[:-held_out], reference.unaltered(train[-held_out:]), train[-held_out:].labels


def test_the_rescue_of_2a(call, tmp_path):
    folder, train, images, labels = chosen(call, tmp_path, rescue, (28, 28, 1))
    record = folder.record()
    batches = epochs(train, 64, record["settings"]["order_seed"], record["settings"]["epochs"])
    for entry in record["search"]:
        found = [reference.mlp_trained(entry, seed, batches, images) for seed in SEEDS]
        for accuracy, each in zip(entry["held_out_accuracy"], found, strict=True):
            answers_agree([accuracy], [each["outputs"][-1][-1]], labels, entry["name"])
        assert entry["status"] == [each["status"] for each in found], entry["name"]


def test_the_candidates_of_2b(call, tmp_path, monkeypatch):
    """A small one in place of those of the record."""
    monkeypatch.setattr(cnn, "CANDIDATES", ((2, models.STAGES),))
    folder, train, images, labels = chosen(call, tmp_path, cnn, (32, 32, 3))
    states = {state["settings"]["cases"][0]["seed"]: state for state in map(torch.load, folder.states())}
    for entry in folder.record()["candidates"]:
        batches = epochs(train, 128, entry["seed"], 2, augment=True)
        arm = {"optimizer": "adam", "lr": 1e-3, "seed": entry["seed"]}
        found = reference.cnn_trained(arm, entry["width"], batches, images, images)
        answers_agree(entry["held_out_accuracy"], found["logits"][1], labels, entry["name"])
        losses = [loss for row in states[entry["seed"]]["rows"] for loss in row["train_loss"]]
        assert losses == pytest.approx(found["train_loss"], RTOL)
        assert entry["epochs"] == len(batches) and entry["seconds_per_epoch"] > 0
        assert entry["parameters"] == formula("parameters", 2)
        assert entry["multiply_adds"] == formula("multiply-adds", 2)


def test_2b(call, tmp_path, monkeypatch):
    """With a second random search, and the second seed of what is compared."""
    record, train, test = trained(call, monkeypatch, tmp_path, "2b", "--draws", "2")
    settings, runs, sample = record["settings"], record["runs"], record["settings"]["train_sample"]
    assert {"batch_size": 128, "momentum": 0.9}.items() <= settings.items()
    assert {(run["optimizer"], run["momentum"]) for run in runs} == {("adam", None), ("sgd", 0.9)}
    assert sample == len(train) // 5 < len(train)
    assert (
        len({(run["lr"], *run["train_loss"]) for run in runs}) == len(runs) == record["planned"]
    )  # no two are the same
    batches = [epochs(train, 128, seed, settings["epochs"], augment=True) for seed in SEEDS]
    images = reference.unaltered(train), reference.unaltered(test)
    for run in runs:
        found = reference.cnn_trained(run, settings["width"], batches[run["seed"]], *images)
        agree(run["train_loss"], found["train_loss"], run["name"])
        train_logits, test_logits = found["logits"]
        answers_agree(run["test_accuracy"], test_logits, test.labels, run["name"], "test")
        sampled = [logits[:sample] for logits in train_logits]
        answers_agree(run["train_accuracy"], sampled, train.labels[:sample], run["name"], "sample")
        answers_agree([run["final_train_accuracy"]], train_logits[-1:], train.labels, run["name"], "final")
        assert run["status"] == found["status"], run["name"]
