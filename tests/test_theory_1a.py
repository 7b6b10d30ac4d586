"""Exercise 1a: closed formulas in 50 digits, the loop of theory/walks.py and torch.optim agree."""

import inspect
from functools import cache

import mpmath
import pytest
import torch
from mpmath import mpf

from theory import walks

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


def closed(name, gradients):
    """Return the memory and the update of the last step from all gradients."""
    squares, k = [g * g for g in gradients], len(gradients)
    if name == "SGD":
        return {}, -gradients[-1]
    if name == "Adam":
        memory = {"s": mean(gradients, RHO_1), "r": mean(squares, RHO_2)}
        memory |= {"s^": memory["s"] / (1 - RHO_1**k), "r^": memory["r"] / (1 - RHO_2**k)}
        divided, r = memory["s^"], memory["r^"]
    else:
        divided, r = gradients[-1], mpmath.fsum(squares) if name == "AdaGrad" else mean(squares, RHO)
        memory = {"r": r}
    inside, outside = mpmath.sqrt(DELTA + r), DELTA + mpmath.sqrt(r)
    if name == "RMSProp":
        memory["sqrt(delta + r)"] = inside
    elif name == "Adam":
        memory |= {"sqrt(r^)": mpmath.sqrt(r), "sqrt(r^) + delta": outside}
    else:
        memory |= {"sqrt(r)": mpmath.sqrt(r), "delta + sqrt(r)": outside}
    return memory, -divided / (inside if name == "RMSProp" else outside)


@cache
def exact(name, factor=1):
    """Return the rows of walks.walk in 50 digits, for w_x by closed formulas and for w_y by the symmetry."""
    w, gradients, rows = mpf(-1), [], []
    for _ in range(3):
        o, loss = height(w)
        gradients.append(slope(w, factor))
        row = {"z": 2 * w, "o": o, "L": loss, "g_x": gradients[-1], "g_y": -gradients[-1]}
        memory, dw = closed(name, gradients)
        w += dw
        for key, value in memory.items():
            row |= {walks.of(key, "x"): value, walks.of(key, "y"): -value if key in ("s", "s^") else value}
        rows.append(row | {"dw_x": dw, "dw_y": -dw, "w_x": w, "w_y": -w})
    return rows


PYTORCHS = {("STEP_SIZE",): "lr", ("DELTA",): "eps", ("RHO",): "alpha", ("RHO_1", "RHO_2"): "betas"}  # as it calls them
LR, EPS, ALPHA, BETAS = (
    {name: values if len(values) > 1 else values[0]}
    for name, values in ((name, [getattr(walks, one) for one in ours]) for ours, name in PYTORCHS.items())
)
TORCH = {
    "SGD": lambda weights: torch.optim.SGD(weights, **LR),
    "AdaGrad": lambda weights: torch.optim.Adagrad(weights, **LR, **EPS),
    "RMSProp, PyTorch": lambda weights: torch.optim.RMSprop(weights, **LR, **ALPHA, **EPS),
    "Adam": lambda weights: torch.optim.Adam(weights, **LR, **BETAS, **EPS),
}
KEPT = {"AdaGrad": {"r": "sum"}, "RMSProp, PyTorch": {"r": "square_avg"}, "Adam": {"s": "exp_avg", "r": "exp_avg_sq"}}


def by_torch(name, dtype=torch.float64):
    """Return what autograd and torch.optim know of each step: z, o, L, both gradients, the memory, both weights."""
    weights = torch.tensor(walks.START, dtype=dtype, requires_grad=True)
    inputs = torch.tensor([walks.X, walks.Y], dtype=dtype)
    optimizer, rows = TORCH[name]([weights]), []
    for _ in range(3):
        optimizer.zero_grad()
        z = weights @ inputs
        loss = (1 - torch.sigmoid(z)) ** 2
        loss.backward()
        optimizer.step()
        row = {"z": z.item(), "o": torch.sigmoid(z).item(), "L": loss.item()}
        row |= dict(zip(("g_x", "g_y"), weights.grad.tolist()))
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


def default(kind, name):
    """The default of an argument of torch.optim."""
    return inspect.signature(kind).parameters[name].default


def test_torch_defaults():
    """Those that PyTorch has as the sheet has them; the other two are printed on the page."""
    assert default(torch.optim.RMSprop, "eps") == default(torch.optim.Adam, "eps") == 1e-8
    assert default(torch.optim.Adam, "betas") == (0.9, 0.999)
