"""The shell commands on the pages are real: those of loadplan print what the page shows, others lead somewhere."""

import asyncio
import doctest
import os
import re
import shlex
import subprocess
import sys
import tomllib
import uuid
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from pages import PAGES, ROOT, WORKED, Block, blocks_of
from sqlalchemy import URL

from benchmarks.parts import PARTS
from support import execute

HERE = Path(__file__).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
GROUPS = PROJECT["dependency-groups"]
REQUIREMENT = re.compile(r"^(?:path/to/)?loadplan(?:\[(?P<extra>\w+)\])?$")


@attrs.frozen
class Command:
    """A line that is typed, and what the page shows below it."""

    block: Block
    words: list[str]
    shown: str


def commands() -> Iterator[Command]:
    """Yield the commands of all pages, one a line; a text block that comes next is what the command before prints.

    Those of the worked example need each other, and test_worked_example.py runs them.
    """
    for page in (each for each in PAGES if each != WORKED):
        blocks = blocks_of(page)
        for at, block in enumerate(blocks):
            following = blocks[at + 1] if at + 1 < len(blocks) else None
            if block.language == "sh":
                typed = block.code.splitlines()
                shown = following.code if following is not None and following.language == "text" else ""
                assert not shown or len(typed) == 1, f"{block.where}: which of the commands prints that?"
                yield from (Command(block, shlex.split(each), shown) for each in typed)


ALL = list(commands())


def label(command: Command) -> str:
    return f"{command.block.where} {' '.join(command.words)}"


def scripts_of(page: Path) -> dict[str, str]:
    """Return the files that a page writes, by name."""
    return {block.title: block.code for block in blocks_of(page) if block.title is not None}


def runs_here(command: Command) -> bool:
    """Tell commands that this process's Python can run: loadplan's own, and scripts that the page writes."""
    return command.words[0] == "loadplan" or command.words[:3] == ["uv", "run", "--with"]


#: The tables of the shop as migrations have left them: a column has another name, and an index is missing.
MIGRATED = (
    "CREATE TABLE customers (id integer PRIMARY KEY)",
    "CREATE TABLE orders (id integer PRIMARY KEY, client_id integer REFERENCES customers)",
    "CREATE TABLE lines (id integer PRIMARY KEY, order_id integer NOT NULL REFERENCES orders)",
    "CREATE INDEX ix_orders_customer_id ON orders (client_id)",
)


@pytest.fixture(scope="session")
def shop_database(server_url: URL) -> Iterator[str]:
    """The database that the pages call ``$DATABASE_URL``."""
    name = f"loadplan_shop_{uuid.uuid4().hex[:12]}"
    asyncio.run(execute(server_url, f"CREATE DATABASE {name}"))
    url = server_url.set(database=name)
    asyncio.run(execute(url, *MIGRATED))
    yield url.render_as_string(hide_password=False)
    asyncio.run(execute(server_url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.mark.parametrize("command", [each for each in ALL if runs_here(each)], ids=label)
def test_commands_print_what_the_page_shows(command: Command, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Commands of loadplan run beside the package ``shop``, scripts beside the other files of their page."""
    if command.words[0] == "loadplan":
        database = request.getfixturevalue("shop_database") if "$DATABASE_URL" in command.words else ""
        words = [database if word == "$DATABASE_URL" else word for word in command.words]
        folder, arguments = HERE, ["-m", *words]
    else:
        requirement, script = command.words[3:]
        assert_installs(requirement)
        folder, arguments = tmp_path, [script]
        for name, code in scripts_of(command.block.page).items():
            (tmp_path / name).write_text(code, encoding="utf-8")
    done = subprocess.run(  # noqa: S603 - the pages are ours
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "120", "NO_COLOR": "1"},
    )
    printed = "".join(line.rstrip() + "\n" for line in (done.stdout + done.stderr).splitlines())
    same = doctest.OutputChecker().check_output(command.shown, printed, doctest.ELLIPSIS)
    assert same, f"{command.block.where} shows\n{command.shown}\nbut prints\n{printed}"


@pytest.mark.parametrize("command", [each for each in ALL if not runs_here(each)], ids=label)
def test_other_commands_lead_somewhere(command: Command) -> None:
    """A script is there; what is installed is loadplan, with extras that it has. Nothing else is typed."""
    assert command.shown == "", f"{command.block.where}: output that nothing compares"
    match command.words:
        case ["uv", "run", "python", script, *_]:
            assert (ROOT / script).is_file()
        case ["uv", "run", "--group", group, "python", "-m", "benchmarks", *arguments]:
            assert group in GROUPS
            assert {each for each in arguments[:1] if not each.startswith("-")} <= {*PARTS, "list", "run"}
        case ["uv", "run", "--group", "docs", "python", "-m", "zensical", "serve" | "build", *_]:
            pass
        case ["uv", "run", "pytest"] | ["pytest", "--loadplan-unread" | "--loadplan-learn"]:
            pass
        case ["uv", "add", requirement] | ["pip", "install", requirement]:
            assert_installs(requirement)
        case _:
            pytest.fail(f"{command.block.where}: {command.words} is not tried")


def assert_installs(requirement: str) -> None:
    """Hold that a requirement is loadplan, without an extra or with one that it has."""
    found = REQUIREMENT.match(requirement)
    assert found is not None
    assert found["extra"] is None or found["extra"] in EXTRAS


def test_there_are_commands() -> None:
    """Both kinds are on the pages."""
    assert {each.words[0] for each in ALL} >= {"loadplan", "uv", "pip"}
