"""Keys that are not equal to themselves in Python, or have no hash: the database tells whose row it is."""

import asyncio
import decimal
import itertools
import json
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import attrs
import pytest
import sqlalchemy as sa
from real import lazily
from sqlalchemy import ForeignKey, MetaData, StaticPool, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import registry, relationship

from loadplan import Loader, LoadPlan, PlanError, count, load
from random_cases import CASES
from support import tables


class Fresh:
    """An object that is equal to itself alone."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Unhashed(Fresh):
    """An object with an ``__eq__``, and so without a hash."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unhashed) and self.value == other.value


class Vector(Unhashed):
    """Compares part by part, as arrays of numpy do."""

    def __eq__(self, other: object) -> Any:
        return Vector([self.value == other])

    def __bool__(self) -> bool:
        raise ValueError("the truth value of an array is ambiguous")


def decorated(stored: Any, read: Callable[[Any], Any], bind: Callable[[Any], Any]) -> Any:
    """Return a type that makes objects of what a column stores."""

    class Decorated(sa.TypeDecorator[Any]):
        impl = stored
        cache_ok = True

        def load_dialect_impl(self, dialect: Any) -> Any:
            return dialect.type_descriptor(stored)

        def process_result_value(self, value: Any, dialect: Any) -> Any:
            return None if value is None else read(value)

        def process_bind_param(self, value: Any, dialect: Any) -> Any:
            return None if value is None else bind(value)

    return Decorated()


class FreshText(sa.String):
    """A type of an application that is no decorator."""

    cache_ok = True

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        return lambda value: None if value is None else Fresh(value)

    def bind_processor(self, dialect: Any) -> Any:
        return lambda value: getattr(value, "value", value)


class Inet(sa.types.UserDefinedType[Any]):
    """A type of the database that SQLAlchemy does not know."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "VARCHAR(20)"

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        return lambda value: None if value is None else [str(value)]

    def bind_processor(self, dialect: Any) -> Any:
        return lambda value: None if value is None else value[0]


@attrs.frozen
class Kind:
    """A type of keys, values of it by number, and whether SQLAlchemy's own session can hold them."""

    type: Any
    make: Callable[[int], Any]
    hashed: bool = True

    def id(self, number: int) -> Any:
        """Return an id; in a tuple, so that a dictionary does not stand for the names of a composite key."""
        return (self.make(number),)


def _of(wrapper: Callable[[Any], Any], stored: Any, value: Callable[[int], Any], *, hashed: bool) -> Kind:
    return Kind(decorated(stored, wrapper, lambda each: each.value), lambda n: wrapper(value(n)), hashed)


#: Types on every database.
KINDS: dict[str, Kind] = {
    "objects over integers": _of(Fresh, sa.Integer(), int, hashed=True),
    "objects over texts": _of(Fresh, sa.String(9), "k{}".format, hashed=True),
    "objects over uuids": _of(Fresh, sa.Uuid(as_uuid=False), f"{0:08}-0000-0000-0000-{0:011}{{}}".format, hashed=True),
    "objects over bytes": _of(Fresh, sa.LargeBinary(9), lambda n: bytes([0, n]), hashed=True),
    "no decorator": Kind(FreshText(9), lambda n: Fresh(f"k{n}")),
    "no hash": _of(Unhashed, sa.Integer(), int, hashed=False),
    "arrays": _of(Vector, sa.Integer(), int, hashed=False),
    "lists": Kind(decorated(sa.String(9), lambda text: text.split(), " ".join), lambda n: ["k", str(n)], hashed=False),
    "dicts": Kind(decorated(sa.String(19), json.loads, json.dumps), lambda n: {"k": n}, hashed=False),
    "unknown to SQLAlchemy": Kind(Inet(), lambda n: [f"k{n}"], hashed=False),
}

#: Types of PostgreSQL alone.
OF_POSTGRES: dict[str, Kind] = {
    "numbers with NaN": Kind(sa.Numeric(10, 2), lambda n: decimal.Decimal("nan") if n == 2 else decimal.Decimal(n)),
    "floats with NaN": Kind(sa.Double(), lambda n: float("nan") if n == 2 else n / 2),
    "decorated floats with NaN": _of(Fresh, sa.Double(), lambda n: float("nan") if n == 2 else n / 2, hashed=True),
    "lists of numbers": Kind(decorated(sa.ARRAY(sa.Integer), list, list), lambda n: [n, n + 1], hashed=False),
    "documents": Kind(decorated(postgresql.JSONB(none_as_null=True), dict, dict), lambda n: {"k": [n]}, hashed=False),
}

#: Types that say themselves that their values have no hash.
UNHASHED: dict[str, Kind] = {
    "lists of SQLAlchemy": Kind(sa.ARRAY(sa.Integer), lambda n: [n, n + 1], hashed=False),
    "documents of SQLAlchemy": Kind(postgresql.JSONB(none_as_null=True), lambda n: {"k": [n]}, hashed=False),
}

ALL = {**KINDS, **OF_POSTGRES}

#: A driver and a kind for each way of telling rows apart; then everything else.
FIRST = [
    ("asyncpg", "objects over uuids"),
    ("asyncpg", "numbers with NaN"),
    ("sqlite", "unknown to SQLAlchemy"),
    ("psycopg", "documents"),
    ("asyncpg", "unknown to SQLAlchemy"),
    ("sqlite", "arrays"),
    ("asyncpg", "decorated floats with NaN"),
    ("sqlite", "no decorator"),
]
OTHERS = [
    *(("asyncpg", name) for name in ALL if name != "no decorator"),  # there, SQLAlchemy puts its own type in its place
    *(("sqlite", name) for name in KINDS),
    *(("psycopg", name) for name in ("objects over uuids", "lists", "numbers with NaN")),
    *(("mariadb", name) for name in ("objects over texts", "unknown to SQLAlchemy", "dicts")),
]
DRAWN = [*FIRST, *(each for each in OTHERS if each not in FIRST)][: CASES // 2]


@attrs.frozen
class World:
    """Classes with such keys on both sides, their rows, and views."""

    engine: AsyncEngine
    kind: Kind
    node: Any
    item: Any
    tag: Any
    node_view: Any
    item_view: Any


_numbers = itertools.count()


@pytest.fixture(scope="module", params=DRAWN, ids=lambda each: f"{each[0]}-{each[1]}")
def case(request: pytest.FixtureRequest) -> tuple[AsyncEngine | None, str]:
    """The engine of a server, or None for SQLite, and the name of a kind."""
    engine, name = request.param
    return None if engine == "sqlite" else request.getfixturevalue(engine), name


@pytest.fixture(scope="module")
async def world(case: tuple[AsyncEngine | None, str]) -> AsyncIterator[World]:
    """A tree of nodes, items of nodes, and tags of nodes. Nodes and tags have such keys.

    ``a`` has the children ``b`` and ``c``, ``b`` has ``d``. Items 1 and 2 are of ``a``, 3 of ``c``, 4 of none. Tags 0
    and 1 are on ``a``, 1 on ``c``.
    """
    given, name = case
    in_memory = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    engine, kind = given or in_memory, {**ALL, **UNHASHED}[name]
    reg, prefix = registry(metadata=MetaData()), f"untold_{next(_numbers)}_"

    def table(name: str, *columns: sa.Column[Any]) -> sa.Table:
        return sa.Table(prefix + name, reg.metadata, *columns)

    def key(name: str = "id", *args: Any, **options: Any) -> sa.Column[Any]:
        return sa.Column(name, kind.type, *args, **({"autoincrement": False} | options))

    nodes = table(
        "nodes",
        key(primary_key=True),
        sa.Column("name", sa.String(9), nullable=False),
        key("parent_id", ForeignKey(f"{prefix}nodes.id"), nullable=True),
    )
    items = table(
        "items", sa.Column("id", sa.Integer, primary_key=True), key("node_id", ForeignKey(nodes.c.id), nullable=True)
    )
    tags = table("tags", key(primary_key=True), sa.Column("name", sa.String(9), nullable=False))
    pairs = table(
        "pairs",
        key("node_id", ForeignKey(nodes.c.id), primary_key=True),
        key("tag_id", ForeignKey(tags.c.id), primary_key=True),
    )
    node, item, tag = (type(name, (), {}) for name in ("Node", "Item", "Tag"))
    reg.map_imperatively(tag, tags)
    reg.map_imperatively(item, items, properties={"node": relationship(node, back_populates="items")})
    reg.map_imperatively(
        node,
        nodes,
        properties={
            "items": relationship(item, back_populates="node", order_by=items.c.id),
            "children": relationship(node, back_populates="parent", order_by=nodes.c.name),
            "parent": relationship(node, back_populates="children", remote_side=[nodes.c.id]),
            "tags": relationship(tag, secondary=pairs, order_by=tags.c.name),
        },
    )
    tag_view = attrs.make_class("TagView", {"name": attrs.field(type=str)})
    item_ref = attrs.make_class("ItemRef", {"id": attrs.field(type=int)})
    node_ref = attrs.make_class("NodeRef", {"name": attrs.field(type=str)})
    child_view = attrs.make_class(
        "ChildView", {"name": attrs.field(type=str), "items": attrs.field(type=list[item_ref])}
    )
    node_view = attrs.make_class(
        "NodeView",
        {
            "name": attrs.field(type=str),
            "items": attrs.field(type=list[item_ref]),
            "children": attrs.field(type=list[child_view]),
            "tags": attrs.field(type=list[tag_view]),
            "item_count": attrs.field(type=Annotated[int, count(node.items)]),
        },
    )
    item_view = attrs.make_class("ItemView", {"id": attrs.field(type=int), "node": attrs.field(type=node_ref | None)})
    async with tables(engine, reg.metadata):
        async with engine.begin() as connection:
            values = [(0, "a", None), (1, "b", 0), (2, "c", 0), (3, "d", 1)]
            for number, name, parent in values:
                await connection.execute(
                    sa.insert(nodes).values(
                        id=kind.make(number), name=name, parent_id=None if parent is None else kind.make(parent)
                    )
                )
            for number, owner in ((1, 0), (2, 0), (3, 2), (4, None)):
                await connection.execute(
                    sa.insert(items).values(id=number, node_id=None if owner is None else kind.make(owner))
                )
            for number in (0, 1, 2):
                await connection.execute(sa.insert(tags).values(id=kind.make(number), name=f"t{number}"))
            for one, other in ((0, 0), (0, 1), (2, 1)):
                await connection.execute(sa.insert(pairs).values(node_id=kind.make(one), tag_id=kind.make(other)))
        yield World(engine, kind, node, item, tag, node_view, item_view)
    reg.dispose()
    await in_memory.dispose()


def names(nodes: Any) -> list[str]:
    """Return the names of nodes in their order."""
    return [each.name for each in nodes]


def seen(node: Any) -> Any:
    """Return what a node holds: its name, items, children, tags, and its parent."""
    return (
        node.name,
        [each.id for each in node.items],
        names(node.children),
        names(node.tags),
        node.parent and node.parent.name,
    )


SEEN = [
    ("a", [1, 2], ["b", "c"], ["t0", "t1"], None),
    ("b", [], ["d"], [], "a"),
    ("c", [3], [], ["t1"], "a"),
    ("d", [], [], [], "b"),
]


async def test_a_lazy_walk_sees_the_same(world: World) -> None:
    """SQLAlchemy's own sessions hold such keys if they have a hash, even if they are equal to nothing else."""
    statement = select(world.node).order_by(world.node.name)
    if world.kind.hashed:
        assert await lazily(world.engine, statement, seen) == SEEN
    else:
        with pytest.raises(TypeError, match="unhashable"):
            await lazily(world.engine, statement, seen)


@pytest.mark.parametrize("strategy", ["selectin", "joined", "subquery"])
async def test_entities(world: World, strategy: Any) -> None:
    """Rows find their parents, and one row is one object, by each strategy."""
    node, loader = world.node, Loader(world.engine)
    plan = LoadPlan(node, *(load(each, strategy=strategy) for each in ("items", "children", "tags", "parent")))
    nodes = await loader.fetch_all(plan, order_by=node.name)
    assert list(map(seen, nodes)) == SEEN
    by_name = {each.name: each for each in nodes}
    for one in nodes:
        assert all(by_name[each.name] is each for each in one.children), "one row is one object"
        assert all(each.node is one for each in one.items)
    (tag,) = {id(each): each for one in nodes for each in one.tags if each.name == "t1"}.values()
    assert tag.name == "t1"
    plan = LoadPlan(world.item, load("node", load("parent", strategy=strategy), strategy=strategy))
    items = await loader.fetch_all(plan, order_by=world.item.id)
    assert [each.node and each.node.name for each in items] == ["a", "a", "c", None]
    assert items[0].node is items[1].node is items[2].node.parent


async def test_the_first_rows_and_whole_trees(world: World) -> None:
    """A limit for each parent, and trees of any depth."""
    node, loader = world.node, Loader(world.engine)
    plan = LoadPlan(node, load("items", limit=1), load("tags", order_by=world.tag.name.desc(), limit=1))
    found = await loader.fetch_all(plan, order_by=node.name)
    assert [([item.id for item in each.items], names(each.tags)) for each in found] == [
        ([1], ["t1"]),
        ([], []),
        ([3], ["t1"]),
        ([], []),
    ]
    root = await loader.fetch(LoadPlan(node, load("children", depth="all")), world.kind.id(0))
    assert names(root.children) == ["b", "c"]
    assert [names(each.children) for each in root.children] == [["d"], []]
    leaf = await loader.fetch(LoadPlan(node, load("parent", depth="all")), world.kind.id(3))
    assert leaf.parent.parent.name == "a"
    assert leaf.parent.parent.parent is None


async def test_views(world: World) -> None:
    """Collections within collections, counts and to-ones, for one root and for many."""
    await _has_views(world)


async def _has_views(world: World) -> None:
    loader, node = Loader(world.engine), world.node
    plan = LoadPlan(node, into=world.node_view)
    found = await loader.fetch_all(plan, order_by=node.name)

    def read(view: Any) -> Any:
        children = [(each.name, [item.id for item in each.items]) for each in view.children]
        return view.name, [each.id for each in view.items], children, names(view.tags), view.item_count

    expected = [
        ("a", [1, 2], [("b", []), ("c", [3])], ["t0", "t1"], 2),
        ("b", [], [("d", [])], [], 0),
        ("c", [3], [], ["t1"], 1),
        ("d", [], [], [], 0),
    ]
    assert list(map(read, found)) == expected
    assert read(await loader.fetch(plan, world.kind.id(2))) == expected[2]
    items = await loader.fetch_all(LoadPlan(world.item, into=world.item_view), order_by=world.item.id)
    assert [each.node and each.node.name for each in items] == ["a", "a", "c", None]


async def test_calls(world: World) -> None:
    """Ids that are new objects, several at once, pages, streams, counts, and objects that are extended."""
    node, loader, make = world.node, Loader(world.engine), world.kind.id
    plan = LoadPlan(node, load("items"), load("children"))
    assert (await loader.fetch(plan, make(1))).name == "b"
    assert await loader.fetch_or_none(plan, make(4)) is None
    for asked in (plan, LoadPlan(node, into=world.node_view)):
        found = await loader.fetch_many(asked, [make(n) for n in (2, 0, 4, 2)], missing="skip")
        assert names(found) == ["c", "a", "c"]
        assert found[0] is found[2]
    batched = loader.batched()
    assert names(await asyncio.gather(*(batched.fetch(plan, make(n)) for n in (3, 0)))) == ["d", "a"]
    streamed = [each async for each in loader.stream(plan, order_by=node.name, batch_size=3)]
    assert [each.name for each in streamed] == ["a", "b", "c", "d"]
    assert [[item.id for item in each.items] for each in streamed] == [[1, 2], [], [3], []]
    assert await loader.count(plan) == 4
    assert await loader.exists(plan)
    nodes = await loader.fetch_all(LoadPlan(node), order_by=node.name)
    await loader.extend(nodes, load("items"), load("tags"))
    assert [([item.id for item in each.items], names(each.tags)) for each in nodes] == [
        (items, tags) for _, items, _, tags, _ in SEEN
    ]
    parent = await loader.fetch(LoadPlan(node, load("children")), make(0))
    held = list(parent.children)
    await loader.extend(parent, load("children", load("items"), load("children")))
    assert [([item.id for item in each.items], names(each.children)) for each in held] == [([], ["d"]), ([3], [])]
    assert all(one is other for one, other in zip(parent.children, held, strict=True))


async def test_pages(world: World) -> None:
    """A page starts after a row with such a key, in an order that has ties."""
    node, loader = world.node, Loader(world.engine)
    plan = LoadPlan(node, load("items"))
    page = await loader.fetch_page(plan, order_by=node.name, size=3)
    assert names(page.items) == ["a", "b", "c"]
    after = await loader.fetch_page(plan, order_by=node.name, size=3, after=page.next)
    assert names(after.items) == ["d"]
    found, cursor = [], None
    for _ in range(4):
        page = await loader.fetch_page(plan, order_by=sa.func.length(node.name), size=1, after=cursor)
        found += names(page.items)
        cursor = page.next
    assert sorted(found) == ["a", "b", "c", "d"]
    assert cursor is None


@pytest.mark.parametrize("case", [("asyncpg", each) for each in UNHASHED], indirect=True)
async def test_types_that_say_they_have_no_hash(world: World) -> None:
    """Views tell rows apart by such a type; a plan of entities is refused, as SQLAlchemy refuses its rows."""
    with pytest.raises(PlanError, match="LP223"):
        LoadPlan(world.node)
    await _has_views(world)


async def test_a_session_cannot_hold_them(world: World) -> None:
    """SQLAlchemy's identity map needs a hash. Without one, the refusal says so."""
    plan = LoadPlan(world.node, load("items"), load("children"))
    async with AsyncSession(world.engine) as session:
        if not world.kind.hashed:
            with pytest.raises(PlanError, match="LP223"):
                await Loader(session).fetch_attached(plan, world.kind.id(0))
            return
        node = await Loader(session).fetch_attached(plan, world.kind.id(0))
        assert ([each.id for each in node.items], names(node.children)) == ([1, 2], ["b", "c"])
        assert sa.inspect(node).session is session.sync_session


async def test_the_identity_of_an_object(world: World) -> None:
    """The identity of an object has the values of its key, as SQLAlchemy makes them."""
    node, loader = world.node, Loader(world.engine)
    found = await loader.fetch(LoadPlan(node), world.kind.id(1))
    (identity,) = sa.inspect(found).identity
    assert identity is found.id
