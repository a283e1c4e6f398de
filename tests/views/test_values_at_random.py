"""Random values of sixty columns in one view: at the root, joined, and one and two collections deep.

``LOADPLAN_PROPERTY_EXAMPLES=n`` runs a quarter of n examples.
"""

import dataclasses
import datetime
import decimal
import json
from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import JSON, ForeignKey, Integer, String, delete, insert, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, composite, mapped_column, relationship
from sqlalchemy.sql.elements import ColumnClause
from values_by_type import PORTABLE, POSTGRESQL, Kind, same

from loadplan import Loader, LoadPlan
from random_cases import CASES, SAME_EACH_TIME
from support import recording, tables

EXAMPLES = max(4, CASES // 4)

_TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=20)
_JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _TEXT | st.floats(allow_nan=False, allow_infinity=False),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(_TEXT, below, max_size=3),
    max_leaves=6,
)
_RANDOM = {
    "integer": st.integers(-(2**31), 2**31 - 1),
    "big": st.integers(-(2**63), 2**63 - 1),
    "any numeric": st.decimals(allow_nan=False, allow_infinity=False, places=12) | st.just(decimal.Decimal("NaN")),
    "float edges": st.floats(),
    "text": _TEXT,
    "string": _TEXT,
    "date": st.dates(),
    "timestamp": st.datetimes(),
    "timestamptz": st.datetimes(datetime.datetime(1000, 1, 1), timezones=st.just(datetime.UTC)),
    "time": st.times(),
    "interval": st.timedeltas(datetime.timedelta(-99999), datetime.timedelta(99999)),
    "uuid": st.uuids(),
    "bytes": st.binary(max_size=30),
    "json": _JSONS,
    "jsonb": _JSONS.filter(lambda value: "\\u0000" not in json.dumps(value)),
    "array of integers": st.lists(st.none() | st.integers(-(2**31), 2**31 - 1), max_size=4),
    "array of text": st.lists(st.none() | _TEXT, max_size=4),
}


class Base(DeclarativeBase):
    pass


def name_of(kind: Kind) -> str:
    return kind.name.replace(" ", "_")


def _kinds(driver: str, kinds: list[Kind]) -> dict[str, Kind]:
    """Return the types that the driver reads within a row, by name."""
    return {name_of(each): each for each in kinds if driver not in each.apart_on and each.extension is None}


def _world(prefix: str, kinds: dict[str, Kind]) -> tuple[Any, Any, Any, Any]:
    """Map a wide class with a to-one and a collection of itself, and a holder around it."""

    class Own(DeclarativeBase):
        pass

    columns = {name: mapped_column(kind.type, nullable=True) for name, kind in kinds.items()}
    wide = type(
        "Wide",
        (Own,),
        {
            "__tablename__": f"views_{prefix}_wide",
            "id": mapped_column(Integer, primary_key=True),
            "above_id": mapped_column(ForeignKey(f"views_{prefix}_wide.id"), index=True),
            "above": relationship("Wide", remote_side="Wide.id"),
            "below": relationship("Wide", order_by="Wide.id", viewonly=True),
            **columns,
        },
    )
    flat = {"id": attrs.field(type=Any), **{name: attrs.field(type=Any) for name in columns}}
    leaf = attrs.make_class("Leaf", flat, frozen=True, eq=False)
    middle = attrs.make_class(
        "Middle",
        {**flat, "above": attrs.field(type=leaf | None), "below": attrs.field(type=list[leaf])},
        frozen=True,
        eq=False,
    )
    top = attrs.make_class("Top", {**flat, "below": attrs.field(type=list[middle])}, frozen=True, eq=False)
    return Own.metadata, wide, LoadPlan(wide, into=top), list(columns)


def _values(kind: Kind) -> st.SearchStrategy[Any]:
    listed = [each for each in kind.values if not isinstance(each, ColumnClause)] or [None]
    known: st.SearchStrategy[Any] = st.sampled_from(listed)
    if kind.name != "json path":  # for asyncpg, SQLAlchemy binds None of this type as a list
        known = st.none() | known
    return known | _RANDOM[kind.name] if kind.name in _RANDOM else known


def _rows(kinds: dict[str, Kind]) -> st.SearchStrategy[list[dict[str, Any]]]:
    one = st.fixed_dictionaries({name: _values(kind) for name, kind in kinds.items()})
    return st.lists(one, min_size=3, max_size=3)


ON_SQLITE = _kinds("aiosqlite", PORTABLE)
ON_POSTGRESQL = {driver: _kinds(driver, [*PORTABLE, *POSTGRESQL]) for driver in ("asyncpg", "psycopg")}

_settings = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=SAME_EACH_TIME,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

SQLITE_WORLD = _world("sqlite", ON_SQLITE)
POSTGRESQL_WORLDS = {driver: _world(driver, kinds) for driver, kinds in ON_POSTGRESQL.items()}


@pytest.fixture(scope="module")
async def wide_postgres(postgres: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """PostgreSQL with the wide table."""
    async with postgres.begin() as connection:
        await connection.execute(text("CREATE SCHEMA IF NOT EXISTS views_types"))
    async with tables(postgres, POSTGRESQL_WORLDS[postgres.dialect.driver][0]):
        yield postgres


@_settings
@given(rows=_rows(ON_POSTGRESQL["asyncpg"]))  # it reads the most types
async def test_values_are_the_same_everywhere_on_postgresql(
    wide_postgres: AsyncEngine, rows: list[dict[str, Any]]
) -> None:
    driver = wide_postgres.dialect.driver
    assert len(ON_POSTGRESQL[driver]) > 60
    statements = await hold(wide_postgres, POSTGRESQL_WORLDS[driver], rows)
    assert len(statements) == 1


@_settings
@given(rows=_rows(ON_SQLITE))
async def test_values_are_the_same_everywhere_on_sqlite(sqlite: AsyncEngine, rows: list[dict[str, Any]]) -> None:
    async with tables(sqlite, SQLITE_WORLD[0]):
        await hold(sqlite, SQLITE_WORLD, rows)


async def hold(engine: AsyncEngine, world: Any, rows: list[dict[str, Any]]) -> list[str]:
    """Put rows 1 <- 2 <- 3 in, and assert that views of them have what entities have. Returns the SQL of the views."""
    _, wide, plan, names = world
    async with engine.begin() as connection:
        await connection.execute(update(wide.__table__).values(above_id=None))
        await connection.execute(delete(wide.__table__))
        for key, row in enumerate(rows, start=1):
            await connection.execute(insert(wide.__table__), {"id": key, **{name: row[name] for name in names}})
        await connection.execute(update(wide.__table__).where(wide.id > 1).values(above_id=wide.id - 1))
    async with AsyncSession(engine) as session:
        entities = {each.id: each for each in await session.scalars(select(wide))}
        expected = {key: {name: getattr(each, name) for name in names} for key, each in entities.items()}
    with recording(engine) as statements:
        nested = await Loader(engine).fetch(plan, 1)
    by_level = await Loader(engine, max_rows=1000).fetch(plan, 1)
    for way, view in (("nested", nested), ("by level", by_level)):
        child = view.below[0]
        for place, each, key in (
            ("root", view, 1),
            ("collection", child, 2),
            ("to-one in it", child.above, 1),
            ("collection in it", child.below[0], 3),
        ):
            for name in names:
                value, wanted = getattr(each, name), expected[key][name]
                assert same(value, wanted), f"{name}, {place}, {way}: {value!r}, not {wanted!r}"
    return statements


# --- what a connection and a composite do to values -----------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: int | None


class Place(Base):
    __tablename__ = "views_places"
    id: Mapped[int] = mapped_column(primary_key=True)
    town_id: Mapped[int | None] = mapped_column(ForeignKey("views_towns.id"), index=True)
    at: Mapped[Point] = composite(Point, mapped_column("at_x", Integer), mapped_column("at_y", Integer))
    plain: Mapped[Any] = mapped_column(JSON)
    binary: Mapped[Any] = mapped_column(JSON().with_variant(JSONB(), "postgresql"))


class Town(Base):
    __tablename__ = "views_towns"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String)
    places: Mapped[list[Place]] = relationship(order_by=Place.id)


@attrs.frozen
class PlaceView:
    id: int
    at: Point
    plain: Any
    binary: Any


@attrs.frozen
class TownView:
    id: int
    places: list[PlaceView]


async def test_composites_and_the_engines_own_json(engine: AsyncEngine) -> None:
    """A composite of columns is made by its class; JSON is read by what ``create_engine`` was given."""

    def exactly(text: str) -> Any:
        return json.loads(text, parse_float=decimal.Decimal)

    own = engine
    if engine.dialect.name == "postgresql":
        own = create_async_engine(engine.url, json_deserializer=exactly)
    async with tables(engine, Base.metadata):
        async with AsyncSession(own) as session:
            session.add(Town(id=1, places=[Place(id=n, at=Point(n, y), plain=1.5, binary=[2.5]) for n, y in PLACES]))
            await session.commit()
        town = await Loader(own).fetch(LoadPlan(Town, into=TownView), 1)
        by_level = await Loader(own, max_rows=99).fetch(LoadPlan(Town, into=TownView), 1)
        async with AsyncSession(own) as session:
            entities = list(await session.scalars(select(Place).order_by(Place.id)))
    assert town == by_level
    assert [each.at for each in town.places] == [Point(n, y) for n, y in PLACES]
    for view, entity in zip(town.places, entities, strict=True):
        assert same(view.plain, entity.plain)
        assert same(view.binary, entity.binary)
        assert type(view.plain) is (decimal.Decimal if engine.dialect.name == "postgresql" else float)
    if own is not engine:
        await own.dispose()


PLACES = [(1, 2), (3, 0), (5, None)]
