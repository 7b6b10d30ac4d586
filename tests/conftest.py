"""What the tests share."""

import io
import os
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from started import Ended, Folder, until

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ["OMP_NUM_THREADS"] = "1"  # read where torch is imported: two tests at a time take a core each
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the tests are of a CPU, also where there is a GPU
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


@pytest.fixture(scope="session")
def call(places):
    """Return a function that does what a script does, within this process: its runs are trained on such a cluster, or
    on that of an address.

    call(folder, *flags) returns how it Ended.
    """
    from tests import third

    def called(folder, *flags, script=third, address=None, **kind):
        cluster, code, out, err = None if address else places(**kind), 0, io.StringIO(), io.StringIO()
        flags = "--scheduler", address or cluster.scheduler_address, *folder.flags, *flags
        ending = signal.getsignal(signal.SIGTERM)
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", [script.__file__, *flags])
            patch.setattr(sys, "unraisablehook", sys.unraisablehook)  # which a script changes
            try:
                script.experiment.main(script.__doc__)
            except SystemExit as end:
                code = end.code
        signal.signal(signal.SIGTERM, ending)
        assert address or until(lambda: not any(worker.state.executing for worker in cluster.workers.values()))
        assert "Traceback" not in err.getvalue(), err.getvalue()
        return Ended(code, out.getvalue(), err.getvalue())

    return called


@pytest.fixture(scope="session")
def whole(call, tmp_path_factory):
    """The third exercise undisturbed: (its Folder, how it Ended)."""
    folder = Folder(tmp_path_factory.mktemp("whole ä"))
    return folder, call(folder)


@pytest.fixture
def third(whole, tmp_path):
    """A Folder for the third exercise, with all that the undisturbed one made."""
    return Folder(tmp_path).copy_of(whole[0], "out", "runs")
