"""Rows that break what the mapping promises: the right graph, or one clear error, for entities and for views."""

from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest
from fire_checks import listening
from fire_data_models import (
    COLUMNS,
    ITEM,
    TREE,
    TREE_VIEW,
    Base,
    Item,
    Label,
    Other,
    Quoted,
    Strange,
    StrangePart,
    StrangeView,
    Wide,
    WideRow,
    another_item,
    pairs,
)
from fire_models import PLANS as SHELVES
from fire_models import Base as Library
from fire_models import Book, Shelf, seed, seen, times
from sqlalchemy import URL, delete, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.util import await_only

from loadplan import Loader, LoadPlan, ViewError, load
from support import tables

names = pytest.mark.parametrize("name", ITEM)


@pytest.fixture
async def items(postgres: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    async with tables(postgres, Base.metadata):
        yield postgres


async def fill(engine: AsyncEngine, table: Any, rows: list[dict[str, Any]]) -> None:
    async with engine.begin() as connection:
        for row in rows:
            await connection.execute(insert(table).values(row))


def shape(item: Any) -> Any:
    return (
        item.id,
        item.name,
        item.owner and (item.owner.id, item.owner.name),
        [label.id for label in item.labels],
        [(child.id, child.owner and child.owner.id) for child in item.children],
    )


@names
async def test_empty_tables(items: AsyncEngine, name: str) -> None:
    loader = Loader(items)
    assert await loader.fetch_all(ITEM[name]) == []
    assert await loader.fetch_or_none(ITEM[name], 1) is None
    assert (await loader.fetch_page(ITEM[name])).items == []
    assert [each async for each in loader.stream(ITEM[name])] == []


@names
async def test_orphans_nulls_and_pairs_that_are_there_twice(items: AsyncEngine, name: str) -> None:
    """Keys that lead nowhere, keys that are NULL, an association with duplicates and loose ends."""
    await fill(items, Label, [{"id": 1, "name": None}, {"id": 2, "name": "two"}])
    rows = [(1, None, 1, None), (2, "b", 99, 1), (3, None, None, 1), (4, "d", 2, 77), (5, None, None, None)]
    await fill(items, Item, [dict(zip(("id", "name", "owner_id", "parent_id"), row, strict=True)) for row in rows])
    tied = [(1, 2), (1, 2), (1, 1), (1, 1), (1, 99), (1, None), (None, 1), (88, 1), (2, 1), (4, 99)]
    await fill(items, pairs, [{"item_id": item, "label_id": label} for item, label in tied])
    right = [
        (1, None, (1, None), [1, 2], [(2, None), (3, None)]),
        (2, "b", None, [1], []),
        (3, None, None, [], []),
        (4, "d", (2, "two"), [], []),
        (5, None, None, [], []),
    ]
    loader = Loader(items)
    assert [shape(each) for each in await loader.fetch_all(ITEM[name], order_by=Item.id)] == right
    assert [shape(await loader.fetch(ITEM[name], each)) for each in range(1, 6)] == right
    assert [shape(each) async for each in loader.stream(ITEM[name], order_by=Item.id, batch_size=2)] == right
    assert [shape(each) for each in (await loader.fetch_page(ITEM[name], Item.name, 10)).items] == [
        right[at] for at in (1, 3, 0, 2, 4)
    ]


async def test_cycles_in_a_tree(items: AsyncEngine) -> None:
    """A row that is its own parent, and three that go round: entities become cycles, views say that they cannot."""
    rows = [(1, 1), (2, 4), (3, 2), (4, 3), (5, None), (6, 5)]
    await fill(items, Item, [{"id": id_, "parent_id": parent} for id_, parent in rows])
    loader = Loader(items)
    own = await loader.fetch(TREE, 1)
    assert own.children == [own]
    round_ = await loader.fetch(TREE, 2)
    assert round_.children[0].children[0].children == [round_]
    for id_ in (1, 2, 3):
        with pytest.raises(ViewError, match="LP412"):
            await loader.fetch(TREE_VIEW, id_)
    tree = await loader.fetch(TREE_VIEW, 5)
    assert [(child.id, child.children) for child in tree.children] == [(6, [])]
    assert len(await loader.fetch_all(TREE)) == 6


async def test_a_tree_that_is_deeper_than_pythons_stack(items: AsyncEngine) -> None:
    """5,000 levels in a line."""
    depth = 5_000
    async with items.begin() as connection:
        rows = [{"id": number, "parent_id": number - 1 or None} for number in range(1, depth + 1)]
        await connection.execute(insert(Item), rows)
    for plan in (TREE, TREE_VIEW):
        node: Any = await Loader(items).fetch(plan, 1)
        for number in range(1, depth + 1):
            assert node.id == number
            node = node.children[0] if node.children else None
        assert node is None


@pytest.mark.parametrize("name", ["entities", "by level"])
async def test_rows_that_are_deleted_between_two_statements(
    items: AsyncEngine, neighbour: AsyncEngine, name: str
) -> None:
    """Without a snapshot: what is gone is missing from the graph, and nothing breaks."""
    await fill(items, Label, [{"id": 1, "name": "one"}])
    await fill(items, Item, [{"id": 1, "owner_id": 1}, {"id": 2, "parent_id": 1, "owner_id": 1}])
    await fill(items, pairs, [{"item_id": 1, "label_id": 1}])
    deleted: list[object] = []

    async def remove() -> None:
        if not deleted:
            deleted.append(True)
            async with neighbour.begin() as connection:
                for table in (Item, Label, pairs):
                    await connection.execute(delete(table))

    with listening(items.sync_engine, "after_cursor_execute", lambda *_: await_only(remove())):
        found = await Loader(items, snapshot=False).fetch(ITEM[name], 1)
    assert shape(found) == (1, None, (1, "one"), [], [])


@names
async def test_a_collection_of_very_many_rows(items: AsyncEngine, name: str) -> None:
    """70,000 children of one parent, 50,000 where they are entities; a million in the long form."""
    many = times(50_000 if name == "entities" else 70_000, 1_000_000)
    async with items.begin() as connection:
        await connection.execute(insert(Item).values(id=0))
        numbers = select(func.generate_series(1, many), 0)
        await connection.execute(insert(Item).from_select(["id", "parent_id"], numbers))
    found = await Loader(items).fetch(ITEM[name], 0)
    assert len(found.children) == many
    assert (found.children[0].id, found.children[-1].id) == (1, many)


# --- tables of rare shapes ------------------------------------------------------------------------------------------


async def test_sixteen_hundred_columns(postgres: AsyncEngine) -> None:
    """As many as PostgreSQL takes; a page and a stream of them, and a view of two."""
    view = attrs.make_class("Narrow", {"id": attrs.field(type=int), "c1598": attrs.field(type=int | None)})
    everything = attrs.make_class("AllOf", {each.key: attrs.field(type=Any) for each in WideRow.__table__.c})
    async with tables(postgres, Wide.metadata):
        await fill(postgres, WideRow, [{"id": 1, "c1598": 7}, {"id": 2, "c0": 5}])
        loader = Loader(postgres)
        row = await loader.fetch(LoadPlan(WideRow), 1)
        assert (row.c1598, row.c0) == (7, None)
        assert (await loader.fetch(LoadPlan(WideRow, into=view), 1)).c1598 == 7
        wide = await loader.fetch(LoadPlan(WideRow, into=everything), 2)
        assert len(attrs.fields(everything)) == COLUMNS
        assert (wide.c0, wide.c1598) == (5, None)
        assert [each.c0 async for each in loader.stream(LoadPlan(WideRow), order_by=WideRow.id)] == [None, 5]
        assert [each.id for each in (await loader.fetch_page(LoadPlan(WideRow), size=1)).items] == [1]


@pytest.mark.parametrize("kind", ["entities", "by level", "nested", "first rows"])
async def test_names_that_need_quotes(postgres: AsyncEngine, kind: str) -> None:
    chosen: Any = "selectin" if kind == "by level" else None
    plan: LoadPlan[Any] = LoadPlan(Strange, load(Strange.parts, strategy=chosen), into=StrangeView)
    if kind in {"entities", "first rows"}:
        plan = LoadPlan(Strange, load(Strange.parts, limit=5 if kind == "first rows" else None))
    async with postgres.begin() as connection:
        await connection.execute(text('CREATE SCHEMA "Odd ""Schema"""'))
    try:
        async with tables(postgres, Quoted.metadata):
            async with AsyncSession(postgres) as session:
                session.add_all([Strange(id=1, order="a", parts=[StrangePart(id=1), StrangePart(id=2)]), Strange(id=2)])
                await session.commit()
            loader = Loader(postgres)
            right = [(1, "a", [1, 2]), (2, None, [])]
            for found in (
                await loader.fetch_all(plan, order_by=Strange.id),
                await loader.fetch_many(plan, [1, 2]),
                (await loader.fetch_page(plan, Strange.order)).items,
                [each async for each in loader.stream(plan, order_by=Strange.id)],
            ):
                assert [(each.id, each.order, [part.id for part in each.parts]) for each in found] == right
    finally:
        async with postgres.begin() as connection:
            await connection.execute(text('DROP SCHEMA "Odd ""Schema""" CASCADE'))


# --- schemas, databases, bases --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHELVES)
async def test_one_plan_for_two_schemas_at_once(library: AsyncEngine, name: str) -> None:
    """``schema_translate_map`` on the engine: the plan and its statements are shared, the rows are not."""
    tenant = library.execution_options(schema_translate_map={None: "fire_second"})
    async with library.begin() as connection:
        await connection.execute(text("CREATE SCHEMA fire_second"))
    try:
        async with tenant.begin() as connection:
            await connection.run_sync(Library.metadata.create_all, checkfirst=False)
        await seed(tenant, shelves=2, books=1)
        for engine, shelves, books in ((library, 6, 5), (tenant, 2, 1), (library, 6, 5)):
            for bind in (engine, async_sessionmaker(engine)):
                loader = Loader(bind)
                found = await loader.fetch_all(SHELVES[name], order_by=Shelf.id)
                assert [len(each.books) for each in found] == [books] * shelves
                walked = [seen(each) async for each in loader.stream(SHELVES[name], order_by=Shelf.id)]
                assert walked == [seen(each) for each in found]
                assert len((await loader.fetch(SHELVES[name], 1)).books) == books
    finally:
        async with library.begin() as connection:
            await connection.execute(text("DROP SCHEMA fire_second CASCADE"))


@pytest.fixture
async def second(postgres_url: URL, postgres: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """A second database, with the library in it."""
    name = f"{postgres_url.database}_second"
    admin = postgres.execution_options(isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text(f'CREATE DATABASE "{name}"'))
    engine = create_async_engine(postgres_url.set(database=name))
    try:
        async with engine.begin() as connection:
            await connection.run_sync(Library.metadata.create_all)
        yield engine
    finally:
        await engine.dispose()
        async with admin.connect() as connection:
            await connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))


async def test_two_databases_with_the_same_tables(library: AsyncEngine, second: AsyncEngine) -> None:
    """The same plans on both, by engine and by ``binds``; the books of one session are in the other database."""
    await seed(second, shelves=1, books=2)
    for name, plan in SHELVES.items():
        assert [len((await Loader(each).fetch(plan, 1)).books) for each in (library, second, library)] == [5, 2, 5], (
            name
        )
    moved = async_sessionmaker(binds={Library: second})
    for name, plan in SHELVES.items():
        assert len((await Loader(moved).fetch(plan, 1)).books) == 2, name
    split = async_sessionmaker(binds={Shelf: library, Book: second})
    bare: Any = attrs.make_class("BareBook", {"id": attrs.field(type=int)})
    shelf: Any = attrs.make_class("BareShelf", {"id": attrs.field(type=int), "books": attrs.field(type=list[bare])})
    for plan in (
        LoadPlan(Shelf, load(Shelf.books)),
        LoadPlan(Shelf, load(Shelf.books, strategy="selectin"), into=shelf),
    ):
        found = await Loader(split).fetch(plan, 1)
        assert [each.id for each in found.books] == [100, 101]


async def test_two_bases_with_classes_of_one_name(items: AsyncEngine) -> None:
    namesake = another_item()
    async with tables(items, Other.metadata):
        await fill(items, Item, [{"id": 1, "name": "one"}])
        await fill(items, namesake, [{"id": 1, "title": "other"}])
        loader = Loader(items)
        plans = LoadPlan(Item), LoadPlan(namesake)
        assert plans[0] != plans[1]
        one, other = [await loader.fetch(each, 1) for each in plans]
        assert (type(one), one.name, type(other), other.title) == (Item, "one", namesake, "other")
        view: Any = attrs.make_class("TitleView", {"title": attrs.field(type=str)})
        assert (await loader.fetch(LoadPlan(namesake, into=view), 1)).title == "other"
