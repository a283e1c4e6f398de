"""Markdown pages as programs: their code blocks, and what the text blocks behind them say those print."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
WORKED = ROOT / "docs" / "worked-example.md"
TESTING = ROOT / "docs" / "testing.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]

#: Classes of a block's own that say whose code it is: run as another library's, or in a language that is not Python.
DJANGO, FOREIGN = "django", "foreign"

_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
_GRID = re.compile(r'^<div class="grid[^>]*>$.*?^</div>$', re.DOTALL | re.MULTILINE)
_TITLE = re.compile(r'title="([^"]+)"')
_CLASS = re.compile(r"(?:^|\s)\.([\w-]+)")


@attrs.frozen
class Block:
    """One code block of a page.

    Attributes:
        page: the file.
        line: of the file, at which the code begins.
        code: as printed on the page.
        language: its first word, or the first class in braces.
        marks: the further classes in braces.
        title: what stands above it; a file name in the start.
        start, end: where the fence begins and ends in the text of the page.
    """

    page: Path
    line: int
    code: str
    language: str
    marks: tuple[str, ...]
    title: str | None
    start: int
    end: int

    @property
    def where(self) -> str:
        """Return the place for a message."""
        return f"{page_id(self.page)}:{self.line}"


@attrs.frozen
class Example:
    """A Python block that runs, and what the page says it prints, raises or both; None where it says nothing."""

    block: Block
    shown: str | None


def page_id(page: Path) -> str:
    """Return the path of a page within the project."""
    return page.relative_to(ROOT).as_posix()


def blocks_of(page: Path) -> list[Block]:
    """Return all fenced blocks of a page, in whatever language."""
    text = page.read_text(encoding="utf-8")
    return [_block(page, text, match) for match in _FENCE.finditer(text)]


def examples_of(page: Path) -> Iterator[Example]:
    """Yield the Python blocks of a page; a text block that comes next is what each shows.

    Blocks side by side, in one grid, do the same: what comes next after the grid is what each of them shows.
    """
    text = page.read_text(encoding="utf-8")
    blocks = blocks_of(page)
    grids = [match.span() for match in _GRID.finditer(text)]
    for index, block in enumerate(blocks):
        if block.language == "python":
            yield Example(block, _shown(block, blocks[index + 1 :], grids))


def _shown(block: Block, following: Sequence[Block], grids: Sequence[tuple[int, int]]) -> str | None:
    end = next((end for start, end in grids if start < block.start < end), 0)
    beyond = next((each for each in following if each.start > end), None)
    return beyond.code if beyond is not None and beyond.language == "text" else None


def _block(page: Path, text: str, match: re.Match[str]) -> Block:
    info = match["info"].strip()
    title = _TITLE.search(info)
    words = _CLASS.findall(info.strip("{}")) if info.startswith("{") else info.split(" ")[:1]
    language, *marks = words or [""]
    line = text.count("\n", 0, match.start("body")) + 1
    code = textwrap.dedent(match["body"])
    return Block(page, line, code, language, tuple(marks), title and title[1], match.start(), match.end())
