"""mkdocs.yml: llms.txt names every page that the navigation names."""

import fnmatch
import re

from pages import ROOT

TEXT = re.sub(r" #.*", "", (ROOT / "mkdocs.yml").read_text("utf-8"))
PAGE = re.compile(r"[\w/*.-]+\.md\b")


def part_of_settings(begin: str, end: str) -> list[str]:
    """Return the pages that a part of the settings names."""
    return PAGE.findall(TEXT.partition(begin)[2].partition(end)[0])


def test_llms_txt_has_every_page() -> None:
    """A page that is missing there is hidden from people who ask an assistant."""
    pages = part_of_settings("\nnav:\n", "\ntheme:\n")
    named = part_of_settings("\n      sections:\n", "\n  - mkdocstrings:\n")
    assert len(pages) > 20
    assert [page for page in pages if not any(fnmatch.fnmatch(page, pattern) for pattern in named)] == []
