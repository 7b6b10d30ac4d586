"""The one training loop, fit(), and evaluate(), for any network whose forward takes a batch of images and gives logits.

Logits are (batch, classes) of an ordinary network, which counts as one member, and (members, classes, batch) of an
ensemble. Batches are (images, labels), brought to the device of the model where they are elsewhere.
"""

import math
from contextlib import nullcontext

import torch
from torch.nn.functional import cross_entropy, one_hot


def optimizer(name, parameters, lr, momentum=0.0):
    """Return the optimizer "sgd" or "adam" of torch.optim: PyTorch's defaults but for lr and the momentum of SGD.

    Raises ValueError where there is none such, or none with such a rate or momentum.
    """
    if name not in ("sgd", "adam"):
        raise ValueError(f"no optimizer is called {name!r}. Choose from 'sgd' and 'adam'")
    if name == "adam" and momentum:
        raise ValueError(f"'adam' takes no momentum (got {momentum}). Give 0 or None, or choose 'sgd'")
    return torch.optim.SGD(parameters, lr, momentum or 0.0) if name == "sgd" else torch.optim.Adam(parameters, lr)


def check_optimizer(name, lr, momentum=0.0):
    """Raise ValueError where optimizer() would."""
    optimizer(name, [torch.zeros(1)], lr, momentum)


def good_at_bfloat16(device):
    """Whether a torch.device computes in bfloat16 itself, rather than by way of float32."""
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported()
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def member_losses(logits, labels):
    """Cross-entropy of each member, the mean over the batch: logits, (batch,) -> (members,)."""
    logits = _columns(logits)
    return cross_entropy(logits, labels.expand(len(logits), -1), reduction="none").mean(-1)


def fit(model, optimizer, epochs, batches, measure=None, run=None, probe=None, bfloat16=False):
    """Train until there are `epochs` rows, going on behind those that `run` holds; return them, one dict per epoch.

    batches: the same for every epoch, or a function that gives those of epoch 1, 2, ...; iterables with a length.
    measure(): a dict of what is to be known after each epoch. run: keeps the rows and the state between processes:
    rows, restore(model, optimizer) and append(row, model, optimizer); without one, rows are kept in memory only.
    A row holds "train_loss" [member], the mean over the epoch's images as they were trained on; what measure()
    gave; and, with a probe, its "norms" of the epoch's last batch.
    bfloat16: compute under autocast. The loss is the sum over members, so each one's gradient is its own.
    Raises ValueError where an epoch has no batches or not as many as its length says.
    """
    if run is not None:
        run.restore(model, optimizer)
    rows = [] if run is None else run.rows
    for epoch in range(len(rows) + 1, epochs + 1):
        model.train()
        total, seen, step = 0.0, 0, 0
        epoch_batches = batches(epoch) if callable(batches) else batches
        steps = len(epoch_batches)
        for step, (images, labels) in enumerate(epoch_batches, 1):
            optimizer.zero_grad(set_to_none=True)
            with probe if probe and step == steps else nullcontext():
                losses = forward_backward(model, images, labels, bfloat16)
            optimizer.step()
            total, seen = total + losses * len(labels), seen + len(labels)  # stays on the device
        if not 0 < step == steps:
            raise ValueError(f"epoch {epoch} gave {step} of {steps} batches. It must give all of them, at least 1")
        row = {"train_loss": (total / seen).tolist()} | (measure() if measure else {})
        row |= {"norms": probe.norms} if probe else {}
        if run is None:
            rows.append(row)
        else:
            run.append(row, model, optimizer)
    return rows


def forward_backward(model, images, labels, bfloat16=False):
    """Leave the gradients of one batch in the parameters; return the members' losses, (members,)."""
    images, labels = _at_home(model, images, labels)
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bfloat16):
        losses = member_losses(model(images), labels)
    losses.sum().backward()
    return losses.detach()


@torch.no_grad()
def evaluate(model, batches, bfloat16=False):
    """Score every image in evaluation mode, in which the model is left.

    Returns "correct", how many answers; "answered", how many different classes; "finite", whether all logits of all
    batches are: lists [member]. Raises ValueError where there is no batch.
    """
    model.eval()
    correct, answered, finite = 0, 0, True
    for images, labels in batches:
        images, labels = _at_home(model, images, labels)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bfloat16):
            logits = _columns(model(images))
        answers = logits.argmax(1)
        correct += (answers == labels).sum(-1)
        answered += one_hot(answers, logits.shape[1]).sum(1)
        finite = finite & logits.isfinite().all(-1).all(-1)
    if finite is True:
        raise ValueError("no batches were given to evaluate")
    return {"correct": correct.tolist(), "answered": (answered > 0).sum(-1).tolist(), "finite": finite.tolist()}


def statuses(row, classes):
    """Name what became of each member by its last row, with what evaluate() gives: "ok", "collapsed" or "non-finite".

    Non-finite: the training loss or a logit of any batch is infinite or no number. Collapsed: one class answered on
    the test set, or a mean training loss of guessing, ln(classes), or above.
    """

    def status(loss, answered, finite):
        if not (finite and math.isfinite(loss)):
            return "non-finite"
        return "collapsed" if answered == 1 or loss >= math.log(classes) else "ok"

    return [status(*member) for member in zip(row["train_loss"], row["answered"], row["finite"])]


def _columns(logits):
    """The logits of any network as (members, classes, batch)."""
    return logits.T[None] if logits.dim() == 2 else logits


def _at_home(model, *batch):
    """The tensors of a batch where the model is."""
    device = next(model.parameters(), batch[0]).device
    return [tensor.to(device) for tensor in batch]
