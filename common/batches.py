"""The batches of an epoch, as a pure function of seed and epoch: order, crops, flips, standardisation."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import pad

PADDING = 4  # pixels on each side from which a crop is taken


@dataclass(frozen=True)
class Batches:
    """The batches of one epoch of a data.Split: standardised float32 (batch, channels, height, width), labels (batch,).

    Order, crops and flips are a pure function of (seed, epoch), so that a run resumed at an epoch
    goes on exactly as it would have. Without a seed the images come in order and unaltered.
    The last batch may be short.
    """

    split: object
    batch_size: int
    seed: int | None = None
    epoch: int = 0
    augment: bool = False

    def __len__(self):
        return -(-len(self.split) // self.batch_size)

    def __iter__(self):
        split, n = self.split, len(self.split)
        order, take = torch.arange(n), split.images.__getitem__
        if self.seed is not None:
            state = np.random.SeedSequence((self.seed, self.epoch)).generate_state(1, np.uint64)
            generator = torch.Generator().manual_seed(int(state[0]))
            order = torch.randperm(n, generator=generator)
            if self.augment:
                take = _crops(split.images, generator)
        for index in order.to(split.images.device).split(self.batch_size):
            images = take(index).float().sub_(split.mean).div_(split.std)
            yield images.permute(0, 3, 1, 2), split.labels[index]  # channels_last without a copy


def _crops(images, generator):
    """Return the function that cuts each image of an index out of its zero-padded self, mirrored or not."""
    n, height, width, _ = images.shape
    top, left = torch.randint(2 * PADDING + 1, (2, n), generator=generator).to(images.device)
    mirrored = torch.randint(2, (n,), generator=generator).to(images.device).bool()

    def crop(index):
        padded = pad(images[index], (0, 0) + 4 * (PADDING,))
        windows = padded.unfold(1, height, 1).unfold(2, width, 1).permute(0, 1, 2, 4, 5, 3)  # a view: every crop
        chosen = windows[torch.arange(len(index), device=index.device), top[index], left[index]]
        return torch.where(mirrored[index, None, None, None], chosen.flip(2), chosen)

    return crop
