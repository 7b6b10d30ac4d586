"""The figure style, and the few kinds of axes that the figures are made of. No pyplot, no global state."""

import io
import textwrap
from contextlib import contextmanager
from itertools import cycle

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from PIL import Image

STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.xmargin": 0.02,
    "lines.linewidth": 1.6,
    "figure.dpi": 150,
}
# Okabe & Ito's colours, which stay apart in the common colour-vision deficiencies; line styles go with them.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C564B", "#999999")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (2, 1)), (0, (1, 2)), (0, (6, 1, 1, 1)))


def look(number):
    """Return the colour and the line style of line `number`: there are 81, then they start again."""
    turn, place = divmod(number, len(COLOURS))
    return {"color": COLOURS[place], "linestyle": LINES[(place + turn) % len(LINES)]}


@contextmanager
def style():
    """To the end of the block draw in STYLE and otherwise by matplotlib's defaults, whatever a matplotlibrc says."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


class Picture(Figure):
    """A figure that can be saved, so that who saves it need not know matplotlib."""

    def save(self, file):
        """Write it as PNG into an open binary file: the same bytes for the same versions, few of them."""
        drawn = io.BytesIO()
        with style():
            self.savefig(drawn, format="png")
        # A palette takes a third of the bytes and no visible colour.
        Image.open(drawn).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)


def figure(title, panels=1, height=3.4, note=None, sharey=True):
    """Return a Picture and its list of axes, side by side; `title` states the finding, `note` what is shown."""
    with style():
        made = Picture(figsize=(5.6 if panels == 1 else max(7.4, 2.4 * panels), height), layout="constrained")
        axes = made.subplots(1, panels, sharey=sharey, squeeze=False)[0]
        lines = textwrap.fill(title, 62 if panels == 1 else 84)
        made.suptitle(lines, x=0.01, ha="left", fontsize=10.5, fontweight="bold")
        if note:
            made.supxlabel(note, x=0.01, ha="left", fontsize=7.5, color="0.35")
    return made, list(axes)


def source(record):
    """Say what data a figure is of."""
    return "GENERATED DATA (stand-in)" if record["data"] == "stand-in" else record["data"]


def caption(record, seen):
    """Say what a figure shows: its data, what is seen of it, and how many entries there are where some are missing."""
    made = sum(len(part) for part in record.values() if isinstance(part, list))
    missing = f"; so far {made} of {record['planned']} runs" if made < record["planned"] else ""
    return f"{source(record)}; {seen}{missing}"


def band(*seeds):
    """Say what curve() draws of so many seeds; several numbers where the curves differ in it."""
    number = " or ".join(map(str, sorted({*seeds})))
    return f"line: mean of {number} seeds, band: smallest to largest" if {*seeds} - {1} else "one seed"


def draw(title, panels, finish, note, sharey=True, marker=""):
    """Return a Picture with one panel per (heading, curves) pair, each finished by finish(axes).

    curves: (label, x, values) triples. values [x][seed] were measured; values [x] are theory and drawn thin and
    dashed: in grey, or without a label in the colour of the measured curve before them.
    """
    made, each = figure(title, len(panels), note=note, sharey=sharey)
    for axes, (heading, curves) in zip(each, panels):
        number, greys = -1, cycle(("0.2", "0.6"))
        for label, x, values in curves:
            if np.ndim(values) == 2:
                number += 1
                curve(axes, x, values, label, number).set_marker(marker)
            else:
                colour = next(greys) if label else look(number)["color"]
                axes.plot(x, values, color=colour, linestyle="--", linewidth=1, label=label or "_theory")
        axes.set_title(heading, fontsize=9)
        finish(axes)
        if axes is not each[0] and sharey:
            axes.set_ylabel("")
    return made


def curve(axes, x, values, label, number):
    """Draw the mean over seeds of `values` [x][seed] as line `number`, with a band from the smallest to the largest.

    A value that is not finite leaves a gap.
    """
    values = np.array(values, dtype=float)
    (line,) = axes.plot(x, values.mean(1), label=label, **look(number))
    if values.shape[1] > 1:
        axes.fill_between(x, values.min(1), values.max(1), color=line.get_color(), alpha=0.18, linewidth=0)
    return line


def accuracy(axes, name="test accuracy", bottom=0.0):
    """Finish axes of the accuracy `name` over epochs: percent, the level of chance, labels at the line ends."""
    axes.set(xlabel="epoch", ylabel=name, ylim=(bottom, 1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _percent(axes)
    end_labels(axes)


def _percent(axes):
    """Let the ordinate of these axes be an accuracy in percent, with the level of chance."""
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.axhline(0.1, color="0.6", linewidth=0.8, linestyle=(0, (1, 3)))


def limits(groups):
    """Return the decades (floor, ceiling) around all positive numbers of nested lists, and whether there are zeros."""
    values = np.concatenate([np.array(values, dtype=float).ravel() for group in groups for values in group])
    positive = values[(values > 0) & np.isfinite(values)]
    if not len(positive):
        return 1e-10, 1.0, True
    zeros = bool((values == 0).any())
    floor = np.floor(np.log10(positive.min())) - zeros
    return 10.0**floor, 10.0 ** max(np.ceil(np.log10(positive.max())), floor + 1), zeros


def norms(groups):
    """Return the function that finishes log axes of norms over epochs, all with the range that holds `groups`.

    Zeros, which a log axis would drop, are drawn on a marked floor.
    """
    floor, ceiling, zeros = limits(groups)

    def finish(axes):
        axes.set_ylim(floor / (2 if zeros else 1), ceiling)
        axes.set(xlabel="epoch (0: before training)", ylabel="gradient norm of the layer", yscale="log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if zeros:
            axes.axhline(floor, color="0.5", linewidth=0.8)
            axes.annotate(
                "0", (0, floor), xycoords=("axes fraction", "data"), xytext=(2, 2), textcoords="offset points"
            )
            for line in axes.get_lines():
                line.set_ydata(np.maximum(line.get_ydata(), floor))
        end_labels(axes)

    return finish


def per_layer(name):
    """Return the function that finishes axes of the quantity `name` over the layers; log where there is any."""

    def finish(axes):
        positive = any((line.get_ydata() > 0).any() for line in axes.get_lines())
        axes.set(xlabel="layer", ylabel=name, yscale="log" if positive else "linear")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        end_labels(axes)

    return finish


def by_depth(axes):
    """Finish axes over the number of hidden layers; log where the values span decades."""
    values = np.concatenate([line.get_ydata() for line in axes.get_lines()])
    axes.set(xlabel="hidden layers", yscale="log" if values.min() > 0 else "linear")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    end_labels(axes)


def end_labels(axes, size=8):
    """Write each curve's label behind its end, pushed apart where two would overlap."""
    lines = [line for line in axes.get_lines() if not line.get_label().startswith("_")]
    transform = axes.transScale + axes.transLimits  # data -> fraction of the axes
    ends = []
    for line in lines:
        x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
        last = np.flatnonzero(np.isfinite(y))
        if len(last):
            ends.append([transform.transform((x[last[-1]], y[last[-1]]))[1], line])
    ends.sort(key=lambda end: end[0])
    gap = size / 72 * 1.25 / (axes.figure.get_figheight() * 0.72)
    for _ in range(200):  # relax: neighbours that are too near push each other away
        for low, high in zip(ends, ends[1:]):
            overlap = gap - (high[0] - low[0])
            if overlap > 1e-9:
                low[0], high[0] = low[0] - overlap / 2, high[0] + overlap / 2
        for i, end in enumerate(ends):
            end[0] = min(max(end[0], gap * (i + 0.5)), 1 - gap * (len(ends) - i - 0.5))
    for height, line in ends:
        axes.annotate(
            line.get_label(),
            (1.0, height),
            xycoords="axes fraction",
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=size,
            color=line.get_color(),
        )


def marks(axes, x, y, failed, label, number):
    """Draw one mark per point in the shape and colour of `number`, and a cross where it failed."""
    done = [(a, b) for a, b, bad in zip(x, y, failed) if not bad]
    lost = [(a, b) for a, b, bad in zip(x, y, failed) if bad]
    style = {"color": look(number)["color"], "linestyle": "", "clip_on": False, "zorder": 3}
    axes.plot(*zip(*done or [(np.nan, np.nan)]), marker="osD^v"[number % 5], label=label, **style)
    axes.plot(*zip(*lost or [(np.nan, np.nan)]), marker="x", markersize=7, markeredgewidth=2, **style)


def rates(axes, name):
    """Make these axes of an accuracy, `name`, against the learning rate, with the level of chance."""
    axes.set(xlabel="learning rate", ylabel=name, xscale="log", ylim=(0, 1))
    _percent(axes)
