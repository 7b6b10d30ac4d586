"""Exercise 1a: closed formulas in 50 digits, the loop of theory/walks.py and torch.optim agree; so does the page."""

import inspect
import math
import re
from functools import cache
from pathlib import Path

import matplotlib
import mpmath
import PIL
import pytest
import torch
from documents import Document, every_digit_matters
from mpmath import mpf

from theory import walks

THEORY = Path(walks.__file__).parent
PAGE = THEORY / "1a_adaptive_learning_rates.md"
DRAWN_WITH = "3.11.2", "13.0.0"  # matplotlib and Pillow, which drew walks.png

mpmath.mp.dps = 50
DELTA, RHO, RHO_1, RHO_2 = mpf("1e-8"), mpf("0.9"), mpf("0.9"), mpf("0.999")

# In double precision a walk of three steps is right to about 1e-15, and 1e-12 leaves room for other machines; the
# smallest effect of moving delta that has to be seen is 9e-8 (AdaGrad and Adam, first step).
TOLERANCE = 1e-12


def height(w):
    """Return o and L for w_x = w, w_y = -w: sigma(2w) = (1 + tanh w)/2."""
    o = (1 + mpmath.tanh(w)) / 2
    return o, (1 - o) ** 2


def slope(w, factor=1):
    """Return dL/dw_x as half the slope of L(w) = (1 - tanh w)^2 / 4, times a factor of the loss."""
    t = mpmath.tanh(w)
    return -factor * (1 - t) * (1 - t**2) / 4


def mean(values, rho):
    """Return the exponentially weighted sum (1 - rho) sum_i rho^(k-i) v_i, written out instead of recursively."""
    return (1 - rho) * sum(rho ** (len(values) - i) * v for i, v in enumerate(values, 1))


def closed(name, gradients, swap=False):
    """Return the memory and the update of the last step from all gradients; `swap` puts delta in the other place."""
    g, k, squares = gradients[-1], len(gradients), [g * g for g in gradients]

    def root(r, inside):
        return mpmath.sqrt(DELTA + r) if inside != swap else DELTA + mpmath.sqrt(r)

    if name == "SGD":
        return {}, -g
    if name == "AdaGrad":
        r = mpmath.fsum(squares)
        return {"r": r}, -g / root(r, inside=False)
    if name.startswith("RMSProp"):
        r = mean(squares, RHO)
        return {"r": r}, -g / root(r, inside=name == "RMSProp")
    s, r = mean(gradients, RHO_1), mean(squares, RHO_2)
    s_hat, r_hat = s / (1 - RHO_1**k), r / (1 - RHO_2**k)
    return {"s": s, "r": r, "s^": s_hat, "r^": r_hat}, -s_hat / root(r_hat, inside=False)


@cache
def exact(name, factor=1, swap=False):
    """Return the rows of walks.walk in 50 digits, for w_x by closed formulas and for w_y by the symmetry."""
    w, gradients, rows = mpf(-1), [], []
    for _ in range(3):
        o, loss = height(w)
        gradients.append(slope(w, factor))
        memory, dw = closed(name, gradients, swap)
        w += dw
        row = {"o": o, "L": loss, "g_x": gradients[-1], "g_y": -gradients[-1]}
        for key, value in memory.items():
            row |= {f"{key}_x": value, f"{key}_y": -value if key.startswith("s") else value}
        rows.append(row | {"dw_x": dw, "dw_y": -dw, "w_x": w, "w_y": -w})
    return rows


TORCH = {
    "SGD": lambda weights: torch.optim.SGD(weights, lr=1),
    "AdaGrad": lambda weights: torch.optim.Adagrad(weights, lr=1, eps=1e-8),
    "RMSProp, PyTorch": lambda weights: torch.optim.RMSprop(weights, lr=1, alpha=0.9, eps=1e-8),
    "Adam": lambda weights: torch.optim.Adam(weights, lr=1, eps=1e-8),
}
KEPT = {"AdaGrad": {"r": "sum"}, "RMSProp, PyTorch": {"r": "square_avg"}, "Adam": {"s": "exp_avg", "r": "exp_avg_sq"}}


def by_torch(name, dtype=torch.float64):
    """Return what autograd and torch.optim know of each step: o, L, both gradients, the memory, both weights."""
    weights = torch.tensor(walks.START, dtype=dtype, requires_grad=True)
    inputs = torch.tensor([walks.X, walks.Y], dtype=dtype)
    optimizer, rows = TORCH[name]([weights]), []
    for _ in range(3):
        optimizer.zero_grad()
        o = torch.sigmoid(weights @ inputs)
        loss = (1 - o) ** 2
        loss.backward()
        optimizer.step()
        row = {"o": o.item(), "L": loss.item()} | dict(zip(("g_x", "g_y"), weights.grad.tolist()))
        for key, torchs in KEPT.get(name, {}).items():
            row |= dict(zip((f"{key}_x", f"{key}_y"), optimizer.state[weights][torchs].tolist()))
        rows.append(row | dict(zip(("w_x", "w_y"), weights.tolist())))
    return rows


@pytest.mark.parametrize("name", walks.RULES)
def test_loop_agrees_with_closed_formulas(name):
    for row, true in zip(walks.walk(walks.RULES[name]), exact(name), strict=True):
        assert list(row) == list(true)
        assert row == pytest.approx({key: float(value) for key, value in true.items()}, rel=0, abs=TOLERANCE)


@pytest.mark.parametrize("name", TORCH)
def test_torch_agrees_with_closed_formulas(name):
    for row, true in zip(by_torch(name), exact(name), strict=True):
        assert row == pytest.approx({key: float(true[key]) for key in row}, rel=0, abs=TOLERANCE)


@pytest.mark.parametrize("name", [name for name in walks.RULES if name != "SGD"])
def test_every_route_tells_the_places_of_delta_apart(name):
    """With delta moved to the other place, each weight of each step is off by 1000 tolerances or more."""
    for row, true, swapped in zip(walks.walk(walks.RULES[name]), exact(name), exact(name, swap=True)):
        assert abs(true["w_x"] - swapped["w_x"]) > 1000 * TOLERANCE
        assert row["w_x"] != pytest.approx(float(swapped["w_x"]), rel=0, abs=TOLERANCE)


@pytest.mark.parametrize(
    "w_x, w_y, x, y, target", [(-1, 1, 1, -1, 1), (0.3, -0.8, 1.7, 0.4, 0.2), (2.0, 0.5, -1.1, 0.9, 1)]
)
def test_partial_derivatives(w_x, w_y, x, y, target):
    """Item 1 in general: the formula against autograd, for any inputs and target."""
    weights = torch.tensor([w_x, w_y], dtype=torch.float64, requires_grad=True)
    inputs = torch.tensor([x, y], dtype=torch.float64)
    o = torch.sigmoid(weights @ inputs)
    ((target - o) ** 2).backward()
    torch.testing.assert_close(weights.grad, (-2 * (target - o) * o * (1 - o) * inputs).detach(), rtol=1e-13, atol=0)


@pytest.mark.parametrize("name", walks.RULES)
def test_weights_are_mirror_images(name):
    """The claim w_y = -w_x, in the loop, which does not use it: to the last bit."""
    for row in walks.walk(walks.RULES[name], steps=50):
        assert row["w_y"] == -row["w_x"] and row["dw_y"] == -row["dw_x"]


def test_float32():
    """The first step in single precision, where the weight can only be 0 or the next number below."""
    assert by_torch("Adam", torch.float32)[0]["w_x"] == 0
    assert by_torch("AdaGrad", torch.float32)[0]["w_x"] == -(2.0**-24)
    below_one = torch.nextafter(torch.tensor(1.0), torch.tensor(0.0))
    assert 1 - below_one.item() == 2.0**-24
    assert -(2.0**-24) < exact("Adam")[0]["w_x"] < 0


def sgd_steps(reached):
    """Count the steps of SGD until `reached(w)`."""
    w, steps = -1.0, 0
    while not reached(w):
        w, steps = w - float(slope(w)), steps + 1
    return steps


@cache
def facts():
    """Compute what the text claims besides the tables."""
    root = mpmath.findroot(lambda w: mpmath.diff(slope, w), -0.3)
    aim = float(height(exact("RMSProp")[2]["w_x"])[1])
    return {
        "steepest": (root, -slope(root)),
        "to 0": sgd_steps(lambda w: w > 0),
        "to RMSProp": sgd_steps(lambda w: (1 - math.tanh(w)) ** 2 / 4 < aim),
        "final loss": {name: height(exact(name)[2]["w_x"])[1] for name in walks.RULES},
        "flat": (slope(mpf(-5)), closed("Adam", [slope(mpf(-5))])[1]),
    }


def test_facts():
    """What is claimed in words: the steepest point, growing steps, who ends lowest, what no correction would do."""
    steepest, longest = facts()["steepest"]
    assert mpmath.almosteq(steepest, -mpmath.log(2) / 2, 1e-30) and mpmath.almosteq(longest, mpf(8) / 27, 1e-30)
    assert mpmath.almosteq(height(steepest)[0], mpf(1) / 3, 1e-30)
    sgd = exact("SGD")
    assert sgd[0]["dw_x"] < sgd[1]["dw_x"] < sgd[2]["dw_x"] < longest and sgd[1]["w_x"] < steepest < sgd[2]["w_x"]
    final = facts()["final loss"]
    assert final["RMSProp"] < final["Adam"] < final["AdaGrad"] < final["SGD"]
    rms = exact("RMSProp")
    assert rms[2]["dw_x"] > rms[1]["dw_x"] and abs(rms[2]["g_x"]) < abs(rms[1]["g_x"])
    assert mpmath.almosteq((1 - RHO_1) / mpmath.sqrt(1 - RHO_2), mpmath.sqrt(10), 1e-30)
    g = slope(mpf(-1))
    assert mpmath.almosteq(exact("Adam")[0]["dw_x"], -g / (-g + DELTA), 1e-30)
    assert mpmath.almosteq(1 / (1 + mpmath.exp(-2 * mpf("0.3"))), height(mpf("0.3"))[0], 1e-30)


@pytest.mark.parametrize("name, grown", [("AdaGrad", 2), ("RMSProp", 4), ("RMSProp, PyTorch", 2), ("Adam", 2)])
def test_half_the_loss_acts_like_a_larger_delta(name, grown):
    """What delta takes off the first step is doubled by a factor 1/2 in the loss, quadrupled inside the root."""
    without_delta = mpmath.sqrt(10) if name.startswith("RMSProp") else mpf(1)
    whole, half = (without_delta - exact(name, factor)[0]["dw_x"] for factor in (mpf(1), mpf(1) / 2))
    assert mpmath.almosteq(half / whole, grown, 1e-4)


def test_torch_defaults():
    """The two constants that PyTorch has otherwise than the sheet, and those that it has alike."""
    adagrad, rmsprop, adam = (
        inspect.signature(kind).parameters for kind in (torch.optim.Adagrad, torch.optim.RMSprop, torch.optim.Adam)
    )
    assert adagrad["eps"].default == 1e-10 and rmsprop["alpha"].default == 0.99
    assert rmsprop["eps"].default == adam["eps"].default == 1e-8 and adam["betas"].default == (0.9, 0.999)


LABELS = {  # how the page writes the keys of a row
    "o": "o",
    "L": "L",
    "g_x": "g_x",
    "g_y": "g_y",
    "r_x": "r_x",
    "r_y": "r_y",
    "s_x": "s_x",
    "s_y": "s_y",
    "r^_x": r"\hat{r}_x",
    "r^_y": r"\hat{r}_y",
    "s^_x": r"\hat{s}_x",
    "s^_y": r"\hat{s}_y",
    "dw_x": r"\Delta w_x",
    "dw_y": r"\Delta w_y",
    "w_x": "w_x",
    "w_y": "w_y",
}


def check(text):
    """Compare every number of the page with the closed formulas."""
    page = Document(text, PAGE.name)
    page.given("10^{-8}", "0.9", "0.999", "0.1", "0.001", "0.9^{2}", "0.999^{2}")  # delta, the rates and 1 - rates
    page.given("8.4", "8.5", "8.7")  # algorithms of the book
    for name in walks.RULES:
        rows = exact(name)
        page.table(name, [[f"$`{LABELS[key]}`$", *(row[key] for row in rows)] for key in rows[0]])
    final = facts()["final loss"]
    start = exact("SGD")[0]
    names = ("SGD", "AdaGrad", "RMSProp", "Adam")
    page.table("optimizer", [["at the start", -1, start["L"]]] + [[n, exact(n)[2]["w_x"], final[n]] for n in names])
    ends = {name: [exact(name, factor)[2]["w_x"] for factor in (mpf(1), mpf(1) / 2)] for name in walks.RULES}
    page.table("$`w_x`$ after three steps", [[n, whole, half, whole - half] for n, (whole, half) in ends.items()])
    _check_steps(page)
    _check_findings(page)
    assert not page.unchecked(), page.unchecked()


def _check_steps(page):
    o, loss, g = (exact("SGD")[0][key] for key in ("o", "L", "g_x"))
    page.says(r"o = \frac{1}{1 + e^{2}} = {} , \qquad L = (1 - {})^2 = {} ,", o, o, loss)
    page.says(r"g_x = -2 \cdot {} \cdot (1 - {})^2 = {} , \qquad g_y = {} .", o, o, g, -g)

    w = exact("SGD")[0]["w_x"]
    page.says(r"\Delta w_x = -1 \cdot ({}) = {} , \qquad w_x = -1 + {} = {} .", g, -g, -g, w)
    page.says(r"starts from $`z = 2 \cdot ({}) = {}`$", w, 2 * w)

    old, new, _ = exact("AdaGrad")
    o, g2, r = new["o"], new["g_x"], new["r_x"]
    page.says(
        r"After the first, $`r_x = ({})^2 = {}`$ and $`w_x = {}`$, hence $`z = {}`$ and",
        g,
        old["r_x"],
        old["w_x"],
        2 * old["w_x"],
    )
    page.says(
        r"o = {} , \qquad g_x = -2 \cdot {} \cdot (1 - {})^2 = {} , ``` ```math r_x = {} +", o, o, o, g2, old["r_x"]
    )
    page.says(r"r_x = {} + ({})^2 = {} ,", old["r_x"], g2, r)
    page.says(
        r"-\frac{1}{10^{-8} + \sqrt{{}}} \cdot ({}) = \frac{{}}{{}} = {} ,",
        r,
        g2,
        -g2,
        mpmath.sqrt(r) + DELTA,
        new["dw_x"],
    )
    page.says("w_x = {} + {} = {} . ``` | AdaGrad", old["w_x"], new["dw_x"], new["w_x"])

    old, new, _ = exact("RMSProp")
    o, g2, r = new["o"], new["g_x"], new["r_x"]
    page.says(
        r"$`r_x = 0.1 \cdot ({})^2 = {}`$ and $`w_x = {}`$, hence $`z = {}`$ and",
        g,
        old["r_x"],
        old["w_x"],
        2 * old["w_x"],
    )
    page.says(r"o = {} , \qquad g_x = -2 \cdot {} \cdot (1 - {})^2 = {} , ``` ```math r_x = 0.9", o, o, o, g2)
    page.says(r"r_x = 0.9 \cdot {} + 0.1 \cdot ({})^2 = {} ,", old["r_x"], g2, r)
    page.says(
        r"-\frac{1}{\sqrt{10^{-8} + {}}} \cdot ({}) = {} , ``` ```math w_x = {} + {} = {} .",
        r,
        g2,
        new["dw_x"],
        old["w_x"],
        new["dw_x"],
        new["w_x"],
    )
    page.says("The first step is shorter by $`{}`$", exact("RMSProp, PyTorch")[0]["dw_x"] - old["dw_x"])

    old, new, _ = exact("Adam")
    g2, s, r = new["g_x"], new["s_x"], new["r_x"]
    page.says(
        r"$`s_x = 0.1 \cdot ({}) = {}`$, $`r_x = 0.001 \cdot ({})^2 = {}`$ and $`w_x = {}`$",
        g,
        old["s_x"],
        g,
        old["r_x"],
        old["w_x"],
    )
    page.says("So $`o`$ and $`g_x = {}`$ are", g2)
    page.says(r"s_x = 0.9 \cdot ({}) + 0.1 \cdot ({}) = {} ,", old["s_x"], g2, s)
    page.says(r"r_x = 0.999 \cdot {} + 0.001 \cdot ({})^2 = {} ,", old["r_x"], g2, r)
    page.says(r"\hat{s}_x = \frac{{}}{1 - 0.9^{2}} = \frac{{}}{{}} = {} ,", s, s, 1 - RHO_1**2, new["s^_x"])
    page.says(r"\hat{r}_x = \frac{{}}{1 - 0.999^{2}} = \frac{{}}{{}} = {} ,", r, r, 1 - RHO_2**2, new["r^_x"])
    s, r = new["s^_x"], new["r^_x"]
    page.says(
        r"-\frac{{}}{\sqrt{{}} + 10^{-8}} = \frac{{}}{{}} = {} , ``` ```math w_x = {} + {} = {} .",
        s,
        r,
        -s,
        mpmath.sqrt(r) + DELTA,
        new["dw_x"],
        old["w_x"],
        new["dw_x"],
        new["w_x"],
    )
    page.says(r"$`1 - 0.9^k = {},\ {},\ {}`$", *(1 - RHO_1**k for k in (1, 2, 3)))
    page.says(r"$`1 - 0.999^k = {},\ {},\ {}`$", *(1 - RHO_2**k for k in (1, 2, 3)))


def _check_findings(page):
    sgd, adagrad, rms, adam = (exact(name) for name in ("SGD", "AdaGrad", "RMSProp", "Adam"))
    outside, root_10, g = exact("RMSProp, PyTorch"), mpmath.sqrt(10), sgd[0]["g_x"]
    final = [exact(name)[2]["w_x"] for name in ("SGD", "AdaGrad", "Adam", "RMSProp")]
    page.says("from w = -1: SGD ends at {}, AdaGrad at {}, Adam at {}, RMSProp at {}]", *final)

    page.says(r"\lvert g_x \rvert + \delta} = {} , \qquad", adam[0]["dw_x"])
    page.says(r"-\frac{\delta}{\lvert g_x \rvert + \delta} = {} .", adam[0]["w_x"])
    flat, step = facts()["flat"]
    page.says("gradient is $`{}`$, Adam's first step would have the length {}, and", flat, step)
    page.says("and that of SGD $`{}`$.", -flat)
    roots = [mpmath.sqrt(row["r_x"]) for row in adagrad]
    page.says("goes from {} over {} to {}, and its third", *roots)
    page.says("the steps are {}, {} and {}.", *(row["dw_x"] for row in adagrad))
    page.says(
        "gradient is down to {}, but the corrected mean is still {}, and the step is {}.",
        *(adam[2][key] for key in ("g_x", "s^_x", "dw_x")),
    )

    page.says(r"\frac{1}{\sqrt{{}}} = \sqrt{10} = {} ,", 1 - RHO, root_10)
    page.says(
        "inside the root takes off $`{}`$ of it, the one outside $`{}`$.",
        root_10 - rms[0]["dw_x"],
        root_10 - outside[0]["dw_x"],
    )
    page.says("at $`o = {}`$, where the gradient is {} times smaller", rms[1]["o"], g / rms[1]["g_x"])
    page.says("the next two steps are only {} and {};", rms[1]["dw_x"], rms[2]["dw_x"])

    steepest, longest = facts()["steepest"]
    page.says(r"\ln 2 = {}`$, and there it is $`\frac{8}{27} = {}`$", steepest, longest)
    steep = sgd[0]["o"] * (1 - sgd[0]["o"])
    page.says(r"the slope of the Sigmoid is $`o\,(1 - o) = {}`$, less than half", steep)
    page.says(r"largest, $`\frac{1}{4}`$, and the step is {}.", -g)
    page.says("after three of them {} of the first loss is left.", facts()["final loss"]["SGD"] / sgd[0]["L"])
    page.says("SGD needs {} steps to pass 0, and {} steps to get", facts()["to 0"], facts()["to RMSProp"])

    gap = mpf(2) ** -24
    page.says("the numbers of float32 are $`{} = {}`$ apart", gap, gap)
    page.says("is 1 minus $`{}`$, and", 1 - adam[0]["dw_x"])
    page.says("can be 0 or $`{}`$ but nothing between", -gap)
    page.says("`eps` is {} for Adagrad, and `alpha`, which is $`\\rho`$, is {} for RMSprop", 1e-10, 0.99)


def test_page():
    """Every number of the page is right, and a changed digit of any of them is noticed."""
    every_digit_matters(check, PAGE.read_text(encoding="utf-8"))


def test_table_of_the_script():
    """What `python -m theory.walks` prints is what the page's tables say."""
    text = PAGE.read_text(encoding="utf-8")
    for name, rule in walks.RULES.items():
        lines = [line.split() for line in walks.table(walks.walk(rule)).splitlines()]
        rows = [f"| $`{LABELS[key]}`$ | {' | '.join(values)} |" for key, *values in lines]
        assert "\n".join([f"| {name} | step 1 | step 2 | step 3 |", "|---|---|---|---|", *rows]) + "\n\n" in text, name


def test_figure(tmp_path):
    """Redrawing walks.png gives the same bytes, with the versions that drew it."""
    for name in ("a.png", "b.png"):
        walks.draw(tmp_path / name)
    redrawn = (tmp_path / "a.png").read_bytes()
    assert redrawn == (tmp_path / "b.png").read_bytes() and b"Software" not in redrawn
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]
    if (matplotlib.__version__, PIL.__version__) != DRAWN_WITH:
        pytest.skip("walks.png was drawn with matplotlib {} and Pillow {}".format(*DRAWN_WITH))
    shipped = (THEORY / "walks.png").read_bytes()
    assert redrawn == shipped and len(shipped) < 80_000


def check_index(text):
    """Compare the numbers of theory/README.md; its integers are the sheet's own."""
    index = Document(text, "theory/README.md")
    index.given("0", "1", "2", "4", "50", "30", "64")
    index.says("the first steps differ by {}.", exact("RMSProp, PyTorch")[0]["dw_x"] - exact("RMSProp")[0]["dw_x"])
    assert not index.unchecked(), index.unchecked()


def test_index():
    """The index prints true numbers and names tests that exist."""
    text = (THEORY / "README.md").read_text(encoding="utf-8")
    every_digit_matters(check_index, text)
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_theory_1?.py"))
    named = re.findall(r"`(test_\w+)`", text)
    assert named and [name for name in named if f"def {name}(" not in tests] == []
