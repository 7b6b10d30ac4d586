"""README.md, figures/README.md, figures/speed.md and the scripts' docstrings say what the records say."""

import re
from dataclasses import replace

import numpy as np
import test_cluster
import test_figures
import test_published
import test_records
import test_reference
import test_states
from answers import ADAM, BENCH, DEEP, RANDOM, RECORD, RELUS, RESCUE, ROOT, SEARCHED, SGD, SIGMOIDS, accuracy, arm
from answers import norms, over_seeds, p, percent
from claims import Page, proved_by
from distributed import Scheduler
from test_theory_1b import test_the_conditions_preserve_the_variance as conditions

import answers_2a
import answers_2b
import ex2a_vanishing
import ex2b_adam
from common import batches, models
from common.theory import CRUDE, variances
from figures import benchmark, ex2a, ex2b
from figures.arms import NUMBERS, Arms
from theory import walks

NAMES = (  # of things, which compare nothing
    "first hidden activations; first step; With four hidden; The same with ReLU; Xavier on the deepest network; The "
    "deepest network; The deepest Sigmoid network; lost variation; the last sheet; last hidden layer; "
    "Here the two parts"
).split("; ")


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_answers(real_data):
    page = Page(read("figures/README.md"), "figures/README.md", NAMES, subjects=True)
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
    for exercise, seen, seconds in (
        ("2a, (50, 30, 30)", "seconds per model and epoch", mlp),
        ("2b", "seconds per epoch", cnn),
    ):
        rows = [[name, value, seconds["tutorial loop"] / value] for name, value in seconds.items()]
        page.table(f"{exercise}: contender | {seen} | times as fast as the tutorial loop", rows)
    sixteen, level = mlp["this repository, 16 members"], lambda name, to: np.isclose(mlp[name], to, rtol=0.1)
    alike = level("JAX, 16 members", sixteen) and mlp["this repository, 16 members"] > mlp["arithmetic alone"]
    words = (
        "Sixteen models side by side take as long as sixteen under JAX, and {} times as long as their floating-point"
    )
    page.says(words, sixteen / mlp["arithmetic alone"], true=alike)
    two = BENCH["2a_machine"]["threads"] == 2
    page.says("Exercise 2a has two threads, 2b one, where nothing else is said", true=two)
    single = mlp["this repository, 1 member"] < mlp["in memory, eager"]
    whole, steps = cnn["this repository"], cnn["bare steps"]
    page.says("A single model takes no longer than the eager loop in memory", true=single)
    words = "Two processes of one thread do as much as one of two threads"
    page.says(words, true=level("this repository, 16 members in each of two processes", sixteen))
    page.says("reading, cropping and flipping cost nothing that could be measured", true=whole < 1.02 * steps)
    words = 'The steps run above the rate of a large matrix product, so that "arithmetic alone" is no bound here'
    page.says(words, true=steps < cnn["arithmetic alone"])
    page.says("take as long as the longest of them", true=True)
    grown = [row for row in benchmark.growth(BENCH) if row[1] == (50, 30, 30)]
    assert [row[0] for row in grown] == [1, 2, 4, 8, 16, 32, 64]
    assert all(more[2] < 1.1 * fewer[2] for fewer, more in zip(grown, grown[1:])) and grown[-1][2] < grown[0][2] / 4
    page.says("Training takes {} times as long as its steps alone", whole / steps, true=True)
    start = seconds_of("start")
    answers = max(value for name, value in start.items() if "--plot-only" not in name)
    page.says("Both scripts answer `--help` and a usage error within {} s,", np.ceil(10 * answers) / 10, true=True)
    page.says("figures within {} s,", np.ceil(max(start.values())), true=True)
    sizes = (row["gib"] for row in BENCH["memory"])
    page.says("at most {} GiB of memory in exercise 2a and {} GiB in 2b", *sizes, true=True)


def check_cluster(page):
    seconds = seconds_of("cluster")
    page.says("each median of {} turns", BENCH["cluster_machine"]["turns"])
    kinds = {"12 small runs": "12 small runs", "16 waiting runs": "16 runs that wait for half a second"}
    page.table(
        "sweep | 1 worker | 2 workers | 4 workers",
        [[text, *(seconds[f"{kind}, cluster of {n}"] for n in (1, 2, 4))] for kind, text in kinds.items()],
    )
    slower, faster = (seconds[f"{kind}, cluster of 4"] / seconds[f"{kind}, cluster of 2"] for kind in kinds)
    page.says(
        "On two cores four workers get in each other's way, except where they only wait",
        true=faster < 0.6 < 1.1 < slower,
    )
    local = (seconds[f"12 small runs, {jobs}, no cluster"] for jobs in ("1 process", "2 processes"))
    page.says("Without the cluster the small runs take {} s in one process and {} s in two", *local)
    empty, write = 1000 * seconds["an empty run, cluster of 1"], seconds["writing a record of 10000 runs"]
    page.says("does nothing takes {} ms;", empty, true=True)
    page.says("those {} ms are", empty)
    page.says("At {} runs they are {} s in all", 10000, empty * 10, true=True)
    page.says("is ready {} s after", seconds["start of a cluster of 1"])
    lines = (ROOT / "figures/ex2b.json").read_text(encoding="utf-8").splitlines()
    page.says(
        "That of 2b grows by {} kB with",
        np.mean([len(line) for line in lines if '"optimizer"' in line]) / 1000,
        true=True,
    )
    page.says("with {} runs takes {} s", 10000, write)
    page.says("more than {} workers, with", round(3600 / write, -2), true=True)
    assert {*re.findall(r"tcp://HOST:(\d+)", page.text)} == {str(Scheduler.default_port)}


PHRASES = "every arm", "first stage", "first 10000", "both at the best", "whole training set", "never chooses"
PHRASES += (
    "minutes or more on two cores",
    "hours on two cores",
    "all of it",
    "last batch",
    "for all",
    "the others have one",
    "the narrower net",
    "nothing as shipped, so it is only redrawn",  # which test_the_front_page proves
)


def undecided():
    """Whether Adam against SGD is not decided, nor random search against the grid."""
    adam_tests, sgd_tests = (over_seeds(same)[1] for same in (ADAM, SGD))
    return p(adam_tests, sgd_tests) > 0.05 and answers_2b.not_seen_to_win()


def test_the_docstring_of_2a():
    page = Page(
        ex2a_vanishing.__doc__,
        "ex2a_vanishing.py",
        ("Do gradients vanish in deep Sigmoid networks", *PHRASES),
        True,
    )
    one, four, relu, xavier = *(SIGMOIDS[n] for n in (0, 3)), RELUS[-1], arm(init="xavier_normal")
    words = "With PyTorch's default the Sigmoid's test accuracy falls from {} with one hidden layer to {} with four"
    page.says(words, accuracy(one), accuracy(four), true=accuracy(one) > accuracy(four))
    first, *_, last = norms(four)[:, 0]
    page.says("layer 1 starts with {} times the output layer's gradient norm", first / last, true=first < last)
    page.says("ReLU reaches {} with the same four", accuracy(relu), true=relu["hidden"] == four["hidden"])
    words = "the Sigmoid {} with Xavier, {} with orthogonal weights of gain 6 and centred biases"
    page.says(words, accuracy(xavier), accuracy(RESCUE))
    page.says("and {} by default with Adam in place of SGD", accuracy(arm(optimizer="adam", lr=1e-3)))
    vanish = first < last / 100 and accuracy(four) < accuracy(relu) < accuracy(RESCUE)
    page.claims({"Answer: they do, and it can.": vanish})
    settings = RECORD["settings"]
    numbers = settings["lr"], settings["batch_size"], settings["epochs"]
    page.says("momentum, batch normalisation, five seeds of each", true=settings["seeds"] == 5)
    words = "SGD with learning rate {} and no momentum, batch {}, {} epochs"
    page.says(words, *numbers, true=settings["momentum"] == 0)
    page.says("pixels, PyTorch's biases, one order of", true=variances("xavier_normal", 1, 50, 30)[1] == 1 / (3 * 50))
    words = "Measured: test accuracy after each epoch, and per layer the gradient norms of the epoch's last batch"
    page.says(words, true=len(four["test_accuracy"]) == settings["epochs"])  # and test_reference proves it
    page.claims({"on standardised pixels": True, "one order of the batches for all": "order_seed" in settings})
    assert page.unchecked() == []
    page.every_digit_matters()


def test_the_docstring_of_2b():
    names = (
        "Is Adam better than SGD",
        "does random search outperform grid search",
        "then two more seeds",
        "no weight decay",
        "after every epoch",
    )
    page = Page(ex2b_adam.__doc__, "ex2b_adam.py", (*names, *PHRASES), True)
    adam_tests, sgd_tests = (over_seeds(same)[1] for same in (ADAM, SGD))
    page.claims({"Answer: neither is decided": undecided(), "five random searches, on a narrower net": True})
    page.claims(
        {"and by random search at five k from U[1, 5]": sum("random" in a.searches for a in ex2b_adam.ARMS) == 5}
    )
    page.claims({"random flip and 4-pixel crop, pixels standardised per channel": batches.PADDING == 4})
    page.says("Over three seeds Adam ends at {} in the test and SGD at {}", np.mean(adam_tests), np.mean(sgd_tests))
    page.says("at the best of five rates by training accuracy, {} (its default) and {};", ADAM[0]["lr"], SGD[0]["lr"])
    page.claims({"three seeds show no reliable difference": p(adam_tests, sgd_tests) >= 0.1})
    sample = SEARCHED["settings"]["train_sample"]
    page.says("after every epoch: accuracy on the test set and on the first {} training images", sample)
    words = (
        "compare the final training accuracy: evaluation mode, whole training set, unaltered images. The test set never"
    )
    page.claims({words: True})  # as test_reference proves
    best, grid = (np.mean(over_seeds(same)[0]) for same in (RANDOM, ADAM))
    words = (
        "The best of five random rates, {}, is not seen to differ from the grid's best: {} in training each, means of "
    )
    words += "three seeds"
    page.says(words, RANDOM[0]["lr"], best, true=f"{best:.1%}" == f"{grid:.1%}" and len(RANDOM) == 3)
    rates = [[-round(np.log10(a.lr)) for a in ex2b_adam.ARMS if name in a.searches] for name in ("sgd", "grid")]
    words = (
        "Adam at its default {}; SGD with momentum {} at 10^-k for k = 0..4; Adam by grid search at 10^-k for k = 1..5"
    )
    page.says(words, 1e-3, ex2b_adam.MOMENTUM, true=[*map(sorted, rates)] == [[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]])
    page.says("{} runs of {} epochs on", len(ex2b_adam.ARMS), ex2b_adam.Settings().epochs)
    assert page.unchecked() == []
    page.every_digit_matters()


def first_steps_are_alike():
    """Whether ten times the gradient leaves the first step of each adaptive method as long, and SGD's not."""
    steps = {name: [rule(g, 1, {}) for g in (-0.1, -1.0)] for name, rule in walks.RULES.items()}
    alike = [name for name, (one, ten) in steps.items() if np.isclose(one, ten, rtol=1e-3)]
    return alike == ["AdaGrad", "RMSProp", "RMSProp, PyTorch", "Adam"] and steps["SGD"] == [0.1, 1.0]


def check_links(text, points):
    """Each row of a table that begins with an item of the sheet leads to the heading of this item."""
    found = re.findall(r"^\| \[?([12][ab]\.\d)\b.*?\]?\(([^)\s#]*)#([^)\s]+)\)", text, re.M)
    assert [item for item, *_ in found] == [*points]
    for item, path, anchor in found:
        part, number = item.split(".")
        start = f"{number}-" if part[0] == "1" else f"{part}{number}-"
        folder = {"1a": "1a_adaptive_learning_rates.md", "1b": "1b_unstable_gradients.md"}.get(part, "")
        assert anchor.startswith(start) and path.endswith(folder or path) and f"-{points[item]}-point" in anchor, item


DONE = {  # what README.md says that the program does
    "(everything on tiny generated data)": proved_by(test_reference.test_2a),
    "the same command goes on after the last finished epoch": proved_by(
        test_states.test_a_run_goes_on_behind_its_last_epoch_to_the_same_bits
    ),
    "the next start trains only it; take one out, and its results leave the record": proved_by(
        test_records.test_arms_that_are_gone_are_dropped_and_the_missing_ones_alone_are_trained
    ),
    "every file is checked against its published checksum": proved_by(
        test_published.test_a_damaged_file_is_named_and_not_replaced
    ),
    "draws from the record alone, whichever arms it has": proved_by(
        test_figures.test_every_number_is_that_of_its_label_panel_and_axis_whichever_arms_there_are
    ),
    "results do not depend on how many there are": proved_by(
        test_records.test_an_experiment_gets_a_record_states_a_figure_a_table_and_progress
    ),
}
REPLACED = proved_by(test_cluster.test_a_worker_that_dies_is_replaced_by_another_and_a_scheduler_that_dies_is_one_line)
DONE_ELSEWHERE = {  # the same of figures/speed.md
    "where workers declare `--resources GPU=1`, only those are used": proved_by(
        test_cluster.test_threads_take_a_run_each_and_gpus_that_workers_declare_one_each
    ),
    "another one repeats its run": REPLACED,
    "what came back is kept and the same command goes on, while a run that was under way ends alone on its worker and "
    "leaves its state there": REPLACED,
}


def test_the_front_page():
    names = (  # some of them what the commands do, which other tests prove
        "two scripts; in two ways; On two cores; has two parts; "
        "Vanishing gradients and; Where do three steps of SGD, AdaGrad, RMSProp and Adam lead; "
        "which variance of "
        "the weights prevents it; its members' weights; "
        "every number recomputed; every figure; "
        "deepest Sigmoid network; first step; Why do gradients vanish; Do gradients vanish; "
        "Is Adam better than SGD, and random search better; more machines; lists all; every layer holds"
    ).split("; ")
    page = Page(read("README.md"), "README.md", names, True)
    page.claims(DONE)
    curves = [entry for entry in Arms(RECORD).deep if entry["activation"] == "sigmoid"]
    how, used = ("hidden", "optimizer", "lr", "momentum", "batch_norm"), [DEEP, "sgd", 0.005, 0, False]
    words = "weights below {} in size each Sigmoid layer shrinks the gradient at least fourfold"
    page.says(words, 1, true=CRUDE == 1 / 4)
    page.says("Neither is decided", true=undecided())
    drawn, grid = (np.mean(over_seeds(same)[0]) for same in (RANDOM, ADAM))
    words = "random search and the grid differ by {} points in training"
    page.says(words, percent(abs(drawn - grid)), true=undecided())
    page.says("means of three seeds at the best of five rates", true=len(ADAM) == len(SGD) == 3)
    words = "The Sigmoid curves differ in their initialisation only"
    page.says(words, true=all([*map(curve.get, how)] == used for curve in curves))
    words = "All results are from Linux on x86_64, without a GPU"
    machines = [entry["machine"] for entry in (*RECORD["arms"], *SEARCHED["runs"])]
    page.says(words, true={(each["device"], each["name"]) for each in machines} == {("cpu", "x86_64")})
    words = "The first step of an adaptive method hardly depends on the size of the gradient"
    page.says(words, true=first_steps_are_alike())
    page.says("must be one over the fan-in going forward, one over the fan-out going back", true=proved_by(conditions))
    page.says("twelve hours or more on two cores", true=SEARCHED["seconds"] / 2 > 12 * 3600)
    words, minutes = "eleven minutes or more on two cores (the record's took {};", RECORD["seconds"] / 60 / 2
    page.says(words, minutes, true=minutes > 11)  # the least that was seen
    parts = ("arms", "depth", "plateau", "activations"), ("runs",)
    entries = [sum(len(record[part]) for part in names) for record, names in zip((RECORD, SEARCHED), parts)]
    complete = entries == [RECORD["planned"], SEARCHED["planned"]]
    page.claims({"the record in `figures/`, which is complete, and only redraws": complete})
    words = "under twelve initialisations: {} by default, {} with the rescue"
    page.says(words, accuracy(arm()), accuracy(RESCUE), true=len(curves) == 12)
    ends = (walks.walk(walks.RULES[name])[-1]["w_x"] for name in ("SGD", "AdaGrad", "RMSProp", "Adam"))
    page.says("w_x = {} becomes {} (SGD), {} (AdaGrad), {} (RMSProp) and {} (Adam).", walks.START[0], *ends)
    first, *_, last = norms(arm())[:, 0]
    words = "With four hidden layers layer {} starts with {} times the output layer's gradient norm, and the network "
    page.says(words + "ends at {}, ReLU at {}.", 1, first / last, accuracy(arm()), accuracy(RELUS[-1]), true=True)
    rescue = (
        "orthogonal weights, with gain 6 from layer 2 on, and biases that cancel the mean 1/2 of the Sigmoid's outputs"
    )
    page.claims({rescue: RESCUE["init"] == "orthogonal6_from_layer2_centred"})
    page.says(
        "Xavier brings the Sigmoid to {}, the rescue to {}", accuracy(arm(init="xavier_normal")), accuracy(RESCUE)
    )
    page.says("Adam with default weights to {}.", accuracy(arm(optimizer="adam", lr=1e-3)))
    epochs, tests = len(ADAM[0]["test_accuracy"]), [np.mean(over_seeds(same)[1]) for same in (ADAM, SGD)]
    page.says("After {} epochs Adam ends at {} in the test, SGD at {}", epochs, *tests)
    points = [("1a.1", 1), ("1a.2", 4), ("1b.1", 1), ("1b.2", 2), ("1b.3", 3), ("1b.4", 1), ("1b.5", 1), ("1b.6", 2)]
    points += [("2a.1", 3), ("2a.2", 1), ("2a.3", 1), ("2a.4", 2), ("2a.5", 2), ("2b.1", 1), ("2b.2", 1)]
    points += [("2b.3", 2), ("2b.4", 2)]
    assert sum(number for _, number in points) == 30
    page.table("item | points | answer", [[item, number, None] for item, number in points])
    for text in (page.text, read("theory/README.md").partition("## Notation")[0] + read("figures/README.md")):
        check_links(text, dict(points))
    stand_in = ex2a_vanishing.experiment._path(ex2a_vanishing.Settings(), "stand-in").parent.relative_to(ROOT)
    page.claims({f"Failing both, a generated stand-in takes its place, loudly, with results in `{stand_in}/`": True})
    shape = tuple(models.linears(models.mlp((50,), "sigmoid", [("default", 0)] * 3))[0].weight.shape)
    mlp = seconds_of("2a")
    groups = ex2a_vanishing.together("arms", ex2a_vanishing.ARMS, ex2a_vanishing.Settings())
    alike = all(len({replace(arm, init="") for arm in group}) == 1 for group in groups)
    words = "Five seeds of a network, and arms that differ in initialisation only, are the *members* of one model, "
    page.says(words + "up to {} of them", 5 * max(map(len, groups)), true=alike)
    page.claims({"So error bars cost little": mlp["this repository, 5 members"] < mlp["this repository, 1 member"] / 3})
    words = "every layer holds its members' weights side by side, `(members, out, in)`"
    page.claims({words: shape == (3, 50, 784)})
    page.given("3.11")
    assert page.unchecked() == []
    page.every_digit_matters()


def test_the_page_on_speed():
    names = (
        "times as fast as the tutorial; machine that helps; runs of both exercises; more machines; More machines; "
        "arithmetic alone; no file system; only wait; with all workers; no limit; wait for half a second; "
        "after every run; nothing beside hours; "
        "better cut into several"
    ).split("; ")
    page = Page(read("figures/speed.md"), "figures/speed.md", names)
    page.claims(DONE_ELSEWHERE)
    check_speed(page)
    check_cluster(page)
    assert page.unchecked() == []
    page.every_digit_matters()


def test_every_figure_is_shown():
    shown = set(re.findall(r"\]\((ex2\w[^)]*\.png)\)", read("figures/README.md")))
    shown |= set(re.findall(r"\]\((benchmark_[^)]*\.png)\)", read("figures/speed.md")))
    assert shown == {path.name for path in (ROOT / "figures").glob("*.png")}


def test_an_alt_text_is_that_of_its_picture():
    """It has as many of the words of its picture as of any other's, and counts its panels and networks."""
    pictures = dict(pair for module, record in ((ex2a, RECORD), (ex2b, SEARCHED)) for pair in module.draw(record))
    words, headings, there = lambda text: {*re.findall(r"[a-z]{4,}", text.lower())}, {}, {}
    for name, picture in pictures.items():
        panels = [axes for axes in picture.axes if axes.axison]
        headings[name] = [axes.get_title("left") for axes in panels]
        legend = [text for axes in panels if axes.get_legend() for text in axes.get_legend().get_texts()]
        texts = legend + [text for axes in panels for text in (axes.xaxis.label, axes.yaxis.label, *axes.texts)]
        read_there = [text.get_text() for text in texts] + headings[name] + [name, picture.get_suptitle()]
        there[name] = words(" ".join([*read_there, picture.get_supxlabel()]))
    for alt, name in re.findall(
        r"!\[([^\]]*)\]\((?:figures/)?(ex2\w+\.png)\)", read("README.md") + read("figures/README.md")
    ):
        common = {other: len(words(alt) & text) for other, text in there.items()}
        assert common[name] == max(common.values()), (alt, common)
        counts = {"panels": len(headings[name]), "networks": len({one.partition(":")[0] for one in headings[name]})}
        for number, what in re.findall(r"(\w+) (panels|networks)", alt):
            assert NUMBERS.index(number) == counts[what], alt
