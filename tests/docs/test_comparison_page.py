"""docs/comparison.md: each claim leads to its proof, those about loadplan to a page whose code runs."""

import re

import pytest
from pages import ROOT, examples_of

PAGE = ROOT / "docs" / "comparison.md"
TEXT = PAGE.read_text("utf-8")
DEFINED = dict(re.findall(r"^\[([\w-]+)\]: (\S+)$", TEXT, re.MULTILINE))
NOTES = dict(re.findall(r"^\[\^([\w-]+)\]: \[[^\]]+\]\((https://\S+)\)$", TEXT, re.MULTILINE))
NOTE = re.compile(r"(?<=\S)\[\^([\w-]+)\]")
REFERENCE = re.compile(r"\]\[([\w-]+)\]")
LINK = re.compile(r"\]\(\S+\)")
LOCAL = re.compile(r"\]\(([\w/-]+\.md)")


def rows() -> list[list[str]]:
    """Return the cells of each row of the tables; a stroke within a cell's code would split it."""
    lines = [line for line in TEXT.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


ROWS = [row for row in rows() if row[0] not in {"", "---"}]


def pages_of(cell: str) -> set[str]:
    """Return the pages of this project that a cell links to."""
    named = {DEFINED[name].partition("#")[0] for name in REFERENCE.findall(cell)}
    return set(LOCAL.findall(cell)) | {address for address in named if address.endswith(".md")}


def test_references_and_addresses_are_the_same() -> None:
    """A reference without an address would be printed as it is; an address that nobody names is left over."""
    assert set(REFERENCE.findall(TEXT)) == set(DEFINED)
    assert set(NOTE.findall(TEXT)) == set(NOTES)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_what_is_said_of_loadplan_leads_to_code_that_runs(row: list[str]) -> None:
    """A dash claims nothing."""
    if row[1] != "\N{EN DASH}":
        found = pages_of(row[1])
        assert found
        assert all(any(examples_of(ROOT / "docs" / page)) or page == "index.md" for page in found)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_what_is_said_of_others_leads_to_its_proof(row: list[str]) -> None:
    """A footnote leads to their documentation, their source or an issue; or a link to a page that shows it.

    A cell is words with a mark, and no link to elsewhere: a table of links would be hard to read.
    """
    for cell in row[2:]:
        assert NOTE.search(cell) or LINK.search(cell), cell
        assert set(LINK.findall(cell)) == {f"]({each})" for each in re.findall(r"\]\((migrating/\S+?)\)", cell)}


def test_rows_are_whole() -> None:
    """Every row has a cell for each column."""
    assert len(ROWS) > 25
    assert {len(row) for row in ROWS} == {6}
