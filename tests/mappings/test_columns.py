"""Column-level mappings: deferred, computed, composite, renamed, typed, versioned, defaulted by the server."""

import datetime
import enum
from dataclasses import dataclass
from typing import Any

import pytest
from oracle import fill, same_as_lazy
from sqlalchemy import JSON, Dialect, Enum, ForeignKey, String, TypeDecorator, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    column_property,
    composite,
    deferred,
    mapped_column,
    query_expression,
    relationship,
    synonym,
)
from sqlalchemy.orm.exc import StaleDataError

from loadplan import Loader, LoadPlan, NotLoaded, load
from support import in_one, recording, tables

STRATEGIES = [None, "selectin", "subquery", "joined"]


class Base(DeclarativeBase):
    pass


class Mood(enum.Enum):
    CALM = 1
    LOUD = 2


@dataclass(frozen=True)
class Point:
    x: int
    y: int


@dataclass(frozen=True)
class Wrapped:
    text: str


class WrappedType(TypeDecorator[Wrapped]):
    impl = String(50)
    cache_ok = True

    def process_bind_param(self, value: Wrapped | None, dialect: Dialect) -> str | None:
        return None if value is None else value.text

    def process_result_value(self, value: str | None, dialect: Dialect) -> Wrapped | None:
        return None if value is None else Wrapped(value)


class Shop(Base):
    __tablename__ = "columns_shops"
    id: Mapped[int] = mapped_column(primary_key=True)
    items: Mapped[list["Item"]] = relationship(back_populates="shop", order_by="Item.title")


class Part(Base):
    __tablename__ = "columns_parts"
    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("columns_items.item_id"))


class Item(Base):
    __tablename__ = "columns_items"
    ident: Mapped[int] = mapped_column("item_id", primary_key=True)
    title: Mapped[str] = mapped_column("name")
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}
    shop_id: Mapped[int | None] = mapped_column(ForeignKey(Shop.id))
    x: Mapped[int] = mapped_column(default=1)
    y: Mapped[int] = mapped_column("why", default=2)
    mood: Mapped[Mood] = mapped_column(Enum(Mood, name="columns_mood"), default=Mood.CALM)
    extra: Mapped[dict[str, Any]] = mapped_column(JSON, default=lambda: {"a": [1]})
    wrapped: Mapped[Wrapped] = mapped_column(WrappedType, default=Wrapped("w"))
    notes: Mapped[str] = mapped_column(deferred=True, default="long")
    front: Mapped[str] = mapped_column(deferred=True, deferred_group="pictures", default="f")
    back: Mapped[str] = mapped_column(deferred=True, deferred_group="pictures", default="b")
    made_at: Mapped[datetime.datetime] = mapped_column(server_default=func.current_timestamp())
    origin: Mapped[str] = mapped_column(String(10), server_default="home")
    point: Mapped[Point] = composite("x", "y")
    label = synonym("title")
    rating: Mapped[int | None] = query_expression()
    double_x: Mapped[int] = column_property(x * 2)
    parts_count: Mapped[int] = column_property(
        select(func.count(Part.id)).where(Part.item_id == ident).correlate_except(Part).scalar_subquery()
    )
    late: Mapped[int] = deferred(x + y)
    shop: Mapped[Shop | None] = relationship(back_populates="items")
    parts: Mapped[list[Part]] = relationship(order_by=Part.id)
    store = synonym("shop")

    @hybrid_property
    def area(self) -> int:
        return self.x * self.y

    @hybrid_property
    def wordy(self) -> str:
        return f"{self.title}: {self.notes}"


async def _fill(engine: AsyncEngine) -> None:
    await fill(engine, Shop(id=1), Shop(id=2))
    await fill(
        engine,
        Item(ident=1, title="b", shop_id=1, x=3, y=4, mood=Mood.LOUD),
        Item(ident=2, title="a", shop_id=1),
        Item(ident=3, title="c"),
    )
    await fill(engine, Part(id=1, item_id=1), Part(id=2, item_id=1), Part(id=3, item_id=3))


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_every_value_is_as_sqlalchemy_gives_it(engine: AsyncEngine, strategy: str | None) -> None:
    """At the root, in a collection and behind a to-one; computed columns included."""
    down = LoadPlan(Shop, load(Shop.items, load(Item.parts), strategy=strategy))  # type: ignore[arg-type]
    up = LoadPlan(Item, load(Item.shop, load(Shop.items, strategy=strategy), strategy=strategy))  # type: ignore[arg-type]
    async with tables(engine, Base.metadata):
        await _fill(engine)
        shops = await same_as_lazy(engine, down, 2 if strategy == "joined" else 3)
        await same_as_lazy(engine, up, {None: 2, "joined": 1}.get(strategy, 3), by_hand=False)
    second, first = shops[0].items
    assert (first.point, first.area, first.double_x, first.parts_count) == (Point(3, 4), 12, 6, 2)
    assert (second.label, second.mood, second.wrapped, second.origin) == ("a", Mood.CALM, Wrapped("w"), "home")
    assert second.parts_count == 0
    assert first.made_at is not None


@pytest.mark.parametrize("key", ["notes", "front", "back", "late"])
async def test_deferred_columns_stay_out_and_say_so(engine: AsyncEngine, key: str) -> None:
    """One alone, a group, and a deferred expression; a hybrid over one passes the error on."""
    async with tables(engine, Base.metadata):
        await _fill(engine)
        item = await Loader(engine).fetch(LoadPlan(Item, name="items"), 1)
        shop = await Loader(engine).fetch(LoadPlan(Shop, load(Shop.items)), 1)
    with pytest.raises(NotLoaded) as caught:
        getattr(item, key)
    assert str(caught.value) == (
        f"LP401: 'Item.{key}' is not part of plan 'items' (at its root)\n"
        f"  hint: the mapping defers this column; add LoadPlan(Item, only=[Item.{key}]) to the plan"
    )
    with pytest.raises(NotLoaded, match=rf"'Item\.{key}' is not part of plan 'Shop' \(at Shop\.items\)"):
        getattr(shop.items[0], key)
    with pytest.raises(NotLoaded, match=r"'Item\.notes'"):
        _ = item.wordy


async def test_only_brings_deferred_and_computed_columns(engine: AsyncEngine) -> None:
    """One member of a group alone, a deferred expression, a subquery; each through its attribute's name."""
    only = [Item.front, Item.late, Item.parts_count, Item.title]
    plan = LoadPlan(Shop, load(Shop.items, only=only))
    async with tables(engine, Base.metadata):
        await _fill(engine)
        with recording(engine) as statements:
            shop = await Loader(engine).fetch(plan, 1)
    assert len(statements) == in_one(engine, 2)
    item = shop.items[1]
    assert (item.ident, item.front, item.late, item.parts_count, item.title) == (1, "f", 7, 2, "b")
    for key in ("back", "notes", "mood", "x", "double_x"):
        with pytest.raises(NotLoaded):
            getattr(item, key)


async def test_only_through_a_composite_and_a_synonym(engine: AsyncEngine) -> None:
    """A composite stands for its columns, a synonym for what it is a synonym of."""
    async with tables(engine, Base.metadata):
        await _fill(engine)
        item = await Loader(engine).fetch(LoadPlan(Item, only=[Item.point, Item.label]), 1)  # type: ignore[list-item]
        without = await Loader(engine).fetch(LoadPlan(Item, defer=[Item.point]), 1)  # type: ignore[list-item]
    assert (item.point, item.title, item.label) == (Point(3, 4), "b", "b")
    with pytest.raises(NotLoaded):
        _ = item.mood
    with pytest.raises(NotLoaded, match=r"'Item\.x'"):
        _ = without.point


async def test_a_relationship_through_its_synonym(engine: AsyncEngine) -> None:
    """``load(Item.store)`` loads ``Item.shop``."""
    async with tables(engine, Base.metadata):
        await _fill(engine)
        with recording(engine) as statements:
            item = await Loader(engine).fetch(LoadPlan(Item, load("store")), 1)
    assert len(statements) == 1
    assert item.shop is not None
    assert item.store.id == 1


async def test_a_query_expression_is_none_until_somebody_gives_it(engine: AsyncEngine) -> None:
    """It is not a column of the mapping: absent in a statement, it is None, as SQLAlchemy has it."""
    async with tables(engine, Base.metadata):
        await _fill(engine)
        item = await Loader(engine).fetch(LoadPlan(Item), 1)
    assert item.rating is None


async def test_the_version_counter_always_comes(engine: AsyncEngine) -> None:
    """Without it a change could not be flushed; with it a stale one is noticed."""
    plan = LoadPlan(Item, only=[Item.title])
    async with tables(engine, Base.metadata):
        await _fill(engine)
        mine = await Loader(engine).fetch(plan, 1)
        theirs = await Loader(engine).fetch(plan, 1)
        assert mine.version == 1
        async with AsyncSession(engine) as session:
            session.add(mine)
            mine.title = "changed"
            await session.commit()
        async with AsyncSession(engine) as session:
            session.add(theirs)
            theirs.title = "late"
            with pytest.raises(StaleDataError):
                await session.commit()


async def test_by_hand_the_columns_are_the_same(engine: AsyncEngine) -> None:
    """``only=`` and ``defer=`` hold in ``plan.select()`` too."""
    plan = LoadPlan(Shop, load(Shop.items, load(Item.parts, defer=[Part.item_id]), only=[Item.late]))
    async with tables(engine, Base.metadata):
        await _fill(engine)
        ours = (await Loader(engine).fetch(plan, 1)).items
        async with AsyncSession(engine) as session:
            by_hand = (await session.scalars(plan.select().where(Shop.id == 1))).one().items
    for mine, plain in zip(ours, by_hand, strict=True):
        assert set(vars(mine)) - {"shop"} == set(vars(plain)) - {"shop"}
