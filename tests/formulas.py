r"""Evaluate the displayed formulas of a page, as they stand there, at values that a test gives.

    for heading, latex in displays(text):
        holds(latex, {"o": 0.3, "t": 1, "g": lambda j: ...}, {r"\Delta w_x": "dw_x"})

A display is a list of statements between \qquad, each a chain of sides between =, <, \le, \ge and \approx;
`a \leftarrow b` takes the names of b from values["before"] where that has them. A statement in parentheses is a
condition and is not looked at.

A side is arithmetic: + - \cdot \times, and \, or \; where something is multiplied; \frac, \sqrt, powers, \lvert;
\sum_{j=a}^{b} and \prod_{j=a}^{b}, which go on to the next + or - outside brackets. `w_x` is values["w_x"] or, if there
is none, values["w"](x), and `W_{jk}^{(i)}` the entry j, k, counted from 1, of values["W"](i), of all outcomes at once;
brackets [] call a function as () do, and Greek letters go by their names. `names` says for other pieces of a formula
which expression of Python they mean. What is left over is an error: nothing is passed by.
"""

import math
import re

import numpy as np

RELATION = r"=|\\le(?![a-z])|\\ge(?![a-z])|\\approx|\\leftarrow|<|>"
STATEMENT = r",?\s*\\q+uad(?:\s*\\text\{[^{}]*\}\s*\\q+uad)?"
GREEK = r"\\(rho|delta|epsilon|sigma|mu|tanh)(?![a-z])"
KNOWN = {
    "abs": abs,
    "sqrt": lambda x: x**0.5,
    "tanh": math.tanh,
    "e": math.e,
    "add": sum,
    "multiply": math.prod,
    "span": lambda first, last: range(first, last + 1),
    "entry": lambda array, *places: array[(..., *(place - 1 for place in places))],
}


def displays(text):
    """Yield the heading above and the LaTeX of each math fence of a page."""
    heading = ""
    for found in re.finditer(r"^#+ ([^\n]*)$|^```math\n(.*?)^```", text, re.M | re.S):
        if found[1]:
            heading = found[1]
        else:
            yield heading, " ".join(found[2].split())


def stated(text, *starts):
    """Yield the formulas inside the sentences of a page that begin so, at least one for each beginning."""
    found = [re.sub(r"\s+", " ", latex).replace(r"\dfrac", r"\frac") for latex in re.findall(r"\$`([^`]+)`\$", text)]
    for start in starts:
        mine = [latex for latex in found if latex.startswith(start)]
        assert mine, f"no formula begins with {start!r}"
        yield from mine


def holds(latex, values, names=None, tolerance=1e-9):
    r"""Assert that each relation of a display is true of `values`, up to a relative error; \approx allows a tenth."""
    checked = 0
    for statement in _split(latex, STATEMENT)[::2]:
        first, *rest = _split(statement.strip(" ,."), RELATION)
        left = evaluate(first, values, names) if rest else None
        for relation, side in zip(rest[::2], rest[1::2]):
            arrow = relation == r"\leftarrow"
            right = evaluate(side, values | values["before"] if arrow else values, names)
            near = tolerance * np.maximum(abs(left), abs(right)) + 1e-15
            true = {
                "<": left < right + near,
                ">": left > right - near,
                r"\le": left <= right + near,
                r"\ge": left >= right - near,
                r"\approx": abs(left - right) <= 0.1 * abs(right),
            }.get(relation, abs(left - right) <= near)
            assert np.all(true), f"{left} {relation} {right} is not true in {latex!r}"
            left, checked = right, checked + 1
    assert checked, f"{latex!r} states nothing that could be evaluated"


def evaluate(latex, values, names=None):
    """Return the value of one side."""
    code = translate(latex, values, names or {})
    assert "\\" not in code, f"{latex!r} cannot be evaluated: {code}"
    try:
        return eval(code, {"__builtins__": {}, **KNOWN, **values})
    except (SyntaxError, NameError, TypeError) as trouble:
        raise AssertionError(f"{latex!r} cannot be evaluated: {code}") from trouble


def translate(latex, values, names):
    """Return one side as an expression of Python."""
    meant = []
    for piece in sorted(names, key=len, reverse=True):
        latex = latex.replace(piece, f" {chr(0xE000 + len(meant))} ")  # a letter that no rule below touches
        meant.append(names[piece])
    code = re.sub(r"\\(?:[bB]ig+[lr]?|left|right)(?![a-z])", "", latex)
    code = re.sub(r"\\lvert", "abs(", code).replace(r"\rvert", ")").replace("[", "(").replace("]", ")")
    code = re.sub(r"\\mathrm\{(\w+)\}", r"\1", re.sub(GREEK, r"\1", code))
    code = re.sub(r"(?<![A-Za-z])([A-Za-z])(?:_\{?(\w+)\}?)?\^\{\(([^()]*)\)\}", _entry, code)
    while found := list(re.finditer(r"\\(sum|prod)_\{(\w)=([^{}]*)\}\^(\{[^{}]*(?:\{[^{}]*\})?[^{}]*\}|\w)", code)):
        start, end = found[-1].span()
        kind, index, first, last = found[-1].groups()
        body = _split(code[end:], r"(?<=\s)[-+](?=\s)|$|\)")[0]
        word = "add" if kind == "sum" else "multiply"
        loop = f"{word}(({_bare(body)}) for {index} in span({first}, {last[1:-1] if last[0] == '{' else last}))"
        code = code[:start] + loop + code[end + len(body) :]
    code = re.sub(r"\^(\w)", r"**\1", code).replace("^{", "**{")
    before = None
    while code != before:
        before = code
        code = re.sub(r"([A-Za-z]+)_(?:\{([^{}]*)\}|(\w))", lambda found: _indexed(found, values), code)
        code = re.sub(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"((\1)/(\2))", code)
        code = re.sub(r"(\\sqrt|\*\*)\{([^{}]*)\}", lambda found: f"{found[1].strip(chr(92))}({found[2]})", code)
    code = _bare(re.sub(r"\\cdot(?![a-z])|\\times|\\[,;]", "*", code))
    code = re.sub(r"\)\s*(?=(?!for\b|in\b)[\w(\uE000-\uF8FF])", ")*", code)
    for place, expression in enumerate(meant):
        code = code.replace(chr(0xE000 + place), expression)
    return code.strip()


def _entry(found):
    name, places, layer = found.groups()
    return f"entry({name}({layer}){''.join(f', {place}' for place in places or '')})"


def _indexed(found, values):
    name, index = found[1], found[2] or found[3]
    return found[0] if f"{name}_{index}" in values else f"{name}({index})"


def _bare(code):
    """Take away the signs of multiplication at the ends."""
    return re.sub(r"^(?:\s|\*|\\[,;])+|(?:\s|\*|\\[,;])+$", "", code)


def _split(latex, pattern):
    """Split at the matches outside all brackets; the matches are kept between the parts."""
    parts, depth, last = [], 0, 0
    for found in re.finditer(rf"(?P<open>[({{\[])|(?P<shut>[)}}\]])|{pattern}", latex):
        if found["shut"] and (depth > 0 or not re.fullmatch(pattern, found[0])):
            depth -= 1
        elif found["open"]:
            depth += 1
        elif depth == 0:
            parts += [latex[last : found.start()], found[0]]
            last = found.end()
    return [*parts, latex[last:]]
