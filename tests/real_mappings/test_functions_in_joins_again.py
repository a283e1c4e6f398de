"""Subclasses that map a relationship again whose join calls a function: SQLAlchemy cannot compare the two joins."""

from typing import Any

import pytest
from real import filled, lazily
from sqlalchemy import ForeignKey, String, func, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.ext.declarative import ConcreteBase
from sqlalchemy.orm import DeclarativeBase, Mapped, foreign, mapped_column, relationship, remote

from loadplan import LoadPlan, load


class Base(DeclarativeBase):
    pass


class Sign(Base):
    __tablename__ = "again_signs"
    id: Mapped[int] = mapped_column(primary_key=True)
    place: Mapped[str] = mapped_column(String(9))


def _signs(owner: Any) -> Any:
    return relationship(
        Sign,
        primaryjoin=lambda: func.lower(owner().name) == func.lower(foreign(remote(Sign.place))),
        order_by=Sign.id,
        uselist=True,
        viewonly=True,
    )


class Car(ConcreteBase, Base):
    __tablename__ = "again_cars"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(9))
    signs = _signs(lambda: Car)
    __mapper_args__ = {"polymorphic_identity": "car", "concrete": True}


class Van(Car):
    __tablename__ = "again_vans"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(9))
    signs = _signs(lambda: Van)
    __mapper_args__ = {"polymorphic_identity": "van", "concrete": True}


class House(Base):
    __tablename__ = "again_houses"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(9))
    kind: Mapped[str] = mapped_column(String(9))
    signs = _signs(lambda: House)
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "house"}


class Shop(House):
    __tablename__ = "again_shops"
    id: Mapped[int] = mapped_column(ForeignKey(House.id), primary_key=True)
    label: Mapped[str] = mapped_column(String(9))
    signs = relationship(
        Sign,
        primaryjoin=lambda: func.lower(Shop.label) == func.lower(foreign(remote(Sign.place))),
        order_by=Sign.id,
        uselist=True,
        viewonly=True,
    )
    __mapper_args__ = {"polymorphic_identity": "shop"}


def _seen(owner: Any) -> Any:
    return owner.name, [each.id for each in owner.signs]


@pytest.mark.parametrize("strategy", [None, "joined", "selectin", "subquery"])
@pytest.mark.parametrize("entity", [Car, House])
async def test_functions_in_joins_again(engine: AsyncEngine, entity: Any, strategy: Any) -> None:
    """Each object has the rows that lazy loading gives it."""
    places = ["CAR", "van", "VAN", "house", "label", "shop"]
    rows = [
        *(Sign(id=number, place=place) for number, place in enumerate(places, 1)),
        *(Car(id=1, name="car"), Van(id=2, name="van"), House(id=1, name="house")),
        Shop(id=2, name="shop", label="LABEL"),
    ]
    async with filled(engine, Base.metadata, *rows) as loader:
        expected = sorted(await lazily(engine, select(entity), _seen))
        plan = LoadPlan(entity, load(entity.signs, strategy=strategy))
        assert sorted(map(_seen, await loader.fetch_all(plan))) == expected
        found = await loader.fetch_all(LoadPlan(entity))
        await loader.extend(found, load(entity.signs, strategy=strategy))
        assert sorted(map(_seen, found)) == expected
