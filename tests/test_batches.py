"""Batches: an epoch is a pure function of seed and number; crops and flips by their definition."""

import math

import numpy as np
import pytest
import torch

from common import data
from common.batches import Batches


def positions(n):
    """Images whose pixels say where they come from: channels (row + 1, column + 1, number of the image)."""
    rows, columns = torch.meshgrid(torch.arange(1, 33), torch.arange(1, 33), indexing="ij")
    images = torch.stack([rows, columns, torch.zeros_like(rows)], -1).repeat(n, 1, 1, 1).to(torch.uint8)
    images[..., 2] = torch.arange(n)[:, None, None] % 200 + 1
    mean, std = torch.tensor([10.0, 20.0, 30.0]), torch.tensor([2.0, 4.0, 8.0])
    return data.Split(images, torch.arange(n), mean, std)


def epoch(split, *args, **options):
    """The pixels (n, height, width, channels) of an epoch, the standardisation undone, and the labels."""
    images, labels = zip(*Batches(split, 128, *args, **options))
    return (torch.cat(images).permute(0, 2, 3, 1) * split.std + split.mean).round().to(torch.uint8), torch.cat(labels)


def test_an_epoch_shows_every_image_once_in_an_order_of_its_own():
    """In that of the committed records, for which epoch 2 of seed 1 stands, here and below."""
    split = positions(301)
    epochs = {(seed, number): epoch(split, seed, number) for seed in (0, 1) for number in (1, 2)}
    for images, labels in epochs.values():
        assert torch.equal(labels.sort().values, split.labels) and torch.equal(images, split.images[labels])
    assert len({tuple(labels.tolist()) for _, labels in epochs.values()}) == 4
    assert epochs[1, 2][1][:6].tolist() == [133, 37, 174, 7, 284, 109]
    assert all(torch.equal(a, b) for a, b in zip(epoch(split, 0, 1), epochs[0, 1], strict=True))
    sizes = [len(labels) for _, labels in Batches(split, 8, 0, 1)]
    assert sizes == [8] * 37 + [5] and len(Batches(split, 8, 0, 1)) == 38


@pytest.mark.parametrize("augment", [False, True])
def test_without_a_seed_every_image_comes_unaltered_and_in_order(augment):
    split = positions(300)
    images, labels = epoch(split, augment=augment)
    assert torch.equal(labels, split.labels) and torch.equal(images, split.images)


def cuts(split, seed, number):
    """Where each image of an augmented epoch is cut out, by number of the image: (n, 3) of top, left, mirrored."""
    padded = np.pad(split.images[0].numpy(), ((4, 4), (4, 4), (0, 0)))[..., :2]  # zeros before the standardisation
    every = {}
    for top, left in np.ndindex(9, 9):
        crop = padded[top : top + 32, left : left + 32]
        every[crop.tobytes()] = top, left, False
        every[crop[:, ::-1].tobytes()] = top, left, True
    assert len(every) == 162
    found, labels = (part.numpy() for part in epoch(split, seed, number, augment=True))
    assert sorted(labels) == list(range(len(split)))  # every image once
    assert (found[:, 16, 16, 2] == labels % 200 + 1).all()  # an image keeps its label
    cut = [every[image[..., :2].tobytes()] for image in found]  # a KeyError is another image
    return np.array(cut)[labels.argsort()]


def test_augmentation_by_its_definition():
    cut = cuts(positions(4000), 0, 1)
    assert len(np.unique(cut, axis=0)) == 162  # every crop, plain and mirrored
    assert abs(cut[:, 2].sum() - 2000) < 5 * math.sqrt(1000)  # five deviations of a fair coin
    for offsets in cut[:, :2].T:  # each of the nine equally often, five deviations
        assert abs(np.bincount(offsets, minlength=9) - 4000 / 9).max() < 5 * math.sqrt(4000 * 8 / 81)


def test_offsets_and_flips_are_a_function_of_seed_and_epoch():
    split = positions(300)
    first = cuts(split, 0, 1)
    assert np.array_equal(cuts(split, 0, 1), first) and cuts(split, 1, 2)[:2].tolist() == [[0, 8, 1], [7, 6, 1]]
    for other in ((0, 2), (1, 1)):
        same = (cuts(split, *other) == first).mean(0)
        assert (same < [0.25, 0.25, 0.65]).all()  # by chance one in nine and one in two, with five deviations
