"""All markdown files are written so that they render everywhere, and what they name is there."""

import importlib
import re
import textwrap
from dataclasses import fields
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from benchmark import TURNS
from claims import Page, proved_by
from distributed.cli import dask_worker
from test_reference import (
    test_choices_are_made_on_the_last_training_images_and_without_training_on_them as chosen_on_others,
)

import common
import ex2a_vanishing
import ex2b_adam
from common import data
from common.experiment import records
from figures.choices import cnn, rescue

ROOT = Path(__file__).resolve().parent.parent

# How the files have to be written. GitHub and VS Code render a formula in the same way only where no other rule of
# markdown touches it. GitHub refuses macros that redefine others, hide text or reach outside the formula.

REFUSED = (
    "operatorname|DeclareMathOperator|def|gdef|edef|xdef|let|newcommand|renewcommand|newenvironment|require|href|url"
    "|class|cssId|style|data|unicode|mmlToken|includegraphics|mbox|phantom|hphantom|vphantom"
)
INLINE = r"\$`([^`]+)`\$"
FENCE = r"^( *)(```+)(\w*)[^\n]*\n(.*?)^ *\2[^\n]*$"


def anchors(text):
    """The anchors that GitHub gives the headings of a text."""
    headings = re.findall(r"^#+ (.*)$", re.sub(FENCE, "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading.strip().lower())) for heading in headings}


def troubles(text, folder):
    """List what would not render, or leads nowhere, in a markdown text that lies in `folder`."""
    found = []
    fences = [m.groups() for m in re.finditer(FENCE, text, re.M | re.S)]
    prose = re.sub(FENCE, "", text, flags=re.M | re.S)
    found += ["a math fence is indented" for indent, _, kind, _ in fences if kind == "math" and indent]
    formulas = [body for _, _, kind, body in fences if kind == "math"] + re.findall(INLINE, prose)
    for formula in formulas:
        if re.search(rf"\\({REFUSED})(?![a-zA-Z])", formula):
            found.append(f"a macro that GitHub refuses: {formula}")
        braces = re.findall(r"(?<!\\)[{}]", formula)
        depth = [braces[: i + 1].count("{") - braces[: i + 1].count("}") for i in range(len(braces))]
        if any(d < 0 for d in depth) or (depth and depth[-1] != 0):
            found.append(f"braces do not balance: {formula}")
        if len(re.findall(r"\\left(?![a-zA-Z])", formula)) != len(re.findall(r"\\right(?![a-zA-Z])", formula)):
            found.append(f"\\left without \\right: {formula}")
    for line in prose.splitlines():
        outside = re.sub(r"(?<!`)`[^`]+`(?!`)", "", re.sub(INLINE, "", line))
        if "$" in outside:
            found.append(f"a dollar that is no formula between dollar and backtick: {line}")
        if line.lstrip().startswith("|") and any("|" in formula for formula in re.findall(INLINE, line)):
            found.append(f"a bar inside the math of a table: {line}")
        if line.startswith("#") and "$`" in line:
            found.append(f"a formula in a heading: {line}")
    for bang, words, target in re.findall(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", prose):
        if "$" in words or "\\(" in words:
            found.append(f"a formula in a link or alt text: {words}")
        if bang and not 40 <= len(words) <= 150:
            found.append(f"an alt text of {len(words)} characters: {words}")
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        if path.startswith("/") or not (folder / path).exists():
            found.append(f"a target that does not exist: {target}")
        elif anchor and anchor not in anchors((folder / path).read_text(encoding="utf-8") if path else text):
            found.append(f"an anchor that does not exist: {target}")
    return found


def pages():
    """Return the markdown files of the repository, but not those of data, results or installed packages."""
    found = [path.relative_to(ROOT) for path in ROOT.rglob("*.md")]
    return sorted(path for path in found if not any(part[0] == "." or part in ("data", "runs") for part in path.parts))


@pytest.mark.parametrize("path", pages(), ids=str)
def test_markdown_renders_everywhere(path):
    assert troubles((ROOT / path).read_text(encoding="utf-8"), (ROOT / path).parent) == []


ALT = "an alt text that is long enough to say what is shown"


@pytest.mark.parametrize(
    "text, trouble",
    [
        ("a $x$ b", "a dollar"),
        ("$$\nx\n$$", "a dollar"),
        ("a formula $`x\ny`$ over two lines", "a dollar"),
        (" ```math\nx\n ```", "indented"),
        ("$`\\operatorname{Var}(X)`$", "refuses"),
        ("```math\n\\mbox{a}\n```", "refuses"),
        ("$`\\frac{1}{2`$", "braces"),
        ("$`}x{`$", "braces"),
        ("$`\\left( x`$", "\\left"),
        ("| a |\n|---|\n| $`|x|`$ |", "a bar"),
        ("# The $`x`$", "heading"),
        ("[$`x`$](https://a.b)", "a formula in a link"),
        (f"![{ALT} $`x`$](test_documents.py)", "a formula in a link"),
        ("![short](test_documents.py)", "alt text of 5"),
        (f"![{ALT * 3}](test_documents.py)", "alt text of 15"),
        ("[a](no/such.file)", "target"),
        ("# One\n[a](#two)", "anchor"),
        (f"![{ALT}](no.png)", "target"),
    ],
)
def test_guard_finds(text, trouble):
    found = troubles(text, Path(__file__).parent)
    assert found and any(trouble in one for one in found)


def test_guard_accepts():
    text = (
        "# One two: 1/2\n\n$`\\{x\\} \\leftarrow \\lvert y \\rvert`$, `code` and `$HOME`, [a](#one-two-12), "
        f"[b](https://a.b), ![{ALT}](test_documents.py)\n\n| $`\\lvert x \\rvert`$ |\n|---|\n| 1 |\n\n"
        "```math\n\\left( x \\right) \\rightarrow y\n```\n\n```\n$ python $x |\n```\n"
    )
    assert troubles(text, Path(__file__).parent) == []


# What they name is there.


SCRIPTS = ex2a_vanishing, ex2b_adam, cnn, rescue
FLAGS = {f"--{field.name.replace('_', '-')}" for script in SCRIPTS for field in fields(script.Settings)} | {"--help"}
FLAGS |= {option for parameter in dask_worker.main.params for option in parameter.opts}
PROGRAMS = [script.__file__ for script in SCRIPTS] + ["theory/walks.py", "tests/third.py", "tests/benchmark.py"]


def starts(path, *parents):
    """Whether a file is a program that finds what it imports: beside it, or since it looks below these parents."""
    text = (ROOT / path).read_text(encoding="utf-8") if (ROOT / path).is_file() else ""
    return "__main__" in text and ("/" not in path or bool(parents) or "sys.path.insert" in text)


def lacking(text, folder):
    """List what a text that lies in `folder` tells the user and is not there."""
    text = re.sub(INLINE, "", text)
    found = [flag for flag in re.findall(r"(?<![\w-])--[a-z][\w-]+", text) if flag not in FLAGS]
    for module, path in re.findall(r"(?:python3?|%run)\s+(?:-m\s+([\w.]+)|(?:/path/to/)?([\w/]+\.\w+))", text):
        there = starts(path) if path else module in ("venv", "pytest") or starts(f"{module.replace('.', '/')}.py", ROOT)
        found += [f"{module}{path}"] * (not there)
    for file, packages in re.findall(r"pip install (?:-r ([\w./]+\w)|([\w -]*\w))", text):
        there = (not file or (ROOT / file).is_file()) and {*packages.split()} <= {*common.NEEDED}
        found += [f"pip install {file}{packages}"] * (not there)
    for names, known in (
        (r"dask (\w+)(?=\n| tcp:)", {command.name for command in entry_points(group="dask_cli")}),
        (r"benchmark\.py\s+(\w+)", TURNS),
        (r"from common import ([\w, ]+)`", common.SUBJECT),
    ):
        found += [name for names in re.findall(names, text) for name in names.split(", ") if name not in known]
    for path in re.findall(r"`([\w.-]*/[\w./*-]*)`", text):  # the others are made when they are needed
        there = path in ("data/", "figures/stand-in/") or [*ROOT.glob(path)] or [*folder.glob(path)]
        found += [path] * (not there)
    for words, target in re.findall(r"(?<!!)\[([\w./ ]+)\]\(([^)\s]+)\)", text):  # words that are a name, or have one
        pieces = re.findall(r"\b[12][ab]\b(?!\.)", words) if " " in words else re.split(r"[./]+", words)
        items = re.fullmatch(r"[12][ab]\.\d", words) or words == "2a" and target == "figures/README.md"
        found += [words] * (not items and not all(piece.lower() in target.lower() for piece in pieces))
    return found


@pytest.mark.parametrize("path", [ROOT / path for path in (*pages(), *PROGRAMS)], ids=lambda path: path.name)
def test_what_a_page_or_docstring_names_is_there(path):
    text = path.read_text(encoding="utf-8")
    assert lacking(text if path.suffix == ".md" else text.split('"""')[1], path.parent) == []


def test_what_the_front_page_says_to_a_library_is_what_quick_does(monkeypatch):
    (code,) = re.findall(r"`(ex2a_vanishing\.experiment[^`]*)`", (ROOT / "README.md").read_text(encoding="utf-8"))
    seen = []
    kind = type(ex2a_vanishing.experiment)
    monkeypatch.setattr(kind, "_train_missing", lambda self, settings, generated: seen.append(settings))
    with pytest.raises(TypeError):  # there is no record at None
        eval(code, {"ex2a_vanishing": importlib.import_module("ex2a_vanishing")})
    assert seen == [ex2a_vanishing.Settings(quick=True).small()] and seen[0].epochs == 2


def test_the_example_for_a_network_of_ones_own(monkeypatch):
    monkeypatch.setattr(data, "fashion_mnist", partial(data.fashion_mnist, quick=True))
    found = {}
    exec(textwrap.dedent(common.__doc__.partition("[layer][member]:\n\n")[2]), found)
    assert found["name"] == "stand-in" and [len(layer) for layer in found["norms"]] == [1, 1]
    assert all(norm > 0 for layer in found["norms"] for norm in layer)


def test_the_docstrings_of_the_choices():
    """Each says how many candidates there are, and where the record goes; what is held out, test_reference shows."""
    sizes = [one["multiply_adds"] / 1e6 for one in records.read(ROOT / "figures/choices/cnn.json")["candidates"]]
    assert len(cnn.CANDIDATES) == 5 and min(sizes) > 14.5 and max(sizes) < 25 and len(rescue.CANDIDATES) == 8
    for script, words in (
        (cnn, "Five networks of 15 to 25 million multiply-adds train as in ex2b_adam.py (Adam's defaults, random flip"),
        (rescue, "Under eight schemes the deepest network trains as in exercise 2a, but"),
    ):
        text, settings = " ".join(script.__doc__.split()), script.Settings()
        path = script.experiment._path(settings, "real images")
        assert words in text and f"Written: {path.name}, beside this file." in text
        assert path.parent == Path(script.__file__).parent
        page = Page(script.__doc__, path.name, ("learns CIFAR-10 best", "The choice behind", "the deepest network"))
        held_out = "without the last 5000 training images", "on which they are compared; the test set plays no part"
        page.claims(dict.fromkeys(held_out, proved_by(chosen_on_others)))
        assert page.unchecked() == []
