"""The published files of a data set, as verified bytes in memory: found as people have them, or downloaded."""

import gzip
import hashlib
import io
import os
import shutil
import tarfile
import threading
import zlib
from contextlib import contextmanager, suppress
from http.client import HTTPException
from importlib.metadata import distributions
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock


class Missing(OSError):
    """The published files are not there and could not be downloaded; nothing is damaged."""


def obtain(reader, root, checksums, by_hand, folders=(), archives=()):
    """Yield (name, content) of every file of `checksums`, which maps names below the folder `root` to an MD5.

    A file lies under its name, in `root` itself or in one of `folders`, gzipped or not, or in one of the tar files
    `archives` (by name in `root`, with their MD5). The rest is downloaded by torchvision's class `reader`. Raises
    OSError where a file is not the published one, and Missing, which ends in `by_hand`, where a download fails; that
    leaves nothing behind.
    """
    root, missing = Path(root), dict(checksums)
    if os.path.lexists(root) and not root.is_dir():
        raise OSError(f"--data must be a folder (got {root}). Expected below it: {next(iter(checksums))}")
    for name, path, content in _found(root, checksums, folders, archives):
        yield name, _verified(path, content, missing.pop(name))
    if not missing:
        return
    datasets = _torchvision()
    try:
        with _temporary(next(folder for folder in (root, *root.parents) if folder.is_dir())) as folder:
            _watched(lambda: getattr(datasets, reader)(folder, download=True), folder, 10)
            contents = {name: _verified(root / name, (folder / name).read_bytes(), missing[name]) for name in missing}
            for name in missing:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).replace(root / name)  # whole or not at all: it is the same file system
    except (OSError, RuntimeError, HTTPException) as error:
        names, why = ", ".join(Path(name).name for name in missing), " ".join(str(error).split())
        raise Missing(
            f"{names} not below {root}, and the download failed ({why}). By hand: put them into {root}, {by_hand}"
        ) from None
    yield from contents.items()


def _found(root, names, folders, archives):
    """Yield (name, path, content) of each of the names that is there, unpacked, from the first place that has it."""
    packed = {}
    for name in map(Path, names):
        places = root / name.parent, root, *folders
        for path in (place / f"{name.name}{ending}" for place in places for ending in ("", ".gz")):
            content = _read(path)
            if content is not None:
                yield name.as_posix(), path, _unpacked(content)
                break
        else:
            packed[name.name] = name.as_posix()
    for archive, checksum in dict(archives).items():
        content = _read(root / archive) if packed else None
        if content is not None:
            try:
                with tarfile.open(fileobj=io.BytesIO(content)) as tar:
                    for member in tar:
                        path = root / archive / member.name
                        if member.isfile() and path.name in packed:
                            yield packed.pop(path.name), path, tar.extractfile(member).read()
            except (OSError, EOFError, tarfile.TarError, zlib.error):
                _verified(root / archive, content, checksum)


def _read(path):
    """The bytes of a file, None where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OSError(f"cannot read {path} ({error.strerror}). Expected the published file") from None


def _unpacked(content):
    """What was gzipped, whatever the name says; what was not, or is damaged, as it is: its checksum tells."""
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return content


def _verified(path, content, checksum):
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != checksum:
        raise OSError(
            f"{path} is not the published file (got checksum {found}, expected {checksum}). "
            "Move it away to have it downloaded"
        )
    return content


def _torchvision():
    """Import torchvision.datasets, which takes a second; one that was built for another torch fails at its import."""
    try:
        from torchvision import datasets
    except (ImportError, RuntimeError) as error:
        packages = [package for name in ("torch", "torchvision") for package in distributions(name=name)]
        found = ", ".join(f"{package.name} {package.version}" for package in packages)
        raise OSError(
            f"torchvision does not go with torch (got {found}: {error}). Install requirements.txt anew"
        ) from None
    return datasets


@contextmanager
def _temporary(home):
    """Make a folder in the folder `home` that is gone afterwards, as are those that killed processes left there."""
    for left in home.glob(".download-*"):
        with suppress(OSError), FileLock(left / "lock", timeout=0):  # a timeout is one: its process is at work
            shutil.rmtree(left, ignore_errors=True)
    with TemporaryDirectory(prefix=".download-", dir=home, ignore_cleanup_errors=True) as folder:
        with FileLock(Path(folder) / "lock"):
            yield Path(folder)


def _watched(download, folder, seconds):
    """Call download(), which has no limit of its own; TimeoutError once no file in `folder` has grown for so long.

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
        before, size = size, sum(path.lstat().st_size for path in folder.rglob("*"))
        if size == before:
            raise TimeoutError(f"nothing came for {seconds} seconds")
        thread.join(seconds)
    if errors:
        raise errors[0]
