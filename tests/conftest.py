"""What the tests share."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


@pytest.fixture(scope="session")
def root():
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def real_data():
    """The folder of the real data sets; the test is skipped where they are not."""
    folder = ROOT / "data"
    if not (folder / "FashionMNIST").is_dir() or not (folder / "cifar-10-batches-py").is_dir():
        pytest.skip("the real data is not in data/")
    return folder
