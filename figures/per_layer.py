"""The figures of exercise 2a over the layers of a net, and over its depth."""

from common import plots
from figures.arms import best_scheme, by_default, complete, families, labels, largest, layers
from figures.arms import mean, note, opening, ratio, rescued, scheme, subject, words

STEPS = "default", "xavier_normal", "gain4", "gain4_from_layer2_centred"  # drawn beside the best initialisation


def draw(record, arms):
    """Yield (name, picture): one network under several initialisations and with other activations, and the depth."""
    family = largest(arms)
    best = best_scheme(family)
    shown = [arm for arm in family if arm["init"] in STEPS or arm is best]
    for other in by_default(arms):
        same = all(other[field] == family[0][field] for field in ("hidden", "training"))
        shown += [other] * (same and other["activation"] != family[0]["activation"])
    for arm in shown:
        if arm.get("predicted"):
            yield f"signal_{arm['activation']}_{arm['init']}", signal(arm, note(record, [arm]))
    deep = [arm for arm in by_default(shown) if layers(arm) > 2]
    if deep:
        yield "two_gradients", two_gradients(deep, note(record, deep))
    varied = [arm for arm in shown if arm.get("layer_variance")]
    if varied:
        yield "layer_variance", layer_variance(varied, note(record, varied))
    if record.get("depth"):
        yield "depth", depth(record)


def signal(arm, note):
    """The signal's norm per layer before training, beside what theory/1b derives from the output layer's."""
    measured, predicted = arm["initial"]["signal"], arm["predicted"]["signal"]
    numbers = range(1, len(measured) + 1)
    curves = [("measured", numbers, measured), ("theory/1b", numbers, predicted)]
    if arm["activation"] == "sigmoid":
        curves.append(("1/4 per layer", numbers, [predicted[-1] / 4 ** (len(measured) - layer) for layer in numbers]))
    title = f"{subject(arm, 'init')}: layer 1 gets {ratio(measured[0], measured[-1])} of the output's signal"
    title += f", predicted {ratio(predicted[:1], predicted[-1:])}"
    axes = plots.per_layer("norm of the signal before training")
    return plots.draw(title, [("", curves)], axes, note, marker="o")


def two_gradients(arms, note):
    """Weight gradient and signal per layer before training, one panel per arm."""
    panels, slopes = [], []
    for arm, heading in zip(arms, labels(arms, "activation", "hidden")):
        kinds = [(kind, arm["initial"][kind]) for kind in ("weights", "signal")]
        panels.append((heading, [(kind, range(1, len(values) + 1), values) for kind, values in kinds]))
        ratios = ", ".join(f"{kind} {ratio(values[1], values[-2])}" for kind, values in kinds)
        slopes.append(f"{subject(arm)} {ratios}")
    title = f"Layer 2 over {layers(arms[0])}: {'; '.join(slopes)}"
    return plots.draw(title, panels, plots.per_layer("norm before training"), note, marker="o")


def layer_variance(arms, note):
    """How much each layer's output varies across the test images after training."""
    curves = [
        (label, range(1, len(arm["layer_variance"]) + 1), arm["layer_variance"])
        for label, arm in zip(labels(arms, "init"), arms)
    ]
    family = [arm for arm in arms if arm["activation"] == arms[0]["activation"]]
    default, best = next(iter(by_default(family)), None), best_scheme(family)
    ends = [(default, "by default")] if default else []
    ends += [(best, rescued(default, best) if default else f"with {scheme(best)}")] if best else []
    text = ", ".join(f"{mean(arm['layer_variance'][-1]):.2g} {how}" for arm, how in ends)
    title = opening(arms[0], f"variance of the logits across test images: {text}")
    return plots.draw(title, [("", curves)], plots.per_layer("variance across images after training"), note, marker="o")


def depth(record):
    """Layer 1 before training in nets of more and more layers: its gradient, and the weights a step leaves."""
    entries = [complete(entry, record["settings"]) for entry in record["depth"]]
    groups = [sorted(group, key=layers) for group in families(entries, "hidden")]
    names = labels([group[0] for group in groups], "init", fields=("activation", "init", "training"))
    gradient, unmoved = [], []
    for label, group in zip(names, groups):
        depths = [layers(entry) for entry in group]
        gradient.append((label, depths, [entry["initial"]["signal"][0] for entry in group]))
        if all(entry.get("predicted") for entry in group):
            gradient.append(("", depths, [entry["predicted"]["signal"][0] for entry in group]))
        unmoved.append((label, depths, [entry["unmoved"] for entry in group]))
    sigmoids = [group for group in groups if group[0]["activation"] == "sigmoid"]
    for group in sorted(sigmoids, key=lambda group: group[0]["init"] != "default")[:1]:
        start, depths = mean(group[0]["initial"]["signal"][0]), [layers(entry) for entry in group]
        gradient.append(("1/4 per layer", depths, [start / 4 ** (number - depths[0]) for number in depths]))
    still = max((group[-1] for group in groups), key=lambda entry: mean(entry["unmoved"]))
    net = f"{words(still['init'])} {subject(still)}, {layers(still)} layer{'s' * (layers(still) > 1)}"
    title = f"{net[0].upper()}{net[1:]}: a step moves {1 - mean(still['unmoved']):.0%} of layer 1's weights"
    panels = [
        ("signal at layer 1 (dashed: theory/1b)", gradient),
        ("share of layer 1 that a step leaves as it is", unmoved),
    ]
    return plots.draw(title, panels, plots.by_depth, note(record, entries), sharey=False, marker="o")
