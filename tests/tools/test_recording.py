"""What is recorded of the SQL that runs: from which line, and what is called N+1."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import ForeignKey, create_engine, event, insert, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

from loadplan import Loader, LoadPlan, load
from loadplan.pytest_plugin import record_statements
from loadplan.sqlalchemy_internals import has_transaction_hooks
from loadplan.tools.recording import Statements, table_of
from support import tables


class Base(DeclarativeBase):
    """Two classes."""


class Pond(Base):
    __tablename__ = "pond"
    id: Mapped[int] = mapped_column(primary_key=True)
    frogs: Mapped[list["Frog"]] = relationship(back_populates="pond")


class Frog(Base):
    __tablename__ = "frog"
    id: Mapped[int] = mapped_column(primary_key=True)
    pond_id: Mapped[int] = mapped_column(ForeignKey("pond.id"))
    pond: Mapped[Pond] = relationship(back_populates="frogs")


def line_of(marker: str) -> str:
    """File and number of the line of this file that ends with a marker."""
    lines = Path(__file__).read_text("utf-8").splitlines()
    (number,) = [number for number, line in enumerate(lines, start=1) if line.endswith(f"# {marker}")]
    return f"test_recording.py:{number}"


def where(statements: Statements) -> list[str]:
    """File and line of each statement, without the folder and the function."""
    return [each.where.rpartition("/")[2].partition(" ")[0] for each in statements]


async def test_a_call_that_is_its_own_task_has_no_line(sqlite: AsyncEngine) -> None:
    """No line of the caller is on its stack: only the event loop, and the plugin or server that started the loop."""
    async with tables(sqlite, Base.metadata):
        loader = Loader(sqlite)
        with record_statements() as statements:
            await asyncio.gather(loader.fetch_all(LoadPlan(Pond)), loader.count(Pond))
            await asyncio.create_task(loader.fetch_all(LoadPlan(Pond)))
        assert [each.where for each in statements] == ["unknown"] * 3
        with record_statements() as statements:
            await asyncio.gather(*[named(loader) for _ in range(2)])
        assert where(statements) == [line_of("in a gathered coroutine")] * 2


async def named(loader: Loader) -> None:
    await loader.fetch_all(LoadPlan(Pond))  # in a gathered coroutine


async def test_lines_of_coroutines(sqlite: AsyncEngine) -> None:
    """Across greenlets: directly, in a task of its own, in run_sync, and through the loader."""

    async def in_a_task(connection: AsyncConnection) -> None:
        await connection.execute(text("SELECT 2"))  # task

    def synchronous(connection: Any) -> None:
        connection.execute(text("SELECT 3"))  # run_sync

    async with tables(sqlite, Base.metadata), sqlite.connect() as connection:
        with record_statements() as statements:
            await connection.execute(text("SELECT 1"))  # direct
            await asyncio.create_task(in_a_task(connection))
            await connection.run_sync(synchronous)
            await Loader(connection).fetch_all(LoadPlan(Pond, load(Pond.frogs)))  # loader
    assert where(statements) == [line_of(each) for each in ("direct", "task", "run_sync", "loader")]
    assert [each.where.rpartition(" in ")[2] for each in statements][:3] == [
        "test_lines_of_coroutines",
        "in_a_task",
        "synchronous",
    ]


def test_lines_of_synchronous_code() -> None:
    """Also on connections that were open before; lazy loads name the line that touched the attribute."""
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Frog(id=1, pond=Pond(id=1)))
        session.commit()
        frog = session.get_one(Frog, 1)
        with record_statements() as statements:
            assert frog.pond.id == 1  # lazy
    engine.dispose()
    assert where(statements) == [line_of("lazy")]


async def test_on_postgresql(postgres: AsyncEngine) -> None:
    """The same through asyncpg; BEGIN is no statement of anybody's."""
    with record_statements() as statements:
        async with postgres.begin() as connection:
            await connection.execute(text("SELECT 1"))  # asyncpg
    assert (statements.texts, where(statements)) == (["SELECT 1"], [line_of("asyncpg")])


async def test_failures_are_recorded_and_savepoints_are_not(sqlite: AsyncEngine) -> None:
    with record_statements() as statements:
        async with sqlite.begin() as connection:
            async with connection.begin_nested():
                await connection.execute(text("SELECT 1"))
            with pytest.raises(OperationalError):
                await connection.execute(text("SELECT missing FROM nowhere"))  # failing
    assert [(each.text, each.failed) for each in statements] == [
        ("SELECT 1", False),
        ("SELECT missing FROM nowhere", True),
    ]
    assert where(statements)[1] == line_of("failing")


async def test_nothing_is_recorded_afterwards(sqlite: AsyncEngine) -> None:
    """And no listener stays."""
    with record_statements() as statements:
        pass
    async with sqlite.connect() as connection:
        await connection.execute(text("SELECT 1"))
        assert not event.contains(type(sqlite.sync_engine), "after_cursor_execute", record_statements)
    assert (statements.count, str(statements)) == (0, "no statements")


async def test_watching_does_not_change_what_the_loader_does(postgres: AsyncEngine) -> None:
    """A listener before each statement would have it open a transaction for a single one; these come after."""
    async with AsyncSession(postgres) as session:
        with record_statements():
            assert not has_transaction_hooks(session.sync_session, postgres.sync_engine)


async def with_ponds(session: AsyncSession, number: int) -> None:
    await session.execute(insert(Pond), [{"id": each} for each in range(number)])
    await session.execute(insert(Frog), [{"id": each, "pond_id": each} for each in range(number)])


async def test_n_plus_one_is_named(sqlite: AsyncEngine) -> None:
    """The table, how often, and the line; twice is not enough, and the same parameters again are not it."""
    async with tables(sqlite, Base.metadata), AsyncSession(sqlite) as session:
        await with_ponds(session, 4)
        with record_statements() as statements:
            for number in (0, 0, 0, 1):
                await session.execute(select(Frog.id).where(Frog.pond_id == number))
        statements.assert_no_n_plus_one()
        with record_statements() as statements:
            for number in range(4):
                await session.execute(select(Frog.id).where(Frog.pond_id == number))  # loop
    line = next(iter(statements)).where
    assert line.rpartition("/")[2] == f"{line_of('loop')} in test_n_plus_one_is_named"
    with pytest.raises(AssertionError) as caught:
        statements.assert_no_n_plus_one()
    assert str(caught.value).splitlines() == [
        "the same query ran again and again:",
        f"4 times from table 'frog' at {line}",
        "    SELECT frog.id FROM frog WHERE frog.pond_id = ?",
    ]
    statements.assert_no_n_plus_one(times=5)
    with pytest.raises(AssertionError) as caught:
        statements.assert_count(1)
    assert str(caught.value) == (
        f"4 statements instead of 1:\nSELECT frog.id FROM frog WHERE frog.pond_id = ?\n    at {line}  4 times"
    )


async def test_keys_in_chunks_are_no_n_plus_one(sqlite: AsyncEngine) -> None:
    """Three statements of 500 keys each are one question; so are inserts, one by one, none at all."""
    async with tables(sqlite, Base.metadata), AsyncSession(sqlite) as session:
        with record_statements() as statements:
            await with_ponds(session, 1500)
            (await session.scalars(select(Pond).options(selectinload(Pond.frogs)))).all()
            for number in range(4):
                await session.execute(insert(Pond).values(id=2000 + number))
    assert sum("IN (" in each for each in statements.texts) == 3
    statements.assert_no_n_plus_one()


async def test_clear_forgets(sqlite: AsyncEngine) -> None:
    with record_statements() as statements:
        async with sqlite.connect() as connection:
            await connection.execute(text("SELECT 1"))
            statements.clear()
            await connection.execute(text("SELECT 2"))
    statements.assert_count(1)
    assert len(statements) == 1
    assert repr(statements) == "<1 statement>"


@pytest.mark.parametrize(
    ("sql", "table"),
    [
        ("SELECT a FROM posts", "posts"),
        ('SELECT a FROM "order" AS o', "order"),
        ('SELECT a FROM "shop"."order"', "shop.order"),
        ("SELECT (SELECT count(*) FROM inner_one) AS n, b\nFROM posts, tags", "posts"),
        ("WITH x AS (SELECT 1 FROM y) SELECT * FROM x", "x"),
        ("SELECT a FROM (SELECT 1) AS s", "a subquery"),
        ("SELECT 1", "?"),
    ],
)
def test_the_table_of_a_query(sql: str, table: str) -> None:
    assert table_of(sql) == table
