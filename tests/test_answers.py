"""README.md, figures/README.md, figures/speed.md and the scripts' docstrings say what the records say."""

import re

import numpy as np
import pytest
from answers import ADAM, BENCH, DEEP, RANDOM, RECORD, RELUS, RESCUE, ROOT, SEARCHED, SGD, SIGMOIDS, accuracy, arm
from answers import finals, norms, over_seeds, p
from claims import Page
from documents import Document, every_digit_matters

import answers_2a
import answers_2b
import ex2a_vanishing
import ex2b_adam
from common.theory import CRUDE
from figures import benchmark
from figures.arms import Arms
from theory import walks

NAMES = (  # of things, which compare nothing
    "first hidden activations",
    "first step",
    "With four hidden",
    "The same with ReLU",
    "Xavier on the deepest network",
    "The deepest network",
    "The deepest Sigmoid network",
    "lost variation",
    "the last sheet",
    "last hidden layer",
)


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_answers(real_data):
    page = Page(read("figures/README.md"), "figures/README.md", names=NAMES)
    answers_2a.check(page, real_data)
    answers_2b.check(page)
    assert page.unchecked() == []
    page.every_digit_matters()


def seconds_of(part):
    return {row["contender"]: row["seconds"] for row in BENCH[part]}


def check_speed(page):
    for part, capability in {"2a": "AVX512", "2b": "AVX512", "growth": "AVX512", "start": "AVX2"}.items():
        machine = BENCH[f"{part}_machine"]
        assert (machine["cores"], machine["name"], machine["capability"]) == (2, "x86_64", capability)
        page.says("each the median of {} turns,", machine["turns"])
    mlp, cnn = seconds_of("2a"), seconds_of("2b")
    page.table("exercise 2a: contender", [[name, value, mlp["tutorial loop"] / value] for name, value in mlp.items()])
    page.says("under JAX, and {} times", mlp["this repository, 16 members"] / mlp["arithmetic alone"])
    page.table("exercise 2b: contender", [[name, value, cnn["tutorial loop"] / value] for name, value in cnn.items()])
    page.says("whole epoch takes {} times as long", cnn["this repository"] / cnn["bare steps"])
    start = seconds_of("start")
    answers = max(value for name, value in start.items() if "--plot-only" not in name)
    page.says("usage error within {} s,", np.ceil(10 * answers) / 10)
    page.says("figures within {} s,", np.ceil(max(start.values())))
    page.says("at most {} GiB of memory in exercise 2a and {} GiB in 2b", *(row["gib"] for row in BENCH["memory"]))


def check_cluster(page):
    seconds = seconds_of("cluster")
    page.says("each median of {} turns", BENCH["cluster_machine"]["turns"])
    kinds = {"12 small runs": "12 small runs", "16 waiting runs": "16 runs that wait for half a second"}
    page.table(
        "sweep",
        [[text, *(seconds[f"{kind}, cluster of {n}"] for n in (1, 2, 4))] for kind, text in kinds.items()],
    )
    local = (seconds[f"12 small runs, {jobs}, no cluster"] for jobs in ("1 process", "2 processes"))
    page.says("take {} s in one process and {} s in two", *local)
    empty, write = 1000 * seconds["an empty run, cluster of 1"], seconds["writing a record of 10000 runs"]
    page.says("does nothing takes {} ms;", empty)
    page.says("those {} ms are", empty)
    page.says("At {} runs they are {} s in all", 10000, empty * 10)
    page.says("is ready {} s after", seconds["start of a cluster of 1"])
    lines = (ROOT / "figures/ex2b.json").read_text(encoding="utf-8").splitlines()
    page.says("grows by {} kB with", np.mean([len(line) for line in lines if '"optimizer"' in line]) / 1000)
    page.says("with {} runs takes {} s", 10000, write)
    page.says("more than {} workers, with", round(3600 / write, -2))


PHRASES = "every arm", "first stage", "first 10000", "both at the best", "whole training set", "never chooses"
PHRASES += "all of it", "last batch", "for all", "the others have one", "the narrower net"


def undecided_and_no():
    """Whether Adam against SGD is not decided, and random search not better than the grid."""
    adam_tests, sgd_tests = (over_seeds(same)[1] for same in (ADAM, SGD))
    return p(adam_tests, sgd_tests) > 0.05 and finals(RANDOM[0])[0] < finals(ADAM[0])[0]


def test_the_docstring_of_2a():
    page = Page(ex2a_vanishing.__doc__, "ex2a_vanishing.py", names=("Do gradients vanish", "plot-only", *PHRASES))
    one, four, relu, xavier = *(SIGMOIDS[n] for n in (0, 3)), RELUS[-1], arm(init="xavier_normal")
    words = "the test accuracy falls from {} with one hidden layer to {} with four"
    page.says(words, accuracy(one), accuracy(four), true=accuracy(one) > accuracy(four))
    first, *_, last = norms(four)[:, 0]
    page.says("layer 1 starts with {} times the output layer's gradient norm", first / last, true=first < last)
    page.says("ReLU reaches {} with the same four", accuracy(relu), true=relu["hidden"] == four["hidden"])
    page.says("the Sigmoid {} with Xavier, {} with orthogonal weights", accuracy(xavier), accuracy(RESCUE))
    page.says("and {} by default with Adam", accuracy(arm(optimizer="adam", lr=1e-3)))
    settings = RECORD["settings"]
    numbers = settings["lr"], settings["batch_size"], settings["epochs"]
    page.says("learning rate {} and no momentum, batch {}, {} epochs", *numbers, true=settings["momentum"] == 0)
    assert page.unchecked() == []
    page.every_digit_matters()


def test_the_docstring_of_2b():
    names = "Is Adam better than SGD", "then two more seeds", "plot-only", "no weight decay", "after every epoch"
    page = Page(ex2b_adam.__doc__, "ex2b_adam.py", names=(*names, *PHRASES))
    adam_tests, sgd_tests = (over_seeds(same)[1] for same in (ADAM, SGD))
    page.claims({"not decided, and no": undecided_and_no()})
    page.says("Adam ends at {} in the test and SGD at {}", np.mean(adam_tests), np.mean(sgd_tests))
    page.says("by training accuracy, {} (its default) and {};", ADAM[0]["lr"], SGD[0]["lr"])
    page.claims({"three seeds cannot make this difference reliable": p(adam_tests, sgd_tests) >= 0.1})
    best, grid = finals(RANDOM[0])[0], finals(ADAM[0])[0]
    words = "The best of five random rates, {}, has {} in training, the grid's best {}."
    page.says(words, RANDOM[0]["lr"], best, grid, true=best < grid)
    page.says("at its default {}; SGD with momentum {} at", 1e-3, ex2b_adam.MOMENTUM)
    page.says("{} runs of {} epochs on", len(ex2b_adam.ARMS), ex2b_adam.Settings().epochs)
    assert page.unchecked() == []
    page.every_digit_matters()


def test_the_front_page():
    names = (
        "Vanishing gradients and",
        "every number recomputed",
        "every figure",
        "deepest Sigmoid network",
        "first step",
        "Why do gradients vanish",
        "Do gradients vanish",
        "Is Adam better than SGD, and random search better",
        "more machines",
        "every arm on tiny generated data",  # what the commands do, which other tests prove
        "lists all",
        "the same command",
        "behind the last finished epoch",
        "trains it alone",
        "every file is checked",
        "the record alone",
        "every layer holds",
    )
    page = Page(read("README.md"), "README.md", names)
    curves = [entry for entry in Arms(RECORD).deep if entry["activation"] == "sigmoid"]
    how, used = ("hidden", "optimizer", "lr", "momentum", "batch_norm"), [DEEP, "sgd", 0.005, 0, False]
    words = "weights below {} in size each Sigmoid layer shrinks the gradient at least fourfold"
    page.says(words, 1, true=CRUDE == 1 / 4)
    page.claims(
        {
            "Not decided, and no": undecided_and_no(),
            "random search and the grid come out level": undecided_and_no(),
            "means of three seeds at the best of five rates": len(ADAM) == len(SGD) == 3,
            "The Sigmoid curves differ in their initialisation only": all(
                [*map(curve.get, how)] == used for curve in curves
            ),
            "All results are from Linux on x86_64": {RECORD["machine"]["name"], SEARCHED["machine"]["name"]}
            == {"x86_64"},
            "twelve hours or more": SEARCHED["seconds"] / 2 > 12 * 3600,
        }
    )
    page.claims({"takes twenty to fifty minutes": 20 < RECORD["seconds"] / 60 / 2 < 50})  # the record's with other work
    page.says(
        "under every initialisation: {} by default, {} with the rescue", accuracy(arm()), accuracy(RESCUE), true=True
    )
    ends = (walks.walk(walks.RULES[name])[-1]["w_x"] for name in ("SGD", "AdaGrad", "RMSProp", "Adam"))
    page.says("w_x goes from {} to {}, {}, {} and {}:", walks.START[0], *ends)
    page.says("one class ({}), where ReLU reaches {}.", accuracy(arm()), accuracy(RELUS[-1]))
    assert RESCUE["init"] == "orthogonal6_from_layer2_centred"
    words = "Xavier brings it to {}, orthogonal weights of gain {} from layer {} on, with centred biases, to {}"
    page.says(words, accuracy(arm(init="xavier_normal")), 6, 2, accuracy(RESCUE))
    page.says("Adam with default weights to {}.", accuracy(arm(optimizer="adam", lr=1e-3)))
    epochs, tests = len(ADAM[0]["test_accuracy"]), [np.mean(over_seeds(same)[1]) for same in (ADAM, SGD)]
    page.says("After {} epochs Adam ends at {} in the test, SGD at {}", epochs, *tests)
    points = [("1a.1", 1), ("1a.2", 4), ("1b.1", 1), ("1b.2", 2), ("1b.3", 3), ("1b.4", 1), ("1b.5", 1), ("1b.6", 2)]
    points += [("2a.1", 3), ("2a.2", 1), ("2a.3", 1), ("2a.4", 2), ("2a.5", 2), ("2b.1", 1), ("2b.2", 1)]
    points += [("2b.3", 2), ("2b.4", 2)]
    assert sum(number for _, number in points) == 30
    page.table("item", [[item, number, None] for item, number in points])
    page.given("3.11")
    assert page.unchecked() == []
    page.every_digit_matters()


def test_the_page_on_speed():
    def check(text):
        page = Document(text, "figures/speed.md")
        check_speed(page)
        check_cluster(page)
        assert page.unchecked() == []

    every_digit_matters(check, read("figures/speed.md"))


def test_every_figure_is_shown():
    shown = set(re.findall(r"\]\((ex2\w[^)]*\.png)\)", read("figures/README.md")))
    shown |= set(re.findall(r"\]\((benchmark_[^)]*\.png)\)", read("figures/speed.md")))
    assert shown == {path.name for path in (ROOT / "figures").glob("*.png")}


def test_what_is_said_of_the_speed():
    mlp, cnn = seconds_of("2a"), seconds_of("2b")
    sixteen = mlp["this repository, 16 members"]
    assert sixteen == pytest.approx(mlp["JAX, 16 members"], rel=0.1)
    assert sixteen == pytest.approx(mlp["this repository, 16 members in each of two processes"], rel=0.1)
    assert mlp["this repository, 1 member"] < mlp["in memory, eager"]
    assert cnn["this repository"] < cnn["arithmetic alone"]
    grown = [row for row in benchmark.growth(BENCH) if row[1] == (50, 30, 30)]
    assert [row[0] for row in grown] == [1, 2, 4, 8, 16, 32, 64]
    assert all(more[2] < 1.1 * fewer[2] for fewer, more in zip(grown, grown[1:])) and grown[-1][2] < grown[0][2] / 4
