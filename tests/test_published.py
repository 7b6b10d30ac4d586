"""Published files: found as people have them, damage named, and a download that fails leaves nothing behind."""

import gzip
import hashlib
import io
import multiprocessing
import os
import re
import signal
import sys
import tarfile
import threading
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from common import published

FILES = {f"set/raw/{name}": np.random.default_rng(0).bytes(1000 + len(name)) for name in ("images", "labels", "names")}


def md5(content):
    return hashlib.md5(content).hexdigest()


def lay(files, root, place=str, pack=bytes):
    for name, content in files.items():
        path = Path(root) / place(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pack(content))


def tar(files, root, mode="w:gz"):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    lay({"set.tar.gz": packed.getvalue()}, root)


def tree(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.fixture
def obtain(tmp_path, monkeypatch):
    """obtain(root, download) of FILES, which may lie in the folder "package" too; download(folder) is torchvision's."""

    def offline(folder):
        raise RuntimeError("no\nnetwork")

    def call(root, download=offline):
        reader = SimpleNamespace(Set=lambda folder, download: call.download(folder))
        call.download = download
        monkeypatch.setattr(published, "_torchvision", lambda: reader)
        checksums = {name: md5(content) for name, content in FILES.items()}
        packed = {"set.tar.gz": "0" * 32}  # what counts is what is in it
        return dict(published.obtain("Set", root, checksums, "by hand", [tmp_path / "package"], packed))

    return call


# ---- where files are found ----

LAYOUTS = {
    "torchvision's": lay,
    "directly": partial(lay, place=os.path.basename),
    "gzipped": partial(lay, place=lambda name: f"{Path(name).name}.gz", pack=gzip.compress),
    "gzipped in torchvision's": partial(lay, place="{}.gz".format, pack=partial(gzip.compress, compresslevel=1)),
    "gzipped by name only": partial(lay, place=lambda name: f"{Path(name).name}.gz"),
    "a package's": lambda files, root: LAYOUTS["gzipped"](files, root.parent / "package"),
    "a tar file": tar,
    "a tar file packed anew": partial(tar, mode="w:xz"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("first", [0, 1])
def test_files_are_found_as_people_have_them_and_nothing_is_written(obtain, tmp_path, layout, first):
    """All in one place, or the first in torchvision's folder and only the others there."""
    lay(dict([*FILES.items()][:first]), tmp_path / "root")
    LAYOUTS[layout](dict([*FILES.items()][first:]), tmp_path / "root")
    before = tree(tmp_path)
    assert obtain(tmp_path / "root") == FILES and tree(tmp_path) == before


def test_what_nobody_needs_may_be_damaged(obtain, tmp_path):
    lay(FILES, tmp_path)
    lay({"set/raw/images.gz": b"half", "images": b"of another set", "set.tar.gz": b"half"}, tmp_path)
    assert obtain(tmp_path) == FILES


def cut(end):
    return lambda path: path.write_bytes(path.read_bytes()[:end])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def garble(path):
    """No gzip header is damaged by it, but what follows it."""
    content = path.read_bytes()
    path.write_bytes(content[:10] + b"\xff" * 40 + content[50:])


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [flip, garble, cut(0), cut(500), cut(-100), replace_by_folder])
@pytest.mark.parametrize(
    "layout, victim",
    [
        ("torchvision's", "set/raw/labels"),
        ("directly", "labels"),
        ("gzipped", "labels.gz"),
        ("a tar file", "set.tar.gz"),
    ],
)
def test_a_damaged_file_is_named_and_not_replaced(obtain, tmp_path, layout, victim, damage):
    LAYOUTS[layout](FILES, tmp_path)
    damage(tmp_path / victim)
    before = tree(tmp_path), damage is replace_by_folder or (tmp_path / victim).read_bytes()
    says = "cannot read .*{}" if damage is replace_by_folder else "{}.* is not .*got checksum .*, expected "
    with pytest.raises(OSError, match=says.format(victim)) as caught:
        obtain(tmp_path, lambda folder: lay(FILES, folder))
    assert not isinstance(caught.value, published.Missing) and "\n" not in str(caught.value)
    if layout == "torchvision's" and damage is not replace_by_folder:
        sums = md5((tmp_path / victim).read_bytes()), md5(FILES[victim])
        assert "(got checksum {}, expected {}). Move it away".format(*sums) in str(caught.value)
    assert before == (tree(tmp_path), damage is replace_by_folder or (tmp_path / victim).read_bytes())


def test_a_file_for_the_folder(obtain, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for root, says in (("file", "must be a folder"), ("link", "must be a folder"), ("file/data", "cannot read")):
        with pytest.raises(OSError, match=says) as caught:
            obtain(tmp_path / root)
        assert not isinstance(caught.value, published.Missing)


# ---- downloads ----


@pytest.mark.parametrize("there", [{}, {"notes": b""}, dict([*FILES.items()][:2]), {"images": FILES["set/raw/images"]}])
def test_a_download_lays_out_what_is_missing_and_nothing_else(obtain, tmp_path, there):
    root = tmp_path / "new" / "data ä"
    lay(there, root)
    assert obtain(root, lambda folder: lay(FILES | {"set/raw/images.gz": b"", "more": b""}, folder)) == FILES
    expected = there | {name: content for name, content in FILES.items() if os.path.basename(name) not in there}
    found = {name: (tmp_path / name).read_bytes() for name in tree(tmp_path) if (tmp_path / name).is_file()}
    assert found == {f"new/data ä/{name}": content for name, content in expected.items()}
    assert obtain(root) == FILES


ASLEEP = threading.Event()  # never set


@pytest.mark.parametrize("how", [RuntimeError, KeyboardInterrupt, SystemExit, "another content"])
@pytest.mark.parametrize("there", [{}, dict([*FILES.items()][:2])])
def test_a_download_that_fails_leaves_nothing_behind(obtain, tmp_path, how, there):
    def download(folder):
        lay(dict.fromkeys(FILES, b"something else"), folder)
        if how is RuntimeError:
            raise RuntimeError("no\nnetwork")
        if how != "another content":
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            ASLEEP.wait()

    def stop(*_):
        raise how

    root = tmp_path / "new" / "data ä"
    lay(there, root)
    before, handler = tree(tmp_path), signal.signal(signal.SIGINT, stop)
    try:
        with pytest.raises(how if isinstance(how, type) and how is not RuntimeError else published.Missing) as caught:
            obtain(root, download)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert tree(tmp_path) == before
    if how is RuntimeError:
        names = "names" if there else "images, labels, names"
        assert str(caught.value) == (
            f"{names} not below {root}, and the download failed (no network). By hand: put them into {root}, by hand"
        )


def test_what_a_killed_download_left_is_cleaned_by_the_next(obtain, tmp_path):
    def download(folder):
        lay({"set/raw/images": b"half"}, folder)
        ASLEEP.wait()

    process = multiprocessing.get_context("fork").Process(target=obtain, args=(tmp_path, download))
    process.start()
    while not list(tmp_path.glob(".*/set/raw/images")):
        time.sleep(0.01)
    with pytest.raises(published.Missing):
        obtain(tmp_path)
    assert list(tmp_path.glob(".*/set/raw/images"))  # it is at work
    process.kill()
    process.join()
    assert obtain(tmp_path, lambda folder: lay(FILES, folder)) == FILES
    assert tree(tmp_path) == ["set", "set/raw", *sorted(FILES)]


def test_a_download_that_grows_slowly_is_waited_for_and_one_that_does_not_grow_is_given_up(tmp_path):
    """Wherever below the folder it grows."""

    def download(pieces, pause):
        for _ in range(pieces):
            lay({"set/raw/images": b"x" * (tmp_path / "set/raw/images").stat().st_size + b"x"}, tmp_path)
            time.sleep(pause)

    lay({"set/raw/images": b""}, tmp_path)
    published._watched(partial(download, 15, 0.1), tmp_path, 1)  # a second, since a busy machine may pause itself
    with pytest.raises(TimeoutError, match="nothing came for 1 seconds"):
        published._watched(partial(download, 1, 5), tmp_path, 1)


@pytest.mark.parametrize("error", ["ImportError", "RuntimeError"])
def test_a_torchvision_that_does_not_import_is_one_line_with_the_versions(tmp_path, monkeypatch, error):
    lay({"torchvision.py": f"raise {error}('of another torch')".encode()}, tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    with pytest.raises(OSError, match=f"torch {re.escape(version('torch'))}, torchvision ") as caught:
        list(published.obtain("Set", tmp_path, {"name": ""}, ""))
    assert not isinstance(caught.value, published.Missing) and "\n" not in str(caught.value)
