"""Data: what the real sets are, that they are read right and downloaded in bounded time, and what takes their place."""

import gzip
import os
import pickle
import socket
import socketserver
import struct
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler

import numpy as np
import pytest
import torch
import torchvision
from test_published import md5

from common import data, published


@pytest.fixture(autouse=True)
def no_package(tmp_path, monkeypatch):
    """What Debian may have installed here is not what is tested."""
    monkeypatch.setattr(data, "DEBIAN", tmp_path / "no package")


@pytest.mark.parametrize(
    "read, name, train, shape, mean, std",
    [
        (data.fashion_mnist, "Fashion-MNIST", 60000, (28, 28, 1), [0.2860], [0.3530]),
        (data.cifar10, "CIFAR-10", 50000, (32, 32, 3), [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
    ],
)
def test_facts_about_the_real_data(real_data, read, name, train, shape, mean, std):
    found, parts = read(real_data)
    assert found == name and list(parts) == ["train_images", "test_images"]
    assert [tuple(part.images.shape) for part in parts.values()] == [(train, *shape), (10000, *shape)]
    channels = parts["train_images"].images.flatten(0, 2).numpy().T  # a second route to the statistics
    statistics = [[getattr(one, of)(dtype=float) for one in channels] for of in ("mean", "std")]
    for part in parts.values():  # the test images are standardised with the training set's
        assert part.images.dtype == torch.uint8 and part.labels.dtype == torch.int64
        assert part.labels.bincount().tolist() == [len(part) // 10] * 10  # the classes are balanced
        theirs = getattr(torchvision.datasets, found.replace("-", ""))(real_data, part is parts["train_images"])
        assert np.array_equal(part.images.reshape(np.shape(theirs.data)), theirs.data)
        assert part.labels.tolist() == torch.as_tensor(theirs.targets).tolist()
        for mine, other in zip((part.mean, part.std), statistics, strict=True):
            assert mine.tolist() == pytest.approx(other, rel=1e-6)
        assert (part.mean / 255).tolist() == pytest.approx(mean, abs=6e-5)
        assert (part.std / 255).tolist() == pytest.approx(std, abs=6e-5)


# ---- a small set in the format of the published one, on a server of its own ----


@pytest.fixture
def small_fashion(tmp_path, monkeypatch):
    """A folder with Fashion-MNIST's files of 20 and 10 images as they are published, and their checksums in place."""
    random, folder = np.random.default_rng(0), tmp_path / "published"
    folder.mkdir()
    checksums, packed = {}, []
    for part, n in (("train", 20), ("t10k", 10)):
        images = struct.pack(">4i", 2051, n, 28, 28) + random.integers(0, 256, n * 784, np.uint8).tobytes()
        labels = struct.pack(">2i", 2049, n) + (np.arange(n) % 10).astype(np.uint8).tobytes()
        for name, content in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            checksums[f"FashionMNIST/raw/{name}"] = md5(content)
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            packed.append((f"{name}.gz", md5((folder / f"{name}.gz").read_bytes())))
    monkeypatch.setattr(data, "FASHION_MNIST", checksums)
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "resources", packed)
    return folder


@pytest.fixture
def serve(monkeypatch):
    """serve(answer): torchvision then asks a server on the loopback address, where answer(connection, ...) answers."""
    opened = []

    def start(answer):
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), answer)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        opened.append(server)
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        monkeypatch.setattr(torchvision.datasets.FashionMNIST, "mirrors", [address])
        monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", f"{address}cifar-10-python.tar.gz")
        monkeypatch.setenv("no_proxy", "127.0.0.1")

    STALLED.clear()
    yield start
    STALLED.set()
    for server in opened:
        server.shutdown()
        server.server_close()


STALLED = threading.Event()  # ends when the test is over


def silent(*_):
    STALLED.wait()


def stalls(connection, *_):
    """Half of what it promises."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + bytes(100000))
    STALLED.wait()


def no_address(*arguments, **options):
    """As of a name server that does not answer."""
    STALLED.wait()
    raise socket.gaierror


@pytest.mark.filterwarnings("error")  # PyTorch's, of an array that cannot be written
def test_a_small_set_is_read_as_torchvision_reads_its_download(small_fashion, tmp_path, serve):
    before, root = sorted(small_fashion.iterdir()), tmp_path / "downloaded"
    serve(partial(SimpleHTTPRequestHandler, directory=small_fashion))
    for folder in (root, root, small_fashion):  # downloaded, there, and as published
        for train, split in zip((True, False), data.read_fashion_mnist(folder), strict=True):
            theirs = torchvision.datasets.FashionMNIST(root, train)
            assert torch.equal(split.images[..., 0], theirs.data) and torch.equal(split.labels, theirs.targets)
    assert sorted(small_fashion.iterdir()) == before


def test_the_files_of_cifar10_are_those_that_torchvision_downloads():
    """How they are read, the real ones show."""
    theirs = torchvision.datasets.CIFAR10
    listed = *theirs.train_list, *theirs.test_list, (theirs.meta["filename"], theirs.meta["md5"])
    assert data.CIFAR10 == {f"{theirs.base_folder}/{name}": checksum for name, checksum in listed}
    assert data.ARCHIVE == {theirs.filename: theirs.tgz_md5}


def test_debians_package_is_a_place_of_fashion_mnist(small_fashion, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "DEBIAN", small_fashion)
    train, test = data.read_fashion_mnist(tmp_path / "nothing")
    assert (len(train), len(test)) == (20, 10)


def test_a_hostile_pickle_is_refused_unopened(tmp_path):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "payload ran"),)

    (tmp_path / "data_batch_3").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(OSError, match="data_batch_3 is not the published file"):
        data.cifar10(tmp_path)
    assert not (tmp_path / "payload ran").exists()


READERS = pytest.mark.parametrize("read", [data.read_fashion_mnist, data.read_cifar10])


@pytest.mark.slow
@READERS
@pytest.mark.parametrize("answer", [silent, stalls, no_address])
def test_a_server_that_stalls_is_given_up(tmp_path, monkeypatch, serve, read, answer):
    """Once nothing has come for ten seconds, here for one, with the reason; nothing is left then, nor
    when the server wakes up."""
    began, watch = time.monotonic(), published._watched
    monkeypatch.setattr(published, "_watched", lambda download, folder, seconds: watch(download, folder, seconds / 10))
    with monkeypatch.context() as patch, pytest.raises(data.Missing, match="download failed .nothing came for 1.0 sec"):
        if answer is no_address:
            patch.setattr(socket, "getaddrinfo", no_address)
        else:
            serve(answer)
        read(tmp_path / "new")
    assert time.monotonic() - began < 6
    STALLED.set()
    time.sleep(1)
    assert not list(tmp_path.iterdir())

    serve(lambda connection, *_: connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
    with pytest.raises(data.Missing, match="Not Found"):
        read(tmp_path / "new")


# ---- the stand-in ----


@pytest.mark.parametrize(
    "read, shape, size, by_hand",
    [
        (data.fashion_mnist, (28, 28, 1), (60000, 10000), "apt install dataset-fashion-mnist"),
        (data.cifar10, (32, 32, 3), (50000, 10000), "cifar-10-python.tar.gz"),
    ],
)
def test_the_stand_in_takes_the_place_of_missing_data_loudly(
    tmp_path, monkeypatch, capsys, serve, read, shape, size, by_hand
):
    serve(lambda connection, *_: connection.sendall(b"220 mail ready\r\n"))
    made = "stand-in", {"train_images": shape, "test_images": size}
    monkeypatch.setattr(data, "stand_in", lambda shape, train, test: (shape, (train, test)))
    assert read(tmp_path) == made
    said = capsys.readouterr().err
    assert all(part in said for part in ("NO REAL DATA", "220 mail ready", f"put them into {tmp_path}", by_hand))
    monkeypatch.delattr(data, "obtain")  # from here on nothing real is looked for
    assert read(tmp_path, stand_in=True) == made
    assert read(tmp_path, quick=True) == ("stand-in", {"train_images": shape, "test_images": data.QUICK})
    assert not capsys.readouterr().err and not list(tmp_path.iterdir())


def test_the_stand_in_is_deterministic_and_learnable():
    train, test = data.stand_in((28, 28, 1), 1000, 500)
    again, _ = data.stand_in((28, 28, 1), 1000, 500)
    assert torch.equal(train.images, again.images) and train.labels.bincount().tolist() == [100] * 10
    centres = torch.stack([train.images[train.labels == k].double().mean(0).flatten() for k in range(10)])
    nearest = torch.cdist(test.images.double().flatten(1), centres).argmin(1)
    assert (nearest == test.labels).double().mean() == pytest.approx(0.87, abs=0.005)  # below 90 %, and what it was
    assert [train.mean.item(), train.std.item()] == pytest.approx([131.9, 47.6], abs=0.5)
    assert (test.mean, test.std) == (train.mean, train.std)
