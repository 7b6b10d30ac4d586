"""Fashion-MNIST, CIFAR-10 and a generated stand-in, as uint8 tensors in memory."""

import pickle
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from common.published import Missing, obtain

# MD5 of the unpacked files, named as torchvision lays them out, in the order in which they are put together.
FASHION_MNIST = {
    "FashionMNIST/raw/train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "FashionMNIST/raw/train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "FashionMNIST/raw/t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "FashionMNIST/raw/t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}
CIFAR10 = {
    "cifar-10-batches-py/data_batch_1": "c99cafc152244af753f735de768cd75f",
    "cifar-10-batches-py/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "cifar-10-batches-py/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "cifar-10-batches-py/data_batch_4": "634d18415352ddfa80567beed471001a",
    "cifar-10-batches-py/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "cifar-10-batches-py/test_batch": "40351d587109b95175f43aff81a1287e",
    "cifar-10-batches-py/batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
}
ARCHIVE = {"cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a"}  # CIFAR-10 as its authors publish it
DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # of the package dataset-fashion-mnist
QUICK = 266, 300  # training and test images of the tiny stand-in, whose last batch is short
PARTS = "train_images", "test_images"


@dataclass(frozen=True)
class Split:
    """Labelled images, and the statistics of the training set that standardise them.

    images: uint8 (n, height, width, channels); labels: int64 (n,);
    mean, std: float32 (channels,), in units of the pixel values 0 to 255.
    """

    images: torch.Tensor
    labels: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, part: slice):
        """The images of `part`, standardised as before."""
        return replace(self, images=self.images[part], labels=self.labels[part])

    def to(self, device):
        return Split(self.images.to(device), self.labels.to(device), self.mean.to(device), self.std.to(device))


def splits(train_images, train_labels, test_images, test_labels):
    """Make a training and a test Split that both carry the training set's mean and deviation."""
    pixels = np.asarray(train_images).reshape(-1, train_images.shape[-1])
    parts = np.array_split(pixels, 50)  # bincount copies what it counts into eight times the bytes
    counts = sum(np.stack([np.bincount(channel, minlength=256) for channel in part.T]) for part in parts)  # exact
    mean = counts @ np.arange(256) / len(pixels)
    std = np.sqrt(counts @ np.arange(256) ** 2 / len(pixels) - mean**2)
    mean, std = torch.tensor(mean, dtype=torch.float32), torch.tensor(std, dtype=torch.float32)
    return tuple(
        Split(torch.as_tensor(images), torch.as_tensor(labels, dtype=torch.int64), mean, std)
        for images, labels in ((train_images, train_labels), (test_images, test_labels))
    )


def fashion_mnist(root, stand_in=False, quick=False):
    """Return ("Fashion-MNIST", {"train_images": Split, "test_images": Split}), read from below the folder `root`.

    A stand-in takes its place, and "stand-in" that of the name: with `stand_in` one of the same size, with `quick` a
    tiny one, and, loudly, where read_fashion_mnist() raises Missing. OSError where a file is not the published one.
    """
    return _real_or_generated("Fashion-MNIST", read_fashion_mnist, root, stand_in, quick, (28, 28, 1), (60000, 10000))


def cifar10(root, stand_in=False, quick=False):
    """Return ("CIFAR-10", {"train_images": Split, "test_images": Split}) or a stand-in, like fashion_mnist()."""
    return _real_or_generated("CIFAR-10", read_cifar10, root, stand_in, quick, (32, 32, 3), (50000, 10000))


def _real_or_generated(name, read, root, generated, quick, shape, size):
    if not (generated or quick):
        try:
            return name, dict(zip(PARTS, read(root), strict=True))
        except Missing as error:
            print(
                f"\nNO REAL DATA: {error}.\nGENERATED DATA takes its place: a stand-in, whose results say "
                f"nothing about {name} and are kept apart.\n",
                file=sys.stderr,
            )
    return "stand-in", dict(zip(PARTS, stand_in(shape, *(QUICK if quick else size)), strict=True))


def read_fashion_mnist(root):
    """Return (training Split, test Split) of Fashion-MNIST, 60000 and 10000 images of 28 x 28 x 1.

    The files lie in `root`/FashionMNIST/raw, in `root` itself or where Debian has them, gzipped or not, or are
    downloaded. Raises Missing where that fails too, OSError where a file is not the published one.
    """
    by_hand = "gzipped or not (https://github.com/zalandoresearch/fashion-mnist), or apt install dataset-fashion-mnist"
    contents = obtain("FashionMNIST", root, FASHION_MNIST, by_hand, folders=[DEBIAN])
    arrays = {name: _idx(content) for name, content in contents}
    train, train_labels, test, test_labels = (arrays[name] for name in FASHION_MNIST)
    return splits(train[..., None], train_labels, test[..., None], test_labels)


def read_cifar10(root):
    """Return (training Split, test Split) of CIFAR-10, 50000 and 10000 images of 32 x 32 x 3.

    The files lie in `root`/cifar-10-batches-py, in `root` itself or in cifar-10-python.tar.gz there, or are
    downloaded. Raises like read_fashion_mnist().
    """
    by_hand = "or cifar-10-python.tar.gz (https://www.cs.toronto.edu/~kriz/cifar.html)"
    return splits(*_arrays(obtain("CIFAR10", root, CIFAR10, by_hand, archives=ARCHIVE)))


def _arrays(contents):
    """Yield the images and labels of CIFAR-10's verified files, as splits() takes them."""
    batches = {name: pickle.loads(content, encoding="latin1") for name, content in contents}
    *train, test, _ = (batches[name] for name in CIFAR10)
    for part in (train, [test]):
        rows = np.concatenate([batch["data"] for batch in part])  # (n, 3072): all of red, then of green, then of blue
        yield rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        yield np.concatenate([batch["labels"] for batch in part])


def _idx(content):
    """The array of an IDX file of bytes: its fourth byte is the number of dimensions, whose big-endian sizes follow."""
    sizes = np.frombuffer(content, ">i4", count=content[3], offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(sizes)).reshape(sizes).copy()  # writable


def stand_in(shape, train, test, classes=10):
    """Generate a learnable data set: `train` and `test` images of `shape` (height, width, channels).

    An image is its class's smooth pattern, shifted by up to two pixels, under a fainter pattern of
    another class and noise. One in ten has the pattern of a wrong class, so that no accuracy above 90 % can be
    learned. Deterministic: the same arguments give the same pixels.
    """
    random = np.random.default_rng(0)
    height, width, channels = shape
    y, x = np.meshgrid(np.arange(height) / height, np.arange(width) / width, indexing="ij")
    waves = np.stack([np.cos(np.pi * (i * y + j * x)) for i in range(4) for j in range(-3, 4)], axis=-1)
    patterns = np.einsum("hwk,ckd->chwd", waves, random.normal(size=(classes, waves.shape[-1], channels)))
    patterns /= patterns.std(axis=(1, 2, 3), keepdims=True)
    shifts = [(i, j) for i in range(-2, 3) for j in range(-2, 3)]
    shifted = np.stack([np.roll(patterns, shift, axis=(1, 2)) for shift in shifts]).astype(np.float32)

    n = train + test
    labels = np.arange(n) % classes
    wrong, other = random.integers(1, classes, size=(2, n))
    shown = np.where(random.random(n) < 0.1, labels + wrong, labels) % classes
    others = (shown + other) % classes
    images = np.empty((n, *shape), np.uint8)
    for part in np.array_split(np.arange(n), max(1, n // 2000)):
        shift, other_shift = random.integers(len(shifts), size=(2, len(part)))
        signal = shifted[shift, shown[part]] + 0.6 * shifted[other_shift, others[part]]
        noise = random.standard_normal(signal.shape, np.float32)
        images[part] = np.clip(128 + 25 * (signal + 1.5 * noise), 0, 255)
    return splits(images[:train], labels[:train], images[train:], labels[train:])
