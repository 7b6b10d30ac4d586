"""The figure style, the colours, and the few kinds of axes that the figures are made of. No pyplot, no global state."""

import math
import textwrap
from contextlib import contextmanager

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import offset_copy
from PIL import Image

STYLE = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # so that its place, the same, need not be sought
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.xmargin": 0.02,
    "lines.linewidth": 1.6,
    "figure.dpi": 240,
}
# Okabe & Ito's colours, which stay apart in the common colour-vision deficiencies; line styles go with them.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#8C564B", "#999999")
LINES = "-", "--", "-.", ":"
CHANCE = "dotted: one class in ten"  # what percent() draws


def layer_colour(layer, layers):
    """The colour of layer 1, 2, ... of so many: from orange to purple, and the last one, the output layer, black."""
    return "black" if layer == layers else matplotlib.colormaps["plasma"](0.82 - 0.24 * (layer - 1))


def rate_colour(lr):
    """The colour of a learning rate, from violet at 1e-5 to yellow at 1: the same in all panels."""
    return matplotlib.colormaps["viridis"]((1 + math.log10(min(max(lr, 1e-5), 1)) / 5) * 0.92)


def depth_colour(depth):
    """The colour of a network of so many hidden layers, the darker the deeper."""
    return matplotlib.colormaps["YlGnBu"](min(0.12 + 0.22 * depth, 1))


def ink(colour):
    """The colour of a text about a curve of this colour: darkened where it would be pale on white."""
    rgb = np.array(matplotlib.colors.to_rgb(colour))
    return rgb * min(1, 0.55 / max(rgb @ (0.2126, 0.7152, 0.0722), 0.01))


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
        canvas = FigureCanvasAgg(self)
        with style():
            canvas.draw()
        image = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba()).convert("RGB")
        # A palette takes a third of the bytes and no visible colour; its white is one.
        image = image.quantize(128, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        image.putpalette([255 if value > 250 else value for value in image.getpalette()])
        image.save(file, "PNG")


def wrap(text, width):
    """Break a text into as few lines as this width allows, of about the same length; "a = 0" stays whole."""
    if len(text) <= width:
        return text
    text = text.replace(" = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}")
    lines = len(textwrap.wrap(text, width))
    return next(filled for less in range(1, width + 1) if (filled := textwrap.fill(text, less)).count("\n") < lines)


def figure(title, panels=1, height=3.4, note=None, sharey=True):
    """Return a Picture and its list of axes, row by row; `title` states the finding, `note` what is shown.

    panels: how many, side by side, or (rows, columns). sharey: as matplotlib's. To be called, as what is then drawn
    into the axes, within style().
    """
    rows, columns = panels if isinstance(panels, tuple) else (1, panels)
    made = Picture(figsize=(7.5, height), layout="constrained")
    axes = made.subplots(rows, columns, sharey=sharey, squeeze=False)
    made.suptitle(wrap(title, 84), x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    if note:
        made.supxlabel(wrap(note, 128), x=0.01, ha="left", fontsize=7.5, color="0.35")
    return made, list(axes.flat)


def caption(record, *seen):
    """Say what a figure shows: its data, what is seen of it, and how many entries there are where some are missing."""
    source = "GENERATED DATA (stand-in)" if record["data"] == "stand-in" else record["data"]
    made = sum(len(part) for part in record.values() if isinstance(part, list))
    missing = [f"so far {made} of {record['planned']} runs"] if made < record["planned"] else []
    return "; ".join([source, *seen, *missing])


def band(*seeds):
    """Say what curve() draws of so many seeds; several numbers where the curves differ in it."""
    number = " or ".join(map(str, sorted({*seeds})))
    return f"mean of {number} seeds, band: smallest to largest" if {*seeds} - {1} else "one seed"


def curve(axes, x, values, label="", **style):
    """Draw the mean over seeds of `values` [x][seed], with a band from the smallest to the largest.

    A value that is not finite leaves a gap. An empty label is not written.
    """
    values = np.array(values, dtype=float)
    point = {"marker": "o"} if len(x) == 1 else {}  # which a line does not show
    (line,) = axes.plot(x, values.mean(1), label=label or "_", **point | style)
    if values.shape[1] > 1:
        low, high = values.min(1), values.max(1)
        look = {"color": line.get_color(), "alpha": 0.18, "linewidth": 0 if len(x) > 1 else 4}  # one point has no width
        axes.fill_between(x, low, high, **look)
    return line


def theory(axes, x, values, **style):
    """Draw what theory says: thin and dashed."""
    axes.plot(x, values, **{"color": "black", "linestyle": "--", "linewidth": 1} | style)


def over(axes, xlabel, ylabel, heading=""):
    """Say what axes over whole numbers show."""
    axes.set(xlabel=xlabel, ylabel=ylabel, title=heading)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))


def percent(axes, chance=True):
    """Let the ordinate be an accuracy in percent: from 0 to 1 with the level of chance, or zoomed to what is drawn."""
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.6g}%")
    if chance:
        axes.set_ylim(0, 1)
        axes.axhline(0.1, color="0.6", linewidth=0.8, linestyle=(0, (1, 3)))


def log(*panels, also=()):
    """Let the ordinates be logarithmic with one range, the decades around `also` and what is drawn in all these axes.

    Zeros, which such an axis would drop, are drawn on its floor, a decade lower.
    """
    lines = [line for axes in panels for line in axes.get_lines()]
    zeros = any((np.asarray(line.get_ydata()) == 0).any() for line in lines)
    low = min([axes.dataLim.minposy for axes in panels] + [value for value in also if value > 0])
    high = max([axes.dataLim.y1 for axes in panels] + [value for value in also if math.isfinite(value)])
    if not 0 < low <= high:  # nothing positive
        low, high = 1e-9, 1
    floor = 10.0 ** (math.floor(math.log10(low)) - zeros)
    for axes in panels:
        for line in axes.get_lines():
            if (np.asarray(line.get_ydata()) == 0).any():
                line.set(ydata=np.maximum(line.get_ydata(), floor), clip_on=False)
                axes.annotate("0", (0, 0), (2, 2), "axes fraction", "offset points")
        axes.set(yscale="log", ylim=(floor, 10 * floor if high <= 10 * floor else 10.0 ** math.ceil(math.log10(high))))
        axes.minorticks_off()


def end_labels(axes, size=8):
    """Write each curve's label behind its end, pushed apart where two would overlap.

    A thin line leads to a label that was pushed; where curves are dashed a sample of its curve stands before each.
    """
    grid = axes.get_subplotspec().get_gridspec()
    most = max(20, 48 // grid.ncols)  # letters in a line
    axes.get_ylim()  # which settles the limits
    transform = axes.transScale + axes.transLimits  # data -> fraction of the axes
    ends = []
    for line in axes.get_lines():
        x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
        last = np.flatnonzero(np.isfinite(y))
        if len(last) and not line.get_label().startswith("_"):
            end = transform.transform((x[last[-1]], y[last[-1]]))[1]
            ends.append([end, line, min(max(end, 0), 1), wrap(line.get_label(), most)])
    ends.sort(key=lambda end: end[0])
    gap = size / 72 * 1.25 / (axes.figure.get_figheight() * 0.72 / grid.nrows)  # a line of text, in heights of a panel
    room = [gap * (1 + text.count("\n")) for *_, text in ends]
    for _ in range(200):  # relax: neighbours that are too near push each other away
        for i, (low, high) in enumerate(zip(ends, ends[1:])):
            overlap = (room[i] + room[i + 1]) / 2 - (high[0] - low[0])
            if overlap > 1e-9:
                low[0], high[0] = low[0] - overlap / 2, high[0] + overlap / 2
        for i, end in enumerate(ends):
            end[0] = min(max(end[0], sum(room[:i]) + room[i] / 2), 1 - sum(room[i + 1 :]) - room[i] / 2)
    dashed = any(line.is_dashed() for _, line, *_ in ends)
    pushed = any(abs(height - end) > gap / 4 for height, _, end, _ in ends)
    near = 14 if pushed else 4  # points behind the axes
    right, sample, behind = (
        offset_copy(axes.transAxes, axes.figure, x, units="points") for x in (0, near, near + 24 * dashed)
    )
    for height, line, end, text in ends:
        look = {"va": "center", "fontsize": size, "color": ink(line.get_color())}
        axes.annotate(text, (1, end), (1, height), right, behind, **look)
        stroke = {"arrowstyle": "-", "shrinkA": 2, "shrinkB": 0, "color": line.get_color()}
        if pushed:
            axes.annotate("", (1, end), (1, height), right, sample, arrowprops=stroke | {"linewidth": 0.6})
        if dashed:
            stroke |= {"linewidth": line.get_linewidth(), "linestyle": line.get_linestyle()}
            axes.annotate("", (1, height), (1, height), sample, behind, arrowprops=stroke)


def finish(made):
    """Write the labels at the line ends where no legend has them, and what panels share at the outer ones only; wrap
    headings to the width of their panels."""
    panels = [axes for axes in made.axes if axes.axison]
    places = [(axes.get_subplotspec().rowspan.start, axes.get_subplotspec().colspan.start) for axes in panels]
    for axes, (row, column) in zip(panels, places):
        axes.set_title(wrap(axes.get_title("left"), 100 // axes.get_subplotspec().get_gridspec().ncols), loc="left")
        if not axes.get_legend():
            end_labels(axes)
        joined = [place for place, other in zip(places, panels) if axes.get_shared_y_axes().joined(axes, other)]
        below = [other for (y, x), other in zip(places, panels) if y > row and x == column]
        left = not any(y == row and x < column for y, x in joined)
        bottom = not any(other.get_xlim() == axes.get_xlim() for other in below)
        axes.tick_params(labelleft=left, labelbottom=bottom)
        if not left:
            axes.set_ylabel("")
        if not bottom:
            axes.set_xlabel("")
    return made
