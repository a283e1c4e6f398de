"""Concrete classes may use the same ids: a relationship that needs the parent's own row finds the row of each class."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import attrs
import pytest
from sqlalchemy import ForeignKey, func, insert, inspect
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.ext.declarative import AbstractConcreteBase, ConcreteBase
from sqlalchemy.orm import DeclarativeBase, Mapped, configure_mappers, foreign, mapped_column, relationship, remote

from loadplan import Loader, LoadPlan, PlanError, count, load, on, source
from loadplan.mapped.repeats import DISCRIMINATOR, key_names
from support import tables


class Base(DeclarativeBase):
    pass


class Owner(Base):
    __tablename__ = "concrete_link_owners"
    id: Mapped[int] = mapped_column(primary_key=True)


class Sign(Base):
    __tablename__ = "concrete_link_signs"
    id: Mapped[int] = mapped_column(primary_key=True)
    place: Mapped[str]


class Car(ConcreteBase, Base):
    __tablename__ = "concrete_link_cars"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    first: Mapped[Sign | None] = relationship(
        primaryjoin=lambda: func.lower(Car.name) == func.lower(foreign(remote(Sign.place))),
        viewonly=True,
        uselist=False,
    )
    signs: Mapped[list[Sign]] = relationship(
        primaryjoin=lambda: func.lower(Car.name) == func.lower(foreign(remote(Sign.place))),
        viewonly=True,
        order_by=Sign.id,
    )
    __mapper_args__ = {"polymorphic_identity": "car", "concrete": True}


class Van(Car):
    __tablename__ = "concrete_link_vans"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    owner_id: Mapped[int | None] = mapped_column(ForeignKey(Owner.id))
    owner: Mapped[Owner | None] = relationship()
    signs: Mapped[list[Sign]] = relationship(
        primaryjoin=lambda: func.lower(Van.name) == func.lower(foreign(remote(Sign.place))),
        viewonly=True,
        order_by=Sign.id,
    )
    __mapper_args__ = {"polymorphic_identity": "van", "concrete": True}


@attrs.frozen
class SignView:
    id: int


@attrs.frozen
class CarView:
    name: str
    signs: list[SignView]
    number: Annotated[int, count(Car.signs)]


@pytest.fixture
async def cars(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    async with tables(engine, Base.metadata):
        async with AsyncSession(engine) as session:
            session.add_all([Owner(id=1), Car(id=1, name="a"), Car(id=2, name="c")])
            session.add_all(
                [Sign(id=0, place="A"), Sign(id=1, place="B"), Sign(id=2, place="B"), Sign(id=3, place="D")]
            )
            await session.flush()
            session.add_all([Van(id=1, name="b", owner_id=1), Van(id=2, name="d")])
            await session.commit()
        yield engine


EXPECTED = {("Car", "a"): [0], ("Van", "b"): [1, 2], ("Car", "c"): [], ("Van", "d"): [3]}


def signs_of(found: Any) -> dict[tuple[str, str], list[int]]:
    return {(type(each).__name__, each.name): [sign.id for sign in each.signs] for each in found}


async def test_the_lazy_walk_finds_the_row_of_each_class(cars: AsyncEngine) -> None:
    async with AsyncSession(cars) as session:
        assert await session.run_sync(lambda sync: signs_of(sync.query(Car).all())) == EXPECTED


@pytest.mark.parametrize("strategy", [None, "selectin", "joined", "subquery"])
async def test_so_does_every_strategy(cars: AsyncEngine, strategy: Any) -> None:
    chosen = {} if strategy is None else {"strategy": strategy}
    assert signs_of(await Loader(cars).fetch_all(LoadPlan(Car, load(Car.signs, **chosen)))) == EXPECTED


async def test_so_do_branches(cars: AsyncEngine) -> None:
    plan = LoadPlan(Car, load(Car.signs), on(Van, load(Van.owner), load(Van.signs)))
    found = await Loader(cars).fetch_all(plan)
    assert signs_of(found) == EXPECTED
    assert {each.name: each.owner and each.owner.id for each in found if isinstance(each, Van)} == {"b": 1, "d": None}


async def test_so_does_a_limit(cars: AsyncEngine) -> None:
    found = await Loader(cars).fetch_all(LoadPlan(Car, load(Car.signs, limit=1)))
    assert signs_of(found) == {key: ids[:1] for key, ids in EXPECTED.items()}


async def test_so_do_views_and_counts(cars: AsyncEngine) -> None:
    found = await Loader(cars).fetch_all(LoadPlan(Car, into=CarView))
    assert {each.name: [sign.id for sign in each.signs] for each in found} == {
        name: ids for (_, name), ids in EXPECTED.items()
    }
    assert all(each.number == len(each.signs) for each in found)


async def test_so_does_extend(cars: AsyncEngine) -> None:
    loader = Loader(cars)
    found = list(await loader.fetch_all(LoadPlan(Car)))
    await loader.extend(found, load(Car.signs))
    assert signs_of(found) == EXPECTED


class Doc(Base):
    """With a discriminator that may be NULL. Its own rows are in one table, so they have different keys."""

    __tablename__ = "concrete_link_docs"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str | None]
    signs: Mapped[list[Sign]] = relationship(
        primaryjoin=lambda: func.lower(Doc.name) == func.lower(foreign(remote(Sign.place))), viewonly=True
    )
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "doc"}


class OldDoc(Doc):
    __tablename__ = "concrete_link_old_docs"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    __mapper_args__ = {"polymorphic_identity": "old", "concrete": True}


@attrs.frozen
class DocView:
    signs: list[SignView]


@pytest.mark.parametrize("strategy", [None, "selectin", "joined"])
async def test_a_row_without_a_discriminator_keeps_its_children(cars: AsyncEngine, strategy: Any) -> None:
    """In a view. It has no class, so SQLAlchemy and loadplan make no object of it."""
    async with cars.begin() as connection:
        await connection.execute(insert(Doc.__table__), [{"id": 1, "name": "a", "kind": None}])
    chosen = {} if strategy is None else {"strategy": strategy}
    (found,) = await Loader(cars).fetch_all(LoadPlan(Doc, load(Doc.signs, **chosen), into=DocView))
    assert [each.id for each in found.signs] == [0]
    with pytest.raises(InvalidRequestError, match="is NULL"):
        await Loader(cars).fetch_all(LoadPlan(Doc, load(Doc.signs, **chosen)))


class Shape(AbstractConcreteBase, Base):
    """Without a table: the mapping is the union itself."""

    strict_attrs = True
    name: Mapped[str]


class Circle(Shape):
    __tablename__ = "concrete_link_circles"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    __mapper_args__ = {"polymorphic_identity": "circle", "concrete": True}


class Square(Shape):
    __tablename__ = "concrete_link_squares"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    __mapper_args__ = {"polymorphic_identity": "square", "concrete": True}


async def test_a_base_without_a_table_has_the_discriminator_in_its_keys() -> None:
    configure_mappers()
    assert key_names(inspect(Shape)) == ("id", DISCRIMINATOR)
    assert key_names(inspect(Car)) == ("id", DISCRIMINATOR)
    assert key_names(inspect(Circle)) == key_names(inspect(Doc)) == ("id",)


@pytest.mark.parametrize("word", ["where", "order_by"])
async def test_a_path_that_needs_a_row_of_the_union_is_refused(sqlite: AsyncEngine, word: str) -> None:
    """SQLAlchemy adapts the union within such a condition, and pairs rows of other classes."""
    given = source(Car.first, Sign.id == 1) if word == "where" else source(Car.first, Sign.id)
    with pytest.raises(PlanError, match="LP112") as caught:
        await Loader(sqlite).fetch_all(LoadPlan(Car, name="cars"), **{word: given})
    assert "are a union of tables" in str(caught.value)
    assert caught.value.path == ("cars",)


async def test_so_does_an_order_by_a_path(cars: AsyncEngine) -> None:
    found = await Loader(cars).fetch_all(LoadPlan(Van), order_by=source(Van.owner, Owner.id).desc().nulls_last())
    assert [each.name for each in found] == ["b", "d"]


class Ticket(Base):
    """The key of its car may be the key of a van as well."""

    __tablename__ = "concrete_link_tickets"
    id: Mapped[int] = mapped_column(primary_key=True)
    car_id: Mapped[int]
    car: Mapped[Car | None] = relationship(primaryjoin=lambda: foreign(Ticket.car_id) == Car.id, viewonly=True)


@attrs.frozen
class NameView:
    name: str


@attrs.frozen
class TicketView:
    id: int
    car: NameView | None


@pytest.mark.parametrize("strategy", [None, "joined", "selectin"])
@pytest.mark.parametrize("into", [None, TicketView])
async def test_a_key_of_two_classes_makes_no_second_parent(cars: AsyncEngine, strategy: Any, into: Any) -> None:
    """A join would give a ticket for each of them, and a limit would count both."""
    async with AsyncSession(cars) as session:
        session.add_all([Ticket(id=1, car_id=1), Ticket(id=2, car_id=2), Ticket(id=3, car_id=9)])
        await session.commit()
    item = load(Ticket.car) if strategy is None else load(Ticket.car, strategy=strategy)
    plan: LoadPlan[Any] = LoadPlan(Ticket, item) if into is None else LoadPlan(Ticket, item, into=into)
    for limit in (None, 3):
        found = await Loader(cars).fetch_all(plan, order_by=Ticket.id, limit=limit)
        assert [each.id for each in found] == [1, 2, 3]
    assert found[0].car.name in {"a", "b"}
    assert found[2].car is None
