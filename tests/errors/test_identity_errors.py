"""An id that cannot be one is refused by name and type before any SQL runs; one that can be is found."""

import datetime
import decimal
import enum
import pickle
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from errors_models import (
    SOME_NUMBER,
    SOME_UUID,
    Base,
    ByBig,
    ByColour,
    ByMoment,
    ByNumber,
    BySmall,
    ByText,
    ByUuid,
    ByWord,
    Colour,
    Customer,
    Line,
    Order,
)
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from loadplan import IdentityError, Loader, LoadPlan, NotFound
from support import recording, tables

NOW = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
NAIVE = datetime.datetime(2024, 1, 1)

#: entity, id, detail of the error
EVERYWHERE: list[tuple[Any, Any, str]] = [
    (Order, "abc", "it takes int, not str."),
    (Order, "42", "it takes int, not str."),
    (Order, None, "None is not a key."),
    (Order, True, "it takes int, not bool."),
    (Order, 1.0, "it takes int, not float."),
    (Order, decimal.Decimal(1), "it takes int, not Decimal."),
    (Order, b"1", "it takes int, not bytes."),
    (Order, [1], "it takes int, not list."),
    (Order, (1, 2), "it has 2 values."),
    (Order, (), "it has 0 values."),
    (Order, {"id": "abc"}, "it takes int, not str."),
    (Order, {"nr": 1}, "its names are 'nr'."),
    (Order, {}, "its names are none."),
    (Order, Order, "it takes int, not DeclarativeAttributeIntercept."),
    (Line, 1, "it has 1 value."),
    (Line, (1,), "it has 1 value."),
    (Line, (1, 2, 3), "it has 3 values."),
    (Line, (1, None), "'position': None is not a key."),
    (Line, ("a", 1), "'order_id': it takes int, not str."),
    (Line, {"order_id": 1}, "its names are 'order_id'."),
    (Line, {"order_id": 1, "positoin": 1}, "its names are 'order_id', 'positoin'."),
    (Line, {"order_id": 1, "position": 1.5}, "'position': it takes int, not float."),
    (Line, [1, 2], "it has 1 value."),
    (ByText, 1, "it takes str, not int."),
    (ByText, "a\ud800", "it holds a lone surrogate, which is not valid text."),
    (ByUuid, str(SOME_UUID), "it takes uuid.UUID, not str."),
    (ByUuid, 1, "it takes uuid.UUID, not int."),
    (ByColour, "GREEN", "it takes Colour, not str."),
    (ByColour, "red", "it takes Colour, not str."),
    (ByColour, "r", "it takes Colour, not str."),
    (ByWord, "green", "it must be one of 'red', 'blue'."),
    (ByWord, Colour.RED, "it takes str, not Colour."),
    (ByNumber, "1.5", "it takes Decimal, int or float, not str."),
    (ByNumber, float("nan"), "it is not a finite number."),
    (ByNumber, float("inf"), "it is not a finite number."),
    (ByMoment, "2024-01-01", "it takes datetime.datetime, not str."),
    (ByMoment, NOW.date(), "it takes datetime.datetime, not date."),
]

POSTGRESQL_ALONE: list[tuple[Any, Any, str]] = [
    (Order, 2**31, "it does not fit 32 bits."),
    (Order, -(2**31) - 1, "it does not fit 32 bits."),
    (BySmall, 2**15, "it does not fit 16 bits."),
    (BySmall, -(2**15) - 1, "it does not fit 16 bits."),
    (ByBig, 2**63, "it does not fit 64 bits."),
    (ByBig, -(2**63) - 1, "it does not fit 64 bits."),
    (Line, (1, 2**15), "'position': it does not fit 16 bits."),
    (ByText, "a\0b", "PostgreSQL's text cannot hold a NUL character."),
]


@pytest.fixture
async def shop(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """One row of each entity, at the edges of what its key can hold."""
    async with tables(engine, Base.metadata):
        async with AsyncSession(engine) as session:
            session.add(Customer(id=1, orders=[Order(id=1, lines=[Line(position=7)])]))
            session.add_all([ByText(id="é🦊"), ByBig(id=2**63 - 1), ByBig(id=-(2**63)), BySmall(id=-(2**15))])
            session.add_all([BySmall(id=2**15 - 1), ByUuid(id=SOME_UUID), ByColour(id=Colour.RED), ByWord(id="red")])
            session.add_all([ByNumber(id=SOME_NUMBER), ByMoment(id=NOW)])
            await session.commit()
        yield engine


async def refused(engine: AsyncEngine, entity: Any, given: Any) -> IdentityError:
    """Every call by id refuses it alike, without a statement and without a connection."""
    plan: LoadPlan[Any] = LoadPlan(entity)
    errors: list[IdentityError] = []
    with recording(engine) as statements:
        for call in (
            lambda: Loader(engine).fetch(plan, given),
            lambda: Loader(engine).fetch_or_none(plan, given),
            lambda: Loader(engine).fetch_many(plan, [given]),
            lambda: Loader(engine).fetch_many(plan, [given], missing="skip"),
        ):
            with pytest.raises(IdentityError) as caught:
                await call()
            errors.append(caught.value)
    assert statements == []
    assert len({str(error) for error in errors}) == 1
    return errors[0]


@pytest.mark.parametrize(("entity", "given", "detail"), EVERYWHERE)
async def test_refused_everywhere(engine: AsyncEngine, entity: Any, given: Any, detail: str) -> None:
    error = await refused(engine, entity, given)
    assert error.code == "LP404"
    assert error.detail == detail
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(("entity", "given", "detail"), POSTGRESQL_ALONE)
async def test_refused_on_postgresql(postgres: AsyncEngine, entity: Any, given: Any, detail: str) -> None:
    assert (await refused(postgres, entity, given)).detail == detail


@pytest.mark.parametrize("given", [2**63, -(2**63) - 1])
async def test_refused_on_sqlite(sqlite: AsyncEngine, given: int) -> None:
    assert (await refused(sqlite, Order, given)).detail == "it does not fit 64 bits."


async def test_a_moment_with_and_without_a_time_zone_on_postgresql(postgres: AsyncEngine) -> None:
    assert (await refused(postgres, ByMoment, NAIVE)).code == "LP404"


async def test_the_whole_message_of_a_single_key(engine: AsyncEngine) -> None:
    assert str(await refused(engine, Order, "abc")) == (
        "LP404: 'abc' cannot be the primary key of 'Order'\n"
        "  at: Order\n"
        "  detail: it takes int, not str.\n"
        "  hint: pass one value: id (int)."
    )


async def test_the_whole_message_of_a_composite_key(engine: AsyncEngine) -> None:
    assert str(await refused(engine, Line, (1, "x"))) == (
        "LP404: (1, 'x') cannot be the primary key of 'Line'\n"
        "  at: Line\n"
        "  detail: 'position': it takes int, not str.\n"
        "  hint: pass a tuple of 2 values, or a mapping by name: order_id (int), position (int)."
    )


@pytest.mark.parametrize("given", ["x" * 100_000, 10**5000, ("x" * 500, 1)], ids=["text", "int", "tuple"])
async def test_a_huge_value_makes_a_short_message(engine: AsyncEngine, given: Any) -> None:
    """It may come from outside: an int of more than 4,300 digits does not even print."""
    assert len(str(await refused(engine, Line if isinstance(given, tuple) else Order, given))) < 400


async def test_a_value_whose_repr_fails_is_refused_all_the_same(engine: AsyncEngine) -> None:
    class Rude:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    with pytest.raises(IdentityError):
        await Loader(engine).fetch(LoadPlan(Order), Rude())


async def test_one_wrong_id_among_many_stops_all(engine: AsyncEngine) -> None:
    with recording(engine) as statements, pytest.raises(IdentityError) as caught:
        await Loader(engine).fetch_many(LoadPlan(Order), [1, 2, "three", 4])
    assert statements == []
    assert str(caught.value) == (
        "LP404: 'three' cannot be the primary key of 'Order'\n"
        "  at: Order > ids[2]\n"
        "  detail: it takes int, not str.\n"
        "  hint: pass one value: id (int)."
    )


FOUND: list[tuple[Any, Any]] = [
    (Order, 1),
    (Order, (1,)),
    (Order, {"id": 1}),
    (Line, (1, 7)),
    (Line, {"position": 7, "order_id": 1}),
    (ByText, "é🦊"),
    (ByBig, 2**63 - 1),
    (ByBig, -(2**63)),
    (BySmall, 2**15 - 1),
    (BySmall, -(2**15)),
    (ByUuid, SOME_UUID),
    (ByUuid, uuid.UUID(str(SOME_UUID))),
    (ByColour, Colour.RED),
    (ByWord, "red"),
    (ByNumber, SOME_NUMBER),
    (ByNumber, decimal.Decimal("1.5")),
    (ByNumber, 1.5),
]


@pytest.mark.parametrize(("entity", "given"), FOUND)
async def test_what_can_be_a_key_is_found_by_every_call(shop: AsyncEngine, entity: Any, given: Any) -> None:
    loader, plan = Loader(shop), LoadPlan(entity)
    one: Any = await loader.fetch(plan, given)
    (many,) = await loader.fetch_many(plan, [given])
    (skipped,) = await loader.fetch_many(plan, [given], missing="skip")
    keys = ["order_id", "position"] if entity is Line else ["id"]
    for each in (many, skipped):
        assert [getattr(each, key) for key in keys] == [getattr(one, key) for key in keys]


async def test_a_moment_is_found_in_any_time_zone(postgres: AsyncEngine) -> None:
    async with tables(postgres, Base.metadata):
        async with AsyncSession(postgres) as session:
            session.add(ByMoment(id=NOW))
            await session.commit()
        elsewhere = NOW.astimezone(datetime.timezone(datetime.timedelta(hours=5)))
        plan: LoadPlan[Any] = LoadPlan(ByMoment)
        assert (await Loader(postgres).fetch(plan, elsewhere)).id == NOW
        (found,) = await Loader(postgres).fetch_many(plan, [elsewhere])
        assert found.id == NOW


@pytest.mark.parametrize("given", [2**31 - 1, -(2**31), 0, -1])
async def test_the_edges_of_an_integer_are_only_not_found(shop: AsyncEngine, given: int) -> None:
    with pytest.raises(NotFound):
        await Loader(shop).fetch(LoadPlan(Order), given)


async def test_a_nul_is_only_not_found_where_text_can_hold_it(sqlite: AsyncEngine) -> None:
    async with tables(sqlite, Base.metadata):
        assert await Loader(sqlite).fetch_or_none(LoadPlan(ByText), "a\0b") is None


async def test_an_int_of_a_subclass_is_an_int(shop: AsyncEngine) -> None:
    class Number(enum.IntEnum):
        ONE = 1

    assert (await Loader(shop).fetch(LoadPlan(Order), Number.ONE)).id == 1
    assert [order.id for order in await Loader(shop).fetch_many(LoadPlan(Order), [Number.ONE, 1])] == [1, 1]
