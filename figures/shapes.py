"""What the entries of the two records look like, for the check before anything is drawn (common/experiment/shapes.py),
and what a status means."""

import math

STATUSES = {
    "collapsed": "one class was answered for every test image, or the training loss ended no better than guessing",
    "non-finite": "the loss or an answer ended infinite or not a number",
}
KINDS = "weights", "biases", "signal"
SHARE, SIZE = (0, 1), (0, 1e300)
NET = {"activation": str, "init": str, "optimizer": str, "lr": SIZE, "momentum": SIZE, "batch_norm": bool}


def meanings(entries):
    """Yield a line for each status other than "ok" that these entries have."""
    for status, meaning in STATUSES.items():
        if any(status in entry["status"] for entry in entries):
            yield f"{status}: {meaning}."


def _unless_none(value, shape):
    return None if value is None else shape


def _net(entry):
    """Return the shape of the fields that say which network it is, and the number of its layers."""
    hidden = entry.get("hidden")
    widths = [(1, 1e9)] * len(hidden) if isinstance(hidden, list) else []
    return NET | {"hidden": widths}, len(widths) + 1


def _arm(entry, epochs, seeds):
    """Numbers that are none (nan) belong to seeds that ended so."""
    net, layers = _net(entry)
    statuses = entry.get("status") if isinstance(entry.get("status"), list) else []
    sizes = [(*SIZE, math.nan) if status == "non-finite" else SIZE for status in statuses]
    predicted = {"signal": [max(sizes, key=len, default=SIZE)] * layers}
    return net | {
        "status": [{"ok", *STATUSES}] * seeds,
        "test_accuracy": [[SHARE] * seeds] * epochs,
        "gradient_norm": {kind: [[sizes] * epochs] * layers for kind in KINDS},
        "initial": {kind: [sizes] * layers for kind in KINDS},
        "predicted": _unless_none(entry.get("predicted", ...), predicted),
        "layer_variance": [sizes] * layers,
    }


def _longer(entry, settings):
    """An arm that says itself for how many epochs it was trained."""
    accuracy = entry.get("test_accuracy")
    return _arm(entry, len(accuracy) if isinstance(accuracy, list) else 0, settings["seeds"])


def _activations(entry, settings):
    net, layers = _net(entry)
    after, counts = entry.get("after"), entry.get("counts")
    snapshots = len(after) if isinstance(after, list) else 0
    try:
        bins = len(counts[0][0])
    except (TypeError, LookupError):
        bins = 0
    return net | {
        "after": [(0, settings["epochs"])] * snapshots,
        "range": [(-1e9, 1e9)] * 2,
        "counts": [[[(0, 1e9)] * bins] * (layers - 1)] * snapshots,
    }


def _untrained(entry, settings):
    net, layers = _net(entry)
    return net | {
        "hidden_layers": (layers - 1, layers - 1),
        "initial": {kind: [[SIZE] * settings["seeds"]] * layers for kind in KINDS},
        "predicted": {"signal": [SIZE] * layers},
        "unmoved": [SHARE] * settings["seeds"],
    }


def _run(entry, settings):
    size = (*SIZE, math.nan) if entry.get("status") == "non-finite" else SIZE
    searches = entry.get("searches")
    return {
        "optimizer": str,
        "lr": SIZE,
        "momentum": _unless_none(entry.get("momentum", ...), SIZE),
        "searches": [str] * len(searches) if isinstance(searches, list) else [],
        "seed": int,
        "precision": {"float32", "bfloat16"},
        "status": {"ok", *STATUSES},
        "test_accuracy": [SHARE] * settings["epochs"],
        "train_accuracy": [SHARE] * settings["epochs"],
        "train_loss": [size] * settings["epochs"],
        "final_train_accuracy": SHARE,
    }


EX2A = {
    "settings": {"lr": SIZE, "momentum": SIZE},
    "arms": lambda entry, settings: _arm(entry, settings["epochs"], settings["seeds"]),
    "plateau": _longer,
    "activations": _activations,
    "depth": _untrained,
}
EX2B = {"settings": {"train_sample": int}, "runs": _run}
