"""The kinds of axes that figures are made of, and rare records: of failures, stopped early, of one epoch."""

import math
import random
import re

import numpy as np
import pytest
from made_up import SEEDS, record_2a, record_2b
from matplotlib.colors import to_rgb

from common import plots
from figures import arms, ex2a, ex2b, searches


def test_a_curve_has_a_gap_where_a_seed_has_no_number():
    with plots.style():
        _, (axes,) = plots.figure("two seeds")
        line = plots.curve(axes, [1, 2, 3], [[1, 2], [math.nan, 2], [3, 4]])
    np.testing.assert_array_equal(line.get_ydata(), [1.5, math.nan, 3.5])


def test_a_line_leads_from_the_end_of_a_curve_to_a_label_that_was_pushed():
    with plots.style():
        made, (left, right) = plots.figure("title", 2)
        for axes, ends in ((left, {"a": 1.0, "b": 1.1, "alone": 9.0}), (right, {"high": 20.0, "low": 0.0})):
            for label, end in ends.items():
                plots.curve(axes, [1, 2], [[0.0], [end]], label)
        plots.finish(made)
    for axes in (left, right):
        low, high = axes.get_ylim()
        lines = {line.get_label(): line for line in axes.get_lines()}
        leaders = {one.xy: one for one in axes.texts if not one.get_text()}
        for text in filter(lambda text: text.get_text(), axes.texts):
            line = lines.pop(text.get_text())
            assert text.xy == pytest.approx((1, (line.get_ydata()[-1] - low) / (high - low)))
            if axes is left:
                leader = leaders.pop(text.xy)
                assert leader.xyann == text.xyann
                assert leader.arrow_patch.get_edgecolor()[:3] == to_rgb(line.get_color())
        assert not lines and not leaders
    heights = {text.get_text(): text.xyann[1] for text in left.texts if text.get_text()}
    assert heights["a"] < heights["b"] - 0.04 and heights["b"] < heights["alone"] < 0.5


def test_a_zero_is_drawn_on_a_floor_below_all_else():
    with plots.style():
        _, panels = plots.figure("two panels", 2)
        for axes, values in zip(panels, ([0, 3e-4, 0.5], [2, 3, 4])):
            axes.plot(values)
        plots.log(*panels)
    assert [axes.get_ylim() for axes in panels] == [(pytest.approx(1e-5), 10)] * 2
    assert panels[0].get_lines()[0].get_ydata().tolist() == [1e-5, 3e-4, 0.5]
    assert [[text.get_text() for text in axes.texts] for axes in panels] == [["0"], []]


def test_a_learning_rate_has_the_same_colour_in_both_exercises():
    whole, other = record_2a(random.Random(0)), record_2b(random.Random(0))
    with plots.style():
        pictures = *ex2a.trainings(arms.Arms(whole)), *ex2b.epochs(other, searches.arms(other["runs"]))
    assert plots.rate_colour(0) == plots.rate_colour(1e-5) != plots.rate_colour(1e-4)
    for _, picture in pictures:
        lines = [line for axes in picture.axes for line in axes.get_lines() if not line.get_label().startswith("_")]
        rates = [float(re.search(r"(?:SGD |Adam |^)([\d.e-]+)", line.get_label())[1]) for line in lines]
        assert len({*rates}) > 2
        for line, lr in zip(lines, rates):
            assert to_rgb(line.get_color()) == pytest.approx(plots.rate_colour(lr)[:3], abs=0.01), line


def test_what_did_not_end_well_is_drawn():
    whole, other = record_2a(random.Random(0)), record_2b(random.Random(0))
    for number, one in enumerate(whole["arms"] + whole["depth"]):
        bad = [math.nan, 0.0][number % 2]
        for kinds in (one["gradient_norm"], one["initial"]):
            kinds |= {kind: np.full(np.shape(values), bad).tolist() for kind, values in kinds.items()}
        one |= {"status": ["non-finite"] * SEEDS, "layer_variance": [[bad] * SEEDS] * len(one["layer_variance"])}
    other["runs"] = [run | {"status": "collapsed"} for run in other["runs"]]
    for one in whole["activations"]:
        one["counts"] = np.zeros_like(one["counts"]).tolist()  # histc counts no nan
    for module, record in ((ex2a, whole), (ex2b, other)):
        for _, picture in module.draw(record):
            picture.set_layout_engine("none")  # which takes the most time
            picture.draw_without_rendering()
        entries = [entry for part in record.values() if isinstance(part, list) for entry in part]
        assert all("\n" not in module.line(entry) for entry in entries) and module.table(record)


def test_what_was_stopped_before_its_first_arm_is_drawn():
    record = record_2a(random.Random(1))
    for part, rest in (("activations", 0), ("depth", 0), ("plateau", 1)):
        record = record | {"arms": [], part: record[part][:rest]}
        assert [name for name, _ in ex2a.draw(record)] and ex2a.table(record)
    ((_, picture),) = ex2a.draw(record)
    assert picture.get_suptitle() == "Test accuracy after more epochs"
    assert not [*ex2a.draw(record | {"plateau": []})]


def test_nothing_grey_is_said_of_no_curve():
    record = record_2a(random.Random(0))
    record["arms"] = [one for one in record["arms"] if one["init"] in ("default", "xavier_normal")]
    with plots.style():
        ((_, picture),) = ex2a.deepest(arms.Arms(record))
    assert "grey" not in picture.get_supxlabel()


def test_one_epoch_is_seen_and_long_names_leave_no_panel():
    """Also where no arm has a short name, as after --quick, which rescues nothing."""
    whole, other = record_2a(random.Random(1)), record_2b(random.Random(1))
    for one in whole["arms"]:
        one |= {"test_accuracy": one["test_accuracy"][:1], "status": ["ok"] * SEEDS}
        one["gradient_norm"] = {kind: [rows[:1] for rows in norms] for kind, norms in one["gradient_norm"].items()}
    whole["depth"] += [one | {"init": "gain8_from_layer2_centred"} for one in whole["depth"]]
    for run in other["runs"]:
        run |= {key: values[:1] for key, values in run.items() if key.endswith("_accuracy") and "final" not in key}
    other["settings"]["epochs"] = 1
    assert "last 1: training" in ex2b.table(other)
    for module, record in ((ex2a, whole), (ex2b, other)):
        record["settings"]["epochs"] = 1
        for name, picture in module.draw(record):
            picture.draw_without_rendering()
            for axes in filter(lambda axes: axes.axison, picture.axes):
                assert all(len(line.get_xdata()) > 1 or line.get_marker() != "None" for line in axes.get_lines())
                cell = picture.bbox.width / axes.get_subplotspec().get_gridspec().ncols
                assert axes.get_window_extent().width > 0.3 * cell, name
                assert axes._left_title.get_window_extent().width < cell, (name, axes)
