"""The batches of an epoch, as a pure function of seed and epoch: order, crops, flips, standardisation."""

from dataclasses import dataclass

import numpy as np
import torch

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
    """Return the function that cuts each image of an index out of its zero-padded self, every second one mirrored."""
    n, height, width, _ = images.shape
    device = images.device
    top, left = (torch.randint(2 * PADDING + 1, (2, n), generator=generator) - PADDING).to(device)
    mirrored = torch.randint(2, (n,), generator=generator).to(device).bool()
    down, right = torch.arange(height, device=device), torch.arange(width, device=device)

    def crop(index):
        rows = top[index, None] + down
        columns = torch.where(mirrored[index, None], width - 1 - right, right) + left[index, None]
        inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
        rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
        return images[index[:, None, None], rows[:, :, None], columns[:, None, :]] * inside[..., None]

    return crop
