"""A staff in single-table, joined and concrete inheritance, with the same shape each."""

from typing import Any

from sqlalchemy import ForeignKey, insert
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.ext.declarative import ConcreteBase
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Firm(Base):
    __tablename__ = "stf_firms"
    id: Mapped[int] = mapped_column(primary_key=True)
    people: Mapped[list["Person"]] = relationship(order_by="Person.id", back_populates="firm")
    workers: Mapped[list["Worker"]] = relationship(order_by="Worker.id", back_populates="firm")


class Person(Base):
    """Single table."""

    __tablename__ = "stf_people"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str]
    firm_id: Mapped[int] = mapped_column(ForeignKey("stf_firms.id"))
    boss_id: Mapped[int | None] = mapped_column(ForeignKey("stf_people.id"))
    firm: Mapped[Firm] = relationship(back_populates="people")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}


class Chief(Person):
    budget: Mapped[int | None]
    reports: Mapped[list[Person]] = relationship(remote_side=Person.boss_id, order_by=Person.id, viewonly=True)
    __mapper_args__ = {"polymorphic_identity": "chief"}


class Maker(Person):
    language: Mapped[str | None]
    __mapper_args__ = {"polymorphic_identity": "maker"}


class Worker(Base):
    """Joined tables."""

    __tablename__ = "stf_workers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str]
    firm_id: Mapped[int] = mapped_column(ForeignKey("stf_firms.id"))
    firm: Mapped[Firm] = relationship(back_populates="workers")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "worker"}


class Driver(Worker):
    __tablename__ = "stf_drivers"
    id: Mapped[int] = mapped_column(ForeignKey("stf_workers.id"), primary_key=True)
    licence: Mapped[str]
    trucks: Mapped[list["Truck"]] = relationship(order_by="Truck.id")
    __mapper_args__ = {"polymorphic_identity": "driver"}


class Cook(Worker):
    __tablename__ = "stf_cooks"
    id: Mapped[int] = mapped_column(ForeignKey("stf_workers.id"), primary_key=True)
    dish: Mapped[str]
    __mapper_args__ = {"polymorphic_identity": "cook"}


class Truck(Base):
    __tablename__ = "stf_trucks"
    id: Mapped[int] = mapped_column(primary_key=True)
    driver_id: Mapped[int] = mapped_column(ForeignKey("stf_drivers.id"))


class Beast(ConcreteBase, Base):
    """A table each."""

    __tablename__ = "stf_beasts"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    __mapper_args__ = {"polymorphic_identity": "beast", "concrete": True}


class Dog(Beast):
    __tablename__ = "stf_dogs"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    bark: Mapped[str]
    __mapper_args__ = {"polymorphic_identity": "dog", "concrete": True}


#: Statements to fill the tables, in order.
ROWS: list[tuple[Any, list[dict[str, Any]]]] = [
    (Firm, [{"id": 1}]),
    (
        Person.__table__,
        [
            {"id": 1, "name": "ann", "kind": "chief", "firm_id": 1, "boss_id": None, "budget": 5, "language": None},
            {"id": 2, "name": "bob", "kind": "maker", "firm_id": 1, "boss_id": 1, "budget": None, "language": "py"},
            {"id": 3, "name": "cyd", "kind": "person", "firm_id": 1, "boss_id": 1, "budget": None, "language": None},
        ],
    ),
    (
        Worker.__table__,
        [
            {"id": 1, "name": "dan", "kind": "driver", "firm_id": 1},
            {"id": 2, "name": "eve", "kind": "cook", "firm_id": 1},
        ],
    ),
    (Driver.__table__, [{"id": 1, "licence": "C"}]),
    (Cook.__table__, [{"id": 2, "dish": "soup"}]),
    (Truck, [{"id": 7, "driver_id": 1}]),
    (Beast.__table__, [{"id": 1, "name": "cow"}]),
    (Dog.__table__, [{"id": 1, "name": "rex", "bark": "wau"}]),
]


async def insert_staff(engine: AsyncEngine) -> None:
    """Fill the tables."""
    async with engine.begin() as connection:
        for table, rows in ROWS:
            await connection.execute(insert(table), rows)
