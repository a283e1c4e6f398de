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
    return [code for _, code in headings_with_places()]


def headings_with_places() -> list[tuple[int, str]]:
    """Return where each code has its heading: ``### LP101: What is wrong { #lp101 }``, the anchor that links name."""
    text = (ROOT / "docs" / "errors.md").read_text("utf-8")
    found = re.finditer(r"^### (LP\d{3}): \S.* \{ #(lp\d{3}) \}$", text, re.MULTILINE)
    return [(each.start(), each[1]) for each in found if each[2] == each[1].lower()]


def test_every_code_has_its_paragraph() -> None:
    """The source and the page know the same codes."""
    source = codes_in_source()
    assert len(source) > 10
    assert set(headings()) == source


def test_every_code_is_shown() -> None:
    """Below each heading stands code, and the message with that code that it ends in; test_pages_run.py runs both."""
    page = ROOT / "docs" / "errors.md"
    shown: dict[str, str] = {}
    for example in examples_of(page):
        above = [code for at, code in headings_with_places() if at < example.block.start]
        if above and example.shown is not None:
            shown[above[-1]] = example.shown
    assert shown.keys() == codes_in_source()
    assert [code for code, text in shown.items() if f"{code}: " not in text] == []


def test_the_contents_list_each_paragraph_once_in_its_order() -> None:
    """Topic by topic: the table at the top has the titles of the headings."""
    text = (ROOT / "docs" / "errors.md").read_text("utf-8")
    listed = re.findall(r"^\| \[(LP\d{3})\]\(#lp\d{3}\) \| (.+?) \|", text, re.MULTILINE)
    titles = re.findall(r"^### (LP\d{3}): (.+?) \{", text, re.MULTILINE)
    assert listed == titles
    assert len(listed) == len(set(headings()))


def test_pages_name_no_code_that_is_not() -> None:
    """Whatever page mentions a code, the source knows it."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    assert {code for page in pages for code in CODE.findall(page.read_text("utf-8"))} <= codes_in_source()
