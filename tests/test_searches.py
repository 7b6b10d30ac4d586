"""What the searches of exercise 2b find: the ranking and the winners."""

import pytest

from figures import searches

GRID = 1e-3, 1e-1, 1e-2, 1e-4, 1e-5


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
        "train_accuracy": [0.1, 1 - train],  # of a sample: the searches do not see it
        "final_train_accuracy": train,
    }


def found(values, search="grid", rates=GRID):
    return [run(lr, value, search=search) for lr, value in zip(rates, values)]


@pytest.mark.parametrize("status", ["collapsed", "non-finite"])
def test_failed_runs_never_win_whatever_their_accuracy_and_of_equals_the_largest_rate_does(status):
    failed = run(1.0, 0.99, status=status, search="sgd", optimizer="sgd")
    arms = searches.arms([failed, run(1.0, 0.99, status=status), *found((0.3, 0.5, 0.4, 0.5, 0.2))])
    assert searches.best(arms, "grid")["lr"] == 1e-1
    assert searches.best(arms, "sgd") is None and searches.best(arms, "random") is None


def test_the_searches_see_one_seed_whatever_further_seeds_say_and_wherever_they_stand():
    entries = [run(1e-2, 0.7, 0.6, "collapsed", seed=1), run(1e-2, 0.9), run(1e-3, 0.81), run(1e-3, 0.99, seed=1)]
    arms = searches.arms(entries)
    assert searches.best(arms, "grid")["lr"] == 1e-2 and arms[0]["status"] == ["ok", "collapsed"]
    assert arms[0]["train"] == 0.9 and arms[0]["final"] == {"train": [0.9, 0.7], "test": [0.5, 0.6]}
    assert arms[0]["curves"]["test"] == [(0.1, 0.1), (0.5, 0.6)] and arms[0]["name"] == "adam 0.01"
    assert arms[0]["curves"]["train"][1] == (1 - 0.9, 1 - 0.7)


def test_rates_have_the_digits_that_tell_them_apart():
    assert [searches.rate(lr) for lr in (1.0, 1e-3, 2.83e-4)] == ["1e0", "1e-3", "2.8e-4"]
    assert searches.rates([{"lr": 1e-3}, {"lr": 1.004e-3}, {"lr": 1e-3}]) == ["1e-3", "1.004e-3", "1e-3"]
