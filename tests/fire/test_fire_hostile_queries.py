"""Whatever comes as a number, an order, a condition or an array: loadplan's error or the right answer, never SQL."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import attrs
import pytest
from fire_attempts import THING, THING_VIEW, PartView, answers, assert_harmless
from fire_hostile import (
    Thing,
    strange,
)
from sqlalchemy import URL, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from loadplan import (
    Loader,
    LoaderError,
    LoadPlan,
    ParameterError,
    PlanError,
    load,
    source,
)
from support import recording


async def batches(loader: Loader, size: Any) -> list[Any]:
    return [each async for each in loader.stream(THING, order_by=Thing.id, batch_size=size)]


NUMBERS: dict[str, Callable[[AsyncEngine, Any], Coroutine[Any, Any, Any]]] = {
    "limit": lambda engine, value: Loader(engine).fetch_all(THING, limit=value),
    "limit of views": lambda engine, value: Loader(engine).fetch_all(THING_VIEW, limit=value),
    "offset": lambda engine, value: Loader(engine).fetch_all(THING, offset=value),
    "size": lambda engine, value: Loader(engine).fetch_page(THING, size=value),
    "batch_size": lambda engine, value: batches(Loader(engine), value),
    "max_rows": lambda engine, value: Loader(engine, max_rows=value).fetch_all(THING),
}


@pytest.mark.parametrize("word", NUMBERS)
async def test_numbers(things: AsyncEngine, word: str) -> None:
    async def attempt(value: Any) -> Any:
        """Have too many rows, of a small ``max_rows``, be an answer."""
        return await answers(lambda each: NUMBERS[word](things, each), value)

    harmless = [1, 2, 2**40] if word in {"size", "batch_size", "max_rows"} else [0, 1, 2, 2**40, None]
    harmless += [None] if word == "max_rows" else []
    await assert_harmless(things, attempt, harmless, strange())


async def test_numbers_that_only_sixty_four_bits_hold(things: AsyncEngine) -> None:
    loader = Loader(things)
    most = 2**63 - 2
    assert len(await loader.fetch_all(THING, limit=most)) == 2
    assert len(await loader.fetch_all(THING, limit=2**31)) == 2
    assert await loader.fetch_all(THING, offset=2**40) == []
    assert len((await loader.fetch_page(THING, size=most)).items) == 2
    assert len(await Loader(things, max_rows=most).fetch_all(THING_VIEW)) == 2
    for word in ("limit", "offset"):
        with pytest.raises(PlanError, match="is too large: databases count in 64 bits"):
            await loader.fetch_all(THING, **{word: 2**63})  # type: ignore[arg-type]
    with pytest.raises(LoaderError, match="LP408: max_rows=-1 must be a whole number of 0 or more"):
        Loader(things, max_rows=-1)
    with pytest.raises(PlanError, match="LP107: batch_size=0 must be a whole number of 1 or more"):
        await batches(loader, 0)


@pytest.mark.parametrize("word", ["where", "order_by"])
async def test_conditions_and_orders_that_are_none(things: AsyncEngine, word: str) -> None:
    loader = Loader(things)
    no_sql = [each for each in strange() if each is not Thing.id and not hasattr(each, "__clause_element__")]
    no_sql = [each for each in no_sql if not type(each).__module__.startswith("sqlalchemy")]

    async def attempt(value: Any) -> Any:
        return await loader.fetch_all(THING, **{word: value})

    harmless = [None, Thing.id == 1 if word == "where" else Thing.id]
    await assert_harmless(things, attempt, harmless, no_sql)


@pytest.mark.parametrize(
    "given",
    [
        "id",
        "id DESC; --",
        b"id",
        ["id", Thing.id],
        text("id"),
        text("pg_sleep(9)"),
        select(Thing.id),
        Thing.__table__,
        Thing.parts,
        Thing,
        Thing.id.desc,
        lambda: Thing.id,
        {"id": 1},
        [[Thing.id]],
        [Thing.id, None],
        True,
    ],
)
async def test_orders_from_outside(things: AsyncEngine, given: Any) -> None:
    """Names of columns are no orders, nor is SQL that stands in a text, even one that the application made."""
    loader = Loader(things)
    calls = [
        loader.fetch_all(THING, order_by=given),
        loader.fetch_all(THING_VIEW, order_by=given, limit=1),
        loader.fetch_page(THING, given),
        batches_by(loader, given),
    ]
    with recording(things) as sent:
        for call in calls:
            with pytest.raises(PlanError, match=r"LP108|LP215"):
                await call
        with pytest.raises(PlanError, match=r"LP108|LP2"):
            LoadPlan(Thing, load(Thing.parts, order_by=given, limit=2)).select()
    assert sent == []


@pytest.mark.parametrize("given", ["id = 1", True, select(Thing.id), Thing.__table__, Thing, lambda: True])
async def test_conditions_from_outside(things: AsyncEngine, given: Any) -> None:
    for plan in (THING, THING_VIEW):
        with recording(things) as sent, pytest.raises(PlanError, match="LP108"):
            await Loader(things).fetch_all(plan, [Thing.id == 1, given])
        assert sent == []
    with pytest.raises(PlanError, match="LP108"):
        LoadPlan(Thing, load(Thing.parts, where=given)).select()
    assert len(await Loader(things).fetch_all(THING, text("fire_things.id = 1"))) == 1


async def batches_by(loader: Loader, order: Any) -> list[Any]:
    return [each async for each in loader.stream(THING, order_by=order)]


RAGGED: list[Any] = [
    [[1], [1, 2]],
    [1, [2]],
    [[1], 2],
    [[1], []],
    [[1], None],
    [None, [1]],
    [[[1]], [1]],
    [(1,), [2, 3]],
    [[[1, 2], [3]], [[4, 5], [6, 7]]],
]


@pytest.mark.parametrize("value", RAGGED)
async def test_arrays_that_are_no_rectangle(things: AsyncEngine, value: Any) -> None:
    """PostgreSQL's arrays are rectangles; a driver finds out when it is too late for a clear word."""
    for plan in (THING, THING_VIEW):
        with recording(things) as sent, pytest.raises(ParameterError, match="its rows must have the same length"):
            await Loader(things).fetch_all(plan, Thing.numbers == bindparam("value"), params={"value": value})
        assert sent == []


@pytest.mark.parametrize(
    "value",
    [[], [[1, 2], [3, 4]], [None], [[None, 1], (2, None)], (1, 2), [[[[[[1]]]]]]],
)
async def test_arrays_that_are(things: AsyncEngine, value: Any) -> None:
    found = await Loader(things).fetch_all(THING, Thing.numbers == bindparam("value"), params={"value": value})
    assert [each.id for each in found] == ([1] if list(value) == [1, 2] else [])


@attrs.frozen
class WithRow:
    id: int
    row: Annotated[Any, source(func.row(Thing.id, Thing.color))]


@attrs.frozen
class WithRowAndParts:
    id: int
    row: Annotated[Any, source(func.row(Thing.id, Thing.color))]
    parts: list[PartView]


@pytest.mark.parametrize("view", [WithRow, WithRowAndParts])
async def test_a_row_as_a_column_that_the_driver_cannot_read_is_an_error_and_no_loop(
    things: AsyncEngine, postgres_url: URL, view: Any
) -> None:
    """No way of loading helps: the column itself is a row that holds an enum, which a new connection does not know."""
    engine = create_async_engine(postgres_url)
    plan: LoadPlan[Any] = LoadPlan(Thing, into=view)
    if engine.dialect.driver == "psycopg":  # it reads rows as text, where it knows no better
        async with engine.connect() as connection:
            row = await connection.scalar(select(func.row(Thing.id, Thing.color)).where(Thing.id == 1))
        assert (await Loader(engine).fetch(plan, 1)).row == row
        assert row in [each.row for each in await Loader(engine, max_rows=50).fetch_all(plan)]
    else:
        with pytest.raises(Exception, match="no decoder for composite type element"):
            await Loader(engine).fetch(plan, 1)
        with pytest.raises(Exception, match="no decoder for composite type element"):
            await Loader(engine, max_rows=5).fetch_all(plan)
    await engine.dispose()
