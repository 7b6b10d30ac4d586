"""Choose the network of exercise 2b: a few plain CNNs of 15 to 25 million multiply-adds, side by side.

    python tests/choose_cnn.py --epochs 3       half an hour on one core; goes on where it was stopped

Each candidate trains as in ex2b_adam.py (Adam's defaults, batch 128, random flip and crop) on the first 45000
training images of CIFAR-10 and is scored on the last 5000; the test set plays no part. Written after every
round of one epoch each: figures/cnn_candidates.json.
"""

import argparse
import sys
import time
from functools import partial
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from common import data, models, runs, train  # noqa: E402
from common.batches import Batches  # noqa: E402

HELD_OUT, SEED, SIDE = 5000, 0, 32
CANDIDATES = (  # width, stages
    (64, ((1,), (1,), (2,), (4,))),
    (32, ((1,), (2,), (4,), (8,))),
    (32, ((1,), (2,), (4,), (8, 8))),
    (32, ((1,), (2,), (4, 4), (4,))),
    (32, ((1,), (2,), (4, 4))),
)


def multiply_adds(model):
    """Count those of the convolutions and the linear layer for one image."""
    counted = []

    def count(layer, inputs, output):
        positions = output[0, 0].numel() if output.dim() == 4 else 1
        counted.append(layer.weight.numel() * positions)

    layers = [layer for layer in model if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear))]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, SIDE, SIDE))
    for hook in hooks:
        hook.remove()
    return sum(counted)


def go_on(width, stages, images, held_out, epochs):
    """Train one candidate up to `epochs` and return its entry."""
    model = models.cnn(width, SEED, stages)
    name = " | ".join(" ".join(str(width * multiple) for multiple in stage) for stage in stages)
    entry = {"candidate": name, "parameters": sum(p.numel() for p in model.parameters())}
    entry |= {"multiply_adds": multiply_adds(model), "epochs": epochs, "seed": SEED}
    run = runs.Run(ROOT / "runs", "cnn", {"width": width, "stages": stages, "seed": SEED, "held_out": HELD_OUT})
    batches = partial(Batches, images, 128, SEED, augment=True)
    began = time.process_time()  # of this one thread: other work on the machine is left out

    def measure():
        seconds = time.process_time() - began
        return train.evaluate(model, Batches(held_out, 500)) | {"seconds": seconds}

    rows = train.fit(
        model, torch.optim.Adam(model.parameters()), epochs, lambda epoch: batches(epoch=epoch), measure, run
    )[:epochs]
    entry["held_out_accuracy"] = [row["correct"][0] / HELD_OUT for row in rows]
    return entry | {"seconds_per_epoch": min(row["seconds"] for row in rows)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3)
    epochs = parser.parse_args().epochs
    torch.set_num_threads(1)
    images, _ = data.cifar10(ROOT / "data")
    for done in range(1, epochs + 1):
        entries = []
        for width, stages in CANDIDATES:
            entries.append(go_on(width, stages, images[:-HELD_OUT], images[-HELD_OUT:], done))
            print(entries[-1], flush=True)
        record = {"schema": runs.SCHEMA, "data": "CIFAR-10", "train_images": len(images) - HELD_OUT}
        runs.write_record(
            ROOT / "figures" / "cnn_candidates.json", record | {"held_out": HELD_OUT, "candidates": entries}
        )


if __name__ == "__main__":
    main()
