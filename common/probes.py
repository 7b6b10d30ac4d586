"""What is measured inside a network: gradient norms per layer, and how much a layer's output varies."""

import torch

KINDS = ("weights", "biases", "signal")


class GradientNorms:
    """Record the norm of each layer's gradient: a context around one forward and one backward pass.

    weights, biases: Euclidean norm of dL/dW and dL/db; signal: Frobenius norm of dL/dz over (features,
    batch), z the layer's pre-activations. After the block `norms[kind]` is a list [layer][member], read
    before any step, and the hooks are gone. Nothing is edited.
    """

    def __init__(self, layers):
        self.layers = list(layers)
        self.norms = None

    def __enter__(self):
        self._signals = [None] * len(self.layers)
        self._hooks = [layer.register_forward_hook(self._watch(i)) for i, layer in enumerate(self.layers)]
        return self

    def _watch(self, i):
        def forward_hook(layer, inputs, z):
            def backward_hook(gradient):
                self._signals[i] = _norm(gradient)

            z.register_hook(backward_hook)  # lives and goes with this pass's graph

        return forward_hook

    def __exit__(self, failure, *_):
        for hook in self._hooks:
            hook.remove()
        if failure is None:
            self.norms = {
                "weights": [_norm(layer.weight.grad).tolist() for layer in self.layers],
                "biases": [_norm(layer.bias.grad).tolist() for layer in self.layers],
                "signal": [signal.tolist() for signal in self._signals],
            }


def _norm(gradient):
    """Norm of each member's part; in float64, where no square of a float32 vanishes and which not every GPU has."""
    return torch.linalg.vector_norm(gradient.detach().flatten(1).cpu(), dim=1, dtype=torch.float64)


@torch.no_grad()
def output_variance(model, layers, batches):
    """Variance of each layer's output across the images, the mean over its units: a list [layer][member].

    `layers` are modules of `model` whose output is (members, units, batch).
    """
    sums = [[0.0, 0.0] for _ in layers]

    def add(i):
        def hook(layer, inputs, h):
            h = h.cpu().double()
            sums[i][0] += h.sum(-1)
            sums[i][1] += h.square().sum(-1)

        return hook

    hooks = [layer.register_forward_hook(add(i)) for i, layer in enumerate(layers)]
    n = 0
    for images, labels in batches:
        model(images)
        n += len(labels)
    for hook in hooks:
        hook.remove()
    return [(squares / n - (total / n).square()).clamp(min=0).mean(-1).tolist() for total, squares in sums]
