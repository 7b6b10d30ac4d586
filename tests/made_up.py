"""Made-up records, in which every number is another one."""

import math

from figures.arms import same

SEEDS, EPOCHS, DEEP = 3, {"2a": 4, "2b": 12}, (50, 40, 30, 20)


def made_up(draw, low, high, *size):
    """Nested lists of this size, of numbers that no other call gives; on a logarithmic scale."""
    if not size:
        return math.exp(draw.uniform(math.log(low), math.log(high)))
    return [made_up(draw, low, high, *size[1:]) for _ in range(size[0])]


def arm(draw, hidden, activation="sigmoid", init="default", optimizer="sgd", lr=0.005, momentum=0, norm=False, n=4):
    layers = len(hidden) + 1
    return {
        "name": str(draw.random()),
        "hidden": list(hidden),
        "activation": activation,
        "init": init,
        "optimizer": optimizer,
        "lr": lr,
        "momentum": momentum,
        "batch_norm": norm,
        "status": [draw.choice(["ok", "ok", "collapsed"])] * SEEDS,
        "test_accuracy": made_up(draw, 0.1, 0.9, n, SEEDS),
        "gradient_norm": {kind: made_up(draw, 1e-4, 9, layers, n, SEEDS) for kind in ("weights", "biases")},
        "initial": {kind: made_up(draw, 1e-4, 9, layers, SEEDS) for kind in ("weights", "biases", "signal")},
        "predicted": None if norm else {"signal": made_up(draw, 1e-4, 9, layers)},
        "layer_variance": made_up(draw, 1e-4, 9, layers, SEEDS),
        "unmoved": made_up(draw, 0.01, 0.9, SEEDS),
    }


def about(draw, made):
    return {"data": draw.choice(["made up", "stand-in"]), "planned": made + draw.choice([0, 3])}


def record_2a(draw, some=1.0):
    """A record of this share of the arms, in any order if it is not the whole."""
    best, nets = "orthogonal6_from_layer2_centred", ((50,), (50, 30), (50, 30, 20), DEEP)
    schemes = "xavier_normal", "kaiming_a0", "kaiming_a1_fan_out", "kaiming_tanh", "gain4", "gain4_from_layer2_centred"
    arms = [arm(draw, hidden, activation) for hidden in nets for activation in ("sigmoid", "relu")]
    arms += [arm(draw, DEEP, init=init) for init in (*schemes, best)] + [arm(draw, nets[2], init="xavier_normal")]
    arms += [arm(draw, DEEP, "relu", "kaiming_a0"), arm(draw, (20,), "identity", "gain4")]
    arms += [arm(draw, DEEP, init=init, lr=0.05) for init in ("default", "xavier_normal")] + [arm(draw, DEEP, lr=0.5)]
    arms += [arm(draw, DEEP, optimizer="adam", lr=0.001), arm(draw, DEEP, momentum=0.9), arm(draw, DEEP, norm=True)]
    for one in same(arms, {"hidden": list(DEEP), "activation": "sigmoid"}, "hidden", "activation"):
        one["status"] = ["collapsed" if one["init"] == "default" else "ok"] * SEEDS  # so that there is a rescue
    seen = [arm(draw, DEEP, activation) for activation in ("sigmoid", "relu")]
    for top, one in enumerate(seen, 1):
        counts = [[draw.sample(range(1, 9999), 5) for _ in DEEP] for _ in range(3)]
        one |= {"after": [0, 3, 4], "range": [0, top], "counts": counts}
    depth = [arm(draw, (30,) * n, *net) for n in (1, 2, 3) for net in (["sigmoid"], ["relu"], ["sigmoid", "gain4"])]
    parts = {"arms": arms, "depth": depth, "plateau": [arm(draw, DEEP, n=9)], "activations": seen}
    if some < 1:
        parts = {part: draw.sample(found, math.ceil(some * len(found))) for part, found in parts.items()}
    settings = {"lr": 0.005, "momentum": 0, "epochs": EPOCHS["2a"]}
    return parts | {"settings": settings} | about(draw, sum(map(len, parts.values())))


def record_2b(draw, some=1.0):
    cases = [("adam", 1e-3, ["default", "grid"], seed) for seed in range(SEEDS)]
    cases += [("sgd", 10.0**-k, ["sgd"], seed) for k in range(5) for seed in range(SEEDS if k == 1 else 1)]
    cases += [("adam", 10.0**-k, ["grid"], 0) for k in (1, 2, 4, 5)] + [("rmsprop", 0.1, ["wide one"], 0)]
    for first, name in enumerate(["random", "random 1", "random 2"][: draw.choice((1, 3))]):
        for lr in made_up(draw, 1e-5, 0.1, 5):
            cases += [("adam", lr, [name], seed) for seed in range(first, SEEDS)]
    runs = [
        {
            "name": f"{optimizer} {lr:.1e}, seed {seed}",
            "optimizer": optimizer,
            "lr": lr,
            "momentum": None,
            "searches": searches,
            "seed": seed,
            "status": draw.choice(["ok", "ok", "ok", "collapsed"]),
            "train_loss": [1.0],
            "final_train_accuracy": made_up(draw, 0.1, 0.9),
        }
        | {f"{split}_accuracy": made_up(draw, 0.1, 0.9, EPOCHS["2b"]) for split in ("train", "test")}
        for optimizer, lr, searches, seed in cases
    ]
    runs = draw.sample(runs, math.ceil(some * len(runs))) if some < 1 else runs
    settings = {"epochs": EPOCHS["2b"], "train_sample": 10}
    return {"runs": runs, "settings": settings} | about(draw, len(runs))
