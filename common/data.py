"""Fashion-MNIST, CIFAR-10 and a generated stand-in, as uint8 tensors in memory."""

import gzip
import hashlib
import os
import platform
import sys
import threading
from dataclasses import dataclass, replace
from functools import lru_cache
from http.client import HTTPException
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch

# MD5 of the files as torchvision reads them (decompressed); it checks the first four at download only.
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
DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # of the package dataset-fashion-mnist


class Missing(OSError):
    """The real data is not there and could not be downloaded; nothing is damaged."""


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
        return Split(*(getattr(self, name).to(device) for name in ("images", "labels", "mean", "std")))


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


def fashion_mnist(root):
    """Return real Fashion-MNIST, 60000 training and 10000 test images of 28 x 28 x 1, from below `root`.

    Raises Missing where it is neither there nor to be downloaded, OSError where a file is not the published one.
    """
    reader = _torchvision().FashionMNIST
    _unpack_debian(Path(root))
    parts = _obtain(reader, Path(root), FASHION_MNIST)
    return splits(*(x for part in parts for x in (part.data.numpy()[..., None], part.targets)))


def cifar10(root):
    """Return real CIFAR-10, 50000 training and 10000 test images of 32 x 32 x 3; raises like fashion_mnist()."""
    parts = _obtain(_torchvision().CIFAR10, Path(root), CIFAR10)
    return splits(*(x for part in parts for x in (part.data, part.targets)))


def _torchvision():
    """Import torchvision.datasets; a torchvision built for another torch fails at its import."""
    try:
        from torchvision import datasets
    except (ImportError, RuntimeError) as error:
        found = ", ".join(f"{name} {_version(name)}" for name in ("torch", "torchvision"))
        raise OSError(
            f"torchvision does not go with torch (got {found}: {error}). Install requirements.txt anew"
        ) from None
    return datasets


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _obtain(reader, root, checksums):
    """Read both parts through torchvision, after the checksum of every file: CIFAR-10's are pickles."""
    if root.exists() and not root.is_dir():
        raise OSError(f"--data must be a folder (got {root}). Expected below it: {next(iter(checksums))}")
    if not _verified(root, checksums):
        names, folder = ", ".join(Path(name).name for name in checksums), root / Path(next(iter(checksums))).parent
        try:
            _watched(lambda: reader(root, download=True), (root, folder), 10)
        except (OSError, RuntimeError, HTTPException) as error:
            why = " ".join(str(error).split())
            raise Missing(
                f"no {reader.__name__} below {root}, and the download failed ({why}). "
                f"By hand: put {names} into {folder}"
            ) from None
        if not _verified(root, checksums):
            raise OSError(f"the download left {root} incomplete. Remove it and try again")
    return reader(root, train=True), reader(root, train=False)


def _unpack_debian(root):
    """Lay out below `root` what is not there and Debian's package dataset-fashion-mnist has, as a download would."""
    for name in FASHION_MNIST:
        packed, target = DEBIAN / f"{Path(name).name}.gz", root / name
        if packed.exists() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f".{target.name}.{os.getpid()}")
            partial.write_bytes(gzip.decompress(packed.read_bytes()))
            partial.replace(target)
            print(f"Fashion-MNIST: unpacked {packed} into {target.parent}", file=sys.stderr)


def _verified(root, checksums):
    """Whether every file is there; a file that is there with other content raises OSError."""
    present = [name for name in checksums if (root / name).exists()]
    for name in present:
        try:
            found = hashlib.md5((root / name).read_bytes(), usedforsecurity=False).hexdigest()
        except OSError as error:
            raise OSError(f"cannot read {root / name} ({error.strerror}). Expected the published file") from None
        if found != checksums[name]:
            raise OSError(
                f"{root / name} is not the published file (got checksum {found}, expected {checksums[name]}). "
                "Remove it to have it downloaded again"
            )
    return len(present) == len(checksums)


def _watched(download, folders, seconds):
    """Call download(), which has no limit of its own; TimeoutError once no file has grown for so many seconds.

    Noticed after twice that time at most. A limit for each network wait would not do: a name may have many addresses,
    and the name server a wait of its own.
    """
    errors, size = [], -1

    def call():
        try:
            download()
        except Exception as error:  # it belongs to the thread that waits below
            errors.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    while thread.is_alive():
        before, size = size, sum(path.lstat().st_size for folder in folders for path in folder.glob("*"))
        if size == before:
            raise TimeoutError(f"nothing came for {seconds} seconds")
        thread.join(seconds)
    if errors:
        raise errors[0]


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


def load(name, root, stand_in_wanted=False, quick=False):
    """Return (what it is, training Split, test Split) of "Fashion-MNIST" or "CIFAR-10".

    The stand-in takes the place of real data where it is asked for, or, loudly, where there is none.
    """
    read, shape, train = {
        "Fashion-MNIST": (fashion_mnist, (28, 28, 1), 60000),
        "CIFAR-10": (cifar10, (32, 32, 3), 50000),
    }[name]
    if quick:
        return "stand-in", *stand_in(shape, 1280, 500)
    if not stand_in_wanted:
        try:
            return name, *read(root)
        except Missing as error:
            by_hand = " (Debian: apt install dataset-fashion-mnist)" if read is fashion_mnist else ""
            print(
                f"\nNO REAL DATA: {error}{by_hand}.\nGENERATED DATA takes its place: a stand-in, whose results say "
                f"nothing about {name} and are kept apart.\n",
                file=sys.stderr,
            )
    return "stand-in", *stand_in(shape, train, 10000)


@lru_cache(1)
def again(name, what, root, quick, device):
    """Return the Splits that load() called `what` in another process, on the device; read once per process."""
    found, *both = load(name, root, what == "stand-in", quick)
    if found != what:
        raise OSError(f"{platform.node()} lacks {what}, on which the others train. Lay it below {root} there")
    return tuple(split.to(device) for split in both)
