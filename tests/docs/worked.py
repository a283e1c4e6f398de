"""The worked example: a page that writes files, changes them and types commands, in the order of the page."""

import importlib.metadata
import multiprocessing
import os
import runpy
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs
from pages import WORKED, Block, blocks_of

from support import LIGHT_PYTEST

#: What the commands import, of which each takes long.
IMPORTED = ["loadplan", "asyncpg", "sqlalchemy.ext.asyncio", "alembic.operations", "typer", "rich.console", "pytest"]


@attrs.frozen
class Typed:
    """A command of the page, what the page shows below it, what it printed, and its exit status."""

    block: Block
    shown: str | None
    printed: str
    status: int


def run_page(folder: Path, database: str) -> Iterator[Typed]:
    """Do what the page does, in an empty folder, and yield each command when it has run."""
    blocks = blocks_of(WORKED)
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        if block.title is not None:
            write(folder, block)
        elif block.language == "sh":
            shown = following.code if following is not None and following.language == "text" else None
            output, status = typed(block.code.strip(), folder, database)
            printed = "".join(line.rstrip() + "\n" for line in output.splitlines())
            yield Typed(block, shown, printed, status)
        else:
            assert block.language == "text", f"{block.where}: neither a file nor a command"


def write(folder: Path, block: Block) -> None:
    """Write a file, or change one that is there."""
    assert block.title is not None
    path = folder / block.title
    if block.language == "diff":
        path.write_text(changed(path.read_text("utf-8"), block.code), "utf-8")
    else:
        path.parent.mkdir(exist_ok=True)
        path.write_text(block.code, "utf-8")


def changed(text: str, diff: str) -> str:
    """Return a text as a diff leaves it, whose parts are divided by ``@@``; each part fits one place alone."""
    for part in diff.split("@@\n"):
        lines = part.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] in " -")
        after = "".join(line[1:] for line in lines if line[0] in " +")
        places = f"\n{text}".count(f"\n{before}")
        assert places == 1, f"there are {places} places like\n{before}"
        text = f"\n{text}".replace(f"\n{before}", f"\n{after}")[1:]
    return text


def typed(command: str, folder: Path, database: str) -> tuple[str, int]:
    """Run a command in that folder as a shell would, and return what it prints and its exit status.

    It runs in a fork of a process that has imported the large libraries already.
    """
    environment = {"COLUMNS": "88", "NO_COLOR": "1", "DATABASE_URL": database, "PYTEST_ADDOPTS": LIGHT_PYTEST}
    words = [environment["DATABASE_URL"] if word == "$DATABASE_URL" else word for word in shlex.split(command)]
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(IMPORTED)
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as output:
        process = forks.Process(target=run, args=(words, folder, environment, output.name))
        process.start()
        process.join()
        assert process.exitcode is not None
        return output.read(), process.exitcode


def run(words: Sequence[str], folder: Path, environment: Mapping[str, str], output: str) -> None:
    """Be the command: in its folder, with its environment, and with an output that can be read later."""
    descriptor = os.open(output, os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8", buffering=1) for number in (1, 2))
    os.chdir(folder)
    for name in [name for name in os.environ if name.startswith(("PYTEST_", "COV_"))]:
        del os.environ[name]
    os.environ.update(environment)
    sys.path.insert(0, str(folder))
    match words:
        case ["python", "-m", module]:
            sys.argv = [module]
            runpy.run_module(module, run_name="__main__")
        case [name, *_]:
            sys.argv = list(words)
            (script,) = importlib.metadata.entry_points(group="console_scripts", name=name)
            sys.exit(script.load()())
