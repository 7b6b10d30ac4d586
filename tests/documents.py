r"""Check every number that a document prints against a computed value.

A document is markdown or a docstring. `says`, `table` and `given` compare numbers and mark them as
checked; `unchecked` lists the numbers that nothing compared.

Seen, and therefore to be checked: every number with a decimal point, an exponent or a percent sign, in
prose, inline math, `math` fences, inline code, headings and alt texts; and every integer in a cell of a
table's body. An exponent is `1.2e-08`, `1.2 \times 10^{-8}` or a power of a number, `10^{-8}`, `2^{-24}`.

Not seen: integers outside tables (put them into a `says`), integers in a subscript or superscript and
integers that touch a letter (`w_1`, `n^{-8}`, `2a`, `3x`), versions with two dots (`2.14.0`), code fences
other than `math`, link targets and bare addresses, and everything below a heading "References". `says`
may still compare any of these that is a number by itself.
"""

import re
from decimal import Decimal
from fractions import Fraction

INTEGER_POWER = r"\^(?:\{[-−]?\d+\}|\d)"
NUMBER = (
    r"(?:(?<![\w.)\]}])[-−])?"  # a sign, unless something stands before it to be subtracted from
    r"(?:(?<![\d.])\d{1,3}(?:(?:,|\{,\}|\\,|[\u2009\u202f])\d{3})+(?:\.\d+)?"  # 1,234.5
    r"|(?<![\d.])\d+(?:\.\d+)?|(?<![\w.)\]])\.\d+)"  # 12, 1.25, .5
    rf"(?:[eE][-+−]?\d+|\s*(?:\\times|\\cdot|×|·)\s*10{INTEGER_POWER}|{INTEGER_POWER})?"
    r"(?:\s?\\?%)?(?!\d|\.\d|[eE][-+]?\d)"
)
LEFT_OUT = (
    r"^ *```[^\n]*\n.*?^ *```",  # a fence; those of math are kept
    r"\]\([^)\s]*\)|^\[[^\]]+\]: .*?$|https?://[^\s)>]+",
    r"^#+ References *$.*?(?=^#|\Z)",
)
SCRIPTS = r"[_^](?:\{[^{}]*\}|\w)"


class Number:
    """One number of a document: its place, its text and whether it has to be checked."""

    def __init__(self, match):
        self.start, self.end = match.span()
        self.text, self.checked, self.seen = match[0], False, False

    def equals(self, value):
        """Tell whether `value` rounds to this number as printed; both neighbours of an exact tie do."""
        value = value.item() if hasattr(value, "item") else value
        exact = Decimal(value.numerator) / value.denominator if isinstance(value, Fraction) else Decimal(str(value))
        text = re.sub(r",|\{,\}|\\,|[\u2009\u202f{}\s\\]", "", self.text.replace("−", "-"))
        if text.endswith("%"):
            text, exact = text[:-1], exact * 100
        text = re.sub(r"(?<!\d)10\^", "1e", re.sub(r"(?:times|cdot|×|·)10\^", "e", text))
        if "^" in text:  # a power such as 2^{-24} is exact
            base, power = text.split("^")
            return exact.is_finite() and abs(exact / Decimal(base) ** int(power) - 1) < Decimal("1e-12")
        printed = Decimal(text)
        return exact.is_finite() and abs(exact - printed) <= Decimal((0, (5,), printed.as_tuple().exponent - 1))


class Document:
    """The text of a document with its numbers, in the order in which they are printed."""

    def __init__(self, text, name="document"):
        self.text, self.name = text, name
        shown = text
        for pattern in LEFT_OUT:
            shown = re.sub(pattern, _blank, shown, flags=re.M | re.S)
        self.tables = list(_tables(shown))
        countable = bytearray(len(text))  # 1 where an integer has to be checked
        for start, end in (cell for _, _, rows in self.tables for row in rows for cell in row):
            countable[start:end] = b"\1" * (end - start)
        for script in re.finditer(SCRIPTS, text):
            countable[slice(*script.span())] = bytes(len(script[0]))
        self.numbers = {}
        for match in re.finditer(NUMBER, text):
            start, end = match.span()
            touches_letter = re.search(r"\w", text[max(0, start - 1) : start] + text[end : end + 1])
            if touches_letter and not re.search(r"[.^]", match[0]):
                continue
            number = self.numbers[start, end] = Number(match)
            claims = re.search(r"[.%^eE]", match[0]) or countable[start]
            number.seen = bool(claims) and shown[start] != "\0"

    def says(self, snippet, *values):
        """Find `snippet`, with {} in place of each number, exactly once and compare its numbers with `values`.

        Returns the span of what was found.
        """
        pieces = [r"\s+".join(map(re.escape, re.split(r"\s+", piece))) for piece in snippet.split("{}")]
        assert len(pieces) == len(values) + 1, f"{snippet!r} has {len(pieces) - 1} places for {len(values)} values"
        found = list(re.finditer(f"({NUMBER})".join(pieces), self.text))
        assert len(found) == 1, f"{self.name}: {len(found)} places say {snippet!r}"
        for group, value in enumerate(values, 1):
            self._compare(found[0].span(group), value, snippet)
        return found[0].span()

    def table(self, name, rows):
        """Compare the table with the header `name`, "first cell | second | ...", or first under the heading `name`.

        A cell of `rows` is a number, a tuple of all the numbers of the cell, a text that the cell must equal, or
        None for a cell that is not looked at.
        """
        found = [body for heading, header, body in self.tables if name in (heading, header)]
        assert len(found) == 1, f"{self.name}: {len(found)} tables called {name!r}"
        assert [len(row) for row in found[0]] == [len(row) for row in rows], f"{self.name}: the shape of table {name!r}"
        for spans, values in zip(found[0], rows):
            for (start, end), value in zip(spans, values):
                inside = [span for span in self.numbers if start <= span[0] and span[1] <= end]
                if isinstance(value, str):
                    assert self.text[start:end].strip() == value, f"{self.text[start:end].strip()!r} is not {value!r}"
                    for span in inside:
                        self.numbers[span].checked = True
                elif value is not None:
                    wanted = value if isinstance(value, tuple) else (value,)
                    assert len(inside) == len(wanted), f"{self.text[start:end]!r} for {value} in table {name!r}"
                    for span, one in zip(inside, wanted):
                        self._compare(span, one, f"table {name}")

    def given(self, *literals):
        """Mark every number printed exactly as one of `literals`: the exercise's own givens."""
        for literal in literals:
            same = [number for number in self.numbers.values() if number.text == literal]
            assert same, f"{self.name}: {literal} does not occur"
            for number in same:
                number.checked = True

    def unchecked(self):
        """List the seen numbers that nothing checked, each with its line."""
        return [
            f"line {self.text.count(chr(10), 0, n.start) + 1}: {n.text} in '{self._around(n)}'"
            for n in self.numbers.values()
            if n.seen and not n.checked
        ]

    def _compare(self, span, value, where):
        assert span in self.numbers, f"{self.name}: {self.text[slice(*span)]!r} is part of a number in {where!r}"
        number = self.numbers[span]
        assert number.equals(value), f"{self.name}: {number.text} should be {value!r} in {where!r}"
        number.checked = True

    def _around(self, number):
        return " ".join(self.text[max(0, number.start - 30) : number.end + 15].split())


def _blank(left_out):
    text = left_out[0]
    return text if text.lstrip().startswith("```math") else re.sub(r"[^\n]", "\0", text)


def _tables(text):
    """Yield (heading above, header, rows of cell spans) of each markdown table."""
    heading, place, table = "", 0, None
    for line in text.splitlines(keepends=True):
        bars = [place + m.start() for m in re.finditer(r"(?<!\\)\|", line)]
        if not line.lstrip().startswith("|"):
            if table:
                yield table
            table = None
            heading = line.lstrip("#").strip() if line.startswith("#") else heading
        elif table is None:
            table = (heading, line.strip(" |\n"), [])
            heading = None  # only the first table under a heading goes by its name
        elif not re.fullmatch(r"[\s|:-]+", line):
            table[2].append([(a + 1, b) for a, b in zip(bars, bars[1:])])
        place += len(line)
    if table:
        yield table
