"""What figures/README.md says of exercise 2a beyond the sheet, and what makes it true."""

import math

import numpy as np
import test_theory_1b_networks as networks
from answers import DEEP, DEFAULT, GAINED, RECORD, RELU, RELUS, RESCUE, RESCUED, SIGMOIDS, TUNED, XAVIER, accuracy
from answers import depth, ends, in_percent, signal
from claims import proved_by

from common.theory import CRUDE, moments, predict, scheme


def check(page):
    held_out = {entry["init"]: entry["held_out_accuracy"] for entry in RESCUED["search"]}
    sizes = RESCUED["settings"]["train_images"], RESCUED["settings"]["held_out"]
    page.says("Eight schemes were trained on {} training images and compared on the {} held out", *sizes)
    best = max(held_out, key=lambda init: np.mean(held_out[init])) == RESCUE["init"]
    page.claims({"the best was then trained on all": best})
    away = moments("sigmoid", predict(*scheme(RESCUE["init"], (784, *DEEP, 10)), "sigmoid").variance[1])[1]
    words = (
        "A gain of 4 undoes the slope at 0; a larger one makes up for neurons away from 0, where the slope is smaller"
    )
    page.claims({words: CRUDE == 1 / 4 and away < 0.8 * CRUDE**2})
    last = RECORD["settings"]["train_images"] % RECORD["settings"]["batch_size"]
    words = (
        "The *signal* of a layer is the gradient with respect to its pre-activations; its norm, over the batch of {}"
    )
    page.says(words + " and for the mean loss, is what is given here", last, true=True)  # as test_reference shows
    words = "candidate (gain: Xavier's, unless orthogonal) | accuracy on held-out training images in %"
    page.table(words, [[init, in_percent(found)] for init, found in held_out.items()])
    nets = {(e["activation"], e["init"], *e["hidden"]): e for e in RECORD["arms"] if not e["batch_norm"]}
    known = list(nets.values())  # of those that differ in their training only, one
    measured = [np.mean(entry["initial"]["signal"], 1) for entry in known]
    off, deeper = (max(map(deviation, entries)) for entries in (known, RECORD["depth"]))
    words = (
        "{} networks without batch normalisation each layer's mean over the seeds lies within {} of the prediction, "
        "for signals from {} to {}; in those under *Machine precision*, of 1 to 12 hidden layers of 30, within {}."
    )
    within, within_deeper = np.ceil([100 * off, 100 * deeper]) / 100
    page.says(
        words, len(known), within, min(map(np.min, measured)), max(map(np.max, measured)), within_deeper, true=True
    )
    crude = CRUDE**4
    wrong = crude > 5 * signal(DEFAULT)[0] and crude < signal(GAINED[0])[0] / 5
    page.claims({"A factor of 1/4 per layer is far too large for the default and far too small for gain 4": wrong})
    anchored = all(
        math.isclose(np.mean(e["initial"]["signal"][-1]), e["predicted"]["signal"][-1], rel_tol=1e-5) for e in known
    )
    words = (
        "Before training theory/1b predicts, from the weights and biases drawn and the measured signal of the output "
    )
    page.claims({words + "layer, the signals of all other layers": anchored})
    page.claims(
        {
            "Signal per layer before training: measured points on the line that the theory predicts, six networks": off
            < 0.2
        }
    )
    shown = [DEFAULT, TUNED[0], XAVIER, *GAINED, RESCUE]
    words = "scheme | signal at layer 1 over output layer | predicted from the weights drawn"
    page.table(words, [[entry["init"], *signal(entry)] for entry in shown])
    going_back = {
        entry["activation"]: [
            np.mean(entry["initial"][kind][1]) / np.mean(entry["initial"][kind][3]) for kind in ("signal", "weights")
        ]
        for entry in (RELU, DEFAULT)
    }
    signals, weights = zip(*going_back.values())
    words = "The signal vanishes for ReLU too: with default weights layer 2 gets {} times the signal of layer 4"
    page.says(words, signals[0], true=signals[0] < 0.2)
    words = "Layer 2's weight gradient (of the weights alone) is {} times layer 4's, "
    words += "because the inputs of layer 4 have shrunk about as much as the signal of layer 2"
    page.says(words, weights[0], true=0.8 < weights[0] < 1.2)
    words = "With Sigmoid little makes up for it: layer 2 gets {} times the signal, and its weight gradient is {} times"
    page.says(words, signals[1], weights[1], true=weights[1] < 1.5 * signals[1])
    last, logits = (np.mean(DEFAULT["layer_variance"][layer]) for layer in (3, 4))
    first = np.mean(DEFAULT["layer_variance"][0])
    page.says("What fades going back fades going forward as well", true=last < first / 1e4)
    page.says("the outputs of the default network's last hidden layer", true=True)
    words = "have the variance {} across the test images, its logits {}: it gives nearly the same logits to every image"
    page.says(words, last, logits, true=set(ends(DEFAULT)) == {0.1})
    page.says("In the rescued network they are {} and {}.", *map(np.mean, RESCUE["layer_variance"][3:]))
    page.claims({"A weight gradient is the product of signal and input": proved_by(networks.test_two_gradients)})
    page.claims({"and the share of its weights that a step leaves unchanged": 0 < depth(7)["unmoved"][0] < 1})
    activations(page)
    share = [np.mean(depth(n)["unmoved"]) for n in (7, 9)]
    page.says(
        "falls below half the spacing of float32 at the weight: with 7 hidden layers one step of SGD leaves {} of the "
        "weights of layer 1 bit for bit as they were",
        share[0],
        true=np.mean(depth(1)["unmoved"]) < 0.05 < share[0],
    )
    page.says("with 9 it is {}.", share[1])
    four, deepest = np.mean(depth(4)["unmoved"]), np.mean(depth(12)["initial"]["signal"][0])
    page.says("With {}, the sheet's depth, it is {}: precision hardly matters there", len(DEEP), four, true=four < 0.01)
    smallest = np.finfo(np.float32).tiny
    words = "The gradient itself is far above the smallest normal number of float32, {}: the signal at layer 1 is {} "
    page.says(words + "with 12 hidden layers", smallest, deepest, true=deepest > 1e20 * smallest)
    final = [[accuracy(entry) for entry in entries] for entries in (SIGMOIDS, RELUS)]
    words = "Sigmoid falls to chance, ReLU ends near {}](ex2a_depth.png)"
    page.says(words, np.mean(final[1]), true=np.ptp(final[1]) < 0.005 and final[0] == sorted(final[0], reverse=True))
    page.claims({"**Depth**, and what is left after 20 epochs:": len(SIGMOIDS[0]["test_accuracy"]) == 20})


def deviation(entry):
    """The largest relative error of the prediction of a layer's signal, a mean over seeds."""
    return abs(np.mean(entry["initial"]["signal"], 1) / entry["predicted"]["signal"] - 1).max()


def activations(page):
    """Where the activations of the last hidden layer lie: the edges of their outermost bins that are not empty."""
    found = {entry["init"]: entry for entry in RECORD["activations"] if entry["activation"] == "sigmoid"}
    spans = [np.flatnonzero(counts[-1])[[0, -1]] + [0, 1] for counts in found["default"]["counts"]]
    width = found["default"]["range"][1] / len(found["default"]["counts"][0][-1])
    words = "the activations of the last hidden layer lie between {} and {}, before training and after {} epochs"
    low, high = min(span[0] for span in spans) * width, max(span[1] for span in spans) * width
    page.says(words, low, high, found["default"]["after"][-1])
    page.says("(of seed {})", 0)
    steep = low * (1 - low) > 0.15 and high * (1 - high) > 0.15  # the slope there, 1/4 at most
    between_images = DEFAULT["layer_variance"][3][0] ** 0.5  # of seed 0
    page.claims({"differing by neuron and hardly by image": between_images < (high - low) / 100})
    page.claims({"the trouble is not saturation but the small slope and the lost variation": steep})
    rescue = np.flatnonzero(found[RESCUE["init"]]["counts"][-1][-1])
    page.claims({"The rescue spreads them out": len(rescue) * width > 0.95})
    page.claims({"hidden activations per layer, before training, after 3 and after 20 epochs, four networks": True})
