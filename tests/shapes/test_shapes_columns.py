"""Every kind of attribute and collection in a plan with a filter, an order and a limit."""

import dataclasses
import enum
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import ARRAY, JSON, ForeignKey, Integer, TypeDecorator, func, insert, literal, select, types
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.ext.orderinglist import ordering_list
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    attribute_keyed_dict,
    column_property,
    composite,
    mapped_column,
    query_expression,
    relationship,
    with_expression,
)

from loadplan import Loader, LoadPlan, NotLoaded, load
from support import tables


class Base(DeclarativeBase):
    pass


class Level(enum.Enum):
    LOW = 1
    MID = 2
    TOP = 3


class Upper(TypeDecorator[str]):
    """Text that is stored in capitals."""

    impl = types.String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else value.upper()

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else value.lower()


@dataclasses.dataclass(frozen=True)
class Point:
    """A composite."""

    x: int
    y: int


class Label(Base):
    __tablename__ = "shc_labels"
    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("shc_items.id"))
    text: Mapped[str]


class Shelf(Base):
    __tablename__ = "shc_shelves"
    id: Mapped[int] = mapped_column(primary_key=True)
    items: Mapped[list["Item"]] = relationship(back_populates="shelf")
    as_set: Mapped[set["Item"]] = relationship(viewonly=True)
    by_name: Mapped[dict[str, "Item"]] = relationship(collection_class=attribute_keyed_dict("name"), viewonly=True)
    lined_up: Mapped[list["Item"]] = relationship(
        order_by="Item.position", collection_class=ordering_list("position"), viewonly=True
    )
    names: AssociationProxy[list[str]] = association_proxy("items", "name")


class Item(Base):
    __tablename__ = "shc_items"
    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int] = mapped_column(ForeignKey("shc_shelves.id"), index=True)
    name: Mapped[str]
    position: Mapped[int] = mapped_column()
    level: Mapped[Level]
    code: Mapped[str] = mapped_column(Upper)
    meta: Mapped[dict[str, Any]] = mapped_column(JSON)
    numbers: Mapped[list[int]] = mapped_column(JSON().with_variant(ARRAY(Integer), "postgresql"))
    place: Mapped[Point] = composite(mapped_column("x"), mapped_column("y"))
    twice: Mapped[int] = column_property(id * 2)
    weight: Mapped[int | None] = query_expression()
    defaulted: Mapped[int | None] = query_expression(default_expr=position + 100)
    shelf: Mapped[Shelf] = relationship(back_populates="items")
    labels: Mapped[list[Label]] = relationship(order_by=Label.id)
    label_texts: AssociationProxy[list[str]] = association_proxy("labels", "text")
    label_count: Mapped[int] = column_property(
        select(func.count(Label.id)).where(Label.item_id == id).correlate_except(Label).scalar_subquery()
    )

    @hybrid_property
    def slug(self) -> str:
        return self.name + "!"


@pytest.fixture
async def shelves(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Shelf 1 with items 1 to 6, shelf 2 with items 7 to 9; item n has n % 4 labels."""
    async with tables(engine, Base.metadata):
        async with engine.begin() as connection:
            await connection.execute(insert(Shelf), [{"id": 1}, {"id": 2}])
            for n in range(1, 10):
                values = {
                    "id": n,
                    "shelf_id": 1 + (n > 6),
                    "name": "fedcba"[n % 6],
                    "position": -n,
                    "level": list(Level)[n % 3],
                    "code": f"c{n % 2}",
                    "meta": {"n": n % 3, "deep": [None, {"a": n}]},
                    "numbers": [n, n % 2],
                    "x": n % 2,
                    "y": n,
                }
                await connection.execute(insert(Item.__table__), [values])
                for number in range(n % 4):
                    await connection.execute(insert(Label), [{"item_id": n, "text": f"{n}.{number}"}])
        yield engine


SHAPES: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "column_property": (
        {"where": Item.label_count > 0, "order_by": Item.label_count.desc()},
        lambda i: i.label_count > 0,
        lambda i: -i.label_count,
    ),
    "column_property of columns": (
        {"where": Item.twice > 5, "order_by": Item.twice.desc()},
        lambda i: i.twice > 5,
        lambda i: -i.twice,
    ),
    "hybrid": ({"where": Item.slug != "a!", "order_by": Item.slug}, lambda i: i.slug != "a!", lambda i: i.slug),
    "composite": (
        {"where": (Item.place == Point(1, 3)) | (Item.place == Point(0, 4)), "order_by": Item.__table__.c.x},
        lambda i: i.place in {Point(1, 3), Point(0, 4)},
        lambda i: i.place.x,
    ),
    "type decorator": ({"where": Item.code == "c1", "order_by": Item.code}, lambda i: i.code == "c1", lambda i: i.code),
    "enum": (
        {"where": Item.level != Level.MID, "order_by": Item.name},
        lambda i: i.level != Level.MID,
        lambda i: i.name,
    ),
    "json": (
        {"where": Item.meta["n"].as_integer() > 0, "order_by": Item.meta["n"].as_integer().desc()},
        lambda i: i.meta["n"] > 0,
        lambda i: -i.meta["n"],
    ),
    "association proxy": (
        {"where": Item.label_texts.contains("3.1") | (Item.id == 2), "order_by": Item.name},
        lambda i: i.id in {2, 3},
        lambda i: i.name,
    ),
    "plain": ({"order_by": Item.name.desc()}, lambda i: True, lambda i: -ord(i.name)),
}


@pytest.mark.parametrize("limit", [None, 2])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("key", ["items", "as_set", "by_name", "lined_up"])
async def test_filter_order_and_limit_by_every_kind_of_attribute(
    shelves: AsyncEngine, key: str, shape: str, limit: int | None
) -> None:
    arguments, keeps, rank = SHAPES[shape]
    plan = LoadPlan(Shelf, load(getattr(Shelf, key), load(Item.labels), limit=limit, **arguments))
    every = await Loader(shelves).fetch_all(LoadPlan(Shelf, load(Shelf.items, load(Item.labels))), order_by=Shelf.id)
    for shelf, whole in zip(await Loader(shelves).fetch_all(plan, order_by=Shelf.id), every, strict=True):
        expected = sorted((item for item in whole.items if keeps(item)), key=lambda item: (rank(item), item.id))[:limit]
        value = getattr(shelf, key)
        found = list(value.values() if isinstance(value, dict) else value)
        if key == "as_set":
            assert type(value).__name__ == "InstrumentedSet"
            found.sort(key=lambda item: (rank(item), item.id))
        if key == "by_name":
            assert all(name == item.name for name, item in value.items())
        if key == "by_name":
            expected = list({item.name: item for item in expected}.values())
        assert [item.id for item in found] == [item.id for item in expected]
        for item, other in zip(found, expected, strict=True):
            same = ("name", "position", "level", "code", "meta", "numbers", "place", "twice", "label_count", "slug")
            assert [getattr(item, name) for name in same] == [getattr(other, name) for name in same]
            assert list(item.label_texts) == [f"{item.id}.{number}" for number in range(item.id % 4)]


async def test_an_ordering_list_leaves_positions_as_they_are(shelves: AsyncEngine) -> None:
    shelf = await Loader(shelves).fetch(LoadPlan(Shelf, load(Shelf.lined_up, limit=3)), 1)
    assert [(item.id, item.position) for item in shelf.lined_up] == [(6, -6), (5, -5), (4, -4)]


@pytest.mark.parametrize("limit", [None, 3])
async def test_the_key_of_a_dict_comes_though_only_leaves_it_out(shelves: AsyncEngine, limit: int | None) -> None:
    """Without it there is no dict: loading goes by it."""
    plan = LoadPlan(Shelf, load(Shelf.by_name, only=[Item.level], order_by=Item.id, limit=limit))
    shelf = await Loader(shelves).fetch(plan, 2)
    assert {name: item.level for name, item in shelf.by_name.items()} == {
        "e": Level.MID,
        "d": Level.TOP,
        "c": Level.LOW,
    }


@pytest.mark.parametrize("limit", [None, 3])
@pytest.mark.parametrize("only", [None, [Item.name]])
async def test_a_default_query_expression_comes_without_what_it_is_computed_of(
    shelves: AsyncEngine, only: Any, limit: int | None
) -> None:
    plan = LoadPlan(Shelf, load(Shelf.items, only=only, order_by=Item.id, limit=limit))
    shelf = await Loader(shelves).fetch(plan, 2)
    assert [item.id for item in shelf.items] == [7, 8, 9]
    assert [item.defaulted for item in shelf.items] in ([93, 92, 91], [None, None, None])
    assert [item.weight for item in shelf.items] == [None] * 3
    root = await Loader(shelves).fetch(LoadPlan(Item), 7)
    assert root.defaulted == 93


async def test_with_expression_goes_with_the_statement_of_a_plan(shelves: AsyncEngine) -> None:
    plan = LoadPlan(Item, load(Item.labels))
    statement = plan.select().options(with_expression(Item.weight, Item.id + 1)).order_by(Item.id)
    async with AsyncSession(shelves) as session:
        found = (await session.scalars(statement)).all()
    assert [item.weight for item in found] == list(range(2, 11))


async def test_an_association_proxy_over_what_is_not_loaded_says_so(shelves: AsyncEngine) -> None:
    plan = LoadPlan(Shelf, load(Shelf.items, order_by=Item.id, limit=2))
    shelf = await Loader(shelves).fetch(plan, 1)
    assert list(shelf.names) == ["e", "d"]
    with pytest.raises(NotLoaded, match=r"'Item\.labels' is not part of plan 'Shelf'"):
        list(shelf.items[0].label_texts)


async def test_arrays_in_conditions(postgres: AsyncEngine, shelves: AsyncEngine) -> None:
    if shelves is not postgres:
        pytest.skip("SQLite has no arrays")
    condition = Item.__table__.c.numbers.op("@>")(literal([1], ARRAY(Integer)))
    plan = LoadPlan(Shelf, load(Shelf.items, where=condition, order_by=Item.numbers.desc(), limit=2))
    shelf = await Loader(shelves).fetch(plan, 1)
    assert [item.numbers for item in shelf.items] == [[5, 1], [3, 1]]


async def test_pages_and_streams_by_computed_attributes(shelves: AsyncEngine) -> None:
    plan = LoadPlan(Item, load(Item.labels))
    loader = Loader(shelves)
    for order in (Item.label_count.desc(), Item.twice.desc(), Item.slug, Item.code, Item.meta["n"].as_integer()):
        whole = [item.id for item in await loader.fetch_all(plan, order_by=order)]
        assert [item.id async for item in loader.stream(plan, order_by=order, batch_size=2)] == whole
        found, after = [], None
        while True:
            page = await loader.fetch_page(plan, order, 2, after=after)
            found += [item.id for item in page.items]
            after = page.next
            if after is None or len(found) > 9:
                break
        assert found == whole
