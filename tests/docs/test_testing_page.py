"""The options for pytest that the page on tests shows give all tests and fixtures one event loop."""

import os
import subprocess
import sys
from pathlib import Path

from pages import TESTING, blocks_of

TESTS = """
import asyncio

import pytest

loops = []


@pytest.fixture
async def looped():
    loops.append(asyncio.get_running_loop())


async def test_first(looped):
    loops.append(asyncio.get_running_loop())


async def test_second(looped):
    loops.append(asyncio.get_running_loop())
    assert len(loops) == 4
    assert len(set(loops)) == 1
"""


def run(folder: Path, options: str) -> subprocess.CompletedProcess[str]:
    """Run two tests in a folder with these options."""
    (folder / "pyproject.toml").write_text(options, encoding="utf-8")
    (folder / "test_loops.py").write_text(TESTS, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "--strict-config", "-p", "no:cacheprovider"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(  # noqa: S603 - the page is ours
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_options_of_the_page(tmp_path: Path) -> None:
    """Two tests and a fixture share a loop. Without any one of the options, they do not."""
    [options] = [block.code for block in blocks_of(TESTING) if block.language == "toml"]
    done = run(tmp_path, options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    for name in ("asyncio_mode", "asyncio_default_test_loop_scope", "asyncio_default_fixture_loop_scope"):
        without = "".join(line for line in options.splitlines(keepends=True) if not line.startswith(name))
        assert without != options
        assert run(tmp_path, without).returncode != 0, name
