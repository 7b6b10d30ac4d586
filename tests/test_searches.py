"""What the searches of exercise 2b find: the ranking, the winners, and the best of five random rates."""

import math

import numpy as np
import pytest

from figures import searches

GRID = 1e-3, 1e-1, 1e-2, 1e-4, 1e-5
RANDOM = 2.8e-4, 8.3e-3, 6.9e-2, 8.6e-2, 5.6e-5


def run(lr, train, test=0.5, status="ok", seed=0, search="grid", optimizer="adam"):
    """A made-up entry of the record."""
    return {
        "name": f"{optimizer} {lr}, seed {seed}",
        "optimizer": optimizer,
        "lr": lr,
        "momentum": None,
        "searches": [search],
        "seed": seed,
        "status": status,
        "test_accuracy": [0.1, test],
        "train_accuracy": [0.1, train],
        "final_train_accuracy": train,
    }


def found(values, search="grid", rates=GRID):
    return [run(lr, value, search=search) for lr, value in zip(rates, values)]


def test_training_accuracy_chooses_and_a_better_test_accuracy_does_not():
    arms = searches.arms([run(1e-2, 0.8, test=0.95), run(1e-3, 0.9, test=0.6), run(1e-4, 0.8, test=0.95)])
    assert searches.best(arms, "grid")["lr"] == 1e-3


@pytest.mark.parametrize("status", ["collapsed", "non-finite"])
def test_failed_runs_rank_last_whatever_their_accuracy_and_ties_keep_their_order(status):
    failed = run(1.0, 0.99, status=status, search="sgd", optimizer="sgd")
    arms = searches.arms([failed, *found((0.3, 0.5, 0.4, 0.5, 0.2))])
    assert [arm["lr"] for arm in searches.ranked(arms)] == [1e-1, 1e-4, 1e-2, 1e-3, 1e-5, 1.0]
    assert searches.best(arms, "sgd") is None and searches.best(arms, "random") is None


def test_each_search_sees_its_own_arms_only_the_largest_rate_first():
    arms = searches.arms(found([0.5] * 5) + found([0.99] * 5, "random", RANDOM))
    assert [arm["lr"] for arm in searches.of(arms, "grid")] == sorted(GRID, reverse=True)
    assert [arm["lr"] for arm in searches.of(arms, "random")] == sorted(RANDOM, reverse=True)
    assert searches.best(arms, "grid")["train"] == 0.5 and searches.best(arms, "random")["train"] == 0.99


def test_the_searches_see_one_seed_whatever_further_seeds_say_and_wherever_they_stand():
    entries = [run(1e-2, 0.7, 0.6, "collapsed", seed=1), run(1e-2, 0.9), run(1e-3, 0.81)]
    arms = searches.arms(entries)
    assert searches.best(arms, "grid")["lr"] == 1e-2 and arms[0]["status"] == ["ok", "collapsed"]
    assert arms[0]["train"] == 0.9 and arms[0]["final"] == {"train": [0.9, 0.7], "test": [0.5, 0.6]}
    assert arms[0]["curves"]["test"] == [(0.1, 0.1), (0.5, 0.6)] and arms[0]["name"] == "adam 0.01"


def test_rates_have_the_digits_that_tell_them_apart():
    assert [searches.rate(lr) for lr in (1.0, 1e-3, 2.83e-4)] == ["1e0", "1e-3", "2.8e-4"]
    assert searches.rates([{"lr": 1e-3}, {"lr": 1.004e-3}, {"lr": 1e-3}]) == ["1e-3", "1.004e-3", "1e-3"]


def test_the_best_of_five_has_the_known_distribution_on_a_straight_line():
    line = [{"lr": 10.0**-k, "train": k / 10} for k in (1, 5)]
    accuracy, probability = map(np.array, searches.best_of_random(line))
    # The largest of five uniform numbers has mean 5/6 and P(largest > u) = 1 - u^5; step 4/40000 of the midpoint rule.
    assert probability.sum() == pytest.approx(1)
    assert probability @ accuracy == pytest.approx(0.1 + 0.4 * 5 / 6, abs=1e-4)
    assert probability[accuracy > 0.4].sum() == pytest.approx(1 - 0.75**5, abs=1e-3)


def test_random_against_grid_equals_a_simulation():
    arms = searches.arms(found((0.95, 0.1, 0.8, 0.9, 0.4)) + found((0.97, 0.85, 0.2, 0.15, 0.88), "random", RANDOM))
    grid, wins, expected = searches.random_against_grid(arms)
    known = sorted((-math.log10(arm["lr"]), arm["train"]) for arm in arms)
    best = np.interp(np.random.default_rng(5).uniform(1, 5, (100000, 5)), *zip(*known)).max(1)
    assert grid == 0.95 and 0.2 < wins < 0.8
    assert wins == pytest.approx((best > 0.95).mean(), abs=0.008)  # five deviations of a share, n = 100000
    assert expected == pytest.approx(best.mean(), abs=5 * best.std() / math.sqrt(100000) + 1e-4)


def test_random_search_needs_rates_up_to_both_ends_and_a_tie_is_no_win():
    arms = searches.arms(found([0.9] * 5) + found([0.9] * 5, "random", RANDOM))
    assert searches.comparable(arms) and searches.random_against_grid(arms)[1] == 0
    for without in (arms[:5], [arm for arm in arms if arm["lr"] != 1e-1], [arm for arm in arms if arm["lr"] != 1e-5]):
        assert not searches.comparable(without)
    assert not searches.comparable(searches.arms([run(1.0, 0.9, search="random", optimizer="sgd")]))
