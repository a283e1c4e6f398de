"""Keys that change when SQLAlchemy reads and binds them again: the database tells whose row it is."""

import enum
import itertools
from collections.abc import AsyncIterator
from typing import Annotated, Any

import attrs
import pytest
import sqlalchemy as sa
from real import paged
from sqlalchemy import MetaData, StaticPool, select, text
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import registry, relationship

from loadplan import Loader, LoadPlan, count, load
from random_cases import CASES
from support import tables


class Colour(enum.Enum):
    """Two names for one value."""

    RED = "red"
    CRIMSON = "red"  # noqa: PIE796
    BLUE = "blue"


class Lowered(sa.TypeDecorator[str]):
    """Writes text in lower case. Older rows have capitals."""

    impl = sa.String(9)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else value.lower()


class LoweredInSql(sa.String):
    """The same, by SQL."""

    cache_ok = True

    def bind_expression(self, bindvalue: Any) -> Any:
        return sa.func.lower(bindvalue)


@attrs.frozen
class Kind:
    """A type, two keys of it in SQL, and the type of the column if the mapping does not know it."""

    type: Any
    first: str
    second: str
    column: str | None = None


_UUIDS = "ABCDEFAB-CDEF-4BCD-8FAB-CDEFABCDEFAB", "ABCDEFAB-CDEF-4BCD-8FAB-CDEFABCDEFAC"
_PLAIN_UUIDS = "'abcdefabcdef4bcd8fabcdefabcdefab'", "'ABCDEFABCDEF4BCD8FABCDEFABCDEFAC'"


def _quoted(*values: str) -> tuple[str, str]:
    first, second = (f"'{each}'" for each in values)
    return first, second


ALIASES = sa.Enum(Colour, native_enum=False, omit_aliases=False, length=9)

ON_SQLITE: dict[str, Kind] = {
    "uuid with hyphens": Kind(sa.Uuid(), *_quoted(*_UUIDS)),
    "uuid in two cases": Kind(sa.Uuid(), *_PLAIN_UUIDS),
    "uuid text with hyphens": Kind(sa.Uuid(as_uuid=False), *_quoted(*_UUIDS)),
    "decimals with more digits": Kind(sa.Numeric(10, 2), "1.123456", "1.5"),
    "decimals that become equal": Kind(sa.Numeric(10, 2), "1.5", "1.5000001"),
    "decimals of text": Kind(sa.Numeric(10, 2), "1.10", "2"),
    "long decimals": Kind(sa.Numeric(20, 12), "0.123456789012345", "0.5"),
    "decimals of floats": Kind(sa.Float(asdecimal=True), "0.12345678901234567", "0.5"),
    "floats": Kind(sa.Float(), "0.1", "3"),
    "plain numbers": Kind(sa.Numeric(asdecimal=False), "0.1", "3"),
    "moments": Kind(sa.DateTime(), *_quoted("2026-01-02 03:04:05", "2026-01-02T03:04:06")),
    "moments without seconds": Kind(sa.DateTime(), *_quoted("2026-01-02 03:04", "2026-01-02 03:05:00.5")),
    "days": Kind(sa.Date(), *_quoted("2026-01-02", "2026-01-03")),
    "times": Kind(sa.Time(), *_quoted("03:04:05", "03:04")),
    "intervals": Kind(sa.Interval(), *_quoted("1970-01-02 00:00:00", "1970-01-03 00:00:00.5")),
    "names of aliases": Kind(ALIASES, *_quoted("CRIMSON", "BLUE")),
    "names of one member": Kind(ALIASES, *_quoted("CRIMSON", "RED")),
    "booleans": Kind(sa.Boolean(), "2", "0"),
    "blanks": Kind(sa.String(9), *_quoted("a ", "a")),
    "lowered texts": Kind(Lowered(), *_quoted("AB", "ac")),
    "texts lowered by SQL": Kind(LoweredInSql(9), *_quoted("AB", "ac")),
    "chars": Kind(sa.CHAR(9), *_quoted("a ", "a")),
    "bytes": Kind(sa.LargeBinary(9), "x'00'", "x'01'"),
}

ON_POSTGRES: dict[str, Kind] = {
    "uuid": Kind(sa.Uuid(), *_quoted(*_UUIDS)),
    "uuid of characters": Kind(sa.Uuid(native_uuid=False), *_PLAIN_UUIDS),
    "uuid of characters with hyphens": Kind(sa.Uuid(native_uuid=False), *_quoted(*_UUIDS), column="char(36)"),
    "uuid text of characters": Kind(sa.Uuid(as_uuid=False, native_uuid=False), *_quoted(*_UUIDS), column="char(36)"),
    "decimals": Kind(sa.Numeric(10, 2), "1.123456", "1.5", column="numeric"),
    "decimals that become equal": Kind(
        sa.Numeric(asdecimal=False), "1.00000000000000000001", "1.00000000000000000002", column="numeric"
    ),
    "many digits": Kind(sa.Numeric(asdecimal=False), "12345678901234567890.5", "1.5", column="numeric"),
    "decimals of floats": Kind(sa.Float(asdecimal=True), "0.12345678901234567", "0.5"),
    "reals": Kind(sa.REAL(), "0.1", "16777217"),
    "decimals of reals": Kind(sa.REAL(asdecimal=True), "0.1", "0.5"),
    "floats of reals": Kind(sa.Float(), "0.1", "0.5", column="real"),
    "doubles": Kind(sa.Double(), "0.1", "1e300"),
    "decimals of doubles": Kind(sa.Double(asdecimal=True), "0.12345678901234567", "1e300"),
    "intervals": Kind(sa.Interval(), *_quoted("1 year", "90 minutes")),
    "intervals of months": Kind(postgresql.INTERVAL(), *_quoted("1 month", "24 hours")),
    "names of aliases": Kind(ALIASES, *_quoted("CRIMSON", "BLUE")),
    "names of one member": Kind(ALIASES, *_quoted("CRIMSON", "RED")),
    "names in an enum": Kind(sa.Enum(Colour, omit_aliases=False, name="stored_colour"), *_quoted("CRIMSON", "RED")),
    "chars": Kind(sa.CHAR(9), *_quoted("a ", "b")),
    "lowered texts": Kind(Lowered(), *_quoted("AB", "ac")),
    "texts of chars": Kind(sa.String(9), *_quoted("a ", "b"), column="char(9)"),
    "blanks": Kind(sa.String(9), *_quoted("a ", "a")),
    "zones": Kind(sa.DateTime(timezone=True), *_quoted("2026-01-02 03:04:05+03", "2026-01-02 03:04:05+04")),
    "times with zones": Kind(sa.Time(timezone=True), *_quoted("03:04:05+03", "04:04:05+04")),
    "times": Kind(sa.Time(), *_quoted("03:04:05", "23:59:59.5")),
    "longer texts": Kind(sa.String(3), *_quoted("abcdef", "abcdeg"), column="varchar(20)"),
    "longer chars": Kind(sa.CHAR(3), *_quoted("abcdef", "abcdeg"), column="char(20)"),
    "finer moments": Kind(
        postgresql.TIMESTAMP(precision=0),
        *_quoted("2026-01-02 03:04:05.25", "2026-01-02 03:04:05.5"),
        column="timestamp",
    ),
    "finer floats": Kind(sa.Float(10), "0.123456789012", "0.5", column="double precision"),
    "moments": Kind(sa.DateTime(), *_quoted("2026-01-02 03:04:05.5", "2026-01-02 03:04")),
    "numbers with a scale": Kind(sa.Numeric(10, 2, decimal_return_scale=1), "1.12", "1.15"),
    "numbers without a scale": Kind(sa.Numeric(10, 2, asdecimal=False), "1.12", "1.15"),
    "bits": Kind(postgresql.BIT(4), "B'0101'", "B'0001'"),
    "macs": Kind(postgresql.MACADDR(), *_quoted("08:00:2b:01:02:03", "08002b010204")),
}

ON_MARIADB: dict[str, Kind] = {
    "uuid of characters": Kind(sa.Uuid(native_uuid=False), *_quoted(*_UUIDS), column="char(36)"),
    "uuid in two cases": Kind(sa.Uuid(native_uuid=False), *_PLAIN_UUIDS),
    "uuid": Kind(sa.Uuid(), *_quoted(*_UUIDS)),
    "decimals": Kind(sa.Numeric(10, 2), "1.123456", "1.5", column="decimal(20, 10)"),
    "plain numbers": Kind(sa.Numeric(30, 20, asdecimal=False), "1.00000000000000000001", "1.00000000000000000002"),
    "floats": Kind(sa.Float(), "0.1", "0.5"),
    "decimals of floats": Kind(sa.Float(asdecimal=True), "0.1", "0.5"),
    "doubles": Kind(sa.Double(), "0.12345678901234567", "1e300"),
    "decimals of doubles": Kind(sa.Double(asdecimal=True), "0.12345678901234567", "0.5"),
    "reals": Kind(mysql.REAL(), "0.12345678901234567", "0.5"),
    "intervals": Kind(sa.Interval(), *_quoted("1970-01-02 00:00:00", "1970-01-03 00:00:00")),
    "microseconds": Kind(
        sa.DateTime(), *_quoted("2026-01-02 03:04:05.25", "2026-01-02 03:04:05.5"), column="datetime(6)"
    ),
    "times": Kind(sa.Time(), *_quoted("03:04:05", "23:04:05")),
    "long times": Kind(mysql.TIME(), *_quoted("03:04:05", "103:04:05")),
    "names of aliases": Kind(ALIASES, *_quoted("CRIMSON", "BLUE")),
    "blanks": Kind(sa.String(9), *_quoted("a ", "b")),
    "chars": Kind(sa.CHAR(9), *_quoted("a ", "b")),
    "bytes": Kind(sa.BINARY(3), "x'00'", "x'01'"),
    "booleans": Kind(sa.Boolean(), "2", "0"),
}

#: A kind for each way of telling rows apart; then everything else.
FIRST = [
    ("sqlite", "uuid with hyphens"),
    ("asyncpg", "names of one member"),
    ("psycopg", "floats of reals"),
    ("mariadb", "uuid of characters"),
    ("asyncpg", "longer texts"),
]
OTHERS = [
    *(("sqlite", name) for name in ON_SQLITE),
    *(("asyncpg", name) for name in ON_POSTGRES),
    *(("psycopg", name) for name in ON_POSTGRES),
    *(("mariadb", name) for name in ON_MARIADB),
]
DRAWN = [*FIRST, *(each for each in OTHERS if each not in FIRST)][: CASES // 2]


@attrs.frozen
class World:
    """Nodes with such keys, items of nodes, and tags of nodes; and the rows that the database itself joins."""

    engine: AsyncEngine
    node: Any
    item: Any
    view: Any
    items: dict[str, list[int]]
    children: dict[str, list[str]]
    tags: dict[str, list[str]]


_numbers = itertools.count()


@pytest.fixture(scope="module", params=DRAWN, ids=lambda each: f"{each[0]}-{each[1]}")
def case(request: pytest.FixtureRequest) -> tuple[AsyncEngine | None, Kind]:
    """The engine of a server, or None for SQLite, and a kind of keys."""
    engine, name = request.param
    if engine == "sqlite":
        return None, ON_SQLITE[name]
    return request.getfixturevalue(engine), (ON_MARIADB if engine == "mariadb" else ON_POSTGRES)[name]


@pytest.fixture(scope="module")
async def world(case: tuple[AsyncEngine | None, Kind]) -> AsyncIterator[World]:
    """Three nodes: ``a`` has the first key, ``b`` the second one and is a child of ``a``.

    Items 1 and 2 are of ``a``, 3 of ``b``, 4 of none. Both nodes have themselves and ``a`` as tags.
    """
    given, kind = case
    in_memory = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    engine, reg, prefix = given or in_memory, registry(metadata=MetaData()), f"stored_{next(_numbers)}_"

    def key(name: str, *args: Any, **options: Any) -> sa.Column[Any]:
        return sa.Column(name, kind.type, *args, **({"autoincrement": False} | options))

    def table(name: str, *columns: sa.Column[Any]) -> sa.Table:
        return sa.Table(prefix + name, reg.metadata, *columns)

    nodes = table(
        "nodes", key("id", primary_key=True), sa.Column("name", sa.String(9), nullable=False), key("parent_id")
    )
    items = table("items", sa.Column("id", sa.Integer, primary_key=True), key("node_id"))
    pairs = table("pairs", key("left_id", primary_key=True), key("right_id", primary_key=True))
    node, item = type("Node", (), {}), type("Item", (), {})
    mine = sa.and_(nodes.c.id == items.c.node_id)
    above = sa.and_(nodes.c.id == sa.orm.remote(sa.orm.foreign(nodes.c.parent_id)))
    reg.map_imperatively(
        item,
        items,
        properties={
            "node": relationship(
                node, primaryjoin=mine, foreign_keys=[items.c.node_id], back_populates="items", viewonly=True
            )
        },
    )
    reg.map_imperatively(
        node,
        nodes,
        properties={
            "items": relationship(
                item,
                primaryjoin=mine,
                foreign_keys=[items.c.node_id],
                back_populates="node",
                order_by=items.c.id,
                viewonly=True,
            ),
            "children": relationship(node, primaryjoin=above, order_by=nodes.c.name, viewonly=True),
            "tags": relationship(
                node,
                secondary=pairs,
                primaryjoin=nodes.c.id == pairs.c.left_id,
                secondaryjoin=nodes.c.id == pairs.c.right_id,
                foreign_keys=[pairs.c.left_id, pairs.c.right_id],
                order_by=nodes.c.name,
                viewonly=True,
            ),
        },
    )
    item_view = attrs.make_class("ItemView", {"id": attrs.field(type=int)})
    child_view = attrs.make_class(
        "ChildView", {"name": attrs.field(type=str), "items": attrs.field(type=list[item_view])}
    )
    tag_view = attrs.make_class("TagView", {"name": attrs.field(type=str)})
    view = attrs.make_class(
        "NodeView",
        {
            "name": attrs.field(type=str),
            "items": attrs.field(type=list[item_view]),
            "children": attrs.field(type=list[child_view]),
            "tags": attrs.field(type=list[tag_view]),
            "number": attrs.field(type=Annotated[int, count(node.items)]),
        },
    )
    async with tables(engine, reg.metadata):
        async with engine.begin() as connection:
            if kind.column is not None:
                for each in (nodes.c.id, nodes.c.parent_id, items.c.node_id, pairs.c.left_id, pairs.c.right_id):
                    change = f"ALTER {each.name} TYPE {kind.column}"
                    if engine.dialect.name != "postgresql":
                        change = f"MODIFY {each.name} {kind.column}{'' if each.primary_key else ' NULL'}"
                    await connection.execute(text(f"ALTER TABLE {each.table.name} {change}"))
            first, second = kind.first, kind.second
            for stored, rows in (
                (nodes, f"({first}, 'a', NULL), ({second}, 'b', {first})"),
                (items, f"(1, {first}), (2, {first}), (3, {second}), (4, NULL)"),
                (pairs, f"({first}, {first}), ({second}, {second}), ({second}, {first})"),
            ):
                await connection.exec_driver_sql(f"INSERT INTO {stored.name} VALUES {rows}")  # noqa: S608
            other = nodes.alias()

            async def joined(statement: Any) -> dict[str, list[Any]]:
                found: dict[str, list[Any]] = {"a": [], "b": []}
                for name, value in await connection.execute(statement.order_by(sa.text("1"), sa.text("2"))):
                    found[name].append(value)
                return found

            has = await joined(select(nodes.c.name, items.c.id).join(items, mine))
            below = await joined(select(nodes.c.name, other.c.name).join(other, other.c.parent_id == nodes.c.id))
            tagged = await joined(
                select(nodes.c.name, other.c.name)
                .join(pairs, pairs.c.left_id == nodes.c.id)
                .join(other, other.c.id == pairs.c.right_id)
            )
            assert has["a"] == [1, 2], "the database joins the keys"
        yield World(engine, node, item, view, has, below, tagged)
    reg.dispose()
    await in_memory.dispose()


def names(nodes: Any) -> list[str]:
    """Return the names of nodes in their order."""
    return [each.name for each in nodes]


def seen(node: Any) -> Any:
    """Return what a node holds."""
    return node.name, [each.id for each in node.items], names(node.children), names(node.tags)


def expected(world: World) -> list[Any]:
    """Return what each node holds for the database."""
    return [(name, world.items[name], world.children[name], world.tags[name]) for name in "ab"]


@pytest.mark.parametrize("strategy", ["selectin", "joined", "subquery"])
async def test_entities(world: World, strategy: Any) -> None:
    """Collections and to-ones have the rows that the database joins."""
    node, item, loader = world.node, world.item, Loader(world.engine)
    plan = LoadPlan(node, *(load(each, strategy=strategy) for each in ("items", "children", "tags")))
    assert list(map(seen, await loader.fetch_all(plan, order_by=node.name))) == expected(world)
    if strategy != "joined":
        streamed = [each async for each in loader.stream(plan, order_by=node.name, batch_size=1)]
        assert list(map(seen, streamed)) == expected(world)
    assert list(map(seen, await paged(loader, plan, 1, order_by=node.name))) == expected(world)
    assert list(map(seen, await paged(loader, plan, 1, order_by=node.name.desc()))) == expected(world)[::-1]
    found = await loader.fetch_all(LoadPlan(item, load("node", strategy=strategy)), order_by=item.id)
    owners = {number: name for name, numbers in world.items.items() for number in numbers}
    assert [each.node and each.node.name for each in found] == [owners.get(each.id) for each in found]


async def test_extensions(world: World) -> None:
    """The rows of objects are found again, together and one by one."""
    node, loader = world.node, Loader(world.engine)
    loads = [load(each) for each in ("items", "children", "tags")]
    together = await loader.fetch_all(LoadPlan(node), order_by=node.name)
    await loader.extend(together, *loads)
    assert list(map(seen, together)) == expected(world)
    for one, wanted in zip(await loader.fetch_all(LoadPlan(node), order_by=node.name), expected(world), strict=True):
        await loader.extend(one, *loads)
        assert seen(one) == wanted


async def test_pages_in_an_order_that_they_do_not_show(world: World) -> None:
    """The cursor names the row by its key, and finds it again."""
    node, loader = world.node, Loader(world.engine)
    plan = LoadPlan(node, load("items"), only=[node.id])
    for order, names in ((node.name, "ab"), (node.name.desc(), "ba")):
        found = await paged(loader, plan, 1, order_by=order)
        assert [[item.id for item in each.items] for each in found] == [world.items[name] for name in names]


async def test_the_first_rows_and_whole_trees(world: World) -> None:
    """A limit for each parent, and trees of any depth."""
    node, loader = world.node, Loader(world.engine)
    plan = LoadPlan(node, load("items", limit=1), load("tags", order_by=node.name.desc(), limit=1))
    found = await loader.fetch_all(plan, order_by=node.name)
    assert [([item.id for item in each.items], names(each.tags)) for each in found] == [
        (world.items[name][:1], world.tags[name][::-1][:1]) for name in "ab"
    ]
    root = await loader.fetch_one(LoadPlan(node, load("children", depth="all")), where=node.name == "a")
    assert names(root.children) == world.children["a"]
    assert [names(each.children) for each in root.children] == [world.children[each] for each in world.children["a"]]


async def test_views(world: World) -> None:
    """For one root and for many."""
    node, loader = world.node, Loader(world.engine)
    plan = LoadPlan(node, into=world.view)
    wanted = expected(world)

    def read(view: Any) -> Any:
        assert view.number == len(view.items)
        assert [[item.id for item in each.items] for each in view.children] == [
            world.items[each.name] for each in view.children
        ]
        return seen(view)

    assert list(map(read, await loader.fetch_all(plan, order_by=node.name))) == wanted
    assert [read(await loader.fetch_one(plan, where=node.name == name)) for name in "ab"] == wanted
    assert list(map(read, await paged(loader, plan, 1))) in (wanted, wanted[::-1])


async def test_ids(world: World) -> None:
    """``fetch`` and ``fetch_many`` find what a session finds by the same id."""
    node, loader = world.node, Loader(world.engine)
    plan = LoadPlan(node, load("items"))
    async with AsyncSession(world.engine) as session:
        values = (await session.execute(select(node.id).order_by(node.name))).scalars().all()
    for value in (each for each in values if values.count(each) == 1):
        async with AsyncSession(world.engine) as session:
            found = await session.get(node, value)
        one = await loader.fetch_or_none(plan, value)
        (many,) = await loader.fetch_many(plan, [value], missing="skip") or [None]
        assert (one and one.name) == (found and found.name)
        assert found is None or many.name == found.name
