"""What the exercises share: the subject, in modules that can be used one by one; and the machinery, experiment/.

    data.py      whole data sets as tensors, from files that published.py finds and verifies
    batches.py   the batches of an epoch
    models.py    mlp(), cnn(), the initialisation schemes
    train.py     fit(), evaluate(): the one training loop
    probes.py    the per-layer gradient-norm hooks, the variance of outputs
    theory.py    what theory/1b predicts for a given net
    plots.py     the figure style and the few kinds of axes

A module of the subject is loaded when something of it is first used, so that --help need not wait for PyTorch. With a
network of one's own, after one epoch the norms of its two weight gradients, [layer][member]:

    from torch import nn, optim
    from common import batches, data, probes, train

    name, parts = data.fashion_mnist("data")
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 50), nn.Sigmoid(), nn.Linear(50, 10))
    probe = probes.GradientNorms([net[1], net[3]])
    rows = train.fit(net, optim.SGD(net.parameters(), 0.05), 1, batches.Batches(parts["train_images"], 64), probe=probe)
    norms = rows[-1]["norms"]["weights"]
"""

import os
from importlib.util import find_spec

NEEDED = "cryptography distributed filelock lazy_loader matplotlib numpy torch torchvision tqdm tyro".split()
SUBJECT = "batches", "data", "models", "plots", "probes", "theory", "train"

_missing = [package for package in NEEDED if find_spec(package) is None]
if _missing:
    raise SystemExit(f"{', '.join(_missing)} not installed. Install requirements.txt: pip install -r requirements.txt")
_backend = os.environ.get("MPLBACKEND", "").partition("module://")[2]
if _backend and find_spec(_backend.partition(".")[0]) is None:
    del os.environ["MPLBACKEND"]  # a notebook's, which starts this; with it matplotlib cannot even be imported

import lazy_loader  # noqa: E402


def __getattr__(name):
    if name not in SUBJECT:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return lazy_loader.load(f"{__name__}.{name}", suppress_warning=True)
