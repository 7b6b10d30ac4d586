"""The check of pages can fail: other digits, words, cells and subjects, words without a proof, false ones."""

from fractions import Fraction

import pytest
from claims import Page

SAMPLE = r"""# Two networks

**Answer.** The deep one ends at 0.31, *below* the flat one, 54.5 % of it, and no epoch changes that. The first step is
1e-08, and $`\delta = 1.2 \times 10^{-8}`$ is small.

| net | end | runs |
|---|---|---|
| the largest, 3 | 0.82 ± 0.01 | 3 |
| flat | n/a | 5 |

**Proof.** Nothing here is a claim, $`x`$ is the largest. $`\square`$ Its alt text says more than $`y`$:

```math
x = -0.25
```

```
python x.py    # prints 0.123
```

![The curve of the flat one stays at 0.82](figures/1.5.png), of $`w_{1}`$ and version 2.14.0.

## References

1. A. Author: The best title. 10.5, 2015.
"""


def checked(text, deep=0.31, flat=0.82):
    page = Page(text, names=("first step",), subjects=True)
    page.given("1e-08")
    page.table("net | end | runs", [["the largest, 3", (flat, 0.0104), 3], ["flat", None, 5]])
    page.says("ends at {}, *below* the flat one, {} of it", deep, 0.5451, true=deep < flat)
    page.says(r"$`\delta = {}`$ is small", 1.2e-8)
    page.says("x = {}", -0.25)
    page.claims({"no epoch changes that": True, "the largest, 3": True, "alt text says more": True})
    page.among("alt text says more than $`y`$:", "](figures", [deep, flat])
    page.claims({"flat one stays at": True})
    assert page.unchecked() == []
    return page


def test_a_sample_is_checked_completely_and_each_last_digit_matters():
    checked(SAMPLE).every_digit_matters()
    for number in [number for number in Page(SAMPLE).numbers.values() if number.seen]:
        at = max(i for i in range(number.start, number.end) if SAMPLE[i].isdigit())
        with pytest.raises(AssertionError):
            checked(f"{SAMPLE[:at]}{(int(SAMPLE[at]) + 5) % 10}{SAMPLE[at + 1 :]}")


@pytest.mark.parametrize(
    "old, new, trouble",
    [
        ("1.2 \\times", "-1.2 \\times", "should be"),
        ("-0.25", "0.25", "should be"),
        ("| flat |", "| flatter |", "is not 'flat'"),
        ("0.82 ± 0.01", "0.82", "for .0.82, 0.0104"),
        ("| flat | n/a | 5 |\n", "", "the shape of table"),
        ("n/a", "0.1", "line 9: 0.1"),
        ("is small.", "is small. It is 0.5.", "line 4: 0.5"),
        ("*below*", "*above*", "0 places"),
        ("no epoch", "one epoch", "0 places"),
        ("stays at", "stays far above", "0 places"),
        ("Two networks", "Two networks, only one of them deep", "the word 'only'"),
        ("first step", "first net", "the word 'first'"),
        ("The first step is", "With biases the first step is", "nothing claims .*With biases"),
        ("$`\\square`$ Its", "$`\\square`$ It grows tenfold. Its", "the word 'grows'"),
        ("at 0.82](", "at 0.81](", "none of the values"),
    ],
)
def test_a_mistake_is_noticed(old, new, trouble):
    assert SAMPLE.count(old) == 1
    with pytest.raises(AssertionError, match=trouble):
        checked(SAMPLE.replace(old, new))


def test_an_untrue_claim_and_a_digit_that_does_not_matter():
    with pytest.raises(AssertionError, match="not true that 'ends at {}, "):
        checked(SAMPLE.replace("0.82", "0.21"), flat=0.21)
    page = Page("a 0.5 b")
    page.among("a ", " b", [0.5, 1.0])
    page.every_digit_matters()
    page = Page("a 0.5 b")
    page.among("a ", " b", [0.5, 0.0])
    with pytest.raises(AssertionError, match="nothing fails when 0.5 ends otherwise"):
        page.every_digit_matters()


@pytest.mark.parametrize(
    "printed, value, same",
    [
        ("0.12", 0.1249, True),
        ("0.12", 0.1251, False),
        ("0.12", 0.125, True),  # an exact tie has two neighbours
        ("0.14", 0.125, False),
        ("0.333", Fraction(1, 3), True),
        ("-0.5", 0.5, False),
        ("−0.5", -0.5, True),
        (r"85.12\%", 0.8513, False),
        ("7%", 7.0, False),
        ("1,234", 1.234, False),
        ("1{,}234", 1234, True),
        ("1.2e-08", 1.26e-8, False),
        (r"1.2 \times 10^{-8}", 1.16e-8, True),
        (r"1.2 \times 10^{-8}", 1.2e-7, False),
        (r"-4 \cdot 10^3", -4000, True),
        ("10^{-8}", 1e-8, True),
        ("2^{-24}", 2.0**-24, True),
        ("2^{-24}", 2.0**-23, False),
        ("0.9^{2}", 0.81, True),
        (".5", 0.5, True),
        ("0.5", float("nan"), False),
    ],
)
def test_rounding_to_the_printed_precision(printed, value, same):
    (number,) = Page(f"value {printed} there").numbers.values()
    assert number.text == printed and number.equals(value) == same


@pytest.mark.parametrize(
    "text, seen",
    [
        ("prose 0.5, `code 0.6`, $`0.7`$ and 8", ["0.5", "0.6", "0.7"]),
        (r"$`\cdot0.5`$ $`e^{-2.5}`$ 0.9^k 1-0.25 (-0.25)", ["0.5", "-2.5", "0.9", "0.25", "-0.25"]),
        (r"n^{-8} w_1 x^2 4^{-k} 10^{-k} 2a 1b.3 2.14.0 50-digit (50, 30)", []),
        ("```math\n0.5\n```\n0.6\n```math\n0.7\n```", ["0.5", "0.6", "0.7"]),
        ("```\n0.5\n```\n0.6\n```python\n0.7\n```", ["0.6"]),
        ("[0.5](a0.6.png) <https://a.b/0.7> https://a.b/0.8 [x]: https://a.b/0.9", ["0.5"]),
        ("![alt 0.5](a.png)\n# Heading 0.6", ["0.5", "0.6"]),
        ("# References\n1. 0.5\n## Notes\n0.6", ["0.6"]),
        ("| 1 | 2 |\n|---|---|\n| 3 | $`w_{4}^{5}`$ 6 2a x7 $`-8`$ |\n\n9", ["3", "6", "-8"]),
        ("It ends with 0.5. Then 10 % and 3e5.", ["0.5", "10 %", "3e5"]),
    ],
)
def test_what_is_seen(text, seen):
    assert [number.text for number in Page(text).numbers.values() if number.seen] == seen
    assert len(Page(text).unchecked()) == len(seen)


def test_snippets_are_found_exactly_once():
    page = Page("it is 0.5 and\nit is 0.6 now; 1.5e-3")
    page.says("it is {} now", 0.6)
    page.says("and it is {}", 0.6)  # white space is folded
    for snippet, values, trouble in (
        ("it is {}", [0.5], "2 places"),
        ("it was {}", [0.5], "0 places"),
        ("it is {} now", [0.6, 0.7], "1 places for 2 values"),
        ("; {}e-3", [1.5], "0 places"),
    ):
        with pytest.raises(AssertionError, match=trouble):
            page.says(snippet, *values)


def test_tables_go_by_heading_or_by_their_whole_head():
    fence = "```\n# No heading\n| a | d |\n|---|---|\n| z | 3 |\n```\n"
    page = Page(f"## One\n\n{fence}| a | b |\n|---|---|\n| x | 1 |\n\n| a | b |\n|:--|--:|\n| y | 2 |\n")
    page.table("One", [["x", 1]])
    with pytest.raises(AssertionError, match="2 tables"):
        page.table("a | b", [["x", 1]])
    with pytest.raises(AssertionError, match="0 tables"):
        page.table("Two", [])
    with pytest.raises(AssertionError, match="does not occur"):
        page.given("4")
    assert page.unchecked() == ["line 15: 2 in '-| | x | 1 | | a | b | |:--|--:| | y | 2 |'"]
