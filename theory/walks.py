"""Exercise 1a. Where do SGD, AdaGrad, RMSProp and Adam take one Sigmoid neuron in three steps?

    python -m theory.walks          print every value of every step and draw theory/walks.png

The tables are those of theory/1a_adaptive_learning_rates.md, computed in double precision by the loop that the text
describes, for w_x and w_y separately; that the two walk as mirror images is a result here, not an assumption.
"""

import math
import re
from pathlib import Path

from common import plots  # first, since it says what is not installed
from common.experiment import records

import numpy as np

X, Y, TARGET = 1.0, -1.0, 1.0  # the two inputs and the target
START = (-1.0, 1.0)  # w_x, w_y
STEP_SIZE, DELTA = 1.0, 1e-8  # the sheet's epsilon and delta
RHO, RHO_1, RHO_2 = 0.9, 0.9, 0.999  # decay rates of RMSProp and of Adam's first and second moment
STEPS = 3


def loss(w_x, w_y):
    """Return the pre-activation z, the output o and the loss (t - o)^2 of the neuron."""
    z = w_x * X + w_y * Y
    o = 1 / (1 + math.exp(-z))
    return z, o, (TARGET - o) ** 2


def gradient(o):
    """Return dL/dw_x and dL/dw_y for the output o (exercise 1a.1)."""
    common = -2 * (TARGET - o) * o * (1 - o)
    return common * X, common * Y


# One rule per optimizer: from the gradient g, the number k of the step and the memory of one weight (empty before
# the first step) to the update of that weight. What a rule keeps in its memory is what the table shows.


def sgd(g, k, memory):
    """Step against the gradient."""
    return -STEP_SIZE * g


def adagrad(g, k, memory):
    """Divide by the root of the sum of all squared gradients (Goodfellow et al., algorithm 8.4)."""
    memory["r"] = memory.get("r", 0.0) + g * g
    memory["sqrt(r)"] = math.sqrt(memory["r"])
    memory["delta + sqrt(r)"] = DELTA + memory["sqrt(r)"]
    return -STEP_SIZE / memory["delta + sqrt(r)"] * g


def rmsprop(g, k, memory):
    """Divide by the root of a decaying mean of squares, delta inside the root (Goodfellow et al., algorithm 8.5)."""
    memory["r"] = RHO * memory.get("r", 0.0) + (1 - RHO) * g * g
    memory["sqrt(delta + r)"] = math.sqrt(DELTA + memory["r"])
    return -STEP_SIZE / memory["sqrt(delta + r)"] * g


def rmsprop_outside(g, k, memory):
    """Do the same with delta outside the root, as torch.optim.RMSprop does."""
    memory["r"] = RHO * memory.get("r", 0.0) + (1 - RHO) * g * g
    memory["sqrt(r)"] = math.sqrt(memory["r"])
    memory["delta + sqrt(r)"] = DELTA + memory["sqrt(r)"]
    return -STEP_SIZE / memory["delta + sqrt(r)"] * g


def adam(g, k, memory):
    """Divide the corrected mean by the root of the corrected mean square (Goodfellow et al., algorithm 8.7)."""
    memory["s"] = RHO_1 * memory.get("s", 0.0) + (1 - RHO_1) * g
    memory["r"] = RHO_2 * memory.get("r", 0.0) + (1 - RHO_2) * g * g
    memory["s^"] = memory["s"] / (1 - RHO_1**k)
    memory["r^"] = memory["r"] / (1 - RHO_2**k)
    memory["sqrt(r^)"] = math.sqrt(memory["r^"])
    memory["sqrt(r^) + delta"] = memory["sqrt(r^)"] + DELTA
    return -STEP_SIZE * memory["s^"] / memory["sqrt(r^) + delta"]


RULES = {"SGD": sgd, "AdaGrad": adagrad, "RMSProp": rmsprop, "RMSProp, PyTorch": rmsprop_outside, "Adam": adam}


def walk(rule, steps=STEPS):
    """Return one dict per step: z, o, L, g_x, g_y, the memory of both weights, their updates dw and new values w."""
    (w_x, w_y), memory_x, memory_y, rows = START, {}, {}, []
    for k in range(1, steps + 1):
        z, o, squared = loss(w_x, w_y)
        g_x, g_y = gradient(o)
        dw_x, dw_y = rule(g_x, k, memory_x), rule(g_y, k, memory_y)
        w_x, w_y = w_x + dw_x, w_y + dw_y
        kept = {of(key, weight): m[key] for key in memory_x for weight, m in (("x", memory_x), ("y", memory_y))}
        row = {"z": z, "o": o, "L": squared, "g_x": g_x, "g_y": g_y, **kept}
        rows.append(row | {"dw_x": dw_x, "dw_y": dw_y, "w_x": w_x, "w_y": w_y})
    return rows


def of(key, weight):
    """Return the name of what a memory keeps as `key`, for one weight: sqrt(r) of x is sqrt(r_x)."""
    return re.sub(r"\b([rs]\^?)(?!\w)", rf"\1_{weight}", key)


def table(rows):
    """Lay the values of a walk out as lines of text, one quantity each, with eight significant digits.

    What is the same for both weights in every step stands in one line, named after x.
    """
    lines = []
    for name in rows[0]:
        twin = re.sub(r"_[xy]\b", lambda weight: {"_x": "_y", "_y": "_x"}[weight[0]], name)
        if twin == name or "_x" in name or any(row[name] != row[twin] for row in rows):
            lines.append(f"{name:>18}" + "".join(f"{row[name]:#16.8g}" for row in rows))
    return "\n".join(lines)


def hops(axes, places, bows, colour, size):
    """Draw a walk over places (w, loss) as bent arrows, each bowed out by a part of its length, and dots of a size."""
    for start, end, bow in zip(places, places[1:], bows):
        bent = {"connectionstyle": f"arc3,rad={bow}", "shrinkA": 2, "shrinkB": 2}
        axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": colour, **bent})
    axes.plot(*zip(*places[1:]), "o", color=colour, markersize=size)


@plots.style()
def draw(path):
    """Draw the walks as hops along the curve of the loss over w = w_x, with w_y = -w."""
    first = {name: walk(rule, 1)[0]["dw_x"] for name, rule in RULES.items()}
    made, (axes,) = plots.figure(
        "First step: SGD {SGD:.2f}, AdaGrad and Adam {Adam:.2f}, RMSProp {RMSProp:.2f}".format(**first),
        note="three steps with step size 1 from w = -1 along w_x = w, w_y = -w; arrows only join the ends of a step",
    )
    near = axes.inset_axes([0.775, 0.56, 0.215, 0.36], xlim=(2.1585, 2.1785), ylim=(1.56e-4, 1.76e-4))
    for panel in (axes, near):
        curve = np.linspace(*panel.get_xlim(), 300) if panel is near else np.linspace(-1.6, 2.75, 300)
        panel.plot(curve, [loss(w, -w)[-1] for w in curve], color="0.75", linewidth=3)
    looks = {  # how far each hop bows out from the curve; where the name is written; the size of the dots
        "SGD": ((-0.5, -0.5, -0.5), (-0.24, 0.47), 4.5),
        "AdaGrad": ((0.22, 0.35, 0.35), (0.24, -0.065), 7.5),  # its first lies under that of Adam
        "RMSProp": ((-0.42, -0.42, -0.42), (-0.2, 0.82), 4.5),
        "Adam": ((0.55, -0.4, -0.4), (0.8, 0.28), 4.5),
    }
    for colour, (name, (bows, label, size)) in zip((plots.COLOURS[place] for place in (1, 3, 2, 0)), looks.items()):
        walked = [START[0]] + [row["w_x"] for row in walk(RULES[name])]
        places = [(w, loss(w, -w)[-1]) for w in walked]
        hops(axes, places, bows, colour, size)
        axes.text(*label, f"{name} ends at {walked[-1]:.2f}", color=colour, fontsize=9)
        if name == "RMSProp":
            hops(near, places[1:], bows[1:], colour, size)
            near.plot(*places[1], "o", color=colour, markersize=size)
            near.set_title("RMSProp, steps 2 and 3", fontsize=7.5, color=colour)
    near.set(xticks=[2.165, 2.175], yticks=[1.6e-4, 1.7e-4], yticklabels=["1.6e-4", "1.7e-4"])
    near.tick_params(labelsize=6.5)
    axes.indicate_inset_zoom(near, edgecolor="0.4")
    axes.plot(*places[0], "o", color="black", markersize=5)
    axes.set(xlabel="w", ylabel="loss  (t - o)²", xlim=(-1.6, 2.75), ylim=(-0.09, 1.0))
    with records.atomic(path) as file:
        made.save(file)


def main():
    """Print every value of every step, then draw the figure."""
    for name, rule in RULES.items():
        print(f"{name}\n{table(walk(rule))}\n")
    draw(Path(__file__).with_name("walks.png"))


if __name__ == "__main__":
    main()
