"""The one training loop, fit(), and evaluate(). Logits are (members, classes, batch) throughout."""

import math
from contextlib import nullcontext

import torch
from torch.nn.functional import cross_entropy, one_hot


def member_losses(logits, labels):
    """Cross-entropy of each member, the mean over the batch: (members, classes, batch), (batch,) -> (members,)."""
    return cross_entropy(logits, labels.expand(len(logits), -1), reduction="none").mean(-1)


def fit(model, optimizer, epochs, batches, measure, run, probe=None, dtype=None):
    """Train until `run` holds `epochs` rows, going on behind those that it has; return them, one dict per epoch.

    batches(epoch): the batches of epoch 1, 2, ..., with a length. measure(): a dict of what is to be known after
    each epoch. run: keeps the rows and the state (see runs.Run): rows, restore(), append().
    A row holds "train_loss" [member], the mean over the epoch's images as they were trained on; what measure()
    gave; and, with a probe, "norms" of the epoch's last batch.
    dtype: torch.bfloat16 for autocast. The loss is the sum over members, so each one's gradient is its own.
    """
    run.restore(model, optimizer)
    for epoch in range(len(run.rows) + 1, epochs + 1):
        model.train()
        total, seen = 0.0, 0
        epoch_batches = batches(epoch)
        for step, (images, labels) in enumerate(epoch_batches, 1):
            optimizer.zero_grad(set_to_none=True)
            with probe if probe and step == len(epoch_batches) else nullcontext():
                losses = forward_backward(model, images, labels, dtype)
            optimizer.step()
            total, seen = total + losses * len(labels), seen + len(labels)  # stays on the device
        row = {"train_loss": (total / seen).tolist()} | measure()
        run.append(row | {"norms": probe.norms} if probe else row, model, optimizer)
    return run.rows


def forward_backward(model, images, labels, dtype=None):
    """Leave the gradients of one batch in the parameters; return the members' losses, (members,)."""
    with torch.autocast(images.device.type, dtype, enabled=dtype is not None):
        losses = member_losses(model(images), labels)
    losses.sum().backward()
    return losses.detach()


@torch.no_grad()
def evaluate(model, batches, dtype=None):
    """Score every image in evaluation mode: correct answers, classes answered, all logits finite; lists [member]."""
    model.eval()
    correct, answered, finite = 0, 0, True
    for images, labels in batches:
        with torch.autocast(images.device.type, dtype, enabled=dtype is not None):
            logits = model(images)
        answers = logits.argmax(1)
        correct += (answers == labels).sum(-1)
        answered += one_hot(answers, logits.shape[1]).sum(1)
        finite = finite & logits.isfinite().all(-1).all(-1)
    return {"correct": correct.tolist(), "answered": (answered > 0).sum(-1).tolist(), "finite": finite.tolist()}


def statuses(row, classes):
    """Name what became of each member by its last row: "ok", "collapsed" or "non-finite".

    Collapsed: one class answered on the test set, or a mean training loss of guessing, ln(classes), or above.
    """

    def status(loss, answered, finite):
        if not (finite and math.isfinite(loss)):
            return "non-finite"
        return "collapsed" if answered == 1 or loss >= math.log(classes) else "ok"

    return [status(*member) for member in zip(row["train_loss"], row["answered"], row["finite"])]


class Unsaved:
    """A run that is kept in memory only; what fit() needs of a run."""

    def __init__(self):
        self.rows = []

    def restore(self, model, optimizer):
        """Start from the weights as they are."""

    def append(self, row, model, optimizer):
        self.rows.append(row)
