"""Every number and every comparison of theory/1b, and of the index of the theory."""

import math
import re
import statistics
from fractions import Fraction
from pathlib import Path

import mpmath
import numpy as np
import pytest
import test_theory_1b as items
import test_theory_1b_networks as networks
from answers import finals, seen_by
from claims import Page, proved_by
from test_theory_1a import PYTORCHS, exact
from test_theory_1a_page import THEORY
from test_theory_1b import SLOPES, TEXT, chain, entering, sigma, sigma_slope, supremum
from test_theory_1b_networks import fixed_point, predicted, wide

import ex2a_vanishing
from common import theory
from theory import walks

NAMES = (  # what compares nothing
    *("last weight", "last matrix", "last row", "first layer", "first hidden layer", "first factor", "best chain"),
    *("those below", "step above", "steepest point", "equal width", "equal weights", "least upper bound", "all inputs"),
    *("neurons above", "deepest network", "in all layers", "no activation", "one half", "if and only if"),
    *("slope at 0 times", "columns times a gain", "Behind a Sigmoid"),
)


PROVED = {  # what the page says, a claim a line, by the test that computes it
    items.test_every_case_of_relu: r"""
With ReLU it is 0 if $`x \le 0`$, if a weight is negative or if one other than $`w_i`$ is 0.
| if a later weight is 0 | if $`x \le 0`$, a weight is negative, or one other than $`w_i`$ is 0 |
*Closed.* If $`x \le 0`$, or a weight is negative, or a weight other than $`w_i`$ is 0, then $`h_n = 0`$
*On the edge.* If $`w_i = 0`$, $`x > 0`$ and all other weights are positive, then
its slope is 0 to the left and $`x \prod_{j \ne i} w_j`$ to the right""",
    items.test_a_search_over_all_weights_finds_the_supremum: r"""
in which each $`z`$ is negative and each further weight is $`-1`$
approached with $`h_1 \to 1`$, $`w_2 = z_2`$ and the further weights towards $`-1`$
a compromise between a steep slope in layer $`i`$ and a small activation for the layers after it""",
    items.test_what_item_3_needs: r"""
$`X^2`$ and $`Y^2`$ are independent. For $`n`$ mutually independent variables
If $`X`$ has mean zero and $`Y`$ has not, the line ends one step earlier
be *mutually* independent with mean zero and finite variances
Any two of the three are independent, since the four pairs of signs have the probability 1/4 each; each has mean 0 and
so its variance is 0 and not 1""",
    items.test_the_printed_formula_and_its_index_are_wrong: r"""
The printed formula is wrong: $`n_i`$ should be $`n_{i-1}`$, and the layers before are left out
It is not the fan-in of item 5, because going back, with
runs over the $`n_i`$ neurons above, going forward over those below
The sum runs over the $`n_{i+1}`$ neurons of the *upper* layer""",
    items.test_what_item_4_needs: r"""
The variance is taken over the random weights *and* the random input
the cross terms drop out because the weights of a row have mean zero, are uncorrelated, and are independent of
(C) the weights of one row of $`W^{(i)}`$ are uncorrelated
(D) $`W^{(i)}`$ is independent of $`h^{(i-1)}`$
If the input is not centred, the mean of $`\mathrm{E}[x_k^2]`$ over the features takes the place of""",
    items.test_the_formulas_of_items_4_and_6: r"""
(C') the weights of one *column* of $`W^{(i+1)}`$ are uncorrelated
(D') $`W^{(i+1)}`$ is independent of $`J^{(i+1)} = W^{(n)} \cdots W^{(i+2)}`$
By (D) and (A), $`\mathrm{E}[h_j^{(i)}] = \sum_k
first factor is 0 by (A) and (C), whatever the second one is
the second factor vanishes by (A) and (C')""",
    items.test_with_a_loss_on_top_the_last_matrix_has_the_condition_too: r"""
have one second moment and are independent of $`W^{(n)}`$, then the step above gives""",
    networks.test_gaussian_expectations: r"""
The Sigmoid has at most slope $`\frac{1}{4}`$ and outputs of mean $`\frac{1}{2}`$, so
The next layer does not see centred inputs
The quarter does not depend on the image, and
and pushes $`z`$ into the flat parts of $`\sigma`$ as soon as the weights are large""",
    networks.test_the_formulas_of_the_closing_section: r"""
backward as in item 6, for the norm of a layer, whose $`n_l`$ entries contribute a factor $`n_l`$
has the fan-out $`n_{l+1}`$ of $`W^{(l+1)}`$; a Euclidean norm has its fan-in $`n_l`$""",
    networks.test_the_initialisers_have_the_variances_that_the_theory_states: r"""
$`b_j = -\frac{1}{2}\sum_k W_{jk}`$ in the layers from 2 on and 0 in layer 1: they turn
Biases are PyTorch's, uniform with variance $`1/(3 n_{l-1})`$, unless they are centred
have the variance $`\mathrm{gain}^2/\max(n_{l-1}, n_l)`$ and are dependent but uncorrelated""",
    networks.test_centred_gain_4_falls_with_the_root_of_the_depth: r"""
undoing both takes a gain of 4 and centred biases, from layer 2 on
$`q_l \approx 2/l`$ and $`f_l \approx 1 - 1/(2l)`$""",
    networks.test_prediction_holds_for_networks_of_the_sheets_shape: r"""
The product is $`\lVert \delta^{(1)} \rVert / \lVert \delta^{(5)} \rVert`$
* Gain 4 belongs to layers whose input is a Sigmoid output. On layer 1, whose input is standardised""",
    networks.test_a_quarter_of_the_spectral_norm_bounds_every_network: r"""
$`\lVert \delta^{(l)} \rVert \le \frac{1}{4}\, \lVert W^{(l+1)} \rVert_2\, \lVert \delta^{(l+1)} \rVert`$ with the
large weights, or many small ones, escape the 1/4 per layer""",
    networks.test_two_gradients: r"""
$`\partial L / \partial W^{(l)} = \delta^{(l)} (h^{(l-1)})^{\mathsf{T}}`$, whose norm for one image is
After a Sigmoid whose $`z`$ are symmetric about 0, the mean of $`\lVert h^{(l-1)} \rVert^2`$ is at least
In a ReLU network of equal widths without biases the activations change by $`g/\sqrt{2}`$ per layer going forward
going forward, as the signal does going back: their""",
    networks.test_the_variance_across_images_falls: r"""
the mean square of their difference changes by $`f_l^2`$ from layer $`l`$ to layer $`l + 1`$""",
}


def test_page():
    page = Page(TEXT, "1b", (*NAMES, "Take two images whose pre-activations differ"))
    of_the_items(page)
    sheets_network(page)
    wide_layers(page)
    page.given("0", "1", "2", "4")  # in the table of item 2, whose words are claims
    page.claims(comparisons())
    page.claims({words: proved_by(test) for test, lines in PROVED.items() for words in lines.strip().splitlines()})
    assert page.unchecked() == []
    page.every_digit_matters()


def of_the_items(page):
    n, x, small, large = 20, 1, 0.7, 1.5
    words = r"At $`n = {}`$ and $`x = {}`$ this is {} for $`w = {}`$ and {} for $`w = {}`$."
    page.says(words, *(n, x, x * small ** (n - 2), small, x * large ** (n - 2), large))
    page.says(r"lies between 0 and $`\frac{1}{4}\tanh\frac{1}{4} = {}`$", math.tanh(0.25) / 4)
    page.says(r"$`\tanh(\sigma(-1)/2) = {}`$", math.tanh(sigma(-1) / 2))
    best = {k: supremum(k) for k in SLOPES}
    rows = [(k, Fraction(1, 4**k), top, top * 4**k, -v) for k, (top, v) in best.items()]
    page.table("slopes $`k`$ | bound $`4^{-k}`$ | supremum $`S_k`$ | supremum / bound | at $`z_2`$", rows)
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
    page.table("layer | fan-in | fan-out | variance, derived | variance, as printed", rows)
    page.says(r"in a layer $`{} \to {}`$ that multiplies the variance by $`{}/{} = {}`$", 784, 50, 784, 50, 784 / 50)


def sheets():
    """The prediction for each row of the sheet's network, and the product of its factors."""
    sheet = {label: predicted(name, activation) for label, (name, activation) in networks.ROWS.items()}
    return sheet, {label: theory.signal(found.factor, 1.0)[0] for label, found in sheet.items()}


def sheets_network(page):
    sheet, product = sheets()
    page.says(r"has the widths {}, {}, {}, {}, {}, {}.", *networks.SHEET)
    rows = [(label, *found.factor, product[label]) for label, found in sheet.items()]
    rows.append(("for comparison, 1/4 per layer", *[theory.CRUDE] * 4, theory.CRUDE**4))
    page.table("the sheet's network | $`f_1`$ | $`f_2`$ | $`f_3`$ | $`f_4`$ | product", rows)
    default, xavier, best = (product[f"Sigmoid, {name}"] for name in ("default", "Xavier", "tanh's gain, fan-out"))
    fewer = 1 / default, 1 / product["ReLU, default"]
    page.says(r"is 1/{} of that at the output; with ReLU 1/{}.", *fewer, true=min(fewer) > 1)
    page.says(
        r"With Xavier it is {} times the default's, and 1/{} of that at the output.", xavier / default, 1 / xavier
    )
    page.says(r"brings {} times Xavier's, and 1/{} of that at the output.", best / xavier, 1 / best)
    gain4, from_2 = sheet["Sigmoid, Xavier, gain 4 in all layers"], sheet["Sigmoid, Xavier, gain 4 from layer 2 on"]
    page.says(r"it gives $`q_1 = {}`$ and saturates", gain4.variance[0])
    page.says(r"$`f_1`$ is {} instead of {}.", gain4.factor[0], from_2.factor[0])
    page.says(r"Over {} random networks", networks.NETWORKS)
    scatter = proved_by(networks.test_prediction_holds_for_networks_of_the_sheets_shape)
    page.says(r"lies within {} of $`f_l`$", networks.BAND, true=scatter)
    page.says(r"scatters around it, by {} to {} (standard deviation)", *networks.SCATTER)
    page.says(r"with orthogonal weights by less than {}.", networks.SCATTER_ORTHOGONAL, true=scatter)
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
    rows = [(label, g2, q, f, f**4) for label, (g2, q, f) in found.items()]
    page.table("wide layers | $`g^2`$ | $`q^*`$ | factor $`f`$ | over four layers", rows)
    page.says(r"below $`g/4 = {}`$", math.sqrt(1 / 3) / 4)
    page.says(r"the factor stays at {}.", found["Sigmoid, gain 4"][2])
    below = [theory.signal(wide(16.0, 1000, centred=True).factor[:n], 1.0)[0] for n in (100, 1000)]
    page.says(r"a hundred layers cost a factor of {}, a thousand {}.", *below, true=below[1] < below[0] < 1)
    equal = (theory.variances(name, 1, 30, 30) for name in ("kaiming_a1", "kaiming_a1_fan_out"))
    page.claims({"in layers of equal width fan-in and fan-out agree": len({*equal}) == 1})
    page.says(r"grows by {} per layer going back", found["Sigmoid, gain 6, centred biases"][2] - 1)


def comparisons():
    """What 1b says in words, with what makes it true."""
    bound, sup = lambda n, i: 0.25 ** (n - i + 1), lambda n, i: entering(i) * float(supremum(n - i + 1)[0])
    pairs = [(n, i) for n in range(2, 9) for i in range(2, n + 1)]
    relu = lambda w, n: [chain(2.0, [w] * n, "relu")["of_weight"](n, i) for i in range(2, n + 1)]
    never = all(bound(n, i) <= bound(n, n) == 1 / 4 and sup(n, i) <= bound(n, i) for n, i in pairs)
    approached = [pair for pair in pairs if sup(*pair) > bound(*pair) * (1 - 1e-9)] == [(2, 2)]
    up_to_x = all(0 <= v <= 2 for w in (-0.5, 0.0, 0.3, 0.99) for v in relu(w, 7))
    no_decay, no_bound = min(relu(1 - 1e-9, 60)) > 2 - 1e-6, min(relu(1.5, 60)) > 1e8
    together = all(relu(w, 20) == pytest.approx([2 * w**18] * 19) for w in (0.7, 1.5)) and max(relu(0.7, 60)) < 1e-8
    weighted = abs(chain(1.0, [3.0] * 5, "sigmoid")["of_weight"](5, 3)) < bound(5, 3) * 3**2
    quarter = sigma_slope(0) == 1 / 4 > max(sigma_slope(z) for z in (-0.1, 0.1, 3))
    _, product = sheets()
    tuned = {f"Sigmoid, {name}{fan}" for name in ("a = 0", "tanh's gain") for fan in ("", ", fan-out")}
    best = max(tuned | {"Sigmoid, default", "Sigmoid, default method with a = 1"}, key=product.get)
    balanced = {label for label, value in product.items() if label.startswith("Sigmoid") and 0.5 < value < 2}
    default, xavier, gain_4, gain_6 = (fixed_point(*of)[1] for of in ((1 / 3,), (1.0,), (16.0,), (36.0, 0.5)))
    preserved = proved_by(items.test_the_conditions_preserve_the_variance)
    gradients, across = map(proved_by, (networks.test_two_gradients, networks.test_the_variance_across_images_falls))
    root = proved_by(networks.test_centred_gain_4_falls_with_the_root_of_the_depth)
    fans = np.multiply(theory.variances("xavier_normal", 1, 50, 30)[0], (50, 30))
    xavier_by_fans = np.allclose(fans, (2 * 50 / 80, 2 * 30 / 80))
    by_a = [8 * theory.variances(f"kaiming_{name}", 1, 8, 7)[0] for name in ("a0", "a1", "tanh")]
    return {
        "a bound that is largest for the last weight, $`i = n`$, namely $`1/4`$, and never attained": never,
        r"is gone, and the derivative is at most $`\max(0, x)`$ for every $`i`$": up_to_x,
        r"Without $`\lvert w_j \rvert < 1`$ ReLU has no bound in chains of more than two layers": no_bound,
        "| at most $`1/4`$, at $`z = 0`$ | 1 for $`z > 0`$, 0 for $`z < 0`$ |": quarter,
        r"| $`(1/4)^{n-i+1}`$ | $`\max(0, x)`$ for every $`i`$ |": up_to_x and bound(5, 3) == (1 / 4) ** (5 - 3 + 1),
        r"| no; it is approached for $`n = i = 2`$ only, at $`w_2 = 0`$ as $`x \to \infty`$ |": approached and never,
        r"for $`x > 0`$: yes for $`n = 2`$; in longer chains approached, as": no_decay
        and relu(0.5, 2) == [2]
        and relu(0.99, 3)[0] < 2,
        r"| at most $`(1/4)^{n-i+1} \prod_{j>i} \lvert w_j \rvert`$ |": weighted,
        "in longer chains no bound: $`x\\,w^{n-2}`$ for weights $`w > 0`$ |": no_bound and together,
        "nothing forces a decay with depth": no_decay,
        "the derivative is $`x\\, w^{n-2}`$ for every $`i`$:": together,
        "the gradients vanish ($`w < 1`$) or explode ($`w > 1`$) together as the depth grows": together,
        "It is approached for $`n = i = 2`$ and in no other case": approached,
        r"for $`i = 1, \dots, n - 1`$: one over the number of neurons that the matrix feeds, its fan-out": preserved,
        r"}{n_{i-1}}`$: one over the number of neurons that feed layer $`i`$, its fan-in": preserved,
        "Pairwise independence is not enough": proved_by(items.test_what_item_3_needs),
        r"the variance by $`2 n_{i-1}/(n_{i-1} + n_i)`$, backward by $`2 n_i/(n_{i-1} + n_i)`$": xavier_by_fans,
        r"With fan-in $`g^2 = 2/(1 + a^2) \le 2`$, and 25/9 with tanh's gain": np.allclose(by_a, (2, 1, 25 / 9)),
        r"gives $`q^* \ge 16/4 = 4`$, so the neurons saturate": fixed_point(16.0)[0] > 4,
        "and $`f = 1`$ with $`g^2 = 2`$, He's initialisation": np.allclose(wide(2.0, 60, "relu").factor, 1),
        "It is the harmonic mean of the two demands": math.isclose(
            theory.variances("xavier_normal", 1, 50, 30)[0], statistics.harmonic_mean([1 / 50, 1 / 30])
        ),
        "Xavier's gradient shrinks about fourfold per layer": round(1 / xavier) == 4,
        "passes on a quarter of the gradient": quarter,
        "the norm of the gradient falls at least fourfold per layer in the root mean square": wide(1.0, 30).factor.max()
        < 1 / 4,
        "With Xavier it is 9.0 times the default's": product["Sigmoid, Xavier"] > product["Sigmoid, default"],
        "The best of the default method's parameters, tanh's gain with fan-out, brings 4.5 times Xavier's": best
        == "Sigmoid, tanh's gain, fan-out"
        and product["Sigmoid, Xavier"] < product[best] < 1,
        "Of the Sigmoid's schemes only gain with centred biases keeps the first layer's signal within a factor of": (
            balanced == {label for label in product if label.endswith(", centred")}
        ),
        "in each layer of each row but the last": theory.CRUDE**4 == 1 / 256,  # that row is no prediction
        "is a little below $`g/4": 0.97 < default / (math.sqrt(1 / 3) / 4) < 1,
        "the gradient shrinks about sevenfold per layer": round(1 / default) == 7,
        "Now $`f`$ is just below $`1/4`$": 0.94 < xavier * 4 < 1,
        "and the factor stays at": wide(16.0, 200).factor[-1] == pytest.approx(gain_4),
        r"the gradient then falls like $`1/\sqrt{n}`$": root,
        "another fixed point, with a factor above 1:": min(fixed_point(g2, 0.5)[1] for g2 in (16.5, 20.0, 64.0)) > 1,
        "the signal grows by": gain_6 > 1,
        "is at least $`n_{l-1}/4`$ and below $`n_{l-1}`$": gradients,
        "so the gradient of the weights vanishes as the signal does": gradients,
        "their product is the same in all layers, and the gradient": gradients,
        "of the weights looks flat while the signal vanishes": gradients,
        "pre-activations do differ little, their variance across images so shrinks, before training, over": across,
        "which agree for $`n_{i-1} = n_i`$": proved_by(items.test_the_conditions_preserve_the_variance),
        "such a network gives nearly the same output to all images": across,
        "The factor 1/4 is for weights below 1 in a chain": never,
    }


def ranked_alike(search):
    """Whether test accuracy ranks the rates of a search of 2b, under seed 0, as training accuracy does."""
    by_training, by_test = (sorted(seen_by(search), key=lambda run: finals(run)[split]) for split in (0, 1))
    return by_training == by_test


def test_index():
    """The index prints true numbers and names tests that exist."""
    names = (
        "the answer comes first",
        "its largest value with",
        "does to all this",
        "last section",
        "one half or nothing",
    )
    names += "from the input, 1 first", "**both parts**", "the steepest chain", "leaves no place for", "although all"
    names += "For more than two variables", "none: a slip", "the last sheet", "linear last layer", "reader's last sheet"
    names += "The last batch each iteration", "| none |", "one is called the deepest", "third one as the deepest"
    names += (
        "a factor one half",
        "the first steps differ by",
        "Squared difference",
        "cannot be applied",
        "is no maximum",
    )
    names += "cannot mean iteration", "Random search outperforms grid search", "of which few matter"
    page = Page((THEORY / "README.md").read_text(encoding="utf-8"), "theory/README.md", names)
    page.given("0", "1", "2", "4", "50", "30", "64")  # the sheet's own
    page.says("the first steps differ by {}.", exact("RMSProp, PyTorch")[0]["dw_x"] - exact("RMSProp")[0]["dw_x"])
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_theory_1*.py"))
    named = re.findall(r"`(test_\w+)`", page.text)
    assert named and [name for name in named if f"def {name}(" not in tests] == []
    for ours, name in PYTORCHS.items():
        page.claims({f"`{'`, `'.join(ours)}`, PyTorch's `{name}` |": True})  # as test_torch_agrees_... calls them
    xavier = {arm.hidden for arm in ex2a_vanishing.ARMS if arm.init == "xavier_normal"}
    late = {name: abs(exact(name)[2]["w_x"] - exact(name, mpmath.mpf(1) / 2)[2]["w_x"]) for name in walks.RULES}
    places = {name: min(key for key in exact(name)[0] if "delta" in key) for name in ("RMSProp", "AdaGrad", "Adam")}
    written = [name for name, key in places.items() if key.startswith("sqrt(delta")]
    words = r"for $`i = n \ge {}`$ the factor $`h_{n-1}`$ stays below $`\sigma(1)`$"
    page.says(words, 3, true=max(map(entering, range(3, 9))) == sigma(1) < max(map(entering, range(2, 9))))
    page.claims(
        {
            "who write it inside the root for RMSProp and outside for AdaGrad and Adam": written == ["RMSProp"],
            "PyTorch writes it outside everywhere": "RMSProp, PyTorch" in walks.RULES,
            "With the half, SGD moves by half the gradient, and the adaptive rules change in late digits only": late[
                "SGD"
            ]
            > 0.1
            > 1e-4
            > max(late[name] for name in late if name != "SGD"),
            "counts the neurons of the wrong layer and leaves out all earlier layers": proved_by(
                items.test_the_printed_formula_and_its_index_are_wrong
            ),
            "The equation one layer lower, which gives $`n_i": proved_by(
                items.test_the_conditions_preserve_the_variance
            ),
            "For pairs the statement is false": proved_by(items.test_what_item_3_needs),
            "For RMSProp both are done": {"RMSProp", "RMSProp, PyTorch"} <= {*walks.RULES},
            "the formula holds for all $`i`$": proved_by(items.test_the_formulas_of_item_1),
            "for $`i < n`$ slopes near 1/4 need weights near 0, which are factors of the derivative too": proved_by(
                items.test_a_search_over_all_weights_finds_the_supremum
            ),
            "The ranking by test accuracy: under seed 0 the same in Adam's grid, not in SGD's": ranked_alike("grid")
            and not ranked_alike("sgd"),
            "The least upper bound, computed for up to eight slopes": max(items.SLOPES) == 8,
            "for equal widths if every earlier layer preserves the variance": proved_by(
                items.test_the_formulas_of_items_4_and_6
            ),
            "the same statement about the next layer": proved_by(items.test_the_conditions_preserve_the_variance),
            "Xavier belongs on (50, 30, 30): it is studied on both": xavier == {(50, 30, 30), (50, 30, 30, 30)},
            "the last batch of each epoch, shorter than the others where the batch size does not divide": 60000 % 64
            == 32,
            "claim no advantage. | a comparison of both": True,  # cited
            "The best classifier": True,  # the sheet's words
            r"| $`k`$ | number of slopes between $`w_i`$ and the output, $`n - i + 1`$ |": proved_by(
                items.test_the_formulas_of_item_1
            ),
            r"| $`H_i`$ | least upper bound of $`h_{i-1}`$ |": (entering(2), entering(3)) == (1, sigma(1)),
            r"| $`S_k`$ | maximum of $`G_k`$: the true supremum of the derivative for $`i = 2`$ |": entering(2) == 1,
            r"| $`W^{(i)}`$, $`b^{(i)}`$ | weights and biases of layer $`i`$ | $`n_i \times n_{i-1}`$ and $`n_i`$ |"
            r" `weight`, `bias` |": proved_by(items.test_the_formulas_of_items_4_and_6),
            r"| $`J^{(i)}`$ | $`\partial h^{(n)} / \partial h^{(i)}`$ | $`n_n \times n_i`$ |": proved_by(
                items.test_the_formulas_of_items_4_and_6
            ),
            r"| $`f_l`$ | predicted $`\lVert \delta^{(l)} \rVert / \lVert \delta^{(l+1)} \rVert`$ |": proved_by(
                networks.test_prediction_holds_for_networks_of_the_sheets_shape
            ),
        }
    )
    assert page.unchecked() == []
    page.every_digit_matters()
