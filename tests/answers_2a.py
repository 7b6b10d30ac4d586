"""What figures/README.md says of exercise 2a: every number, and every comparison with what makes it true."""

import itertools
import math
import re

import answers_beyond
import numpy as np
import torch
from answers import DEEP, DEFAULT, GAINED, RECORD, RELU, RELUS, RESCUE, RESCUED, SHAPES, SIGMOIDS, TUNED, XAVIER
from answers import accuracy, arm, ends, in_percent, late_ratio, mean_and_spread, norms, p, percent
from answers import pixels_over_activations, reliably, signal

import ex2a_vanishing
from common import models, plots
from common.theory import CRUDE, moments, predict, scheme, variances
from figures import ex2a
from figures.arms import NAMES, Arms, total_norms, widths
from theory import walks

HE = arm("relu", "kaiming_a0")
INITS = [  # as the page calls them, with the variance of a weight
    ("default", "1/(3n)"),
    ('`a=1`, or `nonlinearity="sigmoid"`', "1/n"),
    ('`a=1, mode="fan_out"`', "1/m"),
    ("`a=0` (He)", "2/n"),
    ('`a=0, mode="fan_out"`', "2/m"),
    ('`nonlinearity="tanh"`', "(5/3)²/n"),
    ('`nonlinearity="tanh", mode="fan_out"`', "(5/3)²/m"),
    ("Xavier", "2/(n+m)"),
    ("Xavier, gain 4", "32/(n+m)"),
    ("Xavier, gain 4 from layer 2", "32/(n+m)"),
    ("Xavier, gain 4 from layer 2, centred biases", "32/(n+m)"),
    ("orthogonal, gain 6 from layer 2, centred biases", "36/max(n, m)"),
]
ORDER = "kaiming_a1", "kaiming_a1_fan_out", "kaiming_a0", "kaiming_a0_fan_out", "kaiming_tanh", "kaiming_tanh_fan_out"
EVERY = [DEFAULT, *(arm(init=init) for init in ORDER), XAVIER, *GAINED, RESCUE]
SGD_01, SGD_1 = arm(lr=0.05), arm(lr=0.5)
ADAM, MOMENTUM, NORMED = arm(optimizer="adam", lr=1e-3), arm(momentum=0.9), arm(batch_norm=True)
XAVIER_01 = arm(init="xavier_normal", lr=0.05)
(PLATEAU,) = RECORD["plateau"]


def check(page, real_data):
    first_lines(page)
    four_networks(page)
    with_sigmoid(page, real_data)
    with_relu(page)
    with_xavier(page)
    default_and_rescue(page)
    dead_or_slow(page)
    answers_beyond.check(page)


def first_lines(page):
    page.says("of Sigmoid the test accuracy is {}, {}, {} and {} |", *map(accuracy, SIGMOIDS))
    before = norms(DEFAULT)[:, 0]
    vanish = "Gradients vanish: with four hidden layers layer {} starts with {} times the gradient norm of the output "
    vanish += "layer |"
    page.says(vanish, 1, before[0] / before[-1], true=before[0] < before[-1] / 100)
    page.claims({"With ReLU the four networks end near 86 %": all(round(percent(accuracy(r))) == 86 for r in RELUS)})
    page.given("86 %")
    numbers = accuracy(XAVIER), accuracy(DEFAULT)
    page.says("Xavier helps, {} instead of {}, but not enough |", *numbers, true=better_but_far_below())
    best = max(map(accuracy, TUNED))
    assert RESCUE["init"].startswith("orthogonal6")
    words = "default method brings {}, orthogonal weights of gain {} with centred biases {} |"
    page.says(words, best, 6, accuracy(RESCUE))
    lowest = p(range(5), range(10, 15)), p(range(3), range(10, 13))
    words = "exact two-sided permutation test](../tests/answers.py) of two means, unpaired; the least is {} with five "
    words += "seeds, {} with three."
    page.says(words, *lowest, true=True)
    apart = all(len({*e["initial"]["signal"][0]}) == 5 for e in RECORD["arms"])
    words = "over seeds, in 2a five (of the initial weights); the searches of 2b compare seed 0."
    page.claims({words: apart})


def four_networks(page):
    settings = RECORD["settings"]
    moves = np.sign(np.diff([norms(entry)[-1, 1:] for entry in (*SIGMOIDS, *RELUS)]))  # of the output layers' norms
    page.says("After {} epochs of SGD at {} they", settings["epochs"], settings["lr"])
    page.says("they classify {}, {}, {} and {} of the test images correctly", *map(accuracy, SIGMOIDS))
    rows = [[f"Sigmoid {widths(e)}", in_percent(ends(e)), norms(e)[0, 0], norms(e)[0, -1]] for e in SIGMOIDS]
    seen = "test accuracy in % | layer 1's gradient norm before training | in epoch 20"
    page.table(f"network | {seen}", rows)
    page.says(
        "batches of {}, no momentum, standardised pixels",
        settings["batch_size"],
        true={entry["momentum"] for entry in SIGMOIDS} == {0},
    )
    page.claims(
        {
            "The *gradient norm of a layer* is the Euclidean norm of the gradient of its weights and biases, for the "
            f"mean loss of the last batch of an epoch, {settings['train_images'] % settings['batch_size']} images, "
            "read between the backward pass and the step": np.isclose(
                norms(DEFAULT)[0, -1], np.mean(np.hypot(*(DEFAULT["gradient_norm"][k][0][-1] for k in KINDS)))
            ),
            "Sigmoid between the layers, cross-entropy on the logits": kinds(DEFAULT)
            == ["Linear", "Sigmoid"] * 4 + ["Linear"],
            "(before training: epoch 1's last batch)": True,  # which test_reference proves
            "All networks see the same batches": settings["order_seed"] == ex2a_vanishing.ORDER_SEED,
            "so norms often rise and fall together": (abs(moves.sum(0)) == len(moves)).sum() > 6,
            "The sheet prints (50, 30, 30) twice": True,
            "The other networks trained (arms of the record)": True,
        }
    )  # definitions

    def trained(entry):
        text = entry["init"]
        text += ", Adam 0.001" if entry["optimizer"] == "adam" else f", SGD {entry['lr']:g}" * (entry["lr"] != 0.005)
        text += f", momentum {entry['momentum']:g}" * bool(entry["momentum"])
        return text + ", batch normalisation" * entry["batch_norm"]

    words = '`kaiming_a1_fan_out` is `kaiming_uniform_` with `a=1, mode="fan_out"`, `kaiming_tanh` with '
    words += '`nonlinearity="tanh"` (in figures: gain of tanh), `gain4` is Xavier with gain 4.'
    page.claims({words: True})  # as test_reference shows
    others = [entry for entry in RECORD["arms"] if entry not in SIGMOIDS]
    page.table(
        f"arm | initialisation and training | {seen}",
        [
            [f"{NAMES[e['activation']]} {widths(e)}", trained(e), in_percent(ends(e)), norms(e)[0, 0], norms(e)[0, -1]]
            for e in others
        ],
    )


KINDS = "weights", "biases"


def kinds(entry):
    """What the network of an arm is made of, in order."""
    model = models.mlp(entry["hidden"], entry["activation"], [(entry["init"], 0)], batch_norm=entry["batch_norm"])
    return [type(module).__name__.removeprefix("Member") for module in model][1:]


def with_sigmoid(page, real_data):
    falls = all(reliably(ends(shallow), ends(deep)) for shallow, deep in itertools.pairwise(SIGMOIDS))
    one_class = {*DEFAULT["status"]} == {"collapsed"} and {*ends(DEFAULT)} == {0.1}
    page.claims({"Each further layer costs accuracy, and with four the network ends at chance": falls and one_class})
    three, four = map(norms, SIGMOIDS[2:])
    first, *_, last = np.array(total_norms(DEFAULT))[:, 0]  # by seed
    page.says("There layer 1 starts with {} times the gradient norm", math.exp(np.log(first / last).mean()), true=True)
    found = late_ratio(DEFAULT)
    words = "over the last ten epochs it has {} times ({} to {} by seed; geometric means)"
    page.says(words, math.exp(np.log(found).mean()), found.min(), found.max(), true=len(four[0]) == 21)
    page.says(
        "in two panels: every further Sigmoid layer costs accuracy, from {} down to {}, ReLU",
        accuracy(SIGMOIDS[0]),
        accuracy(DEFAULT),
        true=falls,
    )
    page.says("ReLU ends near {}](ex2a_accuracy.png)", np.mean([accuracy(r) for r in RELUS]))
    with plots.style():
        ((_, picture),) = ex2a.norms(Arms(RECORD))
    headings = [f"{NAMES[e['activation']]} {widths(e)}" for row in zip(SIGMOIDS, RELUS) for e in row]
    words = (
        "Gradient norm of each layer over epochs, eight panels: rows are the four depths, columns are Sigmoid and ReLU"
    )
    page.claims({words: [axes.get_title("left") for axes in picture.axes] == headings})
    page.claims({"Plots: right-hand columns of": all("ReLU" in one for one in headings[1::2])})
    two, low = norms(SIGMOIDS[1])[:, 0], three[-1, 0] / three[:2, 0]
    words = "Before training, layers 1 and 2 lie on average below a fifth of the output layer's norm with two hidden "
    words += "layers, below a thirtieth with three"
    page.claims({words: (two[:2] < two[2] / 5).all() and (30 < low).all() and (low < 35).all()})
    words = "over the last ten epochs layer 1 has {}, {} and {} times that norm with one, two and three"
    means = (math.exp(np.log(late_ratio(entry)).mean()) for entry in SIGMOIDS[:3])
    page.says(words + " (geometric means)", *means, true=True)
    curves = np.array(DEFAULT["test_accuracy"])
    two = sorted((curves > 0.15).sum(0)) == [0, 0, 0, 1, 1]
    page.says("two seeds exceed {} accuracy in one epoch each, at most {}.", 0.15, curves.max(), true=two)
    page.claims({"With four, layers 1 and 2 stay more than a hundredfold below": (four[-1] > 100 * four[:2]).all()})
    deep = [norms(entry)[:, 0] for entry in SIGMOIDS[2:]]
    signals = [np.mean(entry["initial"]["signal"], 1) for entry in SIGMOIDS[2:]]
    above, shrinks = all(n[0] > n[1] for n in deep), all((np.diff(s) > 0).all() for s in signals)
    pixels = 784**0.5 > 2 * 50**0.5  # the norm of standardised ones, and the most that 50 Sigmoid outputs can have
    higher = "layer 1 on average above layer 2, since its inputs, pixels, are larger"
    page.claims({higher: pixels and (four[0] > four[1]).all()})
    reason = "layer 1 of the default's deep Sigmoid networks has, on average, a larger norm than layer 2, although "
    reason += "the signal shrinks on its way down"
    page.claims({reason: above and shrinks})
    words = "on its way down: the pixels of an image have {} times the norm of its first hidden"
    if real_data:
        page.says(words, pixels_over_activations(real_data), true=True)
    else:  # what the page says was last compared where the data was
        page.given("7.6")
        page.claims({words.format(7.6): True})


def with_relu(page):
    level = [p(ends(one), ends(other)) for one, other in itertools.combinations(RELUS, 2)]
    page.says("the four ReLU networks end at {}, {}, {} and {}", *map(accuracy, RELUS))
    page.claims({"After 20 epochs no cost of depth is seen, as the slope is 1": min(level) > 0.05})
    words = "no two differ reliably (p from {} to {})"
    page.says(words, min(level), max(level), true=min(level) > 0.05)
    after_one = [accuracy(relu, 0) for relu in RELUS]
    slower = after_one == sorted(after_one, reverse=True)
    words = (
        "Depth slows the start (small default weights shrink gradients here too): after one epoch the shallowest is "
    )
    words += "at {}, the deepest at {}, below it under every seed "
    shallowest, deepest = (np.array(relu["test_accuracy"]) for relu in (RELUS[0], RELUS[-1]))
    below = (deepest.max(1) < shallowest.min(1)).argmin()
    page.says(words + "until epoch {}.", after_one[0], after_one[-1], below, true=slower)
    first = [norms(relu)[0] for relu in RELUS]
    words = "In the deepest, layer 1's norm starts at {}, {} times that of the Sigmoid"
    page.says(words, first[-1][0], first[-1][0] / norms(DEFAULT)[0, 0], true=True)
    others = [one[3] for one in first[:3]]
    words = "After three epochs it is {}, in the shallower networks {} to {}."
    page.says(words, first[-1][3], min(others), max(others), true=True)
    small, shrink = variances("default", 3, 30, 30)[0] * 30 / 2 < 1, np.diff(np.mean(RELU["initial"]["signal"], 1)) > 0
    page.claims({"(small default weights shrink gradients here too)": small and shrink.all()})
    page.claims({"for active ReLU neurons, for the Sigmoid at most 1/4": CRUDE == 0.25})


def better_but_far_below():
    """Whether Xavier is better than the default, and reaches less than half of what ReLU does."""
    return reliably(ends(XAVIER), ends(DEFAULT)) and accuracy(XAVIER) < accuracy(RELU) / 2


def with_xavier(page):
    own = variances("xavier_normal", 2, 50, 30)[1] == variances("default", 2, 50, 30)[1]
    depths = [len(e["hidden"]) for e in RECORD["arms"] if e["init"] == "xavier_normal" and e["lr"] == DEFAULT["lr"]]
    page.claims({"norms with Xavier beside PyTorch's default, for three and four hidden layers": depths == [3, 4]})
    page.claims({"[`xavier_normal_`](../common/models.py) for the weights, with PyTorch's biases, gives": own})
    words = "gives {} ± {} instead of {} (p = {}): better, but far below the {} of ReLU"
    numbers = *mean_and_spread(ends(XAVIER)), accuracy(DEFAULT), p(ends(XAVIER), ends(DEFAULT)), accuracy(RELU)
    page.says(words, *numbers, true=better_but_far_below())
    page.says("Layer 1 starts with {} times the default's norm", norms(XAVIER)[0, 0] / norms(DEFAULT)[0, 0], true=True)
    page.claims({"the deepest as printed": SHAPES[2] == [50, 30, 30]})
    three = arm(init="xavier_normal", hidden=SHAPES[2])
    numbers = *mean_and_spread(ends(three)), *mean_and_spread(ends(SIGMOIDS[2])), p(ends(three), ends(SIGMOIDS[2]))
    page.says("Xavier gives {} ± {} instead of {} ± {} (p = {})", *numbers)
    per_layer = signal(XAVIER)[0] ** (-1 / 4)
    linear = np.isclose(predict(*scheme("xavier_normal", [30] * 9)[:2], (0,) * 8, False, "identity").factor, 1).all()
    tenfold = math.isclose(XAVIER_01["lr"], 10 * XAVIER["lr"])
    words = "At this learning rate it is not enough ([a tenfold one](#is-the-deep-network-dead-or-the-step-too-small) "
    page.says(
        words + "brings {}):", accuracy(XAVIER_01), true=tenfold and accuracy(XAVIER_01) > 0.85 > accuracy(XAVIER)
    )
    why = "Xavier is made for linear layers; each Sigmoid's slope shrinks the gradient about fourfold"
    page.claims({why: better_but_far_below() and 3.7 < per_layer < 4.5 and linear})
    words = "and its outputs have the mean 1/2"
    page.says(words, true=math.isclose(moments("sigmoid", 1)[0] - moments("sigmoid", 1, 0.5)[0], 1 / 4))


def default_and_rescue(page):
    best, tuned = max(TUNED, key=accuracy), dict(zip(ORDER, EVERY[1:]))
    helps = all(reliably(ends(each), ends(DEFAULT)) for each in TUNED)
    alone = accuracy(tuned["kaiming_a0"]), accuracy(tuned["kaiming_tanh"])
    most = alone[0] > accuracy(tuned["kaiming_a1"]) and best is tuned["kaiming_tanh_fan_out"]
    words = (
        "With other parameters the default method reaches {} instead of {}, so it helps; a better scheme reaches {}."
    )
    beyond = reliably(ends(RESCUE), ends(best))
    page.says(words, accuracy(best), accuracy(DEFAULT), accuracy(RESCUE), true=helps and most and beyond)
    page.says('`a` alone reaches {}, `nonlinearity="tanh"` alone {};', *alone, true=True)
    modes = [(ends(tuned[f"{init}_fan_out"]), ends(tuned[init])) for init in ORDER[::2]]
    adds = all(np.mean(one) > np.mean(other) for one, other in modes)
    words = '`mode="fan_out"`, not tried alone, adds to them, reliably only with `a=0` (p = {}; with `a=1` {}, with '
    words += "tanh {})"
    ps = [p(*pair) for pair in modes]
    page.says(words, ps[1], ps[0], ps[2], true=adds and [reliably(*pair) for pair in modes] == [False, True, False])
    page.claims({'`a=1`, or `nonlinearity="sigmoid"`': torch.nn.init.calculate_gain("sigmoid") == 1})
    layer = torch.nn.Linear(400, 3000)
    bounds = [round(edge.item(), 3) for part in (layer.weight, layer.bias) for edge in (part.min(), part.max())]
    words = r"weights and biases are uniform in $`\pm 1/\sqrt{n}`$ with the fan-in $`n`$, variance $`1/(3n)`$"
    page.claims({words: bounds == [-0.05, 0.05] * 2 and variances("default", 2, 400, 3000) == (1 / 1200, 1 / 1200)})
    words = "**The default** is, despite its name, not He's initialisation"
    page.says(words, true=variances("default", 2, 5, 4) != variances("kaiming_a0", 2, 5, 4))
    first, second = models.mlp(DEEP, "sigmoid", [(RESCUE["init"], 0)])[1:4:2]
    words = r"since layer 1 sees pixels; centred biases, $`b_j = -\frac{1}{2}\sum_k W_{jk}`$ and 0 in layer 1, "
    words += "replace PyTorch's and take the mean 1/2 away"
    centred = torch.allclose(second.weight[0] @ torch.full((50,), 0.5) + second.bias[0], torch.zeros(30), atol=1e-5)
    page.claims({words: centred and not first.bias.any()})
    shown = [label for _, label, _ in Arms(RECORD).stars]
    page.claims({"with the rescue, ReLU for comparison": {"rescue", "ReLU"} < {*shown}})
    page.table(
        "initialisation of Sigmoid (50, 30, 30, 30), each layer's fan-in n, fan-out m | variance of a weight, layer 2 "
        "and up | test accuracy in %",
        [[*words, in_percent(ends(entry))] for words, entry in zip(INITS, EVERY, strict=True)],
    )
    for (_, variance), entry in zip(INITS, EVERY):  # of layer 2
        value = eval(re.sub(r"(\d)([nm])", r"\1*\2", variance).replace("²", "**2"), {"n": 50, "m": 30})
        assert math.isclose(value, variances(entry["init"], 2, 50, 30)[0])
    words = "under twelve initialisations: {} by default, {} with the rescue"
    page.says(words, accuracy(DEFAULT), accuracy(RESCUE), true=len(EVERY) == 12)
    words = "The last four rows work against the slope, 1/4 or less, with a gain (factor on the weights) of {} or {}, "
    words += "three of them from layer 2 on"
    gained = [*("gain4" in entry["init"] for entry in EVERY[-4:-1]), "orthogonal6" in EVERY[-1]["init"]]
    page.says(words, 4, 6, true=all(gained) and ["from_layer2" in e["init"] for e in EVERY[-4:]] == [0, 1, 1, 1])
    searched = max(RESCUED["search"], key=lambda entry: np.mean(entry["held_out_accuracy"]))
    assert len(RESCUED["search"]) == 8 and searched["init"] == RESCUE["init"]
    page.says("The default's best was chosen among six by test accuracy, which flatters it.", true=len(TUNED) == 6)
    both = [p(ends(RESCUE), ends(other)) for other in (RELU, HE)]
    above = reliably(ends(RESCUE), ends(RELU)) and reliably(ends(RESCUE), ends(HE)) and both[0] == both[1]
    words = (
        "The last row, the figures' *rescue*, chosen among eight on held-out images, is above ReLU, {} ± {}, and ReLU "
        "under He's initialisation, {} ± {} (p = {} each), for which nothing was searched"
    )
    page.says(words, *mean_and_spread(ends(RELU)), *mean_and_spread(ends(HE)), both[0], true=above)


def dead_or_slow(page):
    words = "which has {} after {} epochs of SGD at {}, reaches {} ± {} with Adam at {} and {} ± {} with SGD at {}."
    settings = RECORD["settings"]
    numbers = accuracy(DEFAULT), settings["epochs"], settings["lr"], *mean_and_spread(ends(ADAM)), ADAM["lr"]
    page.says(words, *numbers, *mean_and_spread(ends(SGD_1)), SGD_1["lr"])
    same = {key: value for key, value in DEFAULT.items() if key in ("hidden", "activation", "init")}
    page.claims({"is the deep network dead, or the step too small?".capitalize(): reliably(ends(SGD_1), ends(DEFAULT))})
    page.claims({"The step: the same default network": same.items() <= ADAM.items() and same.items() <= SGD_1.items()})
    epochs = len(PLATEAU["test_accuracy"])
    page.says("and how SGD at {} leaves its plateau within {} epochs]", PLATEAU["lr"], epochs, true=True)
    steps = {name: [abs(walks.RULES[name](g, 1, {})) for g in (0.1, 1.0, 10.0)] for name in ("SGD", "Adam")}
    words = "A step of SGD is proportional to the gradient. Adam's first step moves each weight by the learning rate "
    words += "if its gradient is far above δ"
    tiny = [abs(walks.adam(size * walks.DELTA, 1, {})) / walks.STEP_SIZE for size in (1, 100)]
    tiny = tiny[0] < 0.6 and tiny[1] > 0.99
    page.claims({words: steps["SGD"] == [0.1, 1, 10] and np.allclose(steps["Adam"], walks.STEP_SIZE) and tiny})
    before = kinds(NORMED)[:3] == ["Linear", "BatchNorm", "Sigmoid"]
    page.claims({"Batch normalisation before each Sigmoid gives": before})
    page.says("in every layer; after one epoch Adam is at {}.", accuracy(ADAM, 0), true=True)
    tenfold = SGD_01["lr"] == XAVIER_01["lr"] == 10 * DEFAULT["lr"]
    adds = 1 / (1 - MOMENTUM["momentum"])
    words = "A tenfold step brings SGD to {} ± {}, momentum {}, which adds up to one, to {} ± {} (p = {}); with "
    numbers = *mean_and_spread(ends(SGD_01)), MOMENTUM["momentum"], *mean_and_spread(ends(MOMENTUM))
    numbers = *numbers, p(ends(MOMENTUM), ends(SGD_01)), *mean_and_spread(ends(XAVIER_01))
    page.says(words + "Xavier it brings {} ± {}.", *numbers, true=tenfold and math.isclose(adds, 10))
    page.says("before each Sigmoid gives {} ± {} at {}.", *mean_and_spread(ends(NORMED)), NORMED["lr"])
    curves = np.array(PLATEAU["test_accuracy"])
    leaves = 1 + (curves > 0.15).argmax(0)
    page.says("The sheet's own step is slow:", true=PLATEAU["lr"] == DEFAULT["lr"] and (curves[-1] > 0.6).all())
    words = (
        "the five seeds first exceed {} in the test between epochs {} and {}, stay above it from epochs {} to {} on, "
    )
    words += "and end at {} ± {} after {}."
    stays = epochs + 1 - (curves > 0.15)[::-1].argmin(0)
    numbers = leaves.min(), leaves.max(), stays.min(), stays.max(), *mean_and_spread(curves[-1]), epochs
    page.says(words, 0.15, *numbers, true=(curves > 0.15).any(0).all() and len(leaves) == 5)
