"""What the tests share."""

import sys
from pathlib import Path

import pytest
from shipped import Experiment

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


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """Return, for an exercise, the experiment that nothing disturbed, with what it printed; made once."""
    made = {}

    def of(exercise):
        if exercise not in made:
            made[exercise] = one = Experiment(exercise, tmp_path_factory.mktemp(f"whole ä {exercise}"))
            process = one.start()
            one.stdout, one.stderr = process.communicate(timeout=300)
            assert process.returncode == 0, one.stderr
        return made[exercise]

    return of
