"""Exercise 1b, items 1 to 6: chains by autograd, products and linear networks by exact expectations.

The displayed formulas of theory/1b are evaluated as they stand there; what the page says in words is put to the test.
"""

import itertools
import math
from functools import lru_cache
from pathlib import Path

import mpmath
import numpy as np
import pytest
import torch
from formulas import displays, evaluate, holds, stated
from hypothesis import given, settings
from hypothesis import strategies as st

from common import theory

TEXT = (Path(__file__).parents[1] / "theory" / "1b_unstable_gradients.md").read_text(encoding="utf-8")
SLOPES = range(1, 9)


@lru_cache
def under(heading):
    """The displayed formulas under a heading, those of which are asked for so that none is overlooked."""
    found = [latex for place, latex in displays(TEXT) if place.startswith(heading)]
    assert found, heading
    return found


# Items 1 and 2: the chain


def sigma(z):
    return 1 / (1 + math.exp(-z))


def sigma_slope(z):
    return sigma(z) * sigma(-z)


CURVES = {
    "sigmoid": (torch.sigmoid, sigma_slope),
    "tanh": (torch.tanh, lambda z: 1 - math.tanh(z) ** 2),
    "relu": (torch.relu, lambda z: float(z > 0)),
}


def chain(x, weights, name, first=2):
    """What items 1 and 2 speak of, layers and weights counted from 1, each derivative by autograd.

    first: the layer with the first weight; 2 is the sheet's h_1 = sigma(x), 1 is h_0 = x.
    """
    curve, slope = CURVES[name]
    w = {j: torch.tensor(v, dtype=torch.float64, requires_grad=True) for j, v in enumerate(weights, 1)}
    start, n = torch.tensor(x, dtype=torch.float64, requires_grad=True), len(weights)
    h, z = {first - 1: curve(start) if first == 2 else start}, {}
    for j in range(first, n + 1):
        z[j] = w[j] * h[j - 1]
        h[j] = curve(z[j])

    def derivative(top, below):
        gradient = torch.autograd.grad(top, below, retain_graph=True, allow_unused=True)[0]
        return None if gradient is None else gradient.item()

    value = lambda of: lambda j: of[j].item()
    values = {"n": n, "x": x, "w": value(w), "h": value(h), "z": value(z), "slope": slope, "sigma": sigma}
    return values | {"of_weight": lambda j, i: derivative(h[j], w[i]), "of_layer": lambda j: derivative(h[j], h[j - 1])}


NAMES = {
    r"\frac{\partial h_n}{\partial w_i}": "of_weight(n, i)",
    r"\frac{\partial h_i}{\partial w_i}": "of_weight(i, i)",
    r"\frac{\partial h_j}{\partial h_{j-1}}": "of_layer(j)",
    r"\sigma'": "slope",
}
signed, inside = st.floats(-2, 2), st.floats(-0.999, 0.999)
briefly = settings(derandomize=True, deadline=None, max_examples=25)


@pytest.mark.parametrize("first", [1, 2])
@pytest.mark.parametrize("name", CURVES)
@briefly
@given(x=st.floats(-3, 3), w=st.lists(signed, min_size=2, max_size=6))
def test_the_formulas_of_item_1(name, first, x, w):
    values = chain(x, w, name, first)
    assert first == 1 or values["of_weight"](len(w), 1) is None  # w_1 occurs nowhere
    for i in range(first, len(w) + 1):
        for latex in under("1. "):
            holds(latex, values | {"i": i, "j": min(i + 1, len(w))}, NAMES)


def test_the_formulas_in_the_sentences_of_items_1_and_2():
    names = NAMES | {r"\partial h_n / \partial w_i": "of_weight(n, i)", r"w_2 \cdots w_{i-1}": "w(2) * w(3)"}
    own, x, w = names | {r"\sigma(": "curve("}, 1.3, [0.4, 0.3, 0.8, 0.6, 0.9]
    for name, i in itertools.product(CURVES, (2, 3, 4, 5)):
        values = chain(x, w, name) | {"i": i, "j": i, "k": len(w[i - 1 :])}
        values["curve"] = lambda z, name=name: CURVES[name][0](torch.tensor(z, dtype=torch.float64)).item()
        for latex in stated(TEXT, r"\frac{\partial h_n}", r"h_1 = \sigma(x)", "h_j = ", "z_j = ", "k = n"):
            holds(latex, values, own)
        first = chain(x, w, name, first=1) | {"curve": values["curve"]}
        for latex in stated(TEXT, r"h_1 = \sigma(w_1 x)", "h_0 = x"):
            holds(latex, first, own | {"w_1 x": "w(1) * x"})
    values = chain(x, w, "sigmoid")
    for i in (3, 4, 5):
        for latex in stated(TEXT, r"\lvert \partial h_n", "0 < h_{i-1}", r"h_{j-1} > "):
            holds(latex, values | {"i": i, "j": i}, names)
        for latex in (*stated(TEXT, r"\lvert \partial h_n"), under("2. ")[1]):  # no larger bound is stated
            assert evaluate(latex.split("<")[-1].strip(" ."), values | {"i": i}) == 0.25 ** len(w[i - 1 :])
    holds(*stated(TEXT, r"h_{i-1} = x"), chain(x, w, "relu") | {"i": 4}, names)


@briefly
@given(x=st.floats(-30, 30), w=st.lists(inside, min_size=2, max_size=7))
def test_the_sigmoids_bound(x, w):
    slope, bound, open_chain = under("2. ")
    values, n = chain(x, w, "sigmoid"), len(w)
    for i in range(2, n + 1):
        for latex in (slope, bound):
            holds(latex, values | {"i": i, "z": values["z"](i) if latex is slope else values["z"]}, NAMES)
        assert abs(values["of_weight"](n, i)) <= entering(i) * float(supremum(n - i + 1)[0]) * (1 + 1e-12)
    other = chain(x, w, "sigmoid", first=1)
    assert abs(other["of_weight"](n, 1)) <= abs(x) / 4**n
    assert chain(x, [*w[:-1], 0.0], "sigmoid")["of_weight"](n, n) == pytest.approx(values["h"](n - 1) / 4)
    holds(open_chain, chain(abs(x) + 0.1, [abs(v) + 0.1 for v in w], "relu") | {"i": n}, NAMES)


def test_every_case_of_relu():
    """Open, closed or on the edge, for all signs of the input and of three weights; h_n is straight on either side."""
    for x, *w in itertools.product((-1.0, 0.0, 2.0), *[(-0.5, 0.0, 0.7)] * 3):
        w = [1.0, *w]
        for i in (2, 3, 4):
            others = math.prod(v for j, v in enumerate(w, 1) if j not in (1, i))
            ends = (chain(x, [*w[: i - 1], w[i - 1] + step, *w[i:]], "relu")["h"](4) for step in (-0.1, 0, 0.1))
            left, here, right = ends
            sides = (here - left) / 0.1, (right - here) / 0.1
            by_torch = chain(x, w, "relu")["of_weight"](4, i)
            closed = x <= 0 or min(w) < 0 or 0 in w[1 : i - 1] + w[i:]
            edge = not closed and w[i - 1] == 0
            assert sides == pytest.approx((0, 0) if closed else (0, x * others) if edge else (x * others,) * 2)
            assert by_torch == pytest.approx(0 if closed or edge else x * others)
            assert 0 <= by_torch <= max(0, x)


# The true supremum


def entering(i):
    """H_i, the least upper bound of h_{i-1}."""
    return 1.0 if i == 2 else sigma(entering(i - 1))


def slopes_product(k, v):
    """G_k(v) of the page: k slopes along the chain of weights -1."""
    product = mpmath.mpf(1)
    for _ in range(k):
        s = 1 / (1 + mpmath.exp(v))  # sigma(-v)
        product, v = product * s * (1 - s), s
    return product


@lru_cache
def supremum(k):
    """S_k and the v at which G_k has its maximum, by golden-section search in 40 digits."""
    with mpmath.workdps(40):
        ratio = (mpmath.sqrt(5) - 1) / 2
        low, high = mpmath.mpf(0), mpmath.mpf(1)
        for _ in range(80):
            a, b = high - ratio * (high - low), low + ratio * (high - low)
            low, high = (low, b) if slopes_product(k, a) > slopes_product(k, b) else (a, high)
        return slopes_product(k, low), low


def chain_size(h, weights):
    """abs(dh_n/dw_i) for the activation h that enters layer i and weights w_i, ..., w_n: arrays (k, tries)."""
    size = h
    for j, w in enumerate(weights):
        z = w * h
        h = 1 / (1 + np.exp(-z))
        size = size * h * (1 - h) * (1 if j == 0 else np.abs(w))
    return size


@pytest.mark.parametrize("i, k", [(2, k) for k in SLOPES] + [(3, 2), (3, 5), (4, 3)])
def test_a_search_over_all_weights_finds_the_supremum(i, k):
    """Random weights of both signs and all inputs, then ever smaller steps: never above H_i S_k, and up to it."""
    rng = np.random.default_rng(k)
    low, high = (0.0, 1.0) if i == 2 else (sigma(-1), entering(i)) if i == 3 else (sigma(-sigma(1)), entering(i))
    h, w = rng.uniform(low, high, 20000), rng.uniform(-1, 1, (k, 20000))
    best = np.argsort(chain_size(h, w))[-60:]
    h, w, size = h[best], w[:, best], chain_size(h, w)[best]
    for step in 0.5 * 0.98 ** np.arange(900):
        h_new = np.clip(h + step * rng.uniform(-1, 1, h.shape) * rng.integers(0, 2, h.shape), low, high)
        w_new = np.clip(w + step * rng.uniform(-1, 1, w.shape) * rng.integers(0, 2, w.shape), -1, 1)
        w_new *= np.where(rng.random(w.shape) < 0.05, -1, 1)  # a sign is too far away for small steps
        new = chain_size(h_new, w_new)
        better = new > size
        h, w, size = np.where(better, h_new, h), np.where(better, w_new, w), np.where(better, new, size)
    (top, v), found = map(float, supremum(k)), size.argmax()
    (display,) = [latex for latex in under("The true supremum") if latex.startswith(r"\sup")]
    names = {display.split(" = ")[0]: "found"}
    holds(display, {"found": size[found], "H": entering, "S": lambda k: top, "i": i, "k": k}, names, tolerance=1e-6)
    assert size[found] <= entering(i) * top * (1 + 1e-12) and h[found] == pytest.approx(entering(i), rel=1e-5)
    assert np.allclose(abs(w[0, found]) * h[found], v, atol=3e-3)  # the maximum is flat here
    assert np.allclose(w[1:-1, found], -1, atol=1e-4) and np.allclose(abs(w[1:, found]), 1, atol=1e-4)


def test_steps_of_the_proof():
    """The formulas hold, the maximum of G_m lies below sigma(-1), beyond which G_m falls."""
    D = lambda m, v: -mpmath.diff(lambda u: mpmath.log(slopes_product(m, u)), v)
    best = lambda m, h: max(w * sigma_slope(w * h) * slopes_product(m - 1, sigma(-w * h)) for w in (0.2, 0.6, 0.9, 1))
    values = {"G": slopes_product, "D": D, "slope": sigma_slope, "sigma": sigma, "best": best}
    names = {r"\sigma'": "slope", "M_m(h)": "G(m, h)"}
    for letter in "GD":
        names |= {f"{letter}_1(v)": f"{letter}(1, v)", f"{letter}_m(v)": f"{letter}(m, v)"}
        names[rf"{letter}_{{m-1}}\bigl(\sigma(-v)\bigr)"] = f"{letter}(m - 1, sigma(-v))"
    define, _, derive, step = under("The true supremum")
    names[step.split(" = ")[1].strip(" .")] = "best(m, h)"
    for latex, m, v in itertools.product((define, derive, step), (2, 3, 6), (0.3, 0.7)):
        holds(latex, values | {"m": m, "v": v, "h": v}, names)
    names |= {"D_{m-1}(u)": "D(m - 1, u)", "D_k(0)": "D(k, 0)", r"D_{k-1}(\frac{1}{2})": "D(k - 1, 0.5)"}
    names |= {"M_1(h)": "best(1, h)", "G_1(h)": "G(1, h)", r"G_{m-1}(\sigma(-h))": "G(m - 1, sigma(-h))"}
    names |= {"G_m(h)": "G(m, h)", r"\sigma'' / \sigma'": "bend", r"2\sigma": "2 * sigma(z)", "M_m(h)": "best(m, h)"}
    names[r"(\ln u\,\sigma'(u))'"] = "1 / u + bend"
    begin = (
        r"0 \le D_{m-1}",
        "0 < D_m",
        r"\sigma'' /",
        r"(\ln u",
        "M_1(h) = ",
        "M_m(h) = ",
        "D_k(0) = ",
        r"\sigma(-1) < H",
    )
    for latex, m, v in itertools.product(stated(TEXT, *begin, "H_2 = ", "H_{i+1} = "), (2, 3, 6), (0.3, 0.7)):
        bend = float(mpmath.diff(lambda u: mpmath.log(sigma_slope(float(u))), v, h=1e-4))
        more = {"m": m, "k": m, "v": v, "h": v, "u": v, "z": v, "bend": bend, "H": entering, "i": m}
        holds(latex, values | more, names, tolerance=1e-6)
    for m in SLOPES:
        assert supremum(m)[1] < sigma(-1) < min(entering(i) for i in range(2, 30))
        assert all(0 < D(m, v) <= math.tanh(v / 2) + 1e-12 for v in np.linspace(sigma(-1), 1, 20))


# Item 3: every outcome of a few independent variables, with its probability

LAWS = [{-1: 2 / 3, 2: 1 / 3}, {-3: 1 / 4, 1: 3 / 4}, {-2: 1 / 5, 0: 2 / 5, 1: 2 / 5}, {-5: 1 / 6, 1: 5 / 6}]


def together(laws):
    """The variables X_1, X_2, ... over all outcomes, and E and Var of anything made of them."""
    probability = np.array([math.prod(p) for p in itertools.product(*(law.values() for law in laws))])
    variables = np.array(list(itertools.product(*laws))).T
    E = lambda value: float(probability @ (value * np.ones_like(probability)))
    return variables, E, lambda value: E(value**2) - E(value) ** 2


@pytest.mark.parametrize("n", [2, 3, 4])
def test_the_formulas_of_item_3(n):
    variables, E, Var = together(LAWS[:n])
    values = {"n": n, "E": E, "Var": Var, "X": variables[0], "Y": variables[1], "P": math.prod(variables[:-1])}
    names = {"XY": "X * Y", "X_m": "factor(m)", "P X_n": "P * factor(n)", "X_n": "factor(n)"}
    names |= {r"\mathrm{Var}(X_1 \cdots X_n)": "Var(multiply(factor(m) for m in span(1, n)))"}
    names |= {r"\mathrm{Var}(X_1) \cdots \mathrm{Var}(X_n)": "multiply(Var(factor(m)) for m in span(1, n))"}
    names |= {r"\mathrm{E}[X^2 Y^2]": "E(X**2 * Y**2)"}
    for latex in (*under("3. "), *stated(TEXT, r"\mathrm{Var}(X", r"\mathrm{E}[X")):
        if "=" in latex and r"\prod_{m=1}^{i}" not in latex and latex != r"\mathrm{Var}(X) = 1":
            holds(latex, values | {"factor": lambda m: variables[m - 1]}, names, tolerance=1e-12)


def test_what_item_3_needs():
    """One mean may differ from zero if its second moment is taken; pairwise independence is not enough."""
    (x, y), E, Var = together([LAWS[0], {1: 1 / 2, 4: 1 / 2}])
    assert Var(x * y) == pytest.approx(Var(x) * E(y**2)) != pytest.approx(Var(x) * Var(y))
    (a, b), E, Var = together([{-1: 1 / 2, 1: 1 / 2}] * 2)
    for one, other in itertools.combinations((a, b, a * b), 2):
        assert sorted(zip(one, other)) == sorted(itertools.product((-1, 1), repeat=2))
    assert Var(a * b * (a * b)) == 0 and Var(a) == Var(b) == Var(a * b) == 1


# Items 4 to 6: every outcome of a linear network whose weights are +-sqrt(Var(W)), with correlated inputs

WIDTHS, VARIANCES = (2, 3, 1, 2), (0.5, 0.3, 0.7)
INPUTS = np.array([[1, 1], [-1, -1], [1, 1], [-1, -1], [1, -1], [-1, 1]], dtype=float)  # correlation 1/3


class Count(int):
    """The number of layers n, which called with i gives the width n_i."""

    def __call__(self, i):
        return WIDTHS[i]


def network(variances, inputs=INPUTS):
    """h^(i), W^(i) and J^(i) over all outcomes, arrays (outcomes, ...), as functions of i; n, E and Var of them."""
    shapes = list(zip(WIDTHS[1:], WIDTHS))
    ends = np.cumsum([0] + [out * into for out, into in shapes])
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=ends[-1])))
    signs, h = np.repeat(signs, len(inputs), 0), [np.tile(inputs, (len(signs), 1))]
    parts = zip(ends, ends[1:], shapes, variances)
    w = [math.sqrt(v) * signs[:, a:b].reshape(-1, *shape) for a, b, shape, v in parts]
    for matrix in w:
        h.append(np.einsum("sjk,sk->sj", matrix, h[-1]))
    j = [w[-1]]
    for matrix in w[-2::-1]:
        j.insert(0, j[0] @ matrix)
    values = {"h": lambda i: h[i], "W": lambda i: w[i - 1], "J": lambda i: j[i]}
    return values | {"X": inputs, "n": Count(3), "E": np.mean, "Var": np.var}


def test_the_formulas_of_items_4_and_6():
    values = network(VARIANCES)
    for both in (
        ("W_{jk}^{(i)} W_{jl}^{(i)}", "h_k^{(i-1)} h_l^{(i-1)}"),
        ("J_{aj}^{(i+1)} J_{al}^{(i+1)}", "W_{jk}^{(i+1)} W_{lk}^{(i+1)}"),
    ):  # where one factor is 0, a wrong index in the other changes no value
        assert r"\; ".join(rf"\mathrm{{E}}\bigl[{pair}\bigr]" for pair in both) in TEXT
    for i in (1, 2, 3):
        for latex in under("4. "):
            for j in range(1, WIDTHS[i] + 1):
                holds(latex, values | {"i": i, "j": j})
            (answer,) = (latex for latex in stated(TEXT, r"\mathrm{Var}(h_j^{(i)}) = ") if "^{(i-1)}" in latex)
            holds(answer, values | {"i": i, "j": j})
        product, (needed,) = stated(TEXT, r"\mathrm{Var}(X) \prod"), stated(TEXT, r"n_i = n_{i-1} \prod")
        found = evaluate(next(product).replace(" ", r"\,", 1), values | {"i": i})
        assert found == pytest.approx(values["h"](i).var())
        width, right = (evaluate(side, values | {"i": i}) for side in needed.split(" = "))
        assert values["h"](i).var() / (WIDTHS[i] * VARIANCES[i - 1]) == pytest.approx(right / width)  # over the printed
    *jacobian, compromise = under("6. ")
    for i, latex in itertools.product((0, 1), jacobian):
        for a, k in itertools.product((1, 2), range(1, WIDTHS[i] + 1)):
            holds(latex, values | {"i": i, "a": a, "k": k})
            for latex in stated(TEXT, r"J_{ak}^{(i-1)} = ", r"\mathrm{Var}(J^{(n-1)}) = "):
                holds(latex, values | {"i": i + 1, "a": a, "k": k})
    assert np.allclose(values["J"](2), values["W"](3))  # no fan
    variances = [theory.variances("xavier_normal", 1, into, out)[0] for into, out in zip(WIDTHS, WIDTHS[1:])]
    for i, variance in enumerate(variances, 1):
        holds(compromise, values | {"i": i, "W": lambda i: math.sqrt(variance) * np.array([-1, 1])})


def test_the_printed_formula_and_its_index_are_wrong():
    values = network(VARIANCES)
    for i in (1, 2, 3):
        assert not np.isclose(values["h"](i).var(), WIDTHS[i] * VARIANCES[i - 1])
    for i in (1, 2):  # the fan-in, or the sheet's letter i, in the backward formula
        ratio = values["J"](i - 1)[:, 0, 0].var() / values["J"](i)[:, 0, 0].var()
        assert ratio == pytest.approx(WIDTHS[i] * VARIANCES[i - 1]) != pytest.approx(WIDTHS[i - 1] * VARIANCES[i - 1])


CONDITION = r"@\,\mathrm{Var}(W^{(i)}) = ", r"\mathrm{Var}(W^{(i)}) = \frac{1}{@}"


def test_the_conditions_preserve_the_variance():
    forward = network([1 / n for n in WIDTHS[:-1]])
    assert [forward["h"](i).var(0) for i in range(4)] == [pytest.approx(1)] * 4
    for latex, i in itertools.product(stated(TEXT, *(one.replace("@", "n_{i-1}") for one in CONDITION)), (1, 2, 3)):
        holds(latex, forward | {"i": i})
    backward = network([1 / 3, 1 / 1, 0.37])  # the last one is free
    assert [backward["J"](i).var(0) for i in range(3)] == [pytest.approx(0.37)] * 3
    for latex, i in itertools.product(stated(TEXT, *(one.replace("@", "n_i") for one in CONDITION)), (1, 2)):
        holds(latex, backward | {"i": i})
        holds(*stated(TEXT, r"n_{i+1}\,\mathrm{Var}(W"), backward | {"i": i - 1})


def test_what_item_4_needs():
    """Inputs of any mean enter with their second moment; a sign that a row shares lets the cross terms stay."""
    shifted = INPUTS + [-1.0, 2.0]
    square, found = (shifted**2).mean(), network(VARIANCES, shifted)["h"](1)
    assert found.var(0) == pytest.approx(2 * VARIANCES[0] * square)
    by_module = theory.predict(WIDTHS, VARIANCES, (0.1, 0, 0), False, "identity", input_square=square)
    assert by_module.variance[0] == pytest.approx(2 * VARIANCES[0] * square + 0.1)
    assert np.var(np.concatenate([INPUTS.sum(1), -INPUTS.sum(1)])) != pytest.approx(2)


def test_with_a_loss_on_top_the_last_matrix_has_the_condition_too():
    top = np.array([[1.5, -0.5], [-0.5, 1.5], [1.5, 1.5], [-0.5, -0.5]])  # dL/dh^(n): second moment 1.25, mean 0.5
    w = np.array(list(itertools.product((-1, 1), repeat=2))) / math.sqrt(2)
    assert np.mean((w @ top.T) ** 2) == pytest.approx(1.25)
