"""A statement that is asked for again goes to the driver as text, compiled before; what has a say in it keeps it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest
from sqlalchemy import Connection, ForeignKey, Select, column, event, func, select, table, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, ORMExecuteState, Session, mapped_column, relationship
from sqlalchemy.orm import with_loader_criteria as criteria

from loadplan import Loader, LoadPlan, load
from support import recording, server_settings, tables


class Base(DeclarativeBase):
    pass


class Box(Base):
    __tablename__ = "vtx_boxes"
    id: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[int]
    label: Mapped[dict[str, int]] = mapped_column(JSONB)
    things: Mapped[list["Thing"]] = relationship(order_by="Thing.id")


class Thing(Base):
    __tablename__ = "vtx_things"
    id: Mapped[int] = mapped_column(primary_key=True)
    box_id: Mapped[int] = mapped_column(ForeignKey("vtx_boxes.id"), index=True)
    label: Mapped[dict[str, int]] = mapped_column(JSONB)


@attrs.frozen
class ThingView:
    id: int
    label: Any


@attrs.frozen
class BoxView:
    id: int
    label: Any
    things: list[ThingView]


NESTED = LoadPlan(Box, into=BoxView, name="boxes")
BY_LEVEL = LoadPlan(Box, load(Box.things, strategy="selectin"), into=BoxView, name="boxes")

FIRST = BoxView(1, {"a": 1}, [ThingView(1, {"b": 2}), ThingView(2, {"c": 3})])
SECOND = BoxView(2, {}, [])


@pytest.fixture
async def boxes(postgres: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Two boxes, the first with two things."""
    async with tables(postgres, Base.metadata):
        async with AsyncSession(postgres) as session:
            session.add_all([Box(id=1, size=10, label={"a": 1}), Box(id=2, size=20, label={})])
            await session.flush()
            session.add_all([Thing(id=1, box_id=1, label={"b": 2}), Thing(id=2, box_id=1, label={"c": 3})])
            await session.commit()
        yield postgres


@pytest.fixture(params=[NESTED, BY_LEVEL], ids=["nested", "by level"])
def plan(request: pytest.FixtureRequest) -> LoadPlan[BoxView]:
    return request.param


async def test_the_answer_is_the_same_every_time(boxes: AsyncEngine, plan: LoadPlan[BoxView]) -> None:
    """First, second and later fetches send the same text, and bring the same."""
    loader = Loader(boxes)
    sent = []
    for _ in range(4):
        with recording(boxes) as statements:
            assert await loader.fetch(plan, 1) == FIRST
            assert await loader.fetch_many(plan, [2, 1]) == [SECOND, FIRST]
            assert await loader.fetch_all(plan, Box.size > 5, Box.id, limit=2) == [FIRST, SECOND]
        sent.append(list(statements))
    assert all(each == sent[0] for each in sent)


async def test_values_of_conditions_are_those_of_the_call(boxes: AsyncEngine, plan: LoadPlan[BoxView]) -> None:
    """Also in an IN, whose text depends on how many there are."""
    loader = Loader(boxes)
    for _ in range(3):
        assert await loader.fetch_all(plan, Box.size == 10) == [FIRST]
        assert await loader.fetch_all(plan, Box.size == 20) == [SECOND]
        assert await loader.fetch_all(plan, Box.id.in_([1]), Box.id) == [FIRST]
        assert await loader.fetch_all(plan, Box.id.in_([1, 2, 3]), Box.id) == [FIRST, SECOND]
        assert await loader.fetch_all(plan, Box.id.in_([])) == []


async def test_each_engine_reads_and_writes_json_its_own_way(boxes: AsyncEngine, plan: LoadPlan[BoxView]) -> None:
    """One plan, two engines: functions of the first never see values of the second."""
    own = create_async_engine(boxes.url, json_deserializer=lambda value: ("own", _decoded(value)))
    expected = BoxView(1, ("own", '{"a": 1}'), [ThingView(1, ("own", '{"b": 2}')), ThingView(2, ("own", '{"c": 3}'))])
    for _ in range(3):
        assert await Loader(boxes).fetch(plan, 1) == FIRST
        assert await Loader(own).fetch(plan, 1) == expected
        async with AsyncSession(own) as session:
            assert await Loader(session).fetch(plan, 1) == expected
    await own.dispose()


def _decoded(value: str | bytes) -> str:
    """JSON as asyncpg hands it to its reader; psycopg hands over bytes."""
    return value if isinstance(value, str) else value.decode()


async def test_values_pass_by_the_types_of_their_columns(boxes: AsyncEngine) -> None:
    """A condition on JSON: the engine's own serializer writes it."""
    seen: list[Any] = []

    def write(value: Any) -> str:
        seen.append(value)
        return json.dumps(value)

    own = create_async_engine(boxes.url, json_serializer=write)
    for number in range(3):
        assert await Loader(own).fetch_all(NESTED, Box.label == {"a": number}) == ([FIRST] if number == 1 else [])
    assert len(seen) == 3
    await own.dispose()


async def test_a_listener_that_comes_late_is_heard(boxes: AsyncEngine, plan: LoadPlan[BoxView]) -> None:
    """On the engine, before a statement is text; on all sessions."""
    loader = Loader(boxes)
    for _ in range(3):
        assert await loader.fetch(plan, 1) == FIRST
    heard: list[Any] = []

    def of_engine(_connection: Connection, statement: Any, many: Any, one: Any, _options: Any) -> Any:
        heard.append(statement)
        return statement, many, one

    event.listen(boxes.sync_engine, "before_execute", of_engine, retval=True)
    try:
        assert await loader.fetch(plan, 1) == FIRST
    finally:
        event.remove(boxes.sync_engine, "before_execute", of_engine)
    assert heard
    assert all(isinstance(each, Select) for each in heard)

    def none_of_them(state: ORMExecuteState) -> None:
        state.statement = state.statement.options(criteria(Thing, Thing.id > 1), criteria(Box, Box.id < 9))

    event.listen(Session, "do_orm_execute", none_of_them)
    try:
        assert await loader.fetch(plan, 1) == attrs.evolve(FIRST, things=FIRST.things[1:])
    finally:
        event.remove(Session, "do_orm_execute", none_of_them)
    assert await loader.fetch(plan, 1) == FIRST


async def test_what_listens_to_the_text_may_change_it(boxes: AsyncEngine, plan: LoadPlan[BoxView]) -> None:
    """``before_cursor_execute`` with a comment for the database's log, as tracing adds it."""
    loader = Loader(boxes)
    after: list[str] = []

    def comment(_connection: Any, _cursor: Any, sql: str, parameters: Any, *_: Any) -> Any:
        return f"{sql} /* traced */", parameters

    event.listen(boxes.sync_engine, "before_cursor_execute", comment, retval=True)
    event.listen(boxes.sync_engine, "after_cursor_execute", lambda *given: after.append(given[2]))
    try:
        for _ in range(3):
            assert await loader.fetch(plan, 1) == FIRST
    finally:
        event.remove(boxes.sync_engine, "before_cursor_execute", comment)
    assert after
    assert all(each.endswith("/* traced */") for each in after)


async def test_schemas_are_translated(boxes: AsyncEngine, plan: LoadPlan[BoxView]) -> None:
    """By the options of an engine, each fetch anew."""
    async with boxes.begin() as connection:
        await connection.execute(text("CREATE SCHEMA vtx"))
        await connection.execute(text("CREATE TABLE vtx.vtx_boxes AS SELECT 1 AS id, 5 AS size, '{}'::jsonb AS label"))
        await connection.execute(text("CREATE TABLE vtx.vtx_things (LIKE vtx_things)"))
    try:
        other = boxes.execution_options(schema_translate_map={None: "vtx"})
        for _ in range(3):
            assert await Loader(boxes).fetch(plan, 1) == FIRST
            assert await Loader(other).fetch(plan, 1) == BoxView(1, {}, [])
    finally:
        async with boxes.begin() as connection:
            await connection.execute(text("DROP SCHEMA vtx CASCADE"))


@pytest.mark.parametrize("heard", [True, False])
async def test_what_the_database_refuses_is_sqlalchemys_error(
    boxes: AsyncEngine, plan: LoadPlan[BoxView], heard: bool
) -> None:
    """The first time and later, on an engine that somebody listens to, and on a silent one; and the pool is whole."""
    silent = create_async_engine(boxes.url)
    loader = Loader(boxes if heard else silent)
    for _ in range(3):
        with pytest.raises(DBAPIError, match="division by zero") as caught:
            await loader.fetch_all(plan, 1 / (Box.size - 10) > 0)
        assert caught.value.statement is not None
        assert "vtx_boxes" in caught.value.statement
    for _ in range(3):
        assert await loader.fetch(plan, 1) == FIRST
    for engine in (boxes, silent):
        assert engine.sync_engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    await silent.dispose()


async def test_a_connection_that_is_lost_is_taken_out_of_the_pool(boxes: AsyncEngine) -> None:
    """With all others of its age, as SQLAlchemy does: one fetch fails, and no other."""
    silent = create_async_engine(boxes.url, connect_args=server_settings(boxes.url, application_name="silent"))
    loader = Loader(silent)
    for _ in range(3):
        await asyncio.gather(*(loader.fetch(NESTED, 1) for _ in range(4)))
    async with boxes.begin() as connection:
        of_it = "datname = current_database() AND application_name = 'silent'"
        ended = select(func.pg_terminate_backend(column("pid"))).select_from(table("pg_stat_activity"))
        assert (await connection.scalars(ended.where(text(of_it)))).all()
    with pytest.raises(DBAPIError) as caught:
        await loader.fetch(NESTED, 1)
    assert caught.value.connection_invalidated
    for _ in range(6):
        assert await loader.fetch(NESTED, 1) == FIRST
    await silent.dispose()


async def test_a_task_that_is_cancelled_leaves_nothing_behind(boxes: AsyncEngine, plan: LoadPlan[BoxView]) -> None:
    """While it waits for the database, on a silent engine."""
    silent = create_async_engine(boxes.url)
    loader = Loader(silent)
    for _ in range(3):
        assert await loader.fetch(plan, 1) == FIRST
    async with boxes.begin() as connection:
        await connection.execute(text("LOCK TABLE vtx_boxes IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loader.fetch(plan, 1), 0.2)
    assert silent.sync_engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert await loader.fetch(plan, 1) == FIRST
    await silent.dispose()
