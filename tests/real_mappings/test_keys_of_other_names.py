"""Concrete classes whose tables name their keys differently: each row is linked by the key of its own table."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import attrs
import pytest
from real import filled, lazily
from sqlalchemy import ForeignKey, func, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.ext.declarative import ConcreteBase
from sqlalchemy.orm import DeclarativeBase, Mapped, foreign, mapped_column, relationship, remote

from loadplan import Loader, LoadPlan, count, load, on


class Base(DeclarativeBase):
    pass


class Owner(Base):
    __tablename__ = "other_names_owners"
    id: Mapped[int] = mapped_column(primary_key=True)
    craft: Mapped[list["Craft"]] = relationship(back_populates="owner", order_by="Craft.name")
    boats: Mapped[list["Boat"]] = relationship(back_populates="owner", order_by="Boat.name")


class Sign(Base):
    __tablename__ = "other_names_signs"
    id: Mapped[int] = mapped_column(primary_key=True)
    place: Mapped[str]


def _signs_of(name: Any) -> Any:
    """Return a relationship that compares functions of columns, so it needs the parent's own row."""
    return relationship(
        Sign,
        primaryjoin=lambda: func.lower(name()) == func.lower(foreign(remote(Sign.place))),
        viewonly=True,
        order_by=Sign.id,
    )


class Craft(ConcreteBase, Base):
    __tablename__ = "other_names_craft"
    __mapper_args__ = {"polymorphic_identity": "craft", "concrete": True}
    craft_id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    owner_id: Mapped[int | None] = mapped_column(ForeignKey(Owner.id))
    owner: Mapped[Owner | None] = relationship(back_populates="craft")
    signs: Mapped[list[Sign]] = _signs_of(lambda: Craft.name)


class Boat(Craft):
    """One of its columns has the name of the other table's key, but is no key."""

    __tablename__ = "other_names_boats"
    __mapper_args__ = {"polymorphic_identity": "boat", "concrete": True}
    boat_id: Mapped[int] = mapped_column(primary_key=True)
    craft_id: Mapped[int]
    name: Mapped[str]
    owner_id: Mapped[int | None] = mapped_column(ForeignKey(Owner.id))
    owner: Mapped[Owner | None] = relationship(back_populates="boats")
    signs: Mapped[list[Sign]] = _signs_of(lambda: Boat.name)


class Kite(Craft):
    """Its key has two columns of another type."""

    __tablename__ = "other_names_kites"
    __mapper_args__ = {"polymorphic_identity": "kite", "concrete": True}
    maker: Mapped[str] = mapped_column(primary_key=True)
    series: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    signs: Mapped[list[Sign]] = _signs_of(lambda: Kite.name)


@attrs.frozen
class SignView:
    id: int


@attrs.frozen
class CraftView:
    name: str
    signs: list[SignView]
    number: Annotated[int, count(Craft.signs)]


@pytest.fixture
async def craft(engine: AsyncEngine) -> AsyncIterator[Loader]:
    rows = [
        *(Sign(id=number, place=place) for number, place in enumerate("ABBDEFF")),
        Owner(id=1),
        Craft(craft_id=1, name="a", owner_id=1),
        Craft(craft_id=2, name="c"),
        Boat(boat_id=1, craft_id=7, name="b", owner_id=1),
        Boat(boat_id=3, craft_id=7, name="d", owner_id=1),
        Kite(maker="1", series="1", name="e"),
        Kite(maker="1", series="2", name="f"),
    ]
    async with filled(engine, Base.metadata, *rows) as loader:
        yield loader


EXPECTED = {
    ("Craft", "a"): [0],
    ("Boat", "b"): [1, 2],
    ("Craft", "c"): [],
    ("Boat", "d"): [3],
    ("Kite", "e"): [4],
    ("Kite", "f"): [5, 6],
}


def _read(each: Any) -> tuple[tuple[str, str], list[int]]:
    return (type(each).__name__, each.name), [sign.id for sign in each.signs]


STRATEGIES = [None, "selectin", "joined", "subquery"]


async def test_the_lazy_walk_finds_them(craft: Loader, engine: AsyncEngine) -> None:
    assert dict(await lazily(engine, select(Craft), _read)) == EXPECTED


@pytest.mark.parametrize("limit", [None, 20])
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_so_does_every_strategy(craft: Loader, strategy: Any, limit: int | None) -> None:
    plan = LoadPlan(Craft, load(Craft.signs, strategy=strategy))
    assert dict(map(_read, await craft.fetch_all(plan, limit=limit))) == EXPECTED


async def test_so_do_first_rows_and_branches(craft: Loader) -> None:
    found = await craft.fetch_all(LoadPlan(Craft, load(Craft.signs, limit=1)))
    assert dict(map(_read, found)) == {key: ids[:1] for key, ids in EXPECTED.items()}
    found = await craft.fetch_all(LoadPlan(Craft, load(Craft.signs), on(Boat, load(Boat.owner))))
    assert dict(map(_read, found)) == EXPECTED
    assert [each.owner.id for each in found if isinstance(each, Boat) and each.owner] == [1, 1]


@pytest.mark.parametrize("strategy", ["selectin", "joined"])
async def test_so_do_views_and_counts(craft: Loader, strategy: Any) -> None:
    found = await craft.fetch_all(LoadPlan(Craft, load(Craft.signs, strategy=strategy), into=CraftView))
    assert {each.name: [sign.id for sign in each.signs] for each in found} == {
        name: ids for (_, name), ids in EXPECTED.items()
    }
    assert all(each.number == len(each.signs) for each in found)


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_one_row_is_one_object_at_places_of_both_classes(craft: Loader, strategy: Any) -> None:
    """A place of the base reads the keys of all tables, and a place of the subclass reads its own key."""
    plan = LoadPlan(
        Owner,
        load(Owner.craft, load(Craft.signs, strategy=strategy), strategy=strategy),
        load(Owner.boats, strategy=strategy),
    )
    owner = await craft.fetch(plan, 1)
    assert [each.name for each in owner.craft] == ["a", "b", "d"]
    assert owner.boats[0] is owner.craft[1]
    assert owner.boats[1] is owner.craft[2]
    assert dict(map(_read, owner.craft)) == {key: EXPECTED[key] for key in EXPECTED if key[1] in "abd"}
    assert owner.boats[0].boat_id == 1
