"""What the tests share."""

import os
import signal
import sys
from pathlib import Path

import pytest
from started import Ended, Folder, ended, until

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ["OMP_NUM_THREADS"] = "1"  # read where torch is imported: two tests at a time take a core each
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell lets ignore what it starts in the background


def pytest_collection_modifyitems(items):
    """The long ones first, so that no process is left alone with one."""
    items.sort(key=lambda item: item.path.name not in ("test_reference.py", "test_stand_in.py"))


@pytest.fixture(scope="session")
def real_data():
    """The folder of the real data sets; the test is skipped where a file of them is missing."""
    from common import data

    folder = ROOT / "data"
    if not all((folder / name).is_file() for name in (*data.FASHION_MNIST, *data.CIFAR10)):
        pytest.skip("the real data is not in data/")
    return folder


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """The third exercise as its script trains it on this machine, undisturbed: (its Folder, how it Ended)."""
    folder = Folder(tmp_path_factory.mktemp("whole ä"))
    return folder, ended(folder.start("--jobs", "1"))


@pytest.fixture
def third(whole, tmp_path):
    """A Folder for the third exercise, with all that the undisturbed one made."""
    return Folder(tmp_path).copy_of(whole[0], "out", "runs")


@pytest.fixture(scope="session")
def places():
    """Return a function that starts a Dask cluster of one worker within this process, once for each kind of worker."""
    from distributed import LocalCluster

    made = {}

    def of(**options):
        kind = repr(options)
        if kind not in made:
            one = {"n_workers": 1, "threads_per_worker": 1, "host": "127.0.0.1", "protocol": "tcp://"}
            made[kind] = LocalCluster(processes=False, dashboard_address=":0", memory_limit=0, **one | options)
        return made[kind]

    yield of
    for cluster in made.values():
        cluster.close()


@pytest.fixture
def call(places, monkeypatch, capsys):
    """Return a function that does what a script does, within this process: its runs are trained on such a cluster, or
    on that of an address.

    call(folder, *flags) returns how it Ended.
    """
    from tests import third

    ending = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)  # which a script changes

    def called(folder, *flags, script=third, address=None, **kind):
        cluster, code = None if address else places(**kind), 0
        flags = "--scheduler", address or cluster.scheduler_address, *folder.flags, *flags
        monkeypatch.setattr(sys, "argv", [script.__file__, *flags])
        capsys.readouterr()
        try:
            script.experiment.main(script.__doc__)
        except SystemExit as end:
            code = end.code
        assert address or until(lambda: not any(worker.state.executing for worker in cluster.workers.values()))
        said = capsys.readouterr()
        assert "Traceback" not in said.err, said.err
        return Ended(code, said.out, said.err)

    yield called
    signal.signal(signal.SIGTERM, ending)
