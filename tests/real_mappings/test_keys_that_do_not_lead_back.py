"""Keys that SQLAlchemy binds in another form than the database has: ``extend`` finds rows, other calls explain it."""

import copy
import enum
import uuid
from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from sqlalchemy import MetaData, StaticPool
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import registry, relationship

from loadplan import Loader, LoadPlan, NotFound, load
from support import tables


class Colour(enum.Enum):
    """Two names for one value."""

    RED = "red"
    CRIMSON = "red"  # noqa: PIE796


class Lowered(sa.TypeDecorator[str]):
    """Writes text in lower case. Older rows have capitals."""

    impl = sa.String(9)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else value.lower()


class Guid(sa.TypeDecorator[uuid.UUID]):
    """Binds each value as the database has it."""

    impl = sa.String(36)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else str(value)

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else uuid.UUID(value)


@attrs.frozen
class Kind:
    """A type of keys.

    Attributes:
        type: the type.
        stored: a key in SQL.
        bound: the text of the value that SQLAlchemy binds for this key.
        column: the type of the column if the mapping does not know it.
    """

    type: Any
    stored: str
    bound: str
    column: str | None = None


_UUID = "ABCDEFAB-CDEF-4BCD-8FAB-CDEFABCDEFAB"
_HEX = "'abcdefabcdef4bcd8fabcdefabcdefab'"
ALIASES = sa.Enum(Colour, native_enum=False, omit_aliases=False, length=9)

KINDS = {
    "uuid": ("sqlite", Kind(sa.Uuid(), f"'{_UUID}'", _HEX)),
    "decimal": ("sqlite", Kind(sa.Numeric(10, 2), "1.123456", "1.12")),
    "float": ("sqlite", Kind(sa.Float(asdecimal=True), "0.12345678901234567", "0.123456789")),
    "moment": ("sqlite", Kind(sa.DateTime(), "'2026-01-02T03:04:06'", "'2026-01-02 03:04:06.000000'")),
    "alias": ("sqlite", Kind(ALIASES, "'CRIMSON'", "'RED'")),
    "lowered": ("sqlite", Kind(Lowered(), "'AB'", "'ab'")),
    "characters": ("postgresql", Kind(sa.Uuid(native_uuid=False), f"'{_UUID}'", _HEX, column="char(36)")),
    "double": ("postgresql", Kind(sa.Float(asdecimal=True), "0.12345678901234567", "0.123456789")),
}


@attrs.frozen
class World:
    """One node with a key that does not lead back to its row."""

    engine: AsyncEngine
    node: Any
    kind: Kind


def mapped(kind: Any, prefix: str) -> tuple[registry, Any]:
    """Map nodes with keys of a type, and items of nodes."""
    reg = registry(metadata=MetaData())
    nodes = sa.Table(prefix + "nodes", reg.metadata, sa.Column("id", kind, primary_key=True, autoincrement=False))
    items = sa.Table(
        prefix + "items", reg.metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("node_id", kind)
    )
    node, item = type("Node", (), {}), type("Item", (), {})
    reg.map_imperatively(item, items)
    mine = sa.and_(nodes.c.id == items.c.node_id)
    has = relationship(item, primaryjoin=mine, foreign_keys=[items.c.node_id], viewonly=True)
    reg.map_imperatively(node, nodes, properties={"items": has})
    return reg, node


@pytest.fixture(params=KINDS)
def case(request: pytest.FixtureRequest) -> tuple[AsyncEngine | None, str]:
    """The engine of a server, or None for SQLite, and the name of a kind."""
    name: str = request.param
    return (None if KINDS[name][0] == "sqlite" else request.getfixturevalue("asyncpg")), name


@pytest.fixture
async def world(case: tuple[AsyncEngine | None, str]) -> AsyncIterator[World]:
    """A node, on the database of the kind."""
    given, name = case
    kind, prefix = KINDS[name][1], f"back_{name}_"
    in_memory = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    engine = given or in_memory
    reg, node = mapped(kind.type, prefix)
    async with tables(engine, reg.metadata):
        async with engine.begin() as connection:
            if kind.column is not None:
                await connection.exec_driver_sql(f"ALTER TABLE {prefix}nodes ALTER id TYPE {kind.column}")
                await connection.exec_driver_sql(f"ALTER TABLE {prefix}items ALTER node_id TYPE {kind.column}")
            await connection.exec_driver_sql(f"INSERT INTO {prefix}nodes VALUES ({kind.stored})")  # noqa: S608
            await connection.exec_driver_sql(f"INSERT INTO {prefix}items VALUES (1, {kind.stored})")  # noqa: S608
        yield World(engine, node, kind)
    reg.dispose()
    await in_memory.dispose()


def says(error: NotFound, kind: Kind) -> bool:
    """Tell whether an error explains the key."""
    named = f"the row has its key in another form. SQLAlchemy binds 'Node.id' ({type(kind.type).__name__}) as "
    text = (error.detail or "").replace("the row may have", "the row has")
    way_out = "if the row exists, give 'Node.id' a type that binds each value as the database has it."
    bound = (kind.bound, f"Decimal('{kind.bound}0')")  # the same number as the caller gave it, or as the row has it
    return any(named + each in text for each in bound) and error.hint == way_out


async def test_calls_with_a_key_say_that_it_does_not_lead_back(world: World) -> None:
    loader = Loader(world.engine)
    plan = LoadPlan(world.node, load("items"), name="node")
    (node,) = await loader.fetch_all(plan)
    assert [each.id for each in node.items] == [1]
    key = node.id
    async with AsyncSession(world.engine) as session:
        assert await session.get(world.node, key) is None
        (by_sqlalchemy,) = await session.scalars(sa.select(world.node))
        calls = [
            loader.fetch(plan, key),
            loader.fetch_many(plan, [key]),
            loader.batched().fetch(plan, key),
            Loader(session).fetch_attached(plan, key),
            Loader(session).extend(by_sqlalchemy, load("items")),
        ]
        for call in calls:
            with pytest.raises(NotFound) as caught:
                await call
            assert says(caught.value, world.kind)
            assert caught.value.missing == (key,)
    assert await loader.fetch_or_none(plan, key) is None


async def test_objects_of_loadplan_find_their_rows_again(world: World) -> None:
    loader = Loader(world.engine)
    plan = LoadPlan(world.node, name="node")
    (node,) = await loader.fetch_all(plan)
    copied = copy.deepcopy(copy.deepcopy(node))
    for each in (node, copied):
        await loader.extend(each, load("items"))
        assert [item.id for item in each.items] == [1]
    async with AsyncSession(world.engine) as session:
        (attached,) = await loader.fetch_all(plan)
        session.add(attached)
        await Loader(session).extend([attached], load("items"))
        assert [item.id for item in attached.items] == [1]
        (first,), (second,) = await loader.fetch_all(plan), await loader.fetch_all(plan)
        await loader.extend([first, second, first], load("items"))
        assert [[item.id for item in each.items] for each in (first, second)] == [[1], [1]]
        await session.execute(sa.delete(world.node))
        with pytest.raises(NotFound) as caught:
            await Loader(session).extend(attached, load("items"), refresh=True)
    assert caught.value.detail == (
        "the row was deleted after the object was loaded, or a filter of the session hides it now."
    )


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [(ALIASES, "'CRIMSON'", "'RED'"), (sa.Numeric(10, 2), "1.5", "1.5000001"), (sa.Uuid(), f"'{_UUID}'", _HEX)],
    ids=["alias", "decimal", "uuid"],
)
async def test_rows_with_equal_keys_in_python_keep_apart(kind: Any, first: str, second: str) -> None:
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    reg, node = mapped(kind, "back_")
    async with tables(engine, reg.metadata):
        async with engine.begin() as connection:
            await connection.exec_driver_sql(f"INSERT INTO back_nodes VALUES ({first}), ({second})")  # noqa: S608
            await connection.exec_driver_sql(f"INSERT INTO back_items VALUES (1, {first}), (2, {second})")  # noqa: S608
        loader = Loader(engine)
        nodes = await loader.fetch_all(LoadPlan(node, load("items")))
        plain = await loader.fetch_all(LoadPlan(node))
        assert plain[0].id == plain[1].id
        await loader.extend(plain, load("items"))
        wanted = [[each.id for each in one.items] for one in nodes]
        assert sorted(wanted) == [[1], [2]]
        assert [[each.id for each in one.items] for one in plain] == wanted
    reg.dispose()
    await engine.dispose()


async def test_a_key_that_changed_is_asked_by_its_value() -> None:
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    reg, node = mapped(sa.Uuid(), "back_")
    async with tables(engine, reg.metadata):
        async with engine.begin() as connection:
            await connection.execute(sa.insert(node), {"id": uuid.UUID(int=1)})
        loader = Loader(engine)
        async with AsyncSession(engine, expire_on_commit=False) as session:
            (found,) = await loader.fetch_all(LoadPlan(node))
            session.add(found)
            found.id = uuid.UUID(int=2)
            await session.commit()
        await loader.extend(found, load("items"))
        assert found.items == []
    reg.dispose()
    await engine.dispose()


@pytest.mark.parametrize(
    ("kind", "key"), [(sa.Integer(), 7), (sa.String(9), "a"), (Guid(), uuid.UUID(int=7)), (Lowered(), "ab")]
)
async def test_other_missing_rows_get_no_explanation(kind: Any, key: Any) -> None:
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    reg, node = mapped(kind, "back_")
    async with tables(engine, reg.metadata):
        with pytest.raises(NotFound) as caught:
            await Loader(engine).fetch(LoadPlan(node), key)
        assert (caught.value.detail, caught.value.hint) == (None, None)
        async with engine.begin() as connection:
            await connection.execute(sa.insert(node), {"id": key})
        (found,) = await Loader(engine).fetch_all(LoadPlan(node))
        async with engine.begin() as connection:
            await connection.execute(sa.delete(node))
        with pytest.raises(NotFound) as caught:
            await Loader(engine).extend(found, load("items"))
        assert (caught.value.detail or "").startswith("the row was deleted after the object was loaded, or a filter")
        assert "in another form" not in (caught.value.detail or "")
    reg.dispose()
    await engine.dispose()
