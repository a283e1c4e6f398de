"""What the site's generator does not check: that images exist, and that no link leaves the folder of the pages."""

import re
from pathlib import Path

import pytest
from pages import PAGES, README, blocks_of, page_id

IMAGE = re.compile(r'!\[[^\]]*\]\((?P<markdown>[^)\s]+)|<img[^>]+src="(?P<html>[^"]+)"')
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)")
ELSEWHERE = re.compile(r"[a-z]+:")

pages = pytest.mark.parametrize("page", PAGES, ids=page_id)


def prose(page: Path) -> str:
    """Return the text of a page without its code blocks."""
    text = page.read_text(encoding="utf-8")
    for block in reversed(blocks_of(page)):
        text = text[: block.start] + text[block.end :]
    return text


def files_named(text: str, pattern: re.Pattern[str]) -> set[str]:
    """Return the local files that links or images of a text name, without anchors."""
    named = {next(filter(None, match.groups())) for match in pattern.finditer(text)}
    return {each.partition("#")[0] for each in named if not ELSEWHERE.match(each)} - {""}


@pages
def test_images_exist(page: Path) -> None:
    """An image that is missing would be a hole in the page; the build says nothing."""
    assert {each for each in files_named(prose(page), IMAGE) if not (page.parent / each).is_file()} == set()


@pages
def test_links_lead_to_files_that_the_site_has(page: Path) -> None:
    """A link to a file outside of docs/ works in a checkout and is dead on the site."""
    root = page.parent if page == README else README.parent / "docs"
    for each in files_named(prose(page), LINK):
        target = (page.parent / each).resolve()
        assert target.exists(), each
        assert target.is_relative_to(root), each


def test_there_are_images_and_links() -> None:
    """The patterns find what they look for."""
    assert any(files_named(prose(page), IMAGE) for page in PAGES)
    assert all(files_named(prose(page), LINK) for page in PAGES if page.stem in {"index", "README"})
    assert files_named("![a](no.png#only-light) [b](x.md#c) [d](https://e.org)", IMAGE) == {"no.png"}
    assert files_named("![a](no.png#only-light) [b](x.md#c) [d](https://e.org)", LINK) == {"x.md"}
