"""The page on exercise 1a: its formulas are evaluated, its numbers compared, its comparisons proved."""

import itertools
import math
import random
import re
from pathlib import Path

import matplotlib
import mpmath
import PIL
import pytest
import torch
from claims import Page, proved_by
from formulas import displays, holds, stated
from mpmath import mpf
from test_theory_1a import DELTA, RHO, RHO_1, RHO_2, by_torch, closed, default, exact, height, slope
from test_theory_1a import test_loop_agrees_with_closed_formulas as loop_agrees
from test_theory_1a import test_torch_agrees_with_closed_formulas as torch_agrees

from common import plots
from theory import walks

THEORY = Path(walks.__file__).parent
TEXT = (THEORY / "1a_adaptive_learning_rates.md").read_text(encoding="utf-8")
DRAWN_WITH = "3.11.2", "13.0.0"  # matplotlib and Pillow, which drew walks.png


def neuron(w_x, w_y, x, y, t):
    """Return what item 1 speaks of; the derivatives are those of autograd."""
    weights = torch.tensor([w_x, w_y], dtype=torch.float64, requires_grad=True)
    z = weights @ torch.tensor([x, y], dtype=torch.float64)
    o = torch.sigmoid(z)
    o.retain_grad(), z.retain_grad()
    ((t - o) ** 2).backward()
    (g_x, g_y), sigma = weights.grad.tolist(), lambda v: 1 / (1 + math.exp(-v))
    values = {"w_x": w_x, "w_y": w_y, "x": x, "y": y, "t": t, "z": z.item(), "o": o.item(), "g_x": g_x, "g_y": g_y}
    values |= {"dL_do": o.grad.item(), "do_dz": (z.grad / o.grad).item(), "dz_dw": x}
    return values | {"sigma": sigma, "slope": lambda v: (sigma(v + 1e-5) - sigma(v - 1e-5)) / 2e-5}


NAMES = {
    r"\frac{\partial L}{\partial w_x}": "g_x",
    r"\frac{\partial L}{\partial o}": "dL_do",
    r"\frac{\partial o}{\partial z}": "do_dz",
    r"\frac{\partial z}{\partial w_x}": "dz_dw",
    r"\sigma'": "slope",
    r"\Delta w": "dw",
    r"\Delta w_x": "dw_x",
    **{rf"\hat{{{letter}}}": f"{letter}_hat" for letter in "sr"},
    **{rf"\hat{{{letter}}}_x": f"{letter}_hat_x" for letter in "sr"},
}


def step(name, k):
    """Return the values of step k of a walk by their names in Python, those of the weight w_x also without the x."""
    row = {key.replace("^", "_hat"): value for key, value in exact(name)[k - 1].items()}
    given = {"k": k, "epsilon": 1, "delta": DELTA, "rho": RHO, "rho_1": RHO_1, "rho_2": RHO_2}
    return given | row | {key.removesuffix("_x"): value for key, value in row.items() if key.endswith("_x")}


def test_the_displayed_formulas_are_true():
    random.seed(0)
    found = list(displays(TEXT))
    rules = iter(["SGD", "AdaGrad", "RMSProp", "Adam", "Adam"])
    worked = {"SGD": ("SGD", 1), "AdaGrad": ("AdaGrad", 2), "RMSProp": ("RMSProp", 2), "Adam": ("Adam", 2)}
    worked |= {"The start": ("SGD", 1), "AdaGrad and Adam land next to 0 because the step size is 1": ("Adam", 1)}
    worked["RMSProp's first step is too long by a factor of √10"] = "RMSProp", 1
    for heading, latex in found:
        if heading.startswith("1. "):
            for _ in range(5):
                holds(latex, neuron(*(random.uniform(-2, 2) for _ in range(5))), NAMES, tolerance=1e-8)
        elif heading == "The four rules":
            name = next(rules)
            for k in (2, 3):
                before = {key: value for key, value in step(name, k - 1).items() if key in ("r", "s")}
                holds(latex, step(name, k) | {"before": before}, NAMES, tolerance=1e-30)
        elif latex.startswith("z = w_x - w_y"):
            for _ in range(5):
                holds(latex, neuron(random.uniform(-2, 2), random.uniform(-2, 2), 1, -1, 1), NAMES)
        else:
            holds(latex, step(*worked[heading]), NAMES, tolerance=1e-6)  # of numbers that were rounded
    assert len(found) == 32 and next(rules, None) is None


def test_the_formulas_in_its_sentences_are_true():
    names = NAMES | {r"\frac{\partial L}{\partial w_y}": "g_y", r"\Delta w_y": "dw_y", "2 w_x": "2 * w_x"}
    names |= {"w_x x": "w_x * x", "w_y y": "w_y * y"}
    for w_x, w_y, x, y, t in ((0.3, -0.7, 1.3, 0.4, 0.8), (-1.2, 0.1, -0.6, 2.0, 1.0)):
        values = neuron(w_x, w_y, x, y, t) | {"L": (t - neuron(w_x, w_y, x, y, t)["o"]) ** 2}
        for latex in stated(TEXT, r"\frac{\partial L}", "L = (", "z = w_x x", r"o = \sigma"):
            holds(latex, values, names)
    start = {"x": walks.X, "y": walks.Y, "t": walks.TARGET, "w_x": walks.START[0], "w_y": walks.START[1], "z": -2}
    given = stated(TEXT, "x = ", "y = ", "t = ", "w_x = -1", "w_y = 1", "z = -2", r"\epsilon =", r"\delta =", r"\rho")
    for latex in given:
        if "=" in latex:
            holds(latex, step("SGD", 1) | start, names)
    mirrored = stated(TEXT, "w_y = -", "s_y = ", "r_y = ", "g_y = ", r"\Delta w_y = ", "z = w_x - w_y")
    for latex, k in itertools.product(mirrored, (1, 2)):
        before = {key: step("Adam", k)[key] - step("Adam", k)["d" + key] for key in ("w_x", "w_y")}
        holds(latex, step("Adam", k) | before, names)
    for k in (1, 2, 3):
        (outside,) = stated(TEXT, r"\Delta w = ")
        holds(outside, step("RMSProp, PyTorch", k), names)
    for latex in stated(TEXT, "r = (1 - ", r"(1 - \rho_1) /"):
        holds(latex, step("RMSProp", 1), names)


def latex(key):
    """How the page writes the key of a row."""
    key = re.sub(r"\b([rs])\^_", r"\\hat{\1}_", key)
    key = re.sub(r"sqrt\((.*)\)", r"\\sqrt{\1}", key).replace("delta", r"\delta")
    key = re.sub(r"^d(?=w)", r"\\Delta ", key)
    return f"$`{key}`$"


def shown(rows):
    """The keys that stand in a table: not those of y that equal those of x."""
    return [key for key in rows[0] if "_y" not in key or rows[0][key] != rows[0][key.replace("_y", "_x")]]


RULES_IN_WORDS = r"""
with $`y`$ for $`x`$ the other one
Each $`r`$ and $`s`$ is 0 before the first step, and each step ends with
AdaGrad [2] adds up the squares of the gradients
RMSProp [3] lets old squares fade
Adam [4] averages the gradients as well, and corrects the two averages for their start at 0
belong to the weights from which a step is taken, $`\Delta w`$ is the update, and $`w`$ is the weight after it
$`z`$, $`o`$ and $`g_x`$ are those of AdaGrad's second step
The first step of AdaGrad and Adam has the length of the step size and that of RMSProp
unless the gradient is so small that $`\delta`$ counts; that of SGD grows with the gradient
AdaGrad divides $`g`$ by the root of $`g^2`$, and so does Adam once its two averages are corrected
It ends next to 0, where the neuron is undecided, because the walk began at -1, and not because 0 is a good place
AdaGrad divides by roots that go from
RMSProp starts from $`r = 0`$ like Adam but does not correct for it
Adam without its corrections would do so as well
The walk lands on the flat right end
longer than the second although its gradient is smaller, because $`r`$ fades by a tenth per step
A step of SGD moves each weight by the size of its derivative, $`2\, o\,(1 - o)^2`$
"""


def sgd_steps(reached):
    """Count the steps of SGD until `reached(w)`."""
    w, steps = -1.0, 0
    while not reached(w):
        w, steps = w - float(slope(w)), steps + 1
    return steps


def test_page():
    """Every number of the page is right, and a changed digit of any of them is noticed; so are its comparisons."""
    page = Page(
        TEXT,
        "1a",
        names=(
            "50-digit arithmetic",
            "first step",
            "second step",
            "third step",
            "first weights",
            "first loss",
            "| difference |",
        ),
    )
    page.given("10^{-8}", "0.9", "0.999", "0.1", "0.001", "0.9^{2}", "0.999^{2}")  # delta, the rates and 1 - rates
    page.given("8.4", "8.5", "8.7")  # algorithms of the book
    walked = {name: exact(name) for name in walks.RULES}
    for name, rows in walked.items():
        words = f"{name} | step 1 | step 2 | step 3"
        page.table(words, [[latex(key), *(row[key] for row in rows)] for key in shown(rows)])
    final = {name: (rows[2]["w_x"], height(rows[2]["w_x"])[1]) for name, rows in walked.items()}
    ends = [[name, final[name][0], -final[name][0], final[name][1]] for name in ("SGD", "AdaGrad", "RMSProp", "Adam")]
    page.table("optimizer | $`w_x`$ | $`w_y`$ | loss", [["at the start", -1, 1, walked["SGD"][0]["L"]], *ends])
    halved = {name: [exact(name, factor)[2]["w_x"] for factor in (mpf(1), mpf(1) / 2)] for name in walks.RULES}
    rows = [[name, whole, half, whole - half] for name, (whole, half) in halved.items()]
    page.table(r"$`w_x`$ after three steps | loss $`(t - o)^2`$ | loss $`\frac{1}{2}(t - o)^2`$ | difference", rows)
    words = "$`w_x`$ is {} with SGD, {} with AdaGrad, {} with RMSProp and {} with Adam, and"
    page.says(words, *(row[1] for row in ends))
    words = "from w = -1: SGD ends at {}, AdaGrad at {}, Adam at {}, RMSProp at {}]"
    page.says(words, *(ends[i][1] for i in (0, 1, 3, 2)))
    page.says(r"$`1 - 0.9^k = {},\ {},\ {}`$", *(1 - RHO_1**k for k in (1, 2, 3)))
    page.says(r"$`1 - 0.999^k = {},\ {},\ {}`$", *(1 - RHO_2**k for k in (1, 2, 3)))
    update, new = (walked["Adam"][1][key] for key in ("dw_x", "w_x"))  # they differ in one digit
    page.says(r"{0.21991239} = {} , ``` ```math w_x = -5.4066885 \times 10^{-8} + {} = {} .", update, update, new)
    for words, name, key in ((r"= 10^{-8} + {} = {} ,", "AdaGrad", "r"), (r"= {} + 10^{-8} = {} ,", "Adam", "r^")):
        root = mpmath.sqrt(walked[name][1][f"{key}_x"])
        page.says(words, root, root + DELTA)
    square = walked["AdaGrad"][1]["g_x"] ** 2
    page.says(r"r_x = 0.034208754 + g_x^2 = 0.034208754 + {} = 0.096708761 ,", square)
    for name, section in (("SGD", "The start"), ("AdaGrad", "AdaGrad"), ("RMSProp", "RMSProp"), ("Adam", "Adam")):
        values = [sign * value for row in walked[name][:2] for value in row.values() for sign in (1, -1)]
        page.among(f"### {section}\n", f"| {name} |", [*values, 1 - RHO_1**2, 1 - RHO_2**2])
    findings(page, walked, final)
    page.claims(dict.fromkeys(RULES_IN_WORDS.strip().splitlines(), proved_by(loop_agrees)))
    page.claims(
        {"with `torch.optim`, which knows RMSProp only in [its second form](#the-four-rules);": proved_by(torch_agrees)}
    )
    del final["RMSProp, PyTorch"]  # which ends a little lower, and is not one of the four
    page.claims(comparisons(walked, final))
    assert page.unchecked() == []
    page.every_digit_matters()


def findings(page, walked, final):
    """The numbers of what the numbers show."""
    sgd, adagrad, rms, outside, adam = (
        walked[name] for name in ("SGD", "AdaGrad", "RMSProp", "RMSProp, PyTorch", "Adam")
    )
    root_10, flat, gap, steepest = mpmath.sqrt(10), slope(mpf(-5)), mpf(2) ** -24, -mpmath.log(2) / 2
    aim = float(final["RMSProp"][1])
    to_0, to_aim = sgd_steps(lambda w: w > 0), sgd_steps(lambda w: (1 - math.tanh(w)) ** 2 / 4 < aim)
    defaults = default(torch.optim.Adagrad, "eps"), default(torch.optim.RMSprop, "alpha")
    longer, smaller = outside[0]["dw_x"] - rms[0]["dw_x"], sgd[0]["g_x"] / rms[1]["g_x"]
    for words, *values in (
        ("as in PyTorch: {} after three steps", outside[2]["w_x"]),
        ("`eps` is {} for Adagrad, and `alpha`, which is $`\\rho`$, is {} for RMSprop", *defaults),
        (r"\lvert g_x \rvert + \delta} = {} , \qquad", adam[0]["dw_x"]),
        (r"-\frac{\delta}{\lvert g_x \rvert + \delta} = {} .", adam[0]["w_x"]),
        ("gradient is $`{}`$, Adam's first step would have the length {}, and", flat, closed("Adam", [flat])[1]),
        ("and that of SGD $`{}`$.", -flat),
        ("AdaGrad divides by roots that go from {} via {} to {}, and its", *(row["sqrt(r_x)"] for row in adagrad)),
        ("third gradient is {}: the steps are {}, {} and {}.", adagrad[2]["g_x"], *(row["dw_x"] for row in adagrad)),
        ("is down to {}, but the corrected mean is at {}, and", adam[2]["g_x"], adam[2]["s^_x"]),
        ("is at -0.1476, and the step is {}.", adam[2]["dw_x"]),
        (r"\frac{1}{\sqrt{{}}} = \sqrt{10} = {} .", 1 - RHO, root_10),
        ("inside the root takes off $`{}`$ of it, the", root_10 - rms[0]["dw_x"]),
        ("the one outside $`{}`$.", root_10 - outside[0]["dw_x"]),
        ("at $`o = {}`$, where the", rms[1]["o"]),
        ("the next two steps are {} and {};", rms[1]["dw_x"], rms[2]["dw_x"]),
        (r"\ln 2 = {}`$, and there it is $`\frac{8}{27} = {}`$", steepest, -slope(steepest)),
        ("At the start the step is {}.", sgd[0]["dw_x"]),
        ("after three of them {} of the first loss is left.", final["SGD"][1] / sgd[0]["L"]),
        ("SGD needs {} steps to pass 0, and", to_0),
        ("the numbers of float32 are $`{} = {}`$ apart", gap, gap),
        ("is 1 minus $`{}`$, and", 1 - adam[0]["dw_x"]),
        ("can be 0 or $`{}`$ but", -gap),
    ):
        page.says(words, *values)
    page.says("the first step is longer by $`{}`$: inside", longer, true=longer > 0)
    page.says("where the gradient is {} times smaller than at the start", smaller, true=smaller > 1)
    page.says("and {} steps to get the loss below what RMSProp has after three", to_aim, true=to_aim > to_0)


def comparisons(walked, final):
    """What 1a says in words, with what makes it true."""
    sgd, adagrad, rms, adam = ([row["dw_x"] for row in walked[name]] for name in ("SGD", "AdaGrad", "RMSProp", "Adam"))
    slow, fast = (abs(walked["RMSProp"][k]["g_x"]) for k in (1, 2))
    around, gap, steepest = [slope(mpf(w) / 10) for w in range(-100, 101)], mpf(2) ** -24, -mpmath.log(2) / 2
    on_the_way = walked["SGD"][1]["w_x"] < steepest < walked["SGD"][2]["w_x"]
    first, long_walks = walks.walk(walks.adagrad, 1)[0], [walks.walk(rule, 50) for rule in walks.RULES.values()]
    steps = [row for rows in long_walks for row in rows]
    mirrored = all((row["w_y"], row["dw_y"]) == (-row["w_x"], -row["dw_x"]) for row in steps)
    twins = [(row[x], row[x.replace("_x", "_y")]) for row in steps for x in row if re.search(r"\br\^?_x", x)]
    near = lambda value, other: mpmath.almosteq(value, other, 1e-4)
    by_adam, by_adagrad = (by_torch(name, torch.float32)[0]["w_x"] for name in ("Adam", "AdaGrad"))
    below_one = torch.nextafter(torch.tensor(1.0), torch.tensor(0.0)).item()
    half = exact("Adam", mpf(1) / 2)[0]
    shrunk = all(near(half[key] * n, walked["Adam"][0][key]) for key, n in (("g_x", 2), ("s_x", 2), ("r_x", 4)))
    larger_delta = all(near(grown(name), 4 if name == "RMSProp" else 2) for name in walks.RULES if name != "SGD")
    inside = [name for name in walks.RULES if any("sqrt(delta" in column for column in exact(name)[0])] == ["RMSProp"]
    return {
        r"There $`\delta`$ stands inside the root for RMSProp and outside for the other two": inside,
        "PyTorch [5] puts it outside in each of them": inside,  # as test_torch_agrees_with_closed_formulas shows
        "With δ outside the root, as in PyTorch": inside,
        r"is compared with $`r`$, outside with": inside,
        r"The $`\delta`$ inside the root takes off": inside,
        "of it, the one outside": inside,
        "All operations are elementwise": first["dw_x"] == walks.adagrad(first["g_x"], 1, {}),
        "$`w_y = -w_x`$ after every step, for each rule": mirrored,
        "As $`r_y = r_x`$, what is made from $`r`$ stands there once": all(x == y for x, y in twins),
        r"and that of RMSProp $`\sqrt{10}`$ times as much,": near(rms[0], mpmath.sqrt(10)),
        "first step is too long by a factor of √10": near(rms[0], mpmath.sqrt(10)),
        "third step is longer than the second although its gradient is smaller": rms[2] > rms[1] and fast < slow,
        "RMSProp ends with the smallest loss of the four": final["RMSProp"][1]
        == min(loss for _, loss in final.values()),
        "this loss falls all the way to the right: there is no minimum": max(around) < 0,
        r"This is largest where $`o = \frac{1}{3}`$": near(height(steepest)[0], mpf(1) / 3),
        "no step can be longer than that": slope(steepest) < min(around) and near(-slope(steepest), mpf(8) / 27),
        "The steps grow on the way to the steepest point, which the third one passes": sgd == sorted(sgd)
        and on_the_way,
        "the first step of Adam lands on exactly 0": by_adam == 0,
        "`torch.optim.Adam` gives exactly 0": by_adam == 0,
        "`torch.optim.Adagrad` gives the other value, which is nearer": by_adagrad == -gap and 1 - adam[0] > gap / 2,
        "falls into the gap between 1 and its lower neighbour": below_one < adam[0] < 1,
        "but nothing between": below_one == 1 - gap,
        "the gradients are halved. In the adaptive rules $`s`$ is then halved and $`r`$ quartered": shrunk,
        "as if it were doubled, or quadrupled where it stands inside the root": larger_delta,
        "SGD has nothing that cancels": near(exact("SGD", mpf(1) / 2)[0]["dw_x"] * 2, sgd[0]),
    }


def grown(name):
    """What delta takes off the first step with a factor 1/2 in the loss, relative to what it takes off without."""
    without_delta = mpmath.sqrt(10) if name.startswith("RMSProp") else mpf(1)
    whole, half = (without_delta - exact(name, factor)[0]["dw_x"] for factor in (mpf(1), mpf(1) / 2))
    return half / whole


def test_the_script_prints_the_tables_of_the_page():
    said = Page(
        walks.__doc__, "theory/walks.py", ("AdaGrad, RMSProp and Adam take", "in three steps", "double precision")
    )
    said.claims({"print every value of every step": True, "for w_x and w_y separately": True})  # as is seen below
    assert said.unchecked() == []
    for name, rule in walks.RULES.items():
        lines = [re.split(r"\s{2,}", line.strip()) for line in walks.table(walks.walk(rule)).splitlines()]
        rows = [f"| {latex(key)} | {' | '.join(values)} |" for key, *values in lines]
        assert "\n".join([f"| {name} | step 1 | step 2 | step 3 |", "|---|---|---|---|", *rows]) + "\n\n" in TEXT, name


def test_figure(tmp_path, monkeypatch):
    """It has every step and names the ends; redrawing gives the same bytes, with the versions that drew it."""
    made, figure = [], plots.figure
    monkeypatch.setattr(plots, "figure", lambda *said, **more: made.append(figure(*said, **more)) or made[-1])
    walks.draw(tmp_path / "walks.png")
    ((picture, (axes,)),) = made
    ends = {f"{name} ends at {float(exact(name)[2]['w_x']):.2f}" for name in ("SGD", "AdaGrad", "RMSProp", "Adam")}
    assert {text.get_text() for text in axes.texts} - {""} == ends
    named = {text.get_color(): text.get_text().partition(" ")[0] for text in axes.texts if text.get_text()}
    dots = [line for line in axes.get_lines() if line.get_marker() == "o" and line.get_color() in named]
    for line in dots:
        places = [row["w_x"] for row in exact(named[line.get_color()])]
        assert line.get_xdata() == pytest.approx([float(w) for w in places])
        assert line.get_ydata() == pytest.approx([float(height(w)[1]) for w in places])
    assert len(dots) == 4
    assert " ".join(picture.get_supxlabel().split()).startswith("three steps with step size 1 from w = -1 along")
    redrawn, shipped = ((folder / "walks.png").read_bytes() for folder in (tmp_path, THEORY))
    assert [path.name for path in tmp_path.iterdir()] == ["walks.png"] and b"Software" not in redrawn
    assert len(shipped) < 150_000
    if (matplotlib.__version__, PIL.__version__) != DRAWN_WITH:
        pytest.skip("walks.png was drawn with matplotlib {} and Pillow {}".format(*DRAWN_WITH))
    assert redrawn == shipped
