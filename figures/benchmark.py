"""How the cost of exercise 2a grows, from the record benchmark.json alone; tests/benchmark.py writes it."""

import re

from common import plots


def operations(hidden):
    """Floating-point operations of a model and epoch: 60000 images forward, dL/dW and dL/dh; not dL/d(image)."""
    sizes = (784, *hidden, 10)
    products = [a * b for a, b in zip(sizes, sizes[1:])]
    return 60000 * 2 * (3 * sum(products) - products[0])


def growth(record):
    """Return [(members, hidden, seconds, seconds of the arithmetic)] per model and epoch."""
    *rows, rate = record["growth"]
    found = []
    for row in rows:
        members, hidden = re.fullmatch(r"(\d+) members of ([\d-]+)", row["contender"]).groups()
        hidden = tuple(map(int, hidden.split("-")))
        found.append((int(members), hidden, row["seconds"], operations(hidden) * rate["seconds"] / 1e9))
    return found


@plots.style()
def draw_growth(record):
    """Seconds per model and epoch against the number of members, the width and the depth."""
    rows = growth(record)
    panels = (
        ("members of (50, 30, 30)", [row for row in rows if row[1] == (50, 30, 30)], lambda row: row[0]),
        ("width of 3 layers, 5 members", [row for row in rows if len(set(row[1])) == 1 and row[1][0] != 30], width),
        ("layers of 30, 5 members", [row for row in rows if set(row[1]) == {30}], lambda row: len(row[1])),
    )
    by_members = panels[0][1]
    (_, _, alone, _), *_, (number, _, together, _) = by_members
    title = "What a model of exercise 2a costs"
    if together < alone:
        title = (
            f"One model of exercise 2a alone costs {alone / together:.1f} times as much as one of {number} side by side"
        )
    how = "medians of {turns} turns, {threads} threads".format(**record["growth_machine"])
    note = f"{how}; dashed: the floating-point operations alone, at the rate of a large matrix product"
    made, each = plots.figure(title, len(panels), note=note)
    for axes, (name, shown, x) in zip(each, panels):
        places = [x(row) for row in shown]
        axes.plot(places, [row[2] for row in shown], marker="o", markersize=4, color=plots.COLOURS[0])
        axes.plot(places, [row[3] for row in shown], linestyle="--", color="0.3")
        axes.set(xlabel=name, xscale="log")
        axes.set_xticks(places, places)
    plots.log(*each)
    each[0].set_ylabel("seconds per model and epoch")
    return made


def width(row):
    return row[1][0]


def draw(record):
    """Yield (file name, picture) where the record has what it shows."""
    if "growth" in record:
        yield "benchmark_growth.png", draw_growth(record)
