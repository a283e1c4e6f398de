"""The plugin in suites of others: found by its entry point, with pytest-asyncio and with anyio, light when unused."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import loadplan

#: A suite finds the plugin by its entry point; where the package lies on the path uninstalled, it is named.
PLUGIN = [] if entry_points(group="pytest11", name="loadplan") else ["-p", "pytest_loadplan"]

SUITE = """
import pytest
from sqlalchemy import ForeignKey, StaticPool, insert, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Pond(Base):
    __tablename__ = "pond"
    id: Mapped[int] = mapped_column(primary_key=True)


async def ask_each(session):
    for number in range(5):
        await session.execute(select(Pond).where(Pond.id == number))


MARK

async def test_fine(statements):
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    statements.clear()
    async with AsyncSession(engine) as session:
        await session.execute(insert(Pond), [{"id": 1}, {"id": 2}])
        await session.execute(select(Pond))
    statements.assert_count(2)
    assert statements.texts[1].startswith("SELECT pond.id")
    statements.assert_no_n_plus_one()
    await engine.dispose()


MARK

async def test_n_plus_one(statements):
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        await ask_each(session)
    await engine.dispose()
    statements.assert_no_n_plus_one()
"""

ASYNCIO = "@pytest.mark.asyncio"
ANYIO = '@pytest.mark.anyio\n@pytest.mark.parametrize("anyio_backend", ["asyncio"])'


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is found from the folder of a suite as it is found from here."""
    monkeypatch.setenv("PYTHONPATH", str(Path(loadplan.__file__).parents[1]), prepend=os.pathsep)


@pytest.mark.parametrize("mark", [ASYNCIO, ANYIO], ids=["pytest-asyncio", "anyio"])
def test_with_either_runner(mark: str, pytester: pytest.Pytester) -> None:
    """One test passes; the other one fails with the table and the line of the loop, and no line of the plugin."""
    pytester.makepyfile(test_ponds=SUITE.replace("MARK\n", mark))
    done = pytester.runpytest_subprocess(*PLUGIN, "-p", "no:cacheprovider")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(
        [
            "E*AssertionError: the same query ran again and again:",
            "E*5 times from table 'pond' at test_ponds.py:18 in ask_each",
            "E*    SELECT pond.id FROM pond WHERE pond.id = ?",
        ]
    )
    done.stdout.no_fnmatch_line("*recording.py*")


def test_a_suite_with_a_fixture_of_that_name_keeps_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "import pytest\n@pytest.fixture\ndef statements(): return 7\ndef test_it(statements): assert statements == 7"
    )
    pytester.runpytest_subprocess(*PLUGIN).assert_outcomes(passed=1)


def test_a_suite_that_does_not_use_it_imports_nothing(pytester: pytest.Pytester) -> None:
    """Neither loadplan nor SQLAlchemy."""
    pytester.makepyfile(
        "import sys\n"
        "def test_it():\n"
        "    assert 'pytest_loadplan' in sys.modules\n"
        "    assert not {'loadplan', 'sqlalchemy'} & set(sys.modules)\n"
    )
    pytester.runpytest_subprocess(*PLUGIN, "-W", "error", "-p", "no:asyncio").assert_outcomes(passed=1)


def test_it_can_be_turned_off(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(statements): pass")
    name = "no:loadplan" if not PLUGIN else "no:pytest_loadplan"
    done = pytester.runpytest_subprocess("-p", name)
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*fixture 'statements' not found*"])


def test_the_plugin_imports_pytest_alone() -> None:
    source = str(Path(loadplan.__file__).parents[1])
    code = (
        f"import sys; sys.path.insert(0, {source!r}); import pytest; before = set(sys.modules); "
        "import pytest_loadplan; print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout == "['pytest_loadplan']\n"
