"""What the searches of exercise 2b find in the runs of a record: pure functions of plain numbers."""

import math
from bisect import bisect


def rate(lr, digits=2):
    """Write a learning rate: 1e-3, 2.8e-4; with more digits where two do not tell it from another."""
    number, power = f"{lr:.{digits - 1}e}".split("e")
    return f"{float(number):.{digits}g}e{int(power)}"


def rates(arms):
    """Write the learning rates of these arms, with as many digits as tell them apart."""
    different = len({arm["lr"] for arm in arms})
    for digits in range(2, 18):
        texts = [rate(arm["lr"], digits) for arm in arms]
        if len({*texts}) == different:
            break
    return texts


def arms(runs):
    """One dict per arm of these runs: "status" [seed], "final" accuracies [seed] and "curves" [epoch][seed].

    The searches compare one seed, the first: "ok" and "train", its final training accuracy.
    """
    groups = {}
    for run in runs:
        groups.setdefault((run["optimizer"], run["lr"], run.get("momentum")), []).append(run)
    return [arm(sorted(same, key=lambda run: run["seed"])) for same in groups.values()]


def arm(same):
    """Return the arm of the runs that differ in the seed only."""
    first = same[0]
    return {
        "name": first["name"].partition(", seed")[0],
        "optimizer": first["optimizer"],
        "lr": first["lr"],
        "searches": first["searches"],
        "status": [run["status"] for run in same],
        "ok": first["status"] == "ok",
        "train": first["final_train_accuracy"],
        "final": {
            "train": [run["final_train_accuracy"] for run in same],
            "test": [run["test_accuracy"][-1] for run in same],
        },
        "curves": {key: list(zip(*(run[f"{key}_accuracy"] for run in same))) for key in ("test", "train")},
    }


def of(arms, search):
    """The arms that belong to a search, the largest learning rate first."""
    return sorted((arm for arm in arms if search in arm["searches"]), key=lambda arm: -arm["lr"])


def ranked(arms):
    """Order arms by final training accuracy, the best first and failed ones last; ties keep their order."""
    return sorted(arms, key=lambda arm: (not arm["ok"], -arm["train"]))


def best(arms, search):
    """Return the arm that a search names, or None where every one failed or none is there."""
    return next((arm for arm in ranked(of(arms, search)) if arm["ok"]), None)


def best_of_random(adam, draws=5, n=40000):
    """Estimate the distribution of the best final training accuracy among `draws` learning rates 10^-k, k from U[1, 5].

    The response curve is linear in k between all measured rates, so nothing exceeds the best measured one; a
    failed rate enters with the accuracy that it has. Returns (accuracy ascending, probability of each), by the
    midpoint rule with n points: no random numbers.
    """
    known = sorted((-math.log10(arm["lr"]), arm["train"]) for arm in adam)
    accuracy = sorted(between(known, 1 + 4 * (i + 0.5) / n) for i in range(n))
    return accuracy, [((i + 1) / n) ** draws - (i / n) ** draws for i in range(n)]  # P(best <= i-th) = (i/n)^draws


def between(known, k):
    """The value at k on the line through the sorted points `known`, level beyond their ends."""
    after = bisect(known, (k,))
    if after in (0, len(known)):
        return known[max(0, after - 1)][1]
    (left, low), (right, high) = known[after - 1 : after + 1]
    return low + (high - low) * (k - left) / (right - left)


def comparable(arms):
    """Whether Adam was searched at random, and its rates reach both ends of U[1, 5], beyond which no curve is drawn."""
    k = [-math.log10(arm["lr"]) for arm in arms if arm["optimizer"] == "adam"]
    searched = {arm["optimizer"] for which in ("grid", "random") for arm in of(arms, which)}
    return bool(of(arms, "random")) and searched == {"adam"} and min(k) < 1 + 1e-9 and max(k) > 5 - 1e-9


def random_against_grid(arms):
    """Return the grid's best accuracy, P(random search's best is higher), and its expected accuracy."""
    accuracy, probability = best_of_random([arm for arm in arms if arm["optimizer"] == "adam"])
    grid = best(arms, "grid")["train"]
    wins = math.fsum(share for level, share in zip(accuracy, probability) if level > grid + 1e-9)
    return grid, wins, math.fsum(level * share for level, share in zip(accuracy, probability))
