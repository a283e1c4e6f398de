"""docs/worked-example.md: its files are written, its commands are run, and they print what the page shows."""

import asyncio
import doctest
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL
from worked import changed, run_page

from support import execute


@pytest.fixture
def database(server_url: URL) -> Iterator[str]:
    """An empty database, which the page calls ``$DATABASE_URL``."""
    name = f"loadplan_helpdesk_{uuid.uuid4().hex[:12]}"
    asyncio.run(execute(server_url, f"CREATE DATABASE {name}"))
    yield server_url.set(database=name).render_as_string(hide_password=False)
    asyncio.run(execute(server_url, f"DROP DATABASE {name} WITH (FORCE)"))


def test_the_page_does_what_it_shows(tmp_path: Path, database: str) -> None:
    """Every command prints what stands below it; one with nothing below it succeeds."""
    tried = 0
    for each in run_page(tmp_path, database):
        tried += 1
        where = f"{each.block.where}: {each.block.code.strip()}"
        if each.shown is None:
            assert (each.status, each.printed) == (0, ""), where
        else:
            same = doctest.OutputChecker().check_output(each.shown, each.printed, doctest.ELLIPSIS)
            assert same, f"{where} shows\n{each.shown}\nbut prints\n{each.printed}"
    assert tried > 10


def test_a_diff_changes_one_place() -> None:
    """Lines are kept, taken away and put in; what fits no place, or two, is no change."""
    assert changed("a\n  b\nc\n", "-  b\n+  d\n") == "a\n  d\nc\n"
    assert changed("a\nb\n", " a\n+c\n@@\n-b\n") == "a\nc\n"
    for text in ("a\nb\na\nb\n", "b\n"):
        with pytest.raises(AssertionError, match="places like"):
            changed(text, "-a\n+c\n")
