"""What the searches of exercise 2b find in the runs of a record: pure functions of plain numbers."""


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


def best(arms, search):
    """Return the arm that a search names, of equals the largest rate; None where every one failed or none is there."""
    return max((arm for arm in of(arms, search) if arm["ok"]), key=lambda arm: arm["train"], default=None)
