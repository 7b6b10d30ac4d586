"""What figures/README.md says of exercise 2b: every number, and every comparison with what makes it true."""

from functools import cache

import numpy as np
import torch
from answers import ADAM, BENCH, CHOICE, HALF, NARROW, RANDOM, RUNS, SEARCHED, SGD, finals, in_percent, late
from answers import losses, mean_and_spread, over_seeds, p, percent, seeds_of, seen_by, standard_error

import ex2b_adam
from common import models
from figures import searches
from figures.arms import NUMBERS

(ADAM_TRAIN, ADAM_TEST), (SGD_TRAIN, SGD_TEST) = over_seeds(ADAM), over_seeds(SGD)
TENFOLD = seeds_of("adam", 0.01)
TENFOLD_TRAIN, TENFOLD_TEST = over_seeds(TENFOLD)
BOTH = "training accuracy in % | test accuracy in %"  # of a table
GRID = {lr: seeds_of("adam", lr)[0] for lr in (0.1, 0.01, 0.001, 0.0001, 0.00001)}
KS = [np.random.default_rng(number).uniform(1, 5, 5) for number in range(NARROW["settings"]["draws"])]  # [search]
DRAWN = [seeds_of("adam", 10**-k)[0] for k in KS[0]]
NARROW_GRID = seen_by("grid", NARROW["runs"])


def check(page):
    assert {run["precision"] for run in RUNS} == {"float32"} and {run["status"] for run in RUNS} == {"ok"}
    assert all(len(run["test_accuracy"]) == SEARCHED["settings"]["epochs"] == 50 for run in RUNS)
    first_lines(page)
    off_the_shelf(page)
    against_sgd(page)
    by_grid(page)
    at_random(page)
    network(page)
    other_runs(page)
    another_width(page)
    precision(page)


def first_lines(page):
    page.says("Adam: {} in the test after {} epochs, mean of three seeds |", np.mean(ADAM_TEST), 50)
    undecided = "Not decided: three seeds show no reliable difference |"
    page.claims({undecided: p(ADAM_TEST, SGD_TEST) > 0.05 and len(ADAM) == len(SGD) == 3})
    best = max(GRID.values(), key=finals) is ADAM[0]
    words = "{}, the default, with {} in training (seed {}); against {} it is not decided |"
    page.says(words, 1e-3, finals(ADAM[0])[0], 0, 0.01, true=best and p(ADAM_TRAIN, TENFOLD_TRAIN) > 0.05)
    words = "Not decided: random search {} in training, the grid {}, means of three seeds |"
    means = np.mean(over_seeds(RANDOM)[0]), np.mean(ADAM_TRAIN)
    page.says(words, *means, true=best and best_drawn() and len(RANDOM) == len(ADAM) == 3 and not_seen_to_win())


def best_drawn():
    return max(DRAWN, key=finals) is RANDOM[0]


def not_seen_to_win():
    """Whether neither random search nor the grid is seen to be ahead at full width."""
    return p(over_seeds(RANDOM)[0], ADAM_TRAIN) > 0.05


def drawn_narrow():
    """The best run of each random search at half the width."""
    for number, ks in enumerate(KS):
        found = [run for k in ks for run in seeds_of("adam", 10**-k, NARROW["runs"]) if run["seed"] == number]
        assert len(found) == len(ks) == 5
        yield max(found, key=finals)


def above_the_grid():
    """How many of the random searches at half the width end above the best of the grid, which has seed 0."""
    return sum(finals(run)[0] > max(map(finals, NARROW_GRID))[0] for run in drawn_narrow())


def off_the_shelf(page):
    usual = torch.optim.Adam([torch.zeros(1)]).defaults
    words = "With its defaults (rate {}, betas {} and {}, δ {}) Adam ends at {} ± {} in the test after {} "
    words += "epochs, over three seeds"
    page.says(words, usual["lr"], *usual["betas"], usual["eps"], *mean_and_spread(ADAM_TEST), 50)
    assert ADAM[0]["lr"] == usual["lr"]
    page.says("test accuracy over {} epochs of CIFAR-10, and the last ten enlarged", 50, true=True)
    page.claims(
        {"The network replaces the classifier of the last sheet": True, "trains it: batches of": True}
    )  # of the sheet's wording
    widths = " / ".join(" ".join(str(32 * channels) for channels in stage) for stage in models.STAGES)
    parameters = sum(weight.numel() for weight in models.cnn(32, 0).parameters())
    parts = {"Conv2d": "3x3 convolutions", "BatchNorm2d": "batch normalisation", "ReLU": "ReLU"}
    made = [type(module).__name__ for module in models.cnn(32, 0)]
    page.claims(
        {
            "a plain CNN of {} with {} and {},".format(*parts.values()): [one for one in made[:4] if one in parts]
            == [*parts]
        }
    )
    words = f"{widths} channels (a slash is max pooling), a global mean and a linear layer: {{}} parameters"
    page.says(words, parameters, true=made[-3:] == ["AdaptiveAvgPool2d", "Flatten", "Linear"])
    assert len(RUNS) == SEARCHED["planned"] and SEARCHED["settings"]["seeds"] == 3
    page.says("batches of {}, a constant rate, no weight decay", ex2b_adam.BATCH_SIZE, true=True)
    page.says("SGD has momentum {}. *Training", ex2b_adam.MOMENTUM)
    words = "*Training accuracy* is measured on unaltered images in evaluation mode: at the end on the whole training "
    words += "set, in the curves on its first {}. *Training loss*: the mean over an epoch's augmented batches"
    page.says(words, SEARCHED["settings"]["train_sample"], true=True)  # as test_reference.py proves
    page.claims({"enlarged: Adam by default beside SGD": True})  # as test_reference.py proves


def against_sgd(page):
    rivals = {lr: finals(seeds_of("sgd", lr)[0]) for lr in (1.0, 0.1, 0.01, 0.001, 0.0001)}
    best = max(rivals, key=rivals.get) == 0.1 and max(GRID, key=lambda lr: finals(GRID[lr])) == 1e-3
    words = "Not decided: tuned alike (five rates a decade apart, by training accuracy of seed 0), "
    words += (
        "Adam ({}) ends at {} ± {} in the test, {} points (standard error {}) above SGD ({}, momentum {}) at {} ± {}"
    )
    lead = np.mean(ADAM_TEST) - np.mean(SGD_TEST), standard_error(ADAM_TEST, SGD_TEST)
    numbers = *mean_and_spread(ADAM_TEST), *map(percent, lead), 0.1, ex2b_adam.MOMENTUM, *mean_and_spread(SGD_TEST)
    page.says(words, 1e-3, *numbers, true=best)
    page.claims({"**Answer.** Not decided: tuned alike": p(ADAM_TEST, SGD_TEST) > 0.05})
    least, found = p(range(3), range(10, 13)), p(ADAM_TEST, SGD_TEST)
    words = "In epochs {} and {} only every seed of Adam is above every seed of SGD, but three seeds cannot bring p "
    adam, sgd = (np.array([run["test_accuracy"] for run in same]) for same in (ADAM, SGD))
    first, last = np.flatnonzero(adam.min(0) > sgd.max(0)) + 1
    page.says(words + "below {}.", first, last, least, true=found == least and last == 50)
    sgd, adam = (finals(seeds_of(*arm, NARROW["runs"])[0]) for arm in (("sgd", 0.1), ("adam", 1e-3)))
    words = "At half the width, one seed, each grid's best has {} (SGD) and {} (Adam; at {} {}) in the test."
    drawn = finals(seeds_of("adam", RANDOM[0]["lr"], NARROW["runs"])[0])
    tried = [[*map(finals, runs)] for runs in (seen_by("sgd", NARROW["runs"]), NARROW_GRID)]
    best_there = [*map(len, tried)] == [5, 5] and [*map(max, tried)] == [sgd, adam]
    half = 2 * NARROW["settings"]["width"] == SEARCHED["settings"]["width"]
    page.says(words, sgd[1], adam[1], RANDOM[0]["lr"], drawn[1], true=half and sgd[1] > adam[1] and best_there)
    columns = [(ADAM_TRAIN, SGD_TRAIN), (ADAM_TEST, SGD_TEST), (late(ADAM), late(SGD)), (losses(ADAM), losses(SGD))]
    rows = [[*map(in_percent, same), (np.mean(loss), np.std(loss, ddof=1))] for *same, loss in zip(*columns)]
    rows = [["Adam 1e-3", *rows[0]], ["SGD 1e-1", *rows[1]], ["p", *(p(*pair) for pair in columns)]]
    page.table(f"three seeds | {BOTH} | mean test accuracy of epochs 41 to 50 | training loss of epoch 50", rows)
    adam, sgd = ([np.mean(values) for values in column] for column in zip(*columns))
    leads = adam[0] < sgd[0] and adam[2] < sgd[2] and adam[3] > sgd[3] and adam[1] > sgd[1]
    within = all(max(min(one), min(other)) < min(max(one), max(other)) for one, other in (columns[0], columns[2]))
    words = "In the other accuracies SGD leads within the scatter; its loss is lower in every run."
    page.claims({words: leads and within and min(columns[3][0]) > max(columns[3][1])})


def by_grid(page):
    best = finals(ADAM[0])[0]
    words = "{}, the default, inside the range: it ends at {} on the whole training set (seed {}), best of five."
    most = max(finals(run)[0] for run in GRID.values())
    page.says(words, 1e-3, best, 0, true=best == most and min(GRID) < 1e-3 < max(GRID))
    undecided = p(ADAM_TRAIN, TENFOLD_TRAIN)
    words = (
        "Against {} three seeds do not decide: each seed of {} is above each of {}, {} ± {} and {} ± {} (p = {}), but "
        "averaged over the last ten epochs {} leads, {} and {} on the curves' sample (p = {})."
    )
    samples = late(TENFOLD, "train"), late(ADAM, "train")
    other = np.mean(samples[0]) > np.mean(samples[1]) and min(ADAM_TRAIN) > max(TENFOLD_TRAIN)
    numbers = 0.01, 1e-3, 0.01, *mean_and_spread(ADAM_TRAIN), *mean_and_spread(TENFOLD_TRAIN), undecided
    numbers = *numbers, 0.01, *map(np.mean, samples), p(*samples)
    page.says(words, *numbers, true=undecided > 0.05 and other)
    rows = [[k, 10**-k, *map(percent, finals(GRID[lr]))] for k, lr in enumerate(sorted(GRID, reverse=True), 1)]
    page.table(f"k | rate | {BOTH}", rows)
    page.claims({"every run of the two grids a mark": True})  # as test_figures.py proves
    as_good = min(p(ADAM_TRAIN, other) for other in (TENFOLD_TRAIN, over_seeds(RANDOM)[0])) > 0.05
    page.says("As three seeds distinguish neither {} nor {} from the default", 0.01, RANDOM[0]["lr"], true=as_good)
    least, tried = min(*ADAM_TRAIN, *over_seeds(RANDOM)[0]), sorted(run["lr"] for run in (*GRID.values(), *DRAWN))
    below = {lr: max(finals(run)[0] for run in seeds_of("adam", lr)) < least for lr in tried}
    between = max(lr for lr in tried if lr < 1e-3 and below[lr]), min(lr for lr in tried if lr > 0.01 and below[lr])
    words = "the best rate, if there is one peak, may lie anywhere between {} and {}, both worse under seed {}."
    page.says(words, *between, 0, true=as_good)
    words = "for every learning rate of Adam and SGD, a row for each search: small rates are slow]"
    page.says("test accuracy over {} epochs " + words, 50, true=all(map(slowest_gains, ("sgd", "grid", "random"))))


def slowest_gains(search):
    """Whether the smallest rate of a search gains most over the last ten epochs, as its picture says."""
    found = seen_by(search)
    gains = {run["lr"]: np.mean(run["train_accuracy"][-10:]) - np.mean(run["train_accuracy"][-20:-10]) for run in found}
    return max(gains, key=gains.get) == min(gains)


def at_random(page):
    trains, tests = over_seeds(RANDOM)
    words = (
        "Not decided: of five rates each, random search's best, {}, and the grid's, {}, end in training at {} and {} "
        "under seed {}, at {} ± {} and {} ± {} over three seeds (p = {}); at half the width "
        f"{NUMBERS[above_the_grid()]} of five searches beat the grid (one seed each)."
    )
    numbers = RANDOM[0]["lr"], ADAM[0]["lr"], trains[0], ADAM_TRAIN[0], 0
    numbers = *numbers, *mean_and_spread(trains), *mean_and_spread(ADAM_TRAIN), p(trains, ADAM_TRAIN)
    fair = best_drawn() and len(DRAWN) == len(GRID) and max(GRID.values(), key=finals) is ADAM[0]
    page.says(words, *numbers, true=fair and not_seen_to_win())
    from_grid, from_random, nearer = distances()
    words = "In one dimension a grid covers better on average: an optimal k uniform in [1, 5] is {} from the grid's "
    words += "nearest, {} from the nearest of five random ones"
    page.says(words, from_grid, from_random, true=from_grid < from_random)
    rows = [[k, 10**-k, *map(percent, finals(run))] for k, run in zip(KS[0], DRAWN)]
    page.table(f"k from U[1, 5], `numpy.random.default_rng(0)` | rate | {BOTH}", rows)
    page.claims({"final accuracy of its five rates beside the grid": best_drawn()})
    behind = tests[0] > ADAM_TEST[0] and np.mean(tests) < np.mean(ADAM_TEST)
    words = "Adam at {}, at {} ± {}, is ahead of the default with seed {}, behind in the mean"
    page.says(words, RANDOM[0]["lr"], *mean_and_spread(tests), 0, true=behind)
    words = "If the optimal k is uniform in [1, 5], random search comes nearer than the grid in {} of draws"
    page.says(words, nearer, true=0.4 < nearer < 0.5)
    page.claims({"where several parameters are searched and few matter": True})  # cited


@cache
def distances(n=2000):
    """The best k anywhere in [1, 5], by the midpoint rule: mean distance of the nearest of the grid's five and of
    five random k, and the probability that the latter is nearer."""
    best, far = 1 + 4 * (np.arange(n) + 0.5) / n, 4 * (np.arange(n) + 0.5) / n
    of_grid = abs(best[:, None] - np.arange(1, 6)).min(1)

    def none_within(distance):
        """Probability, for each `best`, that five random k all lie farther away."""
        return (1 - (np.minimum(best + distance, 5) - np.maximum(best - distance, 1)) / 4) ** 5

    of_random = 4 * np.mean([none_within(distance) for distance in far])
    return of_grid.mean(), of_random, 1 - none_within(of_grid).mean()


def network(page):
    found, settings = CHOICE["candidates"], CHOICE["settings"]
    best = max(found, key=lambda entry: entry["held_out_accuracy"][-1])
    words = "Five candidates were trained for {} epochs on {} training images with Adam's default, one seed each"
    page.says(words, found[0]["epochs"], settings["train_images"], true=[one["seed"] for one in found] == [0] * 5)
    page.says("compared on the other {} by", settings["held_out"])
    used = " | ".join(" ".join(str(32 * channels) for channels in stage) for stage in models.STAGES)
    page.claims({"the fourth was taken, the best after three epochs": best is found[3] and best["name"] == used})
    page.claims({"The choice by Adam may favour Adam": True})  # as test_reference.py proves
    rows = [
        [entry["name"].replace("|", "/"), entry["parameters"], entry["multiply_adds"] / 1e6]
        + [entry["seconds_per_epoch"], percent(entry["held_out_accuracy"][-1])]
        for entry in found
    ]
    seen = "parameters | million multiply-adds | seconds per epoch | accuracy on held-out training images in %"
    page.table(f"channels | {seen}", rows)


def other_runs(page):
    favours = RANDOM[0]["final_train_accuracy"] == max(finals(run)[0] for run in DRAWN)
    first, other = (torch.cat([w.flatten() for w in models.cnn(8, seed).parameters()]) for seed in (0, 1))
    page.claims({"A seed sets the initial weights, the order of": not first.equal(other)})
    page.claims({"seed 0, which chose, is thus in each mean, which favours the chosen": favours})
    words = "SGD at {} ends at {} ± {} in the test over its three seeds, Adam at {} at {} ± {}."
    sgd = over_seeds(seeds_of("sgd", 0.01))[1]
    page.says(words, 0.01, *mean_and_spread(sgd), 0.01, *mean_and_spread(TENFOLD_TEST))
    table(page, "run", [run for run in RUNS if (run["optimizer"], run["seed"]) != ("adam", 0)])


def another_width(page):
    settings = NARROW["settings"]
    words = "Of the {} runs of `python ex2b_adam.py --width {} --draws {} --seeds {} --out figures/width16`, with five "
    numbers = NARROW["planned"], settings["width"], settings["draws"], settings["seeds"]
    page.says(
        words + "random searches, these have been made so far", *numbers, true=len(NARROW["runs"]) < NARROW["planned"]
    )
    best, grid = [*drawn_narrow()], max(NARROW_GRID, key=finals)
    rows = [
        [number, tuple(ks), searches.rate(run["lr"]), *map(percent, finals(run))]
        for number, (ks, run) in enumerate(zip(KS, best))
    ]
    page.table(f"random search | its k, drawn from U[1, 5] | rate found | {BOTH}", rows)
    above = above_the_grid()
    words = (
        f"{NUMBERS[above].capitalize()} of the five end above the grid's best, {{}} with {{}} in training under seed "
    )
    words += f"{{}}, {NUMBERS[5 - above]} below. Search s was drawn and trained under seed s."
    page.says(words, grid["lr"], finals(grid)[0], 0, true=[run["seed"] for run in best] == [0, 1, 2, 3, 4])
    page.claims({"the best of each of five random searches beside the grid's": len(best) == 5})
    table(page, "width 16", NARROW["runs"])


def table(page, name, runs):
    """The table of these runs, by optimizer and rate."""
    names = {"adam": "Adam", "sgd": "SGD"}
    runs = sorted(runs, key=lambda run: (run["optimizer"], -run["lr"], run["seed"]))
    rates = searches.rates(runs)
    called = [f"{names[run['optimizer']]} {rate}, seed {run['seed']}" for rate, run in zip(rates, runs)]
    page.table(f"{name} | {BOTH}", [[one, *map(percent, finals(run))] for one, run in zip(called, runs)])


def precision(page):
    speed = {row["contender"]: row["seconds"] for row in BENCH["2b"]}
    faster = speed["this repository"] / speed["this repository, bfloat16"]
    whole = {run["precision"] for run in (*RUNS, *NARROW["runs"])} == {"float32"}
    page.claims({"All runs above are in float32, the default": whole and not ex2b_adam.Settings().bfloat16})
    page.says("With `--bfloat16` an epoch is {} times as fast", faster, true=faster > 1)
    made = [[run[key] for key in ("optimizer", "lr", "seed", "precision", "status")] for run in HALF]
    same = made == [["adam", 1e-3, run["seed"], "bfloat16", "ok"] for run in ADAM]
    _, planned = ex2b_adam.plan(ex2b_adam.Settings(seeds=3))["runs"]
    places = [number for number, arm in enumerate(planned, 1) if (arm.optimizer, arm.lr) == ("adam", 1e-3)]
    page.says("Adam's default was repeated so under the same three seeds, runs {}, {} and {} of", *places, true=same)
    trains, tests = over_seeds(HALF)
    words = "ends at {} ± {} in training (p = {} against float32) and {} ± {} in the test (p = {})"
    page.says(words, *mean_and_spread(trains), p(trains, ADAM_TRAIN), *mean_and_spread(tests), p(tests, ADAM_TEST))
