"""What theory/1b_unstable_gradients.md predicts for a net with fresh weights, layer by layer.

    theory = predict(*scheme("xavier_normal", (784, 50, 30, 30, 30, 10)), "sigmoid")
    theory.factor                       norm(dL/dz_l) / norm(dL/dz_{l+1}) for l = 1 .. layers - 1
    signal(theory.factor, at_output)    norm(dL/dz_l) of all layers, from the one of the output layer

Layers are numbered from the input, 1 first, and sizes = (n_0, ..., n_L): layer l maps n_{l-1} numbers
to n_l. z_l is its pre-activation and h_l = sigma(z_l); the output layer has no activation.
"""

from typing import NamedTuple

import numpy as np

CRUDE = 0.25  # the largest slope of the Sigmoid: its factor per layer for weights below 1

# Expectations over a standard normal Z are sums over this grid. For an analytic integrand that dies out,
# the trapezoidal rule converges as fast as Gauss-Hermite, and a narrow peak (large q) does not spoil it.
# The number of points is even: none of them is 0, where ReLU has no slope.
Z = np.linspace(-12, 12, 4800)
DENSITY = np.exp(-(Z**2) / 2) / np.exp(-(Z**2) / 2).sum()


class Prediction(NamedTuple):
    """Arrays with one entry per layer, layer 1 first: L of `variance`, L - 1 (the hidden ones) of the rest."""

    variance: np.ndarray  # q_l = E[z_l^2]
    slope: np.ndarray  # E[sigma'(z_l)^2]
    factor: np.ndarray  # norm(dL/dz_l) / norm(dL/dz_{l+1})


def sigmoid(z):
    """Return 1 / (1 + exp(-z)), written with tanh so that no exponential overflows."""
    return (1 + np.tanh(z / 2)) / 2


def moments(activation, q, centre=0.0):
    """Return E[(sigma(z) - centre)^2] and E[sigma'(z)^2] for z ~ N(0, q); closing section of theory/1b."""
    z = np.sqrt(q) * Z
    if activation == "sigmoid":
        h = sigmoid(z)
        slope = h * (1 - h)
    elif activation == "relu":
        h, slope = np.maximum(z, 0), (Z > 0) * 1.0
    elif activation == "identity":
        h, slope = z, np.ones_like(z)
    else:
        raise ValueError(f"activation is sigmoid, relu or identity, not {activation!r}")
    return DENSITY @ (h - centre) ** 2, DENSITY @ slope**2


def predict(sizes, weight_variance, bias_variance, centred, activation, input_square=1.0):
    """Predict q_l, E[sigma'(z_l)^2] and the factor of the back-propagated norm; items 4 and 6 of theory/1b.

    sizes: (n_0, ..., n_L). weight_variance, bias_variance: L numbers each, Var(W^(l)) and Var(b^(l)).
    centred: biases of layers 2 and up are -1/2 of their row's sum, besides what bias_variance says.
    input_square: E[x^2] per feature, 1 for standardised data.
    """
    square, q, slope = input_square, [], []
    for fan_in, var_w, var_b in zip(sizes, weight_variance, bias_variance):
        q.append(fan_in * var_w * square + var_b)
        # sum_k W_jk h_k - 1/2 sum_k W_jk is sum_k W_jk (h_k - 1/2): the next layer sees h - 1/2.
        square, derivative = moments(activation, q[-1], centre=0.5 if centred else 0.0)
        slope.append(derivative)
    slope = np.array(slope[:-1])
    # A norm has the fan-in n_l of W^(l+1) here; the variance of one entry would have the fan-out n_{l+1}.
    factor = np.sqrt(np.array(sizes[1:-1]) * np.array(weight_variance[1:]) * slope)
    return Prediction(np.array(q), slope, factor)


def signal(factor, at_output):
    """Return the predicted norm(dL/dz_l), layer 1 first, from the measured one of the output layer."""
    return at_output * np.append(np.cumprod(np.asarray(factor)[::-1])[::-1], 1.0)


def variances(name, layer, fan_in, fan_out):
    """Return Var(W) and Var(b) of one layer (numbered from 1) under a named initialisation scheme.

    kaiming_uniform_ draws with variance 2/(1 + a^2)/fan, with nonlinearity="tanh" 25/9/fan; xavier_normal_ with
    gain^2 * 2/(fan_in + fan_out); orthogonal_ has gain^2/max(fan_in, fan_out); the biases of nn.Linear are
    U(+-1/sqrt(fan_in)) in every scheme but the centred ones, which draw none.
    """
    xavier, orthogonal = 2 / (fan_in + fan_out), 1 / max(fan_in, fan_out)
    weights = {
        "default": 1 / (3 * fan_in),  # kaiming_uniform_(a=sqrt(5))
        "kaiming_a1": 1 / fan_in,
        "kaiming_a0": 2 / fan_in,
        "kaiming_a1_fan_out": 1 / fan_out,
        "kaiming_a0_fan_out": 2 / fan_out,
        "kaiming_tanh": 25 / (9 * fan_in),
        "kaiming_tanh_fan_out": 25 / (9 * fan_out),
        "xavier_normal": xavier,
        "gain4": 16 * xavier,
        "gain4_from_layer2": xavier if layer == 1 else 16 * xavier,
    }
    for gain in (4, 6, 8):
        square = 1 if layer == 1 else gain**2
        weights[f"gain{gain}_from_layer2_centred"] = square * xavier
        weights[f"orthogonal{gain}_from_layer2_centred"] = square * orthogonal
    if name not in weights:
        raise ValueError(f"initialisation is one of {', '.join(weights)}, not {name!r}")
    return weights[name], 0.0 if name.endswith("_centred") else 1 / (3 * fan_in)


def scheme(name, sizes):
    """Return the arguments of `predict` up to `centred` for a scheme: sizes, variances of W and b, centred."""
    pairs = [variances(name, layer, *fans) for layer, fans in enumerate(zip(sizes, sizes[1:]), 1)]
    weight_variance, bias_variance = zip(*pairs)
    return sizes, weight_variance, bias_variance, name.endswith("_centred")


def predict_net(weights, biases, activation):
    """Predict for a net as it is: weights (..., n_l, n_{l-1}) and biases (..., n_l) of each layer, members in front.

    Behind a Sigmoid z_j = sum_k W_jk (h_k - 1/2) + (b_j + 1/2 sum_k W_jk), which holds for any biases;
    centred ones make the second bracket 0.
    """
    sizes = (weights[0].shape[-1], *(w.shape[-2] for w in weights))
    shift = [0.5 if activation == "sigmoid" and layer else 0.0 for layer in range(len(weights))]
    offset_square = [np.mean((b + c * w.sum(-1)) ** 2) for w, b, c in zip(weights, biases, shift)]
    weight_square = [np.mean(w**2) for w in weights]
    return predict(sizes, weight_square, offset_square, activation == "sigmoid", activation)


def signal_in_net(layers, activation, at_output, members=slice(None)):
    """Return the predicted norm(dL/dz_l) of each layer for some members of a net as it is, from the output layer's.

    layers: modules with a weight (members, n_l, n_{l-1}) and a bias (members, n_l), tensors on any device;
    at_output: what was measured there, [member].
    """
    parts = (tuple(getattr(layer, name) for layer in layers) for name in ("weight", "bias"))
    weights, biases = ([part.detach()[members].cpu().double().numpy() for part in each] for each in parts)
    return signal(predict_net(weights, biases, activation).factor, np.mean(at_output[members])).tolist()
