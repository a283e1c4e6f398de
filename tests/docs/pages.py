"""Markdown pages as programs: their code blocks, and what the text blocks behind them say those print."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import attrs

_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
_TITLE = re.compile(r'title="([^"]+)"')


@attrs.frozen
class Block:
    """One Python block of a page.

    Attributes:
        page: the file.
        line: of the file, at which the code begins.
        code: as printed on the page.
        title: a file name, where the block is a file of its own.
        shown: what the page says it prints, raises or both; None where it says nothing.
    """

    page: Path
    line: int
    code: str
    title: str | None
    shown: str | None


def python_blocks(page: Path) -> Iterator[Block]:
    """Yield the Python blocks of a page; a text block that comes next is what it shows."""
    text = page.read_text(encoding="utf-8")
    fences = [(match, _info(match)) for match in _FENCE.finditer(text)]
    for index, (match, (language, title)) in enumerate(fences):
        if language != "python":
            continue
        following = fences[index + 1] if index + 1 < len(fences) else None
        shown = _body(following[0]) if following is not None and following[1][0] == "text" else None
        line = text.count("\n", 0, match.start("body")) + 1
        yield Block(page, line, _body(match), title, shown)


def _info(match: re.Match[str]) -> tuple[str, str | None]:
    language, _, rest = match["info"].partition(" ")
    title = _TITLE.search(rest)
    return language, None if title is None else title[1]


def _body(match: re.Match[str]) -> str:
    return textwrap.dedent(match["body"])
