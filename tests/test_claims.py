"""The check of comparisons can fail: words without a proof, false ones, other words, other digits."""

import pytest
from claims import Page

SAMPLE = r"""# Two networks

**Answer.** The deep one ends at 0.31, *below* the flat one, and no epoch changes that. The first step is 1e-08.

| net | end |
|---|---|
| the largest, 3 | 0.82 |

**Proof.** Nothing here is a claim, $`x`$ is the largest. $`\square`$ Its alt text says more than $`y`$:

![The curve of the flat one stays at 0.82](a.png)
"""


def checked(text, deep=0.31, flat=0.82):
    page = Page(text, names=("first step",), subjects=True)
    page.given("1e-08")
    page.table("net | end", [["the largest, 3", flat]])
    page.says("ends at {}, *below* the flat one", deep, true=deep < flat)
    page.claims({"no epoch changes that": True, "the largest, 3": True, "alt text says more": True})
    page.among("alt text says more than $`y`$:", "](a.png)", [deep, flat])
    page.claims({"flat one stays at": True})
    assert page.unchecked() == []
    return page


def test_a_checked_page():
    checked(SAMPLE).every_digit_matters()


@pytest.mark.parametrize(
    "old, new, trouble",
    [
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
def test_what_is_found(old, new, trouble):
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
