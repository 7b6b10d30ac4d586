"""Exercise 2a as shipped: the script, its record, its figures, and the committed results."""

import io
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from shipped import without

import ex2a_vanishing as script
from common import data, plots, runs, train
from figures import ex2a

VOLATILE = "seconds", "versions", "machine"


def run(root, *arguments, **options):
    command = [sys.executable, str(root / "ex2a_vanishing.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


def results(folder):
    record = json.loads((folder / "ex2a.json").read_text())
    return {key: value for key, value in record.items() if key not in VOLATILE}


@pytest.fixture
def quick(whole):
    """The folder that `--quick` filled; the runs lie beside it."""
    return whole("2a").folder


def test_the_record_has_every_arm_in_full(whole, quick):
    assert all(arm.name in whole("2a").stdout for arm in script.ARMS)
    record = runs.read_record(quick / "out/ex2a.json")
    assert [arm["name"] for arm in record["arms"]] == [arm.name for arm in script.ARMS] and len(script.ARMS) == 17
    epochs, seeds = 2, 2
    assert record["data"] == "stand-in" and record["machine"]["threads"] == 1
    assert (record["settings"]["epochs"], record["settings"]["seeds"]) == (epochs, seeds)
    assert {"batch_size": 64, "lr": 0.005, "momentum": 0}.items() <= record["settings"].items()
    for arm in record["arms"]:
        layers = len(arm["hidden"]) + 1
        assert np.shape(arm["test_accuracy"]) == (epochs, seeds)
        assert all(0 <= accuracy <= 1 for accuracy in np.ravel(arm["test_accuracy"]))
        for kind in ("weights", "biases", "signal"):
            assert np.shape(arm["gradient_norm"][kind]) == (layers, epochs, seeds)
            assert np.shape(arm["initial"][kind]) == (layers, seeds)
        assert np.shape(arm["layer_variance"]) == (layers, seeds) and len(arm["predicted"]["signal"]) == layers
        assert len(arm["status"]) == seeds
    # One that collapses does not keep the others from their end.
    assert {status for arm in record["arms"] for status in arm["status"]} == {"ok", "collapsed"}
    assert [entry["init"] for entry in record["search"]] == [arm.init for arm in script.CANDIDATES]
    assert len(record["depth"]) == len(script.DEPTHS) * len(script.DEPTH_ARMS)


@pytest.mark.parametrize("name", ["sigmoid 50-30-30-30 gain4", "sigmoid 50-30-30 xavier_normal", "relu 50-30 default"])
def test_an_arm_trained_alone_gives_the_entry_that_it_has_beside_others(quick, name):
    """Whatever trains beside it, and whichever its place: products of other shapes differ by float32 rounding only."""
    record = runs.read_record(quick / "out/ex2a.json")
    (arm,) = [arm for arm in script.ARMS if arm.name == name]
    (entry,) = [entry for entry in record["arms"] if entry["name"] == name]
    _, images, test = data.load("Fashion-MNIST", "", quick=True)
    (alone,) = script.train([arm], script.Settings(epochs=2, seeds=2), images, test, train.Unsaved())
    assert np.allclose(alone["test_accuracy"], entry["test_accuracy"], atol=0.005)  # two of 500 images
    for kind in ("weights", "biases", "signal"):
        assert np.allclose(alone["initial"][kind], entry["initial"][kind], rtol=1e-4)
        assert np.allclose(alone["gradient_norm"][kind], entry["gradient_norm"][kind], rtol=1e-3)
    assert np.allclose(alone["layer_variance"], entry["layer_variance"], rtol=1e-2)
    assert np.allclose(alone["predicted"]["signal"], entry["predicted"]["signal"], rtol=1e-4)
    assert not np.allclose(
        alone["initial"]["weights"], [layer[0] for layer in alone["gradient_norm"]["weights"]], rtol=1e-3
    )


def test_the_figures_gradient_norm_joins_weights_and_biases_and_starts_before_training(quick):
    arm = runs.read_record(quick / "out/ex2a.json")["arms"][3]
    totals = ex2a.total_norms(arm)
    assert np.shape(totals) == (5, 3, 2)
    before, during = arm["initial"], arm["gradient_norm"]
    assert totals[0][0][1] == pytest.approx(math.hypot(before["weights"][0][1], before["biases"][0][1]))
    assert totals[4][2][0] == pytest.approx(math.hypot(during["weights"][4][1][0], during["biases"][4][1][0]))


def test_a_finished_experiment_started_again_trains_nothing_and_gives_the_same_record(root, quick):
    before = results(quick / "out")
    states = {path: path.stat().st_mtime_ns for path in (quick / "runs").glob("*.pt")}
    assert run(root, "--quick", "--out", quick / "out", "--runs", quick / "runs").returncode == 0
    assert results(quick / "out") == before
    assert {path: path.stat().st_mtime_ns for path in (quick / "runs").glob("*.pt")} == states and states


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "3"])
def test_results_do_not_depend_on_how_many_runs_go_side_by_side(root, quick, tmp_path, jobs):
    done = run(root, "--quick", "--out", tmp_path / "out", "--runs", tmp_path / "runs", "--jobs", jobs)
    assert done.returncode == 0 and f" {jobs} process" in done.stderr
    assert results(tmp_path / "out") == results(quick / "out")


def test_plot_only_redraws_the_same_bytes_without_torch(root, quick):
    pictures = {path: path.read_bytes() for path in (quick / "out").glob("*.png")}
    assert len(pictures) == 23 and max(map(len, pictures.values())) < 80_000
    for path in pictures:
        path.unlink()
    code = "import sys, runpy; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__'); "
    code += "assert 'torch' not in sys.modules"
    script = [str(root / "ex2a_vanishing.py"), "--plot-only", "--out", str(quick / "out")]
    done = subprocess.run([sys.executable, "-c", code, *script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert {path: path.read_bytes() for path in (quick / "out").glob("*.png")} == pictures


def test_the_drawn_lines_equal_the_record(quick):
    record = runs.read_record(quick / "out/ex2a.json")
    drawn = dict(ex2a.figures(record))
    (axes,) = drawn["ex2a_accuracy_relu.png"].axes
    for line, arm in zip(labelled(axes), ex2a.pick(record, "relu"), strict=True):
        assert list(line.get_xdata()) == [1, 2]
        assert line.get_ydata() == pytest.approx([sum(row) / 2 for row in arm["test_accuracy"]])
    for arm in ex2a.pick(record, "sigmoid"):
        (axes,) = drawn[f"ex2a_norms_sigmoid_{'-'.join(map(str, arm['hidden']))}.png"].axes
        assert axes.get_yscale() == "log"
        for line, layer in zip(labelled(axes), ex2a.total_norms(arm), strict=True):
            assert list(line.get_xdata()) == [0, 1, 2]
            assert line.get_ydata() == pytest.approx([sum(row) / 2 for row in layer])
    ranges = {
        drawn[f"ex2a_norms_{activation}_{widths}.png"].axes[0].get_ylim()
        for activation in ("sigmoid",)
        for widths in ("50", "50-30", "50-30-30", "50-30-30-30")
    }
    assert len(ranges) == 1  # the same vertical range within an activation


def labelled(axes):
    return [line for line in axes.get_lines() if not line.get_label().startswith("_")]


def test_nothing_runs_out_of_a_figure(quick):
    """Titles, labels and notes lie within the picture; layout="constrained" does not see to titles."""
    for name, made in ex2a.figures(runs.read_record(quick / "out/ex2a.json")):
        plots.save(made, io.BytesIO())
        texts = [*made.texts, made._suptitle, made._supxlabel, *(text for axes in made.axes for text in axes.texts)]
        for text in texts:
            box = text.get_window_extent().transformed(made.transFigure.inverted())
            assert box.x0 > -0.005 and box.x1 < 1.005 and box.y0 > -0.005 and box.y1 < 1.005, (name, text.get_text())


def test_zeros_are_drawn_on_a_marked_floor():
    values = [[1e-3, 1e-3], [0.0, 0.0], [1e-5, 1e-5]]
    made = plots.draw("title", [("", [("layer 1", range(3), values)])], plots.norms([[values]]), "note")
    (axes,) = made.axes
    (line,) = labelled(axes)
    floor = line.get_ydata()[1]
    assert 0 < floor < 1e-5 and list(line.get_ydata()) == [1e-3, floor, 1e-5] and axes.get_ylim()[0] < floor
    assert [text.get_text() for text in axes.texts if text.xy == (0, floor)] == ["0"]


@pytest.mark.parametrize("diverged", [slice(4, 5), slice(None)], ids=["one", "all"])
def test_diverged_arms_are_drawn_and_tabled(quick, diverged):
    record = runs.read_record(quick / "out/ex2a.json")
    for arm in record["arms"][diverged]:
        arm["gradient_norm"]["weights"] = [[[math.nan] * 2] * 2 for _ in arm["gradient_norm"]["weights"]]
        arm["layer_variance"] = [[math.nan] * 2 for _ in arm["layer_variance"]]
        arm["status"] = ["non-finite"] * 2
    assert ex2a.table(record).count("2 non-finite") == len(record["arms"][diverged])
    for _, made in ex2a.figures(record):
        plots.save(made, io.BytesIO())


def test_usage_and_help_answer_without_torch(root, tmp_path):
    for arguments, code in ((["--help"], 0), (["--epochs", "0"], 2)):
        assert run(root, *arguments, env=without("torch", tmp_path)).returncode == code


# The committed results.


@pytest.fixture(scope="module")
def committed(root):
    return runs.read_record(root / "figures/ex2a.json")


def test_the_committed_record_is_the_experiment_of_the_sheet(committed):
    assert committed["data"] == "Fashion-MNIST"
    settings = {"epochs": 20, "seeds": 5, "batch_size": 64, "lr": 0.005, "train_images": 60000, "test_images": 10000}
    assert settings.items() <= committed["settings"].items()
    assert [arm["name"] for arm in committed["arms"]] == [arm.name for arm in script.ARMS]
    for arm in committed["arms"]:
        assert np.shape(arm["test_accuracy"]) == (20, 5)
        assert all(
            (accuracy * 10000) == pytest.approx(round(accuracy * 10000)) for accuracy in arm["test_accuracy"][-1]
        )


def test_the_rescue_was_chosen_on_held_out_images(committed):
    means = {entry["init"]: np.mean(entry["held_out_accuracy"]) for entry in committed["search"]}
    assert max(means, key=means.get) == script.RESCUE


def test_the_rescue_brings_the_deepest_sigmoid_net_from_chance_to_84_percent(committed):
    default = ex2a.pick(committed, "sigmoid", hidden=list(script.DEEPEST))
    (rescue,) = ex2a.pick(committed, "sigmoid", script.RESCUE)
    assert set(default["test_accuracy"][-1]) == {0.1} and set(default["status"]) == {"collapsed"}
    assert min(rescue["test_accuracy"][-1]) >= 0.84
