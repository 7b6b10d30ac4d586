r"""Check every number of a page against a computed value, and every comparison that it makes in words.

    page = Page(text, "theory/1a.md", names=("first step", "last layer"))
    page.says("ends at {}, lowest of the four", final, true=final == min(finals))
    page.claims({"AdaGrad comes next": adagrad < adam, "no step is longer than that": max(steps) < longest})
    assert page.unchecked() == []
    page.every_digit_matters()

A page is markdown or a docstring. Seen, and therefore to be checked: every number with a decimal point, an exponent or
a percent sign, in prose, inline math, `math` fences, inline code, headings and alt texts; and every integer in a cell
of a table's body. An exponent is `1.2e-08`, `1.2 \times 10^{-8}` or a power of a number, `10^{-8}`, `2^{-24}`.

Not seen: integers outside tables (put them into a `says`), integers in a subscript or superscript and integers that
touch a letter (`w_1`, `n^{-8}`, `2a`, `3x`), versions with two dots (`2.14.0`), code fences other than `math`, link
targets and bare addresses, and everything below a heading "References". `says` may still compare any of these that is
a number by itself.

A comparing word (above, largest, grows, only, every, tenfold, ...: COMPARING has them) is checked once it stands in
words that were claimed, to the letter, with a computation that makes them true. With `subjects` so are the words of
what a sentence is about (weights, before, Sigmoid, ...: SUBJECTS) in prose and alt texts. Not looked at are code,
formulas, link targets, references, the phrases `names` that name a thing and compare nothing ("the first step"), and
proofs, from "Proof" in bold or italics to the next $`\square`$.
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
SCRIPTS = r"[_^](?:\{[^{}]*\}|\w)"
ADJECTIVES = "large|small|long|short|high|low|great|bigg|strong|weak|steep|near|clos|fast|slow|deep|wide|flatt"
COMPARING = (
    r"\b(?:helps?|harms?|costs?|slows?|improve\w*|(?:in|de)crease\w*|drops?|outperform\w*|wins?|leads?|differ\w*|agree\w*"
    r"|level|depends?|reliabl\w*|matters?|hardly|barely|minim\w*|maxim\w*|cannot)\b"
    rf"|\b(?:(?:{ADJECTIVES})(?:e?r|e?st)|above|below|more|less|fewer|most|least|better|best|worse|worst|ahead|behind"
    r"|first|last|only|alone|no|none|nothing|never|always|every|all|both|neither|same|equal\w*|exactly|within|twice"
    r"|half|halve[sd]|doubled?s?|\w*fold|times|grow\w*|grew|fall\w*|fell|rise[sn]?|rose|shrink\w*|shrank|gain[s]"
    r"|los(?:es?|t)|vanish\w*|explode\w*|keep\w*|kept|stay\w*|remain\w*|still|almost|nearly|too|enough|exceed\w*"
    r"|inside|outside|harmonic|arithmetic|geometric"
    r"|overtake\w*|pass(?:es)|beats?)\b"
)
SUBJECTS = (
    r"\b(?:before|after|weights?|biases|rows?|columns?|fan-in|fan-out|uniform|forward|backward|going back|without"
    r"|positive|negative|[Nn]ot|cannot|because|two|three|four|five|six|seven|eight|nine|ten"
    r"|mean|variance|pixels|logits|inputs?|Sigmoids?|ReLU|Adam|SGD|Xavier)\b"
)
FENCE = r"^ *```[^\n]*\n.*?^ *```"
LINK = r"\]\([^)\s]*\)|^\[[^\]]+\]: .*?$|https?://[^\s)>]+"
REFERENCES = r"^#+ References *$.*?(?=^#|\Z)"
PROOF = r"^\*{1,2}Proof.*?\\square`\$"
CODE = r"\$`[^`]*`\$|`[^`]*`|<[^<>\n]+>"


def proved_by(test):
    """What is true as long as there is the test that computes it."""
    return callable(test)


class Number:
    """One number of a page: its place, its text, whether it has to be checked, and the tests that it has passed.

    A test is a function of what may stand in its place, a Number too; one that is compared as text has none.
    """

    def __init__(self, match):
        self.start, self.end = match.span()
        self.text, self.checked, self.seen, self.tests = match[0], False, False, []

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

    def check(self, test, trouble):
        """Demand that it passes a test."""
        assert test(self), trouble
        self.checked = True
        self.tests.append(test)


class Page:
    """The text of a page with its numbers, in the order in which they are printed, and its comparing words."""

    def __init__(self, text, name="page", names=(), subjects=False):
        self.text, self.name = text, name
        shown = _blanked(text, FENCE, LINK, REFERENCES, kept="```math")
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
        phrases = (r"\s+".join(map(re.escape, phrase.split())) for phrase in names)
        shown = _blanked(text, REFERENCES, PROOF, FENCE, f"{CODE}|{LINK}", *phrases)
        self.words = {found.span(): False for found in re.finditer(COMPARING, shown, re.I)}
        self.free = [found for found in re.finditer(SUBJECTS, shown) if subjects and not self._in_table(found.start())]

    def says(self, snippet, *values, true=None):
        """Find `snippet`, with {} in place of each number, exactly once and compare its numbers with `values`.

        true: what makes the comparing words of the snippet true.
        """
        pieces = [r"\s+".join(map(re.escape, re.split(r"\s+", piece))) for piece in snippet.split("{}")]
        assert len(pieces) == len(values) + 1, f"{snippet!r} has {len(pieces) - 1} places for {len(values)} values"
        found = list(re.finditer(f"({NUMBER})".join(pieces), self.text))
        assert len(found) == 1, f"{self.name}: {len(found)} places say {snippet!r}"
        for group, value in enumerate(values, 1):
            self._compare(found[0].span(group), value, snippet)
        start, end = found[0].span()
        self.free = [word for word in self.free if word.end() <= start or end <= word.start()]
        if true is not None:
            assert true, f"{self.name}: it is not true that {snippet!r}"
            self.words |= {word: True for word in self.words if start <= word[0] and word[1] <= end}

    def claims(self, table):
        """Find each key once, and demand its value: words of the page and what makes them true."""
        for words, truth in table.items():
            self.says(words, true=bool(truth))

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

    def among(self, start, end, values):
        """Demand that each number between the texts `start` and `end` is one of `values`, rounded."""
        (first,) = (found.end() for found in re.finditer(re.escape(start), self.text))
        last = self.text.index(end, first)
        for number in self.numbers.values():
            if first <= number.start < last and number.seen and not number.checked:
                trouble = f"{self.name}: {number.text} is none of the values behind {start!r}"
                number.check(lambda printed: any(printed.equals(value) for value in values), trouble)

    def given(self, *literals):
        """Mark every number printed exactly as one of `literals`: the exercise's own givens."""
        for literal in literals:
            same = [number for number in self.numbers.values() if number.text == literal]
            assert same, f"{self.name}: {literal} does not occur"
            for number in same:
                number.check(lambda printed: printed.text in literals, literal)

    def unchecked(self):
        """List the seen numbers and the comparing words that nothing checked, each with its line."""
        left = [((n.start, n.end), n.text) for n in self.numbers.values() if n.seen and not n.checked]
        left += [(span, f"the word {self.text[slice(*span)]!r}") for span, checked in self.words.items() if not checked]
        line = lambda place: self.text.count("\n", 0, place) + 1
        said = [f"line {line(span[0])}: {what} in {self._around(*span)}" for span, what in left]
        return said + [f"nothing claims {self._around(*word.span())}" for word in self.free]

    def every_digit_matters(self):
        """Demand that each seen number of a page that is checked would fail with another last digit."""
        for number in self.numbers.values():
            if number.seen and number.tests:
                at = max(i for i, letter in enumerate(number.text) if letter.isdigit())
                digit = (int(number.text[at]) + 5) % 10  # five away: never a neighbour of a tie
                other = Number(re.fullmatch(NUMBER, f"{number.text[:at]}{digit}{number.text[at + 1 :]}"))
                trouble = f"nothing fails when {number.text} ends otherwise: {self._around(number.start, number.end)}"
                assert not all(test(other) for test in number.tests), trouble

    def _in_table(self, place):
        """Whether a heading or a table has this place: the latter are compared cell by cell."""
        return self.text[self.text.rfind("\n", 0, place) + 1] in "#|"

    def _compare(self, span, value, where):
        assert span in self.numbers, f"{self.name}: {self.text[slice(*span)]!r} is part of a number in {where!r}"
        trouble = f"{self.name}: {self.numbers[span].text} should be {value!r} in {where!r}"
        self.numbers[span].check(lambda printed: printed.equals(value), trouble)

    def _around(self, start, end):
        return f"'{' '.join(self.text[max(0, start - 40) : end + 30].split())}'"


def _blanked(text, *patterns, kept="\0"):
    """The text with all that matches these patterns blanked out, but for what begins with `kept`."""

    def blank(found):
        return found[0] if found[0].lstrip().startswith(kept) else re.sub(r"[^\n]", "\0", found[0])

    for pattern in patterns:
        text = re.sub(pattern, blank, text, flags=re.M | re.S)
    return text


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
