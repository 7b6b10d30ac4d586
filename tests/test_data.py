"""Data: what the real sets are, that damage is named, that an epoch is a pure function of seed and number."""

import gzip
import hashlib
import os
import pickle
import re
import socket
import socketserver
import struct
import sys
import threading
import time
from importlib.metadata import version

import numpy as np
import pytest
import torch

from common import data
from common.batches import Batches


@pytest.mark.parametrize(
    "read, train, test, mean, std",
    [
        (data.fashion_mnist, (60000, 28, 28, 1), (10000, 28, 28, 1), [0.2860], [0.3530]),
        (data.cifar10, (50000, 32, 32, 3), (10000, 32, 32, 3), [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
    ],
)
def test_facts_about_the_real_data(real_data, read, train, test, mean, std):
    parts = read(real_data)
    assert [tuple(part.images.shape) for part in parts] == [train, test]
    for part in parts:
        assert part.images.dtype == torch.uint8 and part.labels.dtype == torch.int64
        assert part.labels.bincount().tolist() == [len(part) // 10] * 10  # the classes are balanced
    pixels = parts[0].images.double()  # a second route to the statistics; known to four places
    for part in parts:  # the test images are standardised with the training set's
        assert torch.allclose(part.mean.double(), pixels.mean((0, 1, 2)), rtol=1e-6)
        assert torch.allclose(part.std.double(), pixels.std((0, 1, 2), correction=0), rtol=1e-6)
        assert (part.mean / 255).tolist() == pytest.approx(mean, abs=6e-5)
        assert (part.std / 255).tolist() == pytest.approx(std, abs=6e-5)


@pytest.fixture
def small_fashion(tmp_path, monkeypatch):
    """A folder like Fashion-MNIST's with 20 and 10 images, and its checksums in place of the published ones."""
    random = np.random.default_rng(0)
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    checksums = {}
    for part, n in (("train", 20), ("t10k", 10)):
        images = struct.pack(">4i", 2051, n, 28, 28) + random.integers(0, 256, n * 784, np.uint8).tobytes()
        labels = struct.pack(">2i", 2049, n) + (np.arange(n) % 10).astype(np.uint8).tobytes()
        for name, content in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            (raw / name).write_bytes(content)
            checksums[f"FashionMNIST/raw/{name}"] = hashlib.md5(content).hexdigest()
    monkeypatch.setattr(data, "FASHION_MNIST", checksums)
    return tmp_path


def test_images_and_labels_are_read_as_they_are(small_fashion):
    train, test = data.fashion_mnist(small_fashion)
    raw = (small_fashion / "FashionMNIST/raw/train-images-idx3-ubyte").read_bytes()[16:]
    assert train.images.numpy().tobytes() == raw and test.labels.tolist() == list(range(10))


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def swap(path):
    path.write_bytes(path.with_name("train-images-idx3-ubyte").read_bytes())


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "damage",
    [
        flip,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        swap,
        replace_by_folder,
    ],
    ids=["flipped bit", "empty", "truncated", "another file's content", "a folder"],
)
def test_a_damaged_file_is_named_and_not_replaced(small_fashion, damage):
    victim = small_fashion / "FashionMNIST/raw/t10k-images-idx3-ubyte"
    damage(victim)
    before = victim.is_dir() or victim.read_bytes()
    with pytest.raises(OSError, match="t10k-images-idx3-ubyte") as caught:
        data.fashion_mnist(small_fashion)
    assert not isinstance(caught.value, data.Missing) and "\n" not in str(caught.value)
    assert (victim.is_dir() or victim.read_bytes()) == before


def test_debians_package_is_unpacked_where_the_data_is_missing(small_fashion, tmp_path_factory, monkeypatch, capsys):
    package, folder = tmp_path_factory.mktemp("package"), tmp_path_factory.mktemp("empty")
    for file in (small_fashion / "FashionMNIST/raw").iterdir():
        (package / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    monkeypatch.setattr(data, "DEBIAN", package)
    train, test = data.fashion_mnist(folder)
    expected, _ = data.fashion_mnist(small_fashion)
    assert torch.equal(train.images, expected.images) and len(test) == 10
    assert str(package) in capsys.readouterr().err
    (package / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"something else"))
    (folder / "FashionMNIST/raw/t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(OSError, match="t10k-labels-idx1-ubyte is not the published file"):
        data.fashion_mnist(folder)


def test_a_hostile_pickle_is_refused_unopened(tmp_path):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "payload ran"),)

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_3").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(OSError, match="data_batch_3"):
        data.cifar10(tmp_path)
    assert not (tmp_path / "payload ran").exists()


def test_a_torchvision_that_does_not_import_is_one_line_with_the_versions(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(OSError, match=f"torch {re.escape(version('torch'))}, torchvision ") as caught:
        data.fashion_mnist(tmp_path)
    assert not isinstance(caught.value, data.Missing) and "\n" not in str(caught.value)


def test_missing_data_becomes_the_stand_in_loudly(tmp_path, monkeypatch, capsys):
    def offline(*args, **kwargs):
        raise RuntimeError("no network")

    monkeypatch.setattr("torchvision.datasets.FashionMNIST.download", offline)
    monkeypatch.setattr(data, "stand_in", lambda shape, train, test: (shape, (train, test)))
    with pytest.raises(data.Missing, match="no network"):
        data.fashion_mnist(tmp_path)
    assert data.load("Fashion-MNIST", tmp_path) == ("stand-in", (28, 28, 1), (60000, 10000))
    said = capsys.readouterr().err
    assert "NO REAL DATA" in said and "no network" in said
    assert "put train-images-idx3-ubyte, train-labels-idx1-ubyte" in said and str(tmp_path / "FashionMNIST/raw") in said


@pytest.fixture
def serve(monkeypatch):
    """Return a function: torchvision then asks a server on the loopback address, and answer(connection) answers."""
    opened = []

    def start(answer):
        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                answer(self.request)

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        opened.append(server)
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        monkeypatch.setattr("torchvision.datasets.FashionMNIST.mirrors", [address, address])
        monkeypatch.setattr("torchvision.datasets.CIFAR10.url", f"{address}cifar-10-python.tar.gz")
        monkeypatch.setenv("no_proxy", "127.0.0.1")

    STALLED.clear()
    yield start
    STALLED.set()
    for server in opened:
        server.shutdown()
        server.server_close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
STALLED = threading.Event()  # ends when the test is over


def silent(connection):
    STALLED.wait()


def stalls(connection):
    """Half of what it promises."""
    connection.sendall(OK % 200000 + bytes(100000))
    STALLED.wait()


def no_address(*arguments, **options):
    """As of a name server that does not answer."""
    STALLED.wait()
    raise socket.gaierror


@pytest.mark.slow
@pytest.mark.parametrize("read", [data.fashion_mnist, data.cifar10])
@pytest.mark.parametrize("answer", [silent, stalls, no_address])
def test_a_server_that_stalls_is_given_up(tmp_path, monkeypatch, serve, read, answer):
    """Within 30 seconds, with the reason; what it left blocks no later start."""
    began = time.monotonic()
    with monkeypatch.context() as patch, pytest.raises(data.Missing, match="download failed .nothing came for 10 sec"):
        if answer is no_address:
            patch.setattr(socket, "getaddrinfo", no_address)
        else:
            serve(answer)
        read(tmp_path)
    assert time.monotonic() - began < 30
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(left) == (answer is stalls) and all(path.name.endswith(".gz") for path in left)

    serve(lambda connection: connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
    with pytest.raises(data.Missing, match="Not Found"):
        read(tmp_path)


@pytest.mark.parametrize("read", [data.fashion_mnist, data.cifar10])
def test_an_answer_that_is_no_http_is_a_failed_download(tmp_path, serve, read):
    serve(lambda connection: connection.sendall(b"220 mail ready\r\n"))
    with pytest.raises(data.Missing, match="220 mail ready"):
        read(tmp_path)


def test_a_download_takes_the_place_of_one_that_stopped(small_fashion, monkeypatch, serve, capsys):
    raw, expected = small_fashion / "FashionMNIST/raw", data.fashion_mnist(small_fashion)
    packed = {f"{path.name}.gz": gzip.compress(path.read_bytes()) for path in raw.iterdir()}
    checksums = [(name, hashlib.md5(content).hexdigest()) for name, content in packed.items()]
    monkeypatch.setattr("torchvision.datasets.FashionMNIST.resources", checksums)
    for name, content in packed.items():
        (raw / name.removesuffix(".gz")).unlink()
        (raw / name).write_bytes(content[: len(content) // 2])

    def answer(connection):
        content = packed[connection.recv(4096).split()[1][1:].decode()]
        connection.sendall(OK % len(content) + content)

    serve(answer)
    for part, same in zip(data.fashion_mnist(small_fashion), expected, strict=True):
        assert torch.equal(part.images, same.images) and torch.equal(part.labels, same.labels)


def test_the_stand_in_is_deterministic_and_learnable():
    train, test = data.stand_in((28, 28, 1), 1000, 500)
    again, _ = data.stand_in((28, 28, 1), 1000, 500)
    assert torch.equal(train.images, again.images) and train.labels.bincount().tolist() == [100] * 10
    centres = torch.stack([train.images[train.labels == k].double().mean(0).flatten() for k in range(10)])
    nearest = torch.cdist(test.images.double().flatten(1), centres).argmin(1)
    assert 0.5 < (nearest == test.labels).double().mean() < 1  # not chance, and not so easy that nothing can fail


def test_an_epoch_shows_every_image_once_in_an_order_of_its_own():
    train, _ = data.stand_in((4, 4, 1), 101, 10)
    train = data.Split(train.images, torch.arange(101), train.mean, train.std)

    def order(seed, epoch):
        return torch.cat([labels for _, labels in Batches(train, 8, seed, epoch)]).tolist()

    assert sorted(order(0, 1)) == list(range(101)) == order(None, 1)
    assert order(0, 1) == order(0, 1)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (1, 2)}) == 4
    sizes = [len(labels) for _, labels in Batches(train, 8, 0, 1)]
    assert sizes == [8] * 12 + [5] and len(Batches(train, 8, 0, 1)) == 13


def test_batches_are_standardised_by_the_training_set():
    train, test = data.stand_in((4, 4, 3), 100, 20)
    images = torch.cat([images for images, _ in Batches(train, 7)]).double()
    assert images.shape == (100, 3, 4, 4)
    assert images.mean((0, 2, 3)).abs().max() < 1e-5
    assert (images.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-5
    (unseen, _), *_ = Batches(test, 20)
    by_hand = (test.images[3, 1, 2].double() - train.mean.double()) / train.std.double()
    assert torch.allclose(unseen[3, :, 1, 2].double(), by_hand, atol=1e-5)
