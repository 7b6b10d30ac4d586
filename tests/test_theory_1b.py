"""Tests of theory/1b_unstable_gradients.md and of common/theory.py, which computes its predictions.

Every statement of the page has a test that could refute it, and every number on it is recomputed.
"""

import itertools
import math
from fractions import Fraction
from functools import lru_cache, reduce
from pathlib import Path

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from common import theory
from common.models import SCHEMES
from tests.documents import Document, every_digit_matters

PAGE = Path(__file__).parents[1] / "theory" / "1b_unstable_gradients.md"
SHEET = (784, 50, 30, 30, 30, 10)
BAND = 0.05  # how far the root mean square over random networks may be from the predicted factor
SCATTER = (0.03, 0.13)  # standard deviation of a single network's factor, relative to the prediction
SCATTER_ORTHOGONAL = 0.02
SLOPES = range(1, 9)
ROWS = [  # label on the page, scheme, activation
    ("Sigmoid, default", "default", "sigmoid"),
    ("Sigmoid, default method with a = 1", "kaiming_a1", "sigmoid"),
    ("Sigmoid, a = 0", "kaiming_a0", "sigmoid"),
    ("Sigmoid, a = 1, fan-out", "kaiming_a1_fan_out", "sigmoid"),
    ("Sigmoid, Xavier", "xavier_normal", "sigmoid"),
    ("Sigmoid, gain 4 in all layers", "gain4", "sigmoid"),
    ("Sigmoid, gain 4 from layer 2 on", "gain4_from_layer2", "sigmoid"),
    ("Sigmoid, gain 4 from layer 2 on, centred", "gain4_from_layer2_centred", "sigmoid"),
    ("Sigmoid, orthogonal with gain 6 from layer 2 on, centred", "orthogonal6_from_layer2_centred", "sigmoid"),
    ("ReLU, default", "default", "relu"),
]
thorough = settings(derandomize=True, deadline=None, max_examples=200)
inside = st.floats(-0.999, 0.999)


def predicted(name, activation, sizes=SHEET):
    return theory.predict(*theory.scheme(name, sizes), activation)


# Items 1 and 2: the chain


def chain(x, w, activation):
    """Return h_1, ..., h_n of the sheet's chain; w holds w_1 (unused), ..., w_n."""
    h = [activation(x)]
    for weight in w[1:]:
        h.append(activation(weight * h[-1]))
    return h


def derivative(x, w, i, activation, slope):
    """dh_n/dw_i by the formula of item 1, i counted from 1."""
    h = chain(x, w, activation)
    z = [x] + [w[j] * h[j - 1] for j in range(1, len(w))]
    if i == 1:
        return 0.0
    factors = [w[j] * slope(z[j]) for j in range(i, len(w))]  # 0-based j is the layer j + 1
    return h[i - 2] * slope(z[i - 1]) * math.prod(factors)


def sigma(z):
    return 1 / (1 + math.exp(-z))


def sigma_slope(z):
    return sigma(z) * (1 - sigma(z))


CURVES = {
    "sigmoid": (torch.sigmoid, sigma, sigma_slope),
    "tanh": (torch.tanh, math.tanh, lambda z: 1 - math.tanh(z) ** 2),
    "relu": (torch.relu, lambda z: max(0.0, z), lambda z: float(z > 0)),
}


@pytest.mark.parametrize("name", CURVES)
@settings(derandomize=True, deadline=None, max_examples=60)
@given(x=st.floats(-3, 3), w=st.lists(st.floats(-2, 2), min_size=1, max_size=7))
def test_item_1_agrees_with_autograd_and_with_finite_differences(name, x, w):
    on_tensors, activation, slope = CURVES[name]
    weights = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in w]
    top = chain(torch.tensor(x, dtype=torch.float64), weights, on_tensors)[-1]
    gradients = torch.autograd.grad(top, weights, allow_unused=True) if len(w) > 1 else [None]
    assert gradients[0] is None  # w_1 occurs nowhere
    for i, gradient in enumerate(gradients, 1):
        formula = derivative(x, w, i, activation, slope)
        assert formula == pytest.approx(float(gradient or 0), rel=1e-12, abs=1e-300)
        if name != "relu":  # away from the kink of ReLU autograd says enough
            step = 1e-5
            ends = [chain(x, [*w[: i - 1], w[i - 1] + s, *w[i:]], activation)[-1] for s in (step, -step)]
            assert formula == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5, abs=1e-9)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(x=st.floats(-3, 3), w=st.lists(inside, min_size=1, max_size=6))
def test_with_h_0_as_the_input_the_formula_holds_for_all_weights(x, w):
    weights = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in w]
    top, h = torch.tensor(x, dtype=torch.float64), [x]
    for weight in weights:
        top = torch.sigmoid(weight * top)
        h.append(top.item())
    for i, gradient in enumerate(torch.autograd.grad(top, weights)):  # 0-based i is the weight i + 1
        behind = math.prod(w[j] * sigma_slope(w[j] * h[j]) for j in range(i + 1, len(w)))
        formula = h[i] * sigma_slope(w[i] * h[i]) * behind
        assert formula == pytest.approx(float(gradient), rel=1e-12, abs=1e-300)
        assert abs(formula) <= (abs(x) if i == 0 else 1) * 0.25 ** (len(w) - i)


def entering(i):
    """H_i, the least upper bound of h_{i-1}."""
    return 1.0 if i == 2 else sigma(entering(i - 1))


@thorough
@given(x=st.floats(-40, 40), w=st.lists(inside, min_size=2, max_size=9))
def test_sigmoid_derivatives_stay_below_both_bounds_and_the_supremum(x, w):
    n, h = len(w), chain(x, w, sigma)
    for i in range(2, n + 1):
        k = n - i + 1
        size = abs(derivative(x, w, i, sigma, sigma_slope))
        middle = h[i - 2] * 0.25**k * math.prod(map(abs, w[i:]))
        assert size <= middle * (1 + 1e-12) and middle <= 0.25**k
        assert size <= entering(i) * float(supremum(k)[0]) * (1 + 1e-12)


@thorough
@given(x=st.floats(-30, 30), w=st.lists(inside, min_size=2, max_size=6))
def test_the_last_weight_attains_the_bound_at_zero(x, w):
    w[-1] = 0.0
    assert derivative(x, w, len(w), sigma, sigma_slope) == chain(x, w, sigma)[-2] / 4


def slopes_product(k, v):
    """G_k(v) of the page: k slopes along the chain of weights -1."""
    product = mpmath.mpf(1)
    for _ in range(k):
        s = 1 / (1 + mpmath.exp(v))  # sigma(-v)
        product, v = product * s * (1 - s), s
    return product


@pytest.mark.parametrize("i", range(2, 9))
def test_the_activation_that_enters_layer_i_comes_as_close_as_one_likes_to_its_bound(i):
    assert entering(i) - 1e-6 < chain(40.0, [1 - 1e-7] * i, sigma)[i - 2] <= entering(i)


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


def chain_size(h, w):
    """abs(dh_n/dw_i) for the activation h that enters layer i and weights w_i, ..., w_n: arrays (k, tries)."""
    size = h
    for j, weight in enumerate(w):
        z = weight * h
        h = 1 / (1 + np.exp(-z))
        size = size * h * (1 - h) * (1 if j == 0 else np.abs(weight))
    return size


@pytest.mark.parametrize("i", [2, 3, 4])
@pytest.mark.parametrize("k", SLOPES)
def test_a_search_over_all_weights_finds_the_supremum(i, k):
    """Random weights of both signs and all inputs, then ever smaller steps: never above H_i S_k, and up to it."""
    rng = np.random.default_rng(k)
    low, high = (0.0, 1.0) if i == 2 else (sigma(-1), entering(i)) if i == 3 else (sigma(-sigma(1)), entering(i))
    h, w = rng.uniform(low, high, 20000), rng.uniform(-1, 1, (k, 20000))
    size = chain_size(h, w)
    best = np.argsort(size)[-100:]
    h, w, size = h[best], w[:, best], size[best]
    for step in 0.5 * 0.988 ** np.arange(1500):
        h_new = np.clip(h + step * rng.uniform(-1, 1, h.shape) * rng.integers(0, 2, h.shape), low, high)
        w_new = np.clip(w + step * rng.uniform(-1, 1, w.shape) * rng.integers(0, 2, w.shape), -1, 1)
        w_new *= np.where(rng.random(w.shape) < 0.05, -1, 1)  # a sign is too far away for small steps
        new = chain_size(h_new, w_new)
        better = new > size
        h, w, size = np.where(better, h_new, h), np.where(better, w_new, w), np.where(better, new, size)
    top, v = map(float, supremum(k))
    found = size.argmax()
    assert size[found] == pytest.approx(entering(i) * top, rel=1e-6)
    assert size[found] <= entering(i) * top * (1 + 1e-12)
    assert h[found] == pytest.approx(entering(i), rel=1e-6)
    assert np.allclose(abs(w[0, found]) * h[found], v, atol=2e-3)  # the maximum is flat here
    assert np.allclose(w[1:-1, found], -1, atol=1e-5)
    assert np.allclose(abs(w[1:, found]), 1, atol=1e-5)  # the slope behind the last weight is even


def test_steps_of_the_proof():
    """G_m falls on I as fast as the page says, its maximum lies below sigma(-1), and u sigma'(u) grows."""
    grid = np.linspace(sigma(-1), 1, 50)
    for m in SLOPES:
        fall = [-float(mpmath.diff(lambda v: mpmath.log(slopes_product(m, v)), v)) for v in grid]
        assert (np.array(fall) > 0).all() and (fall <= np.tanh(grid / 2) + 1e-12).all()
        assert float(supremum(m)[1]) < sigma(-1) < min(entering(i) for i in range(2, 30))
        if m > 1:
            assert float(mpmath.diff(lambda v: slopes_product(m, v), 0)) > 0  # not yet at its maximum
    u = np.linspace(0, 1, 1001)
    assert (np.diff(u * theory.logistic(u) * theory.logistic(-u)) > 0).all()
    assert math.tanh(0.25) / 4 < math.tanh(sigma(-1) / 2)


@thorough
@given(x=st.floats(0.01, 5), w=st.lists(st.floats(0.05, 3), min_size=2, max_size=8))
def test_relu_derivative_is_the_output_over_the_weight(x, w):
    _, activation, slope = CURVES["relu"]
    top = chain(x, w, activation)[-1]
    for i in range(2, len(w) + 1):
        assert derivative(x, w, i, activation, slope) == pytest.approx(top / w[i - 1], rel=1e-12)


@thorough
@given(x=st.floats(-5, 5), w=st.lists(inside, min_size=2, max_size=8))
def test_relu_derivative_is_bounded_by_the_input_and_zero_behind_a_negative_weight(x, w):
    _, activation, slope = CURVES["relu"]
    for i in range(2, len(w) + 1):
        value = derivative(x, w, i, activation, slope)
        assert abs(value) <= max(0, x)
        if x < 0 or min(w[1:]) < 0:
            assert value == 0
    close = derivative(5.0, [1 - 1e-9] * 50, 2, activation, slope)
    assert close == pytest.approx(5.0, rel=1e-6)  # at any depth


# Item 3: products of random variables, exactly


def law(*pairs):
    """A discrete distribution: (value, probability) pairs, as fractions."""
    assert sum(Fraction(p) for _, p in pairs) == 1
    return [(Fraction(v), Fraction(p)) for v, p in pairs]


def product_law(laws):
    """The distribution of the product of independent variables."""
    return [(math.prod(v for v, _ in c), math.prod(p for _, p in c)) for c in itertools.product(*laws)]


def moment(distribution, power=1):
    return sum(v**power * p for v, p in distribution)


def variance(distribution):
    return moment(distribution, 2) - moment(distribution) ** 2


CENTRED = [
    law((-1, "2/3"), (2, "1/3")),
    law((-3, "1/4"), (1, "3/4")),
    law((-2, "1/5"), (0, "2/5"), (1, "2/5")),
    law((-5, "1/6"), (1, "5/6")),
]


def test_variance_of_a_product_of_mutually_independent_variables():
    for m in range(1, 5):
        for laws in itertools.combinations(CENTRED, m):
            product = product_law(laws)
            assert moment(product) == 0
            assert variance(product) == math.prod(map(variance, laws)) > 0


def test_one_mean_may_differ_from_zero_if_its_second_moment_is_taken():
    shifted = law((1, "1/2"), (4, "1/2"))
    product = product_law([CENTRED[0], shifted])
    assert variance(product) == variance(CENTRED[0]) * moment(shifted, 2)
    assert variance(product) != variance(CENTRED[0]) * variance(shifted)


def test_pairwise_independence_is_not_enough():
    triples = [(a, b, a * b) for a, b in itertools.product((-1, 1), repeat=2)]
    for pair in itertools.combinations(range(3), 2):
        assert sorted((t[pair[0]], t[pair[1]]) for t in triples) == sorted(itertools.product((-1, 1), repeat=2))
    products = law(*[(math.prod(t), "1/4") for t in triples])
    assert variance(products) == 0 != 1 == math.prod(variance(law((-1, "1/2"), (1, "1/2"))) for _ in range(3))


# Items 4 to 6: linear networks by Monte Carlo. Each network is drawn anew with one input.

WIDTHS = (8, 2, 5, 3)
VARIANCES = (0.5, 0.3, 0.7)
DRAWS = 200_000


def agrees(sample, value, sigmas=5.0):
    """Tell whether the second moment of the sample (draws, ...) is `value` within its sampling error, everywhere."""
    squares = sample**2
    error = squares.std(0) / math.sqrt(len(sample))
    return bool((abs(squares.mean(0) - value) < sigmas * error).all())


def differs(sample, value):
    """Tell whether the second moment is further than 20 sampling errors from `value`, everywhere."""
    squares = sample**2
    return bool((abs(squares.mean(0) - value) > 20 * squares.std(0) / math.sqrt(len(sample))).all())


def correlated_inputs(rng, n, draws=DRAWS):
    """Inputs (draws, n) of mean 0, variance 1 and correlation 0.8 between any two."""
    return math.sqrt(0.8) * rng.standard_normal((draws, 1)) + math.sqrt(0.2) * rng.standard_normal((draws, n))


def draw_weights(rng, widths, variances, draws=DRAWS):
    """Matrices (draws, n_i, n_{i-1}), uniform, layers independent of each other."""
    shapes = zip(widths[1:], widths, variances)
    return [math.sqrt(3 * v) * rng.uniform(-1, 1, (draws, out, into)) for out, into, v in shapes]


def apply(w, h):
    return np.einsum("sjk,sk->sj", w, h)


def forward(widths, variances):
    """Var(h^(i)) for i = 1, ..., n by item 4, for an input of variance 1."""
    return np.cumprod([into * v for into, v in zip(widths, variances)])


def as_printed(widths, variances):
    """Var(h^(i)) by the sheet's formula, taken literally."""
    return [out * v for out, v in zip(widths[1:], variances)]


@pytest.mark.parametrize("widths, variances", [(WIDTHS, VARIANCES), ((8, 2, 4), (0.5, 0.5))])
def test_forward_variance_has_the_fan_in_and_all_layers(widths, variances):
    rng = np.random.default_rng(0)
    h = correlated_inputs(rng, widths[0])
    laws = zip(draw_weights(rng, widths, variances), forward(widths, variances), as_printed(widths, variances))
    for w, right, literal in laws:
        h = apply(w, h)
        assert (abs(h.mean(0)) < 5 * h.std(0) / math.sqrt(DRAWS)).all()
        assert agrees(h, right) and differs(h, literal)
    by_module = theory.predict(widths, variances, (0,) * 3, False, "identity").variance
    assert np.allclose(by_module, forward(widths, variances))


def test_forward_variance_as_printed_where_the_page_says_it_is_right():
    for widths, variances in [((4, 4, 4), (0.25, 0.25)), ((4, 4, 4), (0.25, 0.6)), ((2, 3, 6), (1 / 3, 0.7))]:
        i = len(variances)
        earlier = math.prod(np.array(widths[: i - 1]) * variances[: i - 1])
        condition = widths[i] == pytest.approx(widths[i - 1] * earlier)
        assert condition == (forward(widths, variances)[-1] == pytest.approx(as_printed(widths, variances)[-1]))
    assert forward((4, 4, 4), (0.25, 0.6))[-1] == pytest.approx(as_printed((4, 4, 4), (0.25, 0.6))[-1])


def test_weights_of_a_row_need_to_be_uncorrelated_and_no_more():
    """(C): a common random size of a row leaves its weights dependent but uncorrelated; a common sign does not."""
    rng = np.random.default_rng(1)
    x = correlated_inputs(rng, 6)
    signs, size = rng.choice([-1.0, 1.0], (DRAWS, 3, 6)), rng.exponential(1, (DRAWS, 3, 1))
    assert agrees(apply(signs * size, x), 6 * 2.0)  # E[size^2] = 2
    assert differs(apply(np.broadcast_to(signs[:, :, :1], signs.shape), x), 6.0)


def test_an_input_that_is_not_centred_enters_with_its_second_moment():
    rng = np.random.default_rng(2)
    x = correlated_inputs(rng, 6) + np.linspace(-1, 2, 6)
    square = 1 + (np.linspace(-1, 2, 6) ** 2).mean()
    (w,) = draw_weights(rng, (6, 3), (0.4,))
    assert agrees(apply(w, x), 6 * 0.4 * square) and differs(apply(w, x), 6 * 0.4)
    given_square = theory.predict((6, 3), (0.4,), (0.1,), False, "identity", input_square=square)
    assert given_square.variance[0] == pytest.approx(6 * 0.4 * square + 0.1)


def test_forward_condition_preserves_the_variance_in_every_layer():
    rng = np.random.default_rng(3)
    h = correlated_inputs(rng, WIDTHS[0])
    for w in draw_weights(rng, WIDTHS, [1 / n for n in WIDTHS]):
        h = apply(w, h)
        assert agrees(h, 1.0)


def jacobians(ws):
    """J^(n-1), ..., J^(0), arrays (draws, n_n, n_i): J^(i) is the product of the matrices above layer i."""
    j = [ws[-1]]
    for w in ws[-2::-1]:
        j.append(np.einsum("saj,sjk->sak", j[-1], w))
    return j


def test_jacobians_are_those_of_autograd():
    ws = draw_weights(np.random.default_rng(4), WIDTHS, VARIANCES, draws=3)
    for draw in range(3):
        layers = [torch.tensor(w[draw]) for w in ws]
        for i, j in zip((2, 1, 0), jacobians(ws)):
            top = lambda h: reduce(lambda below, w: w @ below, layers[i:], h)
            by_autograd = torch.autograd.functional.jacobian(top, torch.ones(WIDTHS[i], dtype=torch.float64))
            assert np.allclose(j[draw], by_autograd)


def test_backward_variance_has_the_fan_out_of_the_matrix_between():
    n = len(VARIANCES)
    found = dict(zip((2, 1, 0), jacobians(draw_weights(np.random.default_rng(5), WIDTHS, VARIANCES))))
    right = {n - 1: VARIANCES[n - 1]}  # Var(W^(n)), no fan
    assert agrees(found[n - 1], right[n - 1])
    for i in (1, 0):  # W^(i+1) is VARIANCES[i] and has the fan-out WIDTHS[i + 1]
        right[i] = WIDTHS[i + 1] * VARIANCES[i] * right[i + 1]
        assert agrees(found[i], right[i])
        fan_in = WIDTHS[i] * VARIANCES[i] * right[i + 1]
        assert differs(found[i], fan_in)
    unshifted = WIDTHS[1] * VARIANCES[0] * right[2]  # the sheet's letter for i = 1: n_i Var(W^(i))
    assert differs(found[1], unshifted)
    assert right[0] == pytest.approx(VARIANCES[-1] * math.prod(WIDTHS[m] * VARIANCES[m - 1] for m in range(1, n)))


def test_backward_condition_preserves_the_variance_below_the_last_matrix():
    last = 0.37  # free: the condition says nothing about W^(n)
    variances = [1 / WIDTHS[1], 1 / WIDTHS[2], last]
    for j in jacobians(draw_weights(np.random.default_rng(6), WIDTHS, variances)):
        assert agrees(j, last)
    with_fan_in = jacobians(draw_weights(np.random.default_rng(6), WIDTHS, [1 / WIDTHS[0], 1 / WIDTHS[1], last]))
    assert differs(with_fan_in[1], last)


def test_with_a_loss_on_top_the_last_matrix_has_the_condition_too():
    rng = np.random.default_rng(7)
    top = rng.standard_normal((DRAWS, 1, 5)) * [1.0, 1.0, 1.0, 1.0, 1.0] + 0.5  # dL/dh^(n): any mean
    (w,) = draw_weights(rng, (3, 5), (1 / 5,))
    assert agrees((top @ w)[:, 0], 1.25)


def test_xavier_is_the_compromise():
    for into, out in [(784, 50), (30, 10), (7, 7)]:
        weight, _ = theory.variances("xavier_normal", 1, into, out)
        assert weight == pytest.approx(2 / (1 / (1 / into) + 1 / (1 / out)))  # harmonic mean of the two demands
        assert (into * weight + out * weight) / 2 == pytest.approx(1)
        assert into * weight + out * weight == pytest.approx(2)


# The closing section


@pytest.mark.parametrize("name", SCHEMES)
def test_the_initialisers_have_the_variances_that_the_theory_states(name):
    sizes, weight_variance, bias_variance, centred = theory.scheme(name, (700, 500, 200, 300))
    torch.manual_seed(0)
    layers = [nn.Linear(*pair) for pair in zip(sizes, sizes[1:])]
    with torch.no_grad():
        SCHEMES[name](layers)
        for l, layer in enumerate(layers):
            # The relative error of a sample variance of n normal numbers is sqrt(2/n), of uniform ones less.
            n = layer.weight.numel()
            assert float(layer.weight.double().var()) == pytest.approx(weight_variance[l], rel=5 * math.sqrt(2 / n))
            if centred:
                shift = -layer.weight.sum(1) / 2 if l else torch.zeros(sizes[1])
                assert torch.allclose(layer.bias, shift, atol=1e-5) and bias_variance[l] == 0
            else:
                n = layer.bias.numel()
                spread = float(layer.bias.double().square().mean())
                assert spread == pytest.approx(bias_variance[l], rel=5 * math.sqrt(0.8 / n))


def test_a_scheme_or_an_activation_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="gain5"):
        theory.scheme("gain5", SHEET)
    with pytest.raises(ValueError, match="selu"):
        theory.moments("selu", 1.0)


def exact_moments(q, centre=0.0):
    """E[(sigma(z) - centre)^2] and E[sigma'(z)^2] for z ~ N(0, q), by adaptive quadrature in mpmath."""
    density = lambda t: mpmath.exp(-t * t / 2) / mpmath.sqrt(2 * mpmath.pi)
    logistic = lambda t: 1 / (1 + mpmath.exp(-mpmath.sqrt(q) * t))
    pieces = [-12, -6, -3, -1, 0, 1, 3, 6, 12]
    return (
        mpmath.quad(lambda t: density(t) * (logistic(t) - centre) ** 2, pieces),
        mpmath.quad(lambda t: density(t) * (logistic(t) * (1 - logistic(t))) ** 2, pieces),
    )


@pytest.mark.parametrize("q", [1e-4, 0.1, 1.0, 8.0, 40.0])
def test_gaussian_expectations(q):
    for centre in (0.0, 0.5):
        exact = [float(m) for m in exact_moments(q, centre)]
        assert theory.moments("sigmoid", q, centre) == pytest.approx(exact, rel=1e-10)
    assert theory.moments("relu", q) == pytest.approx((q / 2, 0.5), rel=1e-12)
    assert theory.moments("identity", q) == pytest.approx((q, 1.0), rel=1e-12)
    low, floor = theory.moments("sigmoid", q, 0.5)[0], theory.moments("sigmoid", q)[0]
    assert floor == pytest.approx(0.25 + low)  # the quarter is the mean


@lru_cache
def fixed_point(g_square):
    """q* and f of wide Sigmoid layers, by a route of its own: root finding in mpmath."""
    q = mpmath.findroot(lambda q: g_square * exact_moments(q)[0] - q, (g_square * 0.26, g_square * 0.36), tol=1e-12)
    return float(q), math.sqrt(g_square * float(exact_moments(q)[1]))


@lru_cache
def wide(g_square, layers, activation="sigmoid", centred=False):
    """The prediction for `layers` + 1 layers of equal width and zero bias; only g^2 = n Var(W) matters."""
    return theory.predict((1,) * (layers + 2), (g_square,) * (layers + 1), (0,) * (layers + 1), centred, activation)


@pytest.mark.parametrize("g_square", [1 / 3, 1.0, 2.0, 16.0])
def test_wide_layers_tend_to_the_fixed_point(g_square):
    q, f = fixed_point(g_square)
    assert wide(g_square, 60).variance[-1] == pytest.approx(q, rel=1e-8)
    assert wide(g_square, 60).factor[-1] == pytest.approx(f, rel=1e-8)
    assert q > g_square / 4 and f < math.sqrt(g_square) / 4


def test_centred_gain_4_falls_with_the_root_of_the_depth():
    deep = wide(16.0, 4000, centred=True)
    layer = np.arange(1, 4002)
    assert deep.variance[-1] * layer[-1] == pytest.approx(2, rel=5e-3)
    assert (1 - deep.factor[-1]) * 2 * layer[-2] == pytest.approx(1, rel=5e-3)
    below = [theory.signal(deep.factor[:n], 1.0)[0] for n in (1000, 4000)]
    assert below[0] / below[1] == pytest.approx(2, rel=5e-3)  # four times as deep: half
    for q in (1e-3, 1e-2):
        square, slope = theory.moments("sigmoid", q, 0.5)
        assert 16 * square == pytest.approx(q - q * q / 2, abs=q**3)
        assert 16 * slope == pytest.approx(1 - q / 2, abs=q**2)


def test_centred_gain_6_has_a_fixed_point_of_its_own():
    q = wide(36.0, 60, centred=True).variance[-1]
    assert q == pytest.approx(36 * float(exact_moments(q, 0.5)[0]), rel=1e-8)
    assert wide(36.0, 60, centred=True).factor[-1] == pytest.approx(6 * math.sqrt(exact_moments(q, 0.5)[1]), rel=1e-8)
    for g_square in (16.5, 20.0, 36.0, 64.0):
        assert wide(g_square, 300, centred=True).factor[-1] > 1


def test_relu_factor_is_the_same_for_every_variance():
    for g_square in (1 / 3, 2.0):
        assert wide(g_square, 5, "relu").factor == pytest.approx([math.sqrt(g_square / 2)] * 5)


def test_signal_is_anchored_at_the_output():
    assert theory.signal([0.5, 0.1], 3.0) == pytest.approx([0.15, 0.3, 3.0])
    assert theory.signal([theory.CRUDE] * 4, 1.0)[0] == 0.25**4


# Random networks, with PyTorch's own initialisers and autograd


def images(generator, features, batch, equal=False):
    """Correlated columns (features, batch) of mean square 1, of equal norm or of as unequal ones as photographs."""
    draw = lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64)
    x = draw(features, 20) @ draw(20, batch) / math.sqrt(20)
    x += 0 if equal else 0.7 * draw(1, batch)
    return x / x.square().mean(0 if equal else None, keepdim=True).sqrt()


class Nets:
    """`count` fresh networks of one scheme side by side, after one forward and one backward pass.

    z, h, gradients: lists per layer of (count, n_l, batch), layer 1 first; h starts with the images.
    """

    def __init__(self, name, sizes, activation, count, x, generator, bias=True):
        drawn = []
        for _ in range(count):
            layers = [nn.Linear(*pair) for pair in zip(sizes, sizes[1:])]
            with torch.no_grad():
                SCHEMES[name](layers)
            drawn.append(layers)
        self.w = [torch.stack([l.weight.detach().double() for l in layer]).requires_grad_() for layer in zip(*drawn)]
        self.b = [torch.stack([l.bias.detach().double() for l in layer])[:, :, None] * bias for layer in zip(*drawn)]
        curve = {"sigmoid": torch.sigmoid, "relu": torch.relu}[activation]
        self.z, self.h = [], [x]
        for w, b in zip(self.w, self.b):
            self.z.append(w @ self.h[-1] + b)
            self.z[-1].retain_grad()
            self.h.append(curve(self.z[-1]))
        labels = torch.randint(sizes[-1], (count, x.shape[-1]), generator=generator)
        nn.functional.cross_entropy(self.z[-1], labels, reduction="sum").backward()
        self.delta = [z.grad for z in self.z]

    def factors(self):
        """norm(delta^(l)) / norm(delta^(l+1)), (count, layers - 1)."""
        norms = torch.stack([d.flatten(1).norm(dim=1) for d in self.delta], 1)
        return (norms[:, :-1] / norms[:, 1:]).numpy()


@lru_cache
def sheet_factors(name, activation):
    """The factors of 200 networks of the sheet's shape relative to the prediction, (200, 4)."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    parts = [Nets(name, SHEET, activation, 20, images(generator, 784, 64), generator).factors() for _ in range(10)]
    return np.concatenate(parts) / predicted(name, activation).factor


@pytest.mark.parametrize("label, name, activation", ROWS)
def test_prediction_holds_for_networks_of_the_sheets_shape(label, name, activation):
    ratio = sheet_factors(name, activation)
    assert abs(np.sqrt((ratio**2).mean(0)) - 1).max() < BAND
    if name.startswith("orthogonal"):
        assert ratio.std(0).max() < SCATTER_ORTHOGONAL
    else:
        assert SCATTER[0] < ratio.std(0).min() and ratio.std(0).max() < SCATTER[1]


def test_gain_4_scatters_most():
    spread = {label: sheet_factors(name, activation).std(0).max() for label, name, activation in ROWS}
    assert all("gain 4" in label and "centred" not in label for label in sorted(spread, key=spread.get)[-2:])


@pytest.mark.parametrize("name, activation", [(name, a) for _, name, a in ROWS])
def test_prediction_is_tight_for_wide_layers(name, activation):
    """Unequal widths, so that fan-in and fan-out differ; 2 % where narrow layers need 5 %."""
    sizes = (300, 400, 250, 500, 300)
    torch.manual_seed(1)
    generator = torch.Generator().manual_seed(1)
    nets = Nets(name, sizes, activation, 12, images(generator, 300, 32, equal=True), generator)
    theirs = predicted(name, activation, sizes)
    assert np.sqrt((nets.factors() ** 2).mean(0)) == pytest.approx(theirs.factor, rel=0.02)
    z, h = [z.detach() for z in nets.z], [h.detach() for h in nets.h]
    slopes = [a * (1 - a) if activation == "sigmoid" else (a > 0).double() for a in h[1:-1]]
    assert [float(s.square().mean()) for s in slopes] == pytest.approx(list(theirs.slope), rel=0.03)
    assert [float(a.square().mean()) for a in z] == pytest.approx(list(theirs.variance), rel=0.1)


@pytest.mark.parametrize("name", SCHEMES)
def test_a_net_as_it_is_gets_the_prediction_of_its_scheme(name):
    sizes = (300, 400, 250, 500, 300)
    torch.manual_seed(6)
    generator = torch.Generator().manual_seed(6)
    nets = Nets(name, sizes, "sigmoid", 12, images(generator, 300, 2), generator)
    arrays = ([part.detach().numpy() for part in parts] for parts in (nets.w, [b[:, :, 0] for b in nets.b]))
    measured, stated = theory.predict_net(*arrays, "sigmoid"), predicted(name, "sigmoid", sizes)
    assert measured.factor == pytest.approx(stated.factor, rel=0.02)
    assert measured.variance == pytest.approx(stated.variance, rel=0.05)


def test_the_norm_has_the_fan_in_and_an_entry_the_fan_out():
    sizes = (50, 200, 100, 400)
    torch.manual_seed(2)
    generator = torch.Generator().manual_seed(2)
    nets = Nets("xavier_normal", sizes, "relu", 20, images(generator, 50, 32), generator)
    squares = [float(d.square().sum((1, 2)).mean()) for d in nets.delta]
    _, var, _, _ = theory.scheme("xavier_normal", sizes)
    for l in (1, 2):  # delta^(l) is squares[l - 1], W^(l+1) has the variance var[l]
        norm_ratio = squares[l - 1] / squares[l]
        entry_ratio = norm_ratio * sizes[l + 1] / sizes[l]
        assert norm_ratio == pytest.approx(sizes[l] * var[l] / 2, rel=0.05)
        assert entry_ratio == pytest.approx(sizes[l + 1] * var[l] / 2, rel=0.05)


@pytest.mark.parametrize("name", ["default", "gain4"])
def test_a_quarter_of_the_spectral_norm_bounds_every_network(name):
    torch.manual_seed(3)
    generator = torch.Generator().manual_seed(3)
    nets = Nets(name, SHEET, "sigmoid", 20, images(generator, 784, 16), generator)
    spectral = np.stack([torch.linalg.matrix_norm(w.detach(), 2).numpy() for w in nets.w[1:]], 1)
    assert (nets.factors() <= spectral / 4).all()
    assert (nets.factors() > 0.25).all() == (name == "gain4")  # and 1/4 alone does not


def test_two_gradients():
    """The norm for one image is a product, the ReLU one is flat, and activations behind a Sigmoid do not vanish."""
    torch.manual_seed(4)
    generator = torch.Generator().manual_seed(4)
    sizes = (200,) * 7
    relu = Nets("default", sizes, "relu", 20, images(generator, 200, 1), generator, bias=False)
    norms = np.stack([w.grad.flatten(1).norm(dim=1).numpy() for w in relu.w], 1)
    product = [d.norm(dim=(1, 2)) * h.norm(dim=(-2, -1)) for d, h in zip(relu.delta, relu.h)]
    assert np.allclose(norms, torch.stack(product, 1).detach().numpy())
    flat = np.sqrt((norms**2).mean(0))
    assert flat == pytest.approx([flat.mean()] * 6, rel=0.1)
    signal = np.sqrt([float(d.square().sum((1, 2)).mean()) for d in relu.delta])
    assert signal[0] / signal[-1] == pytest.approx((1 / math.sqrt(6)) ** 5, rel=0.2)
    inner = np.stack([(w.grad * w.detach()).sum((1, 2)).numpy() for w in relu.w], 1)
    assert np.allclose(inner, inner[:, :1])  # Euler's theorem: exactly flat in this sense
    sigmoid = Nets("default", SHEET, "sigmoid", 200, images(generator, 784, 4), generator)
    for width, h in zip(SHEET[1:-1], sigmoid.h[1:-1]):
        assert float(h.detach().square().sum(1).mean()) > 0.97 * width / 4  # sampling error of 200 networks: below 1 %


def test_the_variance_across_images_falls_with_the_square_of_the_factor():
    torch.manual_seed(5)
    generator = torch.Generator().manual_seed(5)
    nets = Nets("default", SHEET, "sigmoid", 200, images(generator, 784, 64, equal=True), generator)
    across = np.array([float(z.detach().var(-1).mean()) for z in nets.z])
    assert across[1:] / across[:-1] == pytest.approx(predicted("default", "sigmoid").factor ** 2, rel=0.1)


# The page, number by number


@lru_cache
def numbers():
    """Everything the page prints that takes time to compute."""
    sheet = {label: predicted(name, activation) for label, name, activation in ROWS}
    product = {label: theory.signal(p.factor, 1.0)[0] for label, p in sheet.items()}
    deep = wide(16.0, 1000, centred=True).factor
    below = {n: theory.signal(deep[:n], 1.0)[0] for n in (100, 1000)}
    c, H = (float(mpmath.findroot(lambda v: 1 / (1 + mpmath.exp(s * v)) - v, 0.5)) for s in (1, -1))
    return sheet, product, below, c, H


def g_square(name):
    """n Var(W) of layers of equal width, as a fraction."""
    return Fraction(600 * theory.variances(name, 2, 600, 600)[0]).limit_denominator(100)


def check(text):
    page = Document(text, PAGE.name)
    sheet, product, below, c, H = numbers()
    page.says(r"lies between 0 and $`\frac{1}{4}\tanh\frac{1}{4} = {}`$", math.tanh(0.25) / 4)
    page.says(r"$`\tanh(\sigma(-1)/2) = {}`$", math.tanh(sigma(-1) / 2))
    rows = []
    for k in SLOPES:
        top, v = supremum(k)
        rows.append((k, Fraction(1, 4**k), top, top * 4**k, -v))
    page.table("slopes $`k`$", rows)
    page.says(r"$`v^* = \sigma(-v^*) = {}`$", c)
    page.says(r"$`\sigma'(v^*) = {}`$ instead of {}.", sigma_slope(c), 0.25)
    page.says(r"$`H_3 = \sigma(1) = {}`$", entering(3))
    page.says(r"$`H_4 = \sigma(\sigma(1)) = {}`$", entering(4))
    page.says(r"falls towards {}, where $`H = \sigma(H)`$", H)
    n, x, small, large = 20, 1, 0.7, 1.5
    page.says(
        r"At $`n = {}`$ and $`x = {}`$ this is {} for $`w = {}`$ and {} for $`w = {}`$.",
        *(n, x, x * small ** (n - 2), small, x * large ** (n - 2), large),
    )
    widths, variances = (8, 2, 4), (0.5, 0.5)
    derived, literal = forward(widths, variances), as_printed(widths, variances)
    page.says(r"In a network $`{} \to {} \to {}`$ with $`\mathrm{Var}(W) = {}/{}`$", *widths, 1, 2)
    page.table("layer", [(i + 1, widths[i], widths[i + 1], derived[i], literal[i]) for i in range(2)])
    page.says(r"in a layer $`{} \to {}`$ that multiplies the variance by $`{}/{} = {}`$", 784, 50, 784, 50, 784 / 50)

    def row(label, scheme):
        g2 = g_square(scheme)
        q, f = fixed_point(float(g2))
        return label, g2 if g2.denominator == 1 else (g2.numerator, g2.denominator), q, f, f**4

    relu, more = wide(1 / 3, 60, "relu"), wide(36.0, 60, centred=True)
    end = wide(16.0, 4000, centred=True)
    end_row = end.variance[-1], end.factor[-1], end.factor[-1] ** 4
    more_row = more.variance[-1], more.factor[-1], more.factor[-1] ** 4
    rows = [
        row("Sigmoid, default", "default"),
        row("Sigmoid, Xavier", "xavier_normal"),
        row("Sigmoid, default method with a = 0", "kaiming_a0"),
        row("Sigmoid, gain 4", "gain4"),
        ("Sigmoid, gain 4, centred biases", g_square("gain4_from_layer2_centred"), *end_row),
        ("Sigmoid, gain 6, centred biases", g_square("gain6_from_layer2_centred"), *more_row),
        ("ReLU, default", (1, 3), relu.variance[-1], relu.factor[-1], relu.factor[-1] ** 4),
    ]
    page.table("wide layers", rows)
    page.says(r"below $`g/4 = {}`$", math.sqrt(1 / 3) / 4)
    page.says(r"the crude bound {}, since", theory.CRUDE)
    page.says(r"the factor stays at {}.", rows[3][3])
    page.says(r"a hundred layers cost a factor of {}, a thousand {}.", below[100], below[1000])
    page.says(r"grows by {} per layer going back", more.factor[-1] - 1)
    page.says(r"has the widths {}, {}, {}, {}, {}, {}.", *SHEET)
    rows = [(label, *p.factor, product[label]) for label, p in sheet.items()]
    rows.append(("the crude bound, 1/4 per layer", *[theory.CRUDE] * 4, Fraction(1, 4**4)))
    page.table("the sheet's network", rows)
    default, xavier = product["Sigmoid, default"], product["Sigmoid, Xavier"]
    page.says(r"is {} times smaller than at the output; with ReLU {} times.", 1 / default, 1 / product["ReLU, default"])
    page.says(r"Xavier gains a factor of {} over the default", xavier / default)
    page.says(r"still loses a factor of {}.", 1 / xavier)
    page.says(r"better than Xavier by a factor of {}, which", product["Sigmoid, a = 0"] / xavier)
    gain4, from_2 = sheet["Sigmoid, gain 4 in all layers"], sheet["Sigmoid, gain 4 from layer 2 on"]
    page.says(r"it gives $`q_1 = {}`$ and saturates", gain4.variance[0])
    page.says(r"$`f_1`$ is {} instead of {}.", gain4.factor[0], from_2.factor[0])
    assert all((0.5 < p < 2) == ("centred" in label) for label, p in product.items())
    page.says(r"Over {} random networks", len(sheet_factors("default", "sigmoid")))
    page.says(r"lies within {} of $`f_l`$", BAND)
    page.says(r"scatters around it, by {} to {} (standard deviation)", *SCATTER)
    page.says(r"with orthogonal weights by less than {}.", SCATTER_ORTHOGONAL)
    page.says(r"in the table, to $`{}`$ of what it is in layer 1", default**2)
    assert not page.unchecked()


def test_every_number_of_the_page():
    check(PAGE.read_text(encoding="utf-8"))


def test_no_digit_of_the_page_can_change_unseen():
    every_digit_matters(check, PAGE.read_text(encoding="utf-8"))
