"""Every number and every comparison of theory/1b, and of the index of the theory."""

import math
import re
from fractions import Fraction
from pathlib import Path

import mpmath
import numpy as np
from claims import Page
from documents import Document
from test_theory_1a import THEORY, exact
from test_theory_1b import SLOPES, TEXT, entering, sigma, sigma_slope, slopes_product, supremum
from test_theory_1b_networks import (
    BAND,
    NETWORKS,
    ROWS,
    SCATTER,
    SCATTER_ORTHOGONAL,
    SHEET,
    fixed_point,
    predicted,
    wide,
)

from common import theory

NAMES = ()


def test_page():
    page = Page(TEXT, "1b", NAMES)
    items(page)
    sheets_network(page)
    wide_layers(page)
    print(*page.unchecked(), sep="\n")
    assert page.unchecked() == []
    page.every_digit_matters()


def items(page):
    n, x, small, large = 20, 1, 0.7, 1.5
    page.says(
        r"At $`n = {}`$ and $`x = {}`$ this is {} for $`w = {}`$ and {} for $`w = {}`$.",
        *(n, x, x * small ** (n - 2), small, x * large ** (n - 2), large),
    )
    page.says(r"lies between 0 and $`\frac{1}{4}\tanh\frac{1}{4} = {}`$", math.tanh(0.25) / 4)
    page.says(r"$`\tanh(\sigma(-1)/2) = {}`$", math.tanh(sigma(-1) / 2))
    best = {k: supremum(k) for k in SLOPES}
    page.table("slopes $`k`$", [(k, Fraction(1, 4**k), top, top * 4**k, -v) for k, (top, v) in best.items()])
    v, H = (float(mpmath.findroot(lambda v: 1 / (1 + mpmath.exp(sign * v)) - v, 0.5)) for sign in (1, -1))
    page.says(r"$`v^* = \sigma(-v^*) = {}`$", v)
    page.says(r"$`\sigma'(v^*) = {}`$ instead of {}.", sigma_slope(v), 0.25)
    page.says(r"$`H_3 = \sigma(1) = {}`$", entering(3))
    page.says(r"$`H_4 = \sigma(\sigma(1)) = {}`$", entering(4))
    page.says(r"falls towards {}, where $`H = \sigma(H)`$", H, true=entering(3) > entering(4) > entering(30) > H - 1e-9)
    widths, variance = (8, 2, 4), 1 / 2
    derived = np.cumprod([into * variance for into in widths[:-1]])
    page.says(r"In a network $`{} \to {} \to {}`$ with $`\mathrm{Var}(W) = {}/{}`$", *widths, 1, 2)
    rows = [(i + 1, widths[i], widths[i + 1], derived[i], widths[i + 1] * variance) for i in range(2)]
    page.table("layer", rows)
    page.says(r"in a layer $`{} \to {}`$ that multiplies the variance by $`{}/{} = {}`$", 784, 50, 784, 50, 784 / 50)


def sheets_network(page):
    sheet = {label: predicted(name, activation) for label, (name, activation) in ROWS.items()}
    product = {label: theory.signal(found.factor, 1.0)[0] for label, found in sheet.items()}
    page.says(r"has the widths {}, {}, {}, {}, {}, {}.", *SHEET)
    rows = [(label, *found.factor, product[label]) for label, found in sheet.items()]
    page.table("the sheet's network", [*rows, ("the crude bound, 1/4 per layer", *[theory.CRUDE] * 4, theory.CRUDE**4)])
    default, xavier, best = (product[f"Sigmoid, {name}"] for name in ("default", "Xavier", "tanh's gain, fan-out"))
    page.says(r"is {} times smaller than at the output; with ReLU {} times.", 1 / default, 1 / product["ReLU, default"])
    page.says(r"Xavier gains a factor of {} over the default", xavier / default)
    page.says(r"and loses a factor of {} from the output", 1 / xavier)
    page.says(r"better than Xavier by a factor of {} and loses a factor of {}.", best / xavier, 1 / best)
    gain4, from_2 = sheet["Sigmoid, gain 4 in all layers"], sheet["Sigmoid, gain 4 from layer 2 on"]
    page.says(r"it gives $`q_1 = {}`$ and saturates", gain4.variance[0])
    page.says(r"$`f_1`$ is {} instead of {}.", gain4.factor[0], from_2.factor[0])
    page.says(r"Over {} random networks", NETWORKS)
    page.says(r"lies within {} of $`f_l`$", BAND)
    page.says(r"scatters around it, by {} to {} (standard deviation)", *SCATTER)
    page.says(r"with orthogonal weights by less than {}.", SCATTER_ORTHOGONAL)
    page.says(r"in the table, to $`{}`$ of what it is in layer 1", default**2)


def wide_layers(page):
    deep = wide(16.0, 4000, centred=True)
    found = {
        "Sigmoid, default": ((1, 3), *fixed_point(1 / 3)),
        "Sigmoid, Xavier": (1, *fixed_point(1.0)),
        "Sigmoid, default method with a = 0": (2, *fixed_point(2.0)),
        "Sigmoid, tanh's gain": ((25, 9), *fixed_point(25 / 9)),
        "Sigmoid, gain 4": (16, *fixed_point(16.0)),
        "Sigmoid, gain 4, centred biases": (16, deep.variance[-1], deep.factor[-1]),
        "Sigmoid, gain 6, centred biases": (36, *fixed_point(36.0, 0.5)),
        "ReLU, default": ((1, 3), wide(1 / 3, 60, "relu").variance[-1], wide(1 / 3, 60, "relu").factor[-1]),
    }
    page.table("wide layers", [(label, g2, q, f, f**4) for label, (g2, q, f) in found.items()])
    page.says(r"below $`g/4 = {}`$", math.sqrt(1 / 3) / 4)
    page.says(r"the factor stays at {}.", found["Sigmoid, gain 4"][2])
    below = [theory.signal(wide(16.0, 1000, centred=True).factor[:n], 1.0)[0] for n in (100, 1000)]
    page.says(r"a hundred layers cost a factor of {}, a thousand {}.", *below)
    page.says(r"grows by {} per layer going back", found["Sigmoid, gain 6, centred biases"][2] - 1)


def test_index():
    """The index prints true numbers and names tests that exist."""
    page = Page((THEORY / "README.md").read_text(encoding="utf-8"), "theory/README.md")
    page.given("0", "1", "2", "4", "50", "30", "64")  # the sheet's own
    page.says("the first steps differ by {}.", exact("RMSProp, PyTorch")[0]["dw_x"] - exact("RMSProp")[0]["dw_x"])
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_theory_1*.py"))
    named = re.findall(r"`(test_\w+)`", page.text)
    assert named and [name for name in named if f"def {name}(" not in tests] == []
    assert Document.unchecked(page) == []  # it compares nothing of its own
    page.every_digit_matters()
