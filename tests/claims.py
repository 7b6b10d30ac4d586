r"""Check every number of a page and every comparison that it makes in words.

    page = Page(text, "theory/1a.md", names=("first step", "last layer"))
    page.says("ends at {}, lowest of the four", final, true=final == min(finals))
    page.claims({"AdaGrad comes next": adagrad < adam, "no step is longer than that": max(steps) < longest})
    assert page.unchecked() == []
    page.every_digit_matters()

A comparing word (above, largest, grows, only, every, tenfold, ...: COMPARING has them) is checked once it stands in
words that were claimed, to the letter, with a computation that makes them true. With `subjects` so are the words of
what a sentence is about (weights, before, Sigmoid, ...: SUBJECTS) in prose and alt texts. Not looked at are code,
formulas, link targets, references, the phrases `names` that name a thing and compare nothing ("the first step"), and
proofs, from "Proof" in bold or italics to the next $`\square`$.
"""

import re
from collections import defaultdict

from documents import NUMBER, Document, Number

ADJECTIVES = "large|small|long|short|high|low|great|bigg|strong|weak|steep|near|clos|fast|slow|deep|wide|flatt"
COMPARING = (
    rf"\b(?:(?:{ADJECTIVES})(?:e?r|e?st)|above|below|more|less|fewer|most|least|better|best|worse|worst|ahead|behind"
    r"|first|last|only|alone|no|none|nothing|never|always|every|all|both|neither|same|equal\w*|exactly|within|twice"
    r"|half|halve[sd]|doubled?s?|\w*fold|times|grow\w*|grew|fall\w*|fell|rise[sn]?|rose|shrink\w*|shrank|gain[s]"
    r"|los(?:es?|t)|vanish\w*|explode\w*|keep\w*|kept|stay\w*|remain\w*|still|almost|nearly|too|enough|exceed\w*"
    r"|inside|outside|harmonic|arithmetic|geometric"
    r"|overtake\w*|pass(?:es)|beats?)\b"
)
SUBJECTS = (
    r"\b(?:before|after|weights?|biases|rows?|columns?|fan-in|fan-out|uniform|forward|backward|going back|without"
    r"|positive|negative|not|because|two|three|four|five|six|seven|eight|nine|ten"
    r"|mean|variance|pixels|logits|inputs?|Sigmoids?|ReLU|Adam|SGD|Xavier)\b"
)
UNSEEN = (
    r"^#+ References *$.*?(?=^#|\Z)",
    r"^\*{1,2}Proof.*?\\square`\$",
    r"^ *```.*?^ *```",
    r"\$`[^`]*`\$|`[^`]*`|\]\([^)\s]*\)|^\[[^\]]+\]: .*?$|https?://[^\s)>]+|<[^<>\n]+>",
)


def proved_by(test):
    """What is true as long as there is the test that computes it."""
    return callable(test)


class Page(Document):
    """A document that knows its comparing words, and for each number what it has to satisfy."""

    def __init__(self, text, name="page", names=(), subjects=False):
        super().__init__(text, name)
        shown = text
        for pattern in (*UNSEEN, *(r"\s+".join(map(re.escape, phrase.split())) for phrase in names)):
            shown = re.sub(pattern, lambda found: re.sub(r"[^\n]", "\0", found[0]), shown, flags=re.M | re.S)
        self.words = {found.span(): False for found in re.finditer(COMPARING, shown, re.I)}
        self.free = [found for found in re.finditer(SUBJECTS, shown) if subjects and not self._in_table(found.start())]
        self.tests = defaultdict(list)  # for each number the functions that a Number in its place has to satisfy

    def says(self, snippet, *values, true=None):
        """Do what Document.says does; `true` is what makes the comparing words of the snippet true."""
        start, end = super().says(snippet, *values)
        self.free = [word for word in self.free if word.end() <= start or end <= word.start()]
        if true is not None:
            assert true, f"{self.name}: it is not true that {snippet!r}"
            self.words |= {word: True for word in self.words if start <= word[0] and word[1] <= end}
        return start, end

    def claims(self, table):
        """Find each key once, and demand its value: words of the page and what makes them true."""
        for words, truth in table.items():
            self.says(words, true=bool(truth))

    def among(self, start, end, values):
        """Demand that each number between the texts `start` and `end` is one of `values`, rounded."""
        (first,) = (found.end() for found in re.finditer(re.escape(start), self.text))
        last = self.text.index(end, first)
        for number in self.numbers.values():
            if first <= number.start < last and number.seen and not number.checked:
                one_of = lambda printed: any(printed.equals(value) for value in values)
                assert one_of(number), f"{self.name}: {number.text} is none of the values behind {start!r}"
                number.checked = True
                self.tests[number.start, number.end].append(one_of)

    def given(self, *literals):
        """Mark every number printed exactly as one of `literals`: the exercise's own givens."""
        super().given(*literals)
        for span, number in self.numbers.items():
            if number.text in literals:
                self.tests[span].append(lambda printed: printed.text in literals)

    def unchecked(self):
        """List the seen numbers and the comparing words that nothing checked, each with its line."""
        words = [
            f"line {self.text.count(chr(10), 0, start) + 1}: the word {self.text[start:end]!r} in "
            f"'{' '.join(self.text[max(0, start - 40) : end + 30].split())}'"
            for (start, end), checked in self.words.items()
            if not checked
        ]
        return super().unchecked() + words + [f"nothing claims {self._about(word)!r}" for word in self.free]

    def every_digit_matters(self):
        """Demand that each seen number of a page that is checked would fail with another last digit."""
        for span, number in self.numbers.items():
            if number.seen and self.tests[span]:  # without one it was compared as text
                at = max(i for i, letter in enumerate(number.text) if letter.isdigit())
                digit = (int(number.text[at]) + 5) % 10  # five away: never a neighbour of a tie
                other = Number(re.fullmatch(NUMBER, f"{number.text[:at]}{digit}{number.text[at + 1 :]}"))
                passes = all(test(other) for test in self.tests[span])
                assert not passes, f"nothing fails when {number.text} ends otherwise: {self._around(number)!r}"

    def _in_table(self, place):
        """Whether a heading or a table has this place: the latter are compared cell by cell."""
        return self.text[self.text.rfind("\n", 0, place) + 1] in "#|"

    def _about(self, word):
        return " ".join(self.text[max(0, word.start() - 60) : word.end() + 40].split())

    def _compare(self, span, value, where):
        super()._compare(span, value, where)
        self.tests[span].append(lambda printed: printed.equals(value))
