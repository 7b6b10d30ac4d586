"""What the searches of exercise 2b find in the runs of a record: pure functions, without torch."""

import numpy as np

COMPARED = "default", "sgd", "grid", "random"  # the best arm of each of these searches


def rate(lr):
    """Write a learning rate: 1e-3, 2.8e-4."""
    digits, power = f"{lr:.1e}".split("e")
    return f"{float(digits):g}e{int(power)}"


def arms(runs):
    """One dict per arm of these runs: "status" [seed], "final" accuracies [seed] and "curves" [epoch][seed].

    The searches compare one seed, the first: "ok" and "train", its final training accuracy.
    """
    groups = {}
    for run in runs:
        groups.setdefault((run["optimizer"], run["lr"]), []).append(run)
    return [
        {
            **{key: same[0][key] for key in ("optimizer", "lr", "searches")},
            "status": [run["status"] for run in same],
            "ok": same[0]["status"] == "ok",
            "train": same[0]["final_train_accuracy"],
            "final": {
                "train": [run["final_train_accuracy"] for run in same],
                "test": [run["test_accuracy"][-1] for run in same],
            },
            "curves": {key: list(zip(*(run[f"{key}_accuracy"] for run in same))) for key in ("test", "train")},
        }
        for same in groups.values()
    ]


def of(arms, search):
    """The arms that belong to a search, the largest learning rate first."""
    return sorted((arm for arm in arms if search in arm["searches"]), key=lambda arm: -arm["lr"])


def ranked(arms):
    """Order arms by final training accuracy, the best first and failed ones last; ties keep their order."""
    return sorted(arms, key=lambda arm: (not arm["ok"], -arm["train"]))


def best(arms, search):
    """Return the arm that a search names, or None where every one failed or none is there."""
    return next((arm for arm in ranked(of(arms, search)) if arm["ok"]), None)


def compared(arms):
    """Return the arms that are compared and so deserve further seeds: the default and the best of each search."""
    found = [best(arms, search) for search in COMPARED]
    return [arm for number, arm in enumerate(found) if arm and arm not in found[:number]]


def wanted(planned, runs, seeds):
    """List (optimizer, learning rate, seed) of all runs that there shall be, as far as those done tell.

    First seed 0 of every `planned` arm; when these are done, seeds 1, 2, ... of those that are compared.
    """
    first = [(arm.optimizer, arm.lr, 0) for arm in planned]
    if not {(run["optimizer"], run["lr"], run["seed"]) for run in runs}.issuperset(first):
        return first
    return first + [(arm["optimizer"], arm["lr"], seed) for arm in compared(arms(runs)) for seed in range(1, seeds)]


def best_of_random(adam, draws=5, n=40000):
    """Estimate the distribution of the best final training accuracy among `draws` learning rates 10^-k, k from U[1, 5].

    The response curve is linear in k between all measured rates, so nothing exceeds the best measured one; a
    failed rate enters with the accuracy that it has. Returns (accuracy ascending, probability of each), by the
    midpoint rule with n points: no random numbers.
    """
    known = sorted((-np.log10(arm["lr"]), arm["train"]) for arm in adam)
    k = 1 + 4 * (np.arange(n) + 0.5) / n
    accuracy = np.sort(np.interp(k, *zip(*known)))
    return accuracy, np.diff((np.arange(n + 1) / n) ** draws)  # P(best <= i-th smallest) = (i/n)^draws


def comparable(arms):
    """Whether random search has runs, and Adam's rates reach both ends of U[1, 5], beyond which no curve is drawn."""
    k = [-np.log10(arm["lr"]) for arm in arms if arm["optimizer"] == "adam"]
    return bool(of(arms, "random")) and min(k) < 1 + 1e-9 and max(k) > 5 - 1e-9


def random_against_grid(arms):
    """Return the grid's best accuracy, P(random search's best is higher), and its expected accuracy."""
    accuracy, probability = best_of_random([arm for arm in arms if arm["optimizer"] == "adam"])
    grid = best(arms, "grid")["train"]
    return grid, float(probability[accuracy > grid + 1e-9].sum()), float(probability @ accuracy)
