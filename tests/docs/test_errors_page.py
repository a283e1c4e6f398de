"""docs/errors.md and the source speak of the same error codes."""

import re
from pathlib import Path

from pages import examples_of

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"\bLP\d{3}\b")
RAISED = re.compile(r'"(LP\d{3})",')
HEADING = re.compile(r"^### (LP\d{3}): \S.{3,40}$", re.MULTILINE)


def codes_in_source() -> set[str]:
    """The codes that problems are made with; a docstring may name a range of them."""
    return {code for module in (ROOT / "src").rglob("*.py") for code in RAISED.findall(module.read_text("utf-8"))}


def headings() -> list[str]:
    """The codes of the headings; each has a few words behind it, which the contents of the page show."""
    return HEADING.findall((ROOT / "docs" / "errors.md").read_text("utf-8"))


def test_every_code_has_its_paragraph() -> None:
    """The source and the page know the same codes."""
    source = codes_in_source()
    assert len(source) > 10
    assert set(headings()) == source


def test_every_code_is_shown() -> None:
    """Below each heading stands code, and the message with that code that it ends in; test_pages_run.py runs both."""
    page = ROOT / "docs" / "errors.md"
    text = page.read_text("utf-8")
    headings_at = [(match.start(), match[1]) for match in HEADING.finditer(text)]
    shown: dict[str, str] = {}
    for example in examples_of(page):
        above = [code for at, code in headings_at if at < example.block.start]
        if above and example.shown is not None:
            shown[above[-1]] = example.shown
    assert shown.keys() == codes_in_source()
    assert [code for code, text in shown.items() if f"{code}: " not in text] == []


def test_paragraphs_are_in_order_and_once() -> None:
    """Each code has one heading, and they ascend."""
    assert headings() == sorted(set(headings()))


def test_pages_name_no_code_that_is_not() -> None:
    """Whatever page mentions a code, the source knows it."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    assert {code for page in pages for code in CODE.findall(page.read_text("utf-8"))} <= codes_in_source()
