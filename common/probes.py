"""What is measured inside a network: gradient norms per layer, and how much a layer's output varies.

A layer with members, whose parameters are (members, ...) and whose output is (members, units, batch), says so by an
attribute `members`, their number; any other counts as one member, its output is (batch, units, ...).
"""

import math
from functools import partial

import torch

KINDS = ("weights", "biases", "signal")


class GradientNorms:
    """Record the norm of each layer's gradient: a context around one forward and one backward pass.

    layers: any modules with parameters. After the block `norms[kind]` is a list [layer][member]: "biases", the
    Euclidean norm of dL/db, b whatever parameters have bias in their names; "weights", of dL/dW, W the others;
    "signal", the Frobenius norm of dL/dz, z the layer's output over (features, batch), before any activation,
    in-place ones included. Missing or frozen parameters are nan. No value and no gradient changes.

    Raises ValueError where the gradient would not be that of one pass: a layer that is used twice or not at all, two
    backward passes or none, gradients from before the block to which those of the block would be added.
    """

    def __init__(self, layers):
        self.layers = list(layers)
        self.norms = None
        if not self.layers:
            raise ValueError("no layers were given, so there is no gradient to measure")
        for layer in self.layers:
            if next(layer.parameters(), None) is None:
                raise ValueError(f"{self._name(layer)} has no parameters. Give layers that have some")

    def __enter__(self):
        self.norms, self._used, self._gradients = None, set(), {}
        parameters = dict.fromkeys(p for layer in self.layers for p in layer.parameters() if p.requires_grad)
        self._hooks = [p.register_hook(partial(self._keep, p)) for p in parameters]
        self._hooks += [layer.register_forward_hook(self._watch) for layer in dict.fromkeys(self.layers)]
        return self

    def _name(self, layer):
        return f"layer {self.layers.index(layer) + 1} ({type(layer).__name__})"

    def _watch(self, layer, inputs, z):
        if layer in self._used:
            raise ValueError(f"{self._name(layer)} is used twice in the block, where one forward pass can be measured")
        if not isinstance(z, torch.Tensor):
            raise ValueError(f"{self._name(layer)} gives a {type(z).__name__}. Give layers whose output is one tensor")
        self._used.add(layer)
        if not z.requires_grad:  # of a frozen layer that nothing trainable precedes
            z = z.detach().requires_grad_()
        self._hooks.append(z.register_hook(partial(self._keep, layer)))
        return z.clone()  # what an activation behind the layer may overwrite; the hook stays with the output itself

    def _keep(self, source, gradient):
        """Take down the gradient of a parameter, before it is added to what is there, or of a layer's output."""
        if source in self._gradients:
            raise ValueError("two backward passes in the block, where the gradient of one can be measured")
        if isinstance(source, torch.Tensor) and source.grad is not None and source.grad.any():
            raise ValueError("gradients from before the block would add up. Set them to None first")
        self._gradients[source] = gradient  # its norm is read at the end, since a device would be waited for

    def __exit__(self, failure, *_):
        for hook in self._hooks:
            hook.remove()
        gradients, self._gradients, self._hooks = self._gradients, {}, []
        if failure is not None:
            return
        for layer in self.layers:
            if layer not in gradients:
                raise ValueError(f"no backward pass in the block went through {self._name(layer)}. There must be one")
        norms = {kind: [] for kind in KINDS}
        for layer in self.layers:
            members, named = getattr(layer, "members", 1), list(layer.named_parameters())
            for kind in ("weights", "biases"):
                parameters = [p for name, p in named if ("bias" in name) == (kind == "biases")]
                norms[kind].append(_norm([gradients.get(p) for p in parameters], members))
            norms["signal"].append(_norm([gradients[layer]], members))
        self.norms = norms


def _norm(gradients, members):
    """Norm of each member's part; in float64, where no square of a float32 vanishes and which not every GPU has."""
    if not gradients or any(gradient is None for gradient in gradients):
        return [math.nan] * members
    parts = torch.cat([gradient.detach().reshape(members, -1).cpu() for gradient in gradients], 1)
    return torch.linalg.vector_norm(parts, dim=1, dtype=torch.float64).tolist()


def output_variance(model, layers, batches):
    """Variance across the images of each unit of a layer's output, the mean over its units: a list [layer][member].

    layers: modules of `model`, each used once in a forward pass. Outputs are (batch, units, ...), where every entry
    behind the batch is a unit (of a convolution each channel at each position); those of an ensemble, whose logits
    are (members, classes, batch), are (members, units, batch). Measured in evaluation mode; each module is then put
    back into the mode it was in. Raises ValueError where an output is otherwise, a layer is not used once, or there
    is no batch.
    """
    n, sums = 0, None
    for outputs in _outputs(model, layers, batches):
        n += outputs[0].shape[-1]
        moments = [(h.sum(-1), h.square().sum(-1)) for h in map(torch.Tensor.double, outputs)]
        sums = [(a + c, b + d) for (a, b), (c, d) in zip(sums, moments)] if sums else moments
    return [(squares / n - (total / n).square()).clamp(min=0).mean(-1).tolist() for total, squares in sums]


def output_histograms(model, layers, batches, bins, low, high):
    """Count a layer's outputs, of all units and images, in `bins` equal bins from low to high: [layer][member][bin].

    What lies beyond is counted in the outermost bins. As output_variance() otherwise.
    """
    counts = None
    for outputs in _outputs(model, layers, batches):
        now = [torch.stack([h.float().clamp(low, high).histc(bins, low, high) for h in each]) for each in outputs]
        counts = [one + other for one, other in zip(counts, now)] if counts else now
    return [layer.long().tolist() for layer in counts]


@torch.no_grad()
def _outputs(model, layers, batches):
    """Yield for each batch the outputs of the layers, (members, units, batch) each, on the CPU."""
    layers, seen = list(layers), False
    outputs = [[] for _ in layers]

    def keep(i, layer, inputs, h):
        outputs[i].append(h.clone())  # what follows may overwrite it

    modes = [(module, module.training) for module in model.modules()]
    hooks = [layer.register_forward_hook(partial(keep, i)) for i, layer in enumerate(layers)]
    try:
        model.eval()
        for images, _ in batches:
            logits, seen = model(images.to(next(model.parameters(), images).device)), True
            for i, found in enumerate(outputs, 1):
                if len(found) != 1:
                    raise ValueError(f"layer {i} is used {len(found)} times in a forward pass. Give layers used once")
            yield [_members_first(found.pop(), logits).cpu() for found in outputs]
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes:
            module.training = mode
    if not seen:
        raise ValueError("no images were given, so there is nothing to measure")


def _members_first(h, logits):
    """An output as (members, units, batch), by what the model's own output is; activations cannot say it themselves."""
    ensemble = logits.dim() == 3
    if ensemble and h.dim() == 3 and (h.shape[0], h.shape[2]) == (logits.shape[0], logits.shape[2]):
        return h
    if not ensemble and h.dim() and len(h) == len(logits):
        return h.reshape(len(h), -1).T[None]
    expected = "(members, units, batch)" if ensemble else "(batch, units, ...)"
    raise ValueError(f"an output of shape {tuple(h.shape)} beside logits {tuple(logits.shape)}. Expected {expected}")
