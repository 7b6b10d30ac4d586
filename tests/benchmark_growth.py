"""How the cost of exercise 2a grows with members, width and depth: the seconds per model and epoch."""

from functools import partial

from benchmark_2a import HIDDEN, matrix_rate, members

SHAPES = (
    *((n, HIDDEN) for n in (1, 2, 4, 8, 16, 32, 64)),
    *((5, (width,) * 3) for width in (16, 32, 64, 128, 256, 512)),
    *((5, (30,) * depth) for depth in (1, 2, 4, 8, 12)),
)
CONTENDERS = {f"{n} members of {'-'.join(map(str, hidden))}": partial(members, n, hidden) for n, hidden in SHAPES}
CONTENDERS["a billion operations of a matrix product"] = lambda: 1e9 / matrix_rate()
