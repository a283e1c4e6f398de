"""docs/which-call.md has a row for every call of the loaders."""

import re

from pages import ROOT

from loadplan import Loader, SyncLoader

PAGE = (ROOT / "docs" / "which-call.md").read_text("utf-8")
ROW = re.compile(r"^\| .+? \| `(?:await )?(\w+)\(.*\)` \|", re.MULTILINE)


def calls_of(loader: type) -> set[str]:
    """Return the names of its public methods."""
    return {name for name in dir(loader) if callable(getattr(loader, name)) and not name.startswith("_")}


def test_every_call_has_a_row() -> None:
    """Each once, and no row is for a call that is not there."""
    rows = ROW.findall(PAGE.partition("## All of them once")[0])
    assert len(rows) == len(set(rows))
    assert set(rows) == calls_of(Loader)


def test_what_the_page_says_of_both_loaders() -> None:
    """Only ``Loader`` has ``batched``."""
    assert calls_of(Loader) - calls_of(SyncLoader) == {"batched"}


def test_every_call_is_used_on_the_page() -> None:
    """The example below the table uses each of them."""
    used = set(re.findall(r"\b(?:loader|Loader\(session\))\.(\w+)\(", PAGE.partition("## This call or that one?")[0]))
    assert calls_of(Loader) - used == set()
