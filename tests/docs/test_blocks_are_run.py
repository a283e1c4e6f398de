"""No block of a page escapes: each is run, compared, or marked as another system's code."""

import re

import pytest
from pages import DJANGO, FOREIGN, PAGES, README, ROOT, TESTING, WORKED, Block, blocks_of, page_id

from loadplan.tools.settings import Settings, read_settings

#: The files of the start, in the order of the page.
STARTS = ("blog.py", "rows.py", "start.py", "view.py", "error.py")
#: Where another system's code may stand.
MIGRATION = ROOT / "docs" / "migrating"
#: The beginning of a list's item, whose further paragraphs are indented.
ITEM = re.compile(r"(?:[-*]|\d+\.) ")
PATH = re.compile(r"(?<![\w/])(?:examples|benchmarks|tests|src)/[\w/.-]*\w")

pages = pytest.mark.parametrize("page", PAGES, ids=page_id)


@pages
def test_every_fence_is_found(page) -> None:
    """What looks like the edge of a block is the edge of one that the tests see, and code has no other form."""
    text = page.read_text("utf-8")
    edges = [line for line in text.splitlines() if line.lstrip(" >").startswith(("```", "~~~"))]
    assert len(edges) == 2 * len(blocks_of(page))
    outside = text
    for block in reversed(blocks_of(page)):
        outside = outside[: block.start] + outside[block.end :]
    assert "<pre" not in outside
    assert indented(outside) == []


@pages
def test_every_block_is_of_a_kind_that_is_tested(page, tmp_path) -> None:
    """Python and commands are run, settings read, text is what one of them shows; all else is marked."""
    before: Block | None = None
    for block in blocks_of(page):
        if FOREIGN in block.marks:
            assert MIGRATION in page.parents, f"{block.where}: another system's code"
            assert block.title, f"{block.where}: the title names the system"
            assert block.language != "python", f"{block.where}: Python runs here, whatever system it is for"
        elif block.language == "text":
            assert before is not None, f"{block.where}: text that nothing prints"
            assert before.language in {"python", "sh"}, f"{block.where}: text behind a block that is not run"
            assert block.code.replace("...", "").strip(), f"{block.where}: any output would do"
        elif block.language == "toml" and page == TESTING:
            assert block.code.startswith("[tool.pytest.ini_options]\n"), block.where  # test_testing_page.py runs pytest
        elif block.language == "toml":
            (tmp_path / "pyproject.toml").write_text(block.code, encoding="utf-8")
            assert read_settings(tmp_path) != Settings(), f"{block.where}: it sets nothing"
        else:
            tested = {"python", "sh", "diff"} if page == WORKED else {"python", "sh"}
            assert block.language in tested, f"{block.where}: {block.language!r} is not tested"
            assert set(block.marks) <= {DJANGO}, f"{block.where}: {block.marks}"
        before = block


@pages
def test_only_the_start_has_files(page) -> None:
    """A block whose title is a file name is run as that file: in the start, and all through the worked example."""
    if page == WORKED:
        return
    files = [block.title for block in blocks_of(page) if block.title is not None and block.title.endswith(".py")]
    assert files == (list(STARTS) if page == README else [])


@pages
def test_files_that_pages_name_exist(page) -> None:
    """A path into the project leads somewhere, or to a file that the page itself writes."""
    named = {path.rstrip(".") for path in PATH.findall(page.read_text("utf-8"))}
    written = {block.title for block in blocks_of(page)}
    assert {path for path in named if not (ROOT / path).exists()} - written == set()


def indented(text: str) -> list[str]:
    """Return the lines that Markdown takes for code because they are indented and in no list."""
    found, in_list, empty = [], False, True
    for line in text.splitlines():
        if line and not line.startswith(" "):
            in_list = ITEM.match(line) is not None or (in_list and not empty)
        elif empty and line.startswith("    ") and not in_list:
            found.append(line)
        empty = not line
    return found


def test_indented_code_is_found() -> None:
    """It is found where it is code, and a list's paragraphs are none."""
    assert indented("text\n\n    code\n") == ["    code"]
    assert indented("- item\n\n    its paragraph\n") == []
    assert indented("- item\n\ntext\n\n    code\n") == ["    code"]
