"""The garbage collector of the process: still while objects are made, as it was at every other moment."""

import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import attrs
import pytest
from sqlalchemy import ForeignKey, event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, load
from loadplan.running.garbage import uncollected
from support import in_one, tables


class Base(DeclarativeBase):
    pass


class Yard(Base):
    __tablename__ = "loader_gc_yards"
    id: Mapped[int] = mapped_column(primary_key=True)
    animals: Mapped[list["Animal"]] = relationship(back_populates="yard", order_by="Animal.id")


class Animal(Base):
    """With a subclass that the mapping loads with its base."""

    __tablename__ = "loader_gc_animals"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    yard_id: Mapped[int] = mapped_column(ForeignKey(Yard.id))
    yard: Mapped[Yard] = relationship(back_populates="animals")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}


class Dog(Animal):
    __tablename__ = "loader_gc_dogs"
    id: Mapped[int] = mapped_column(ForeignKey(Animal.id), primary_key=True)
    breed: Mapped[str] = mapped_column(default="pug")
    __mapper_args__ = {"polymorphic_identity": "dog", "polymorphic_load": "selectin"}


class Toy(Base):
    __tablename__ = "loader_gc_toys"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("loader_gc_toys.id"))
    parts: Mapped[list["Toy"]] = relationship(back_populates="whole", order_by="Toy.id")
    whole: Mapped["Toy | None"] = relationship(back_populates="parts", remote_side=id)


@attrs.define
class ToyView:
    """Notes whether the collector is on as it is made."""

    id: int

    def __attrs_post_init__(self) -> None:
        SEEN.append(gc.isenabled())


SEEN: list[bool] = []
TOYS = LoadPlan(Toy, load(Toy.parts))
VIEWS = LoadPlan(Toy, into=ToyView)
PLANS = pytest.mark.parametrize("plan", [TOYS, VIEWS], ids=["entities", "views"])


@pytest.fixture
def made() -> Iterator[list[bool]]:
    """Whether the collector was on, each time that an object was made."""

    def note(*_: Any) -> None:
        SEEN.append(gc.isenabled())

    event.listen(Toy, "load", note)
    yield SEEN
    event.remove(Toy, "load", note)
    SEEN.clear()


@pytest.fixture
async def toys(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    async with tables(engine, Base.metadata):
        async with AsyncSession(engine) as session:
            session.add_all([Yard(id=1, animals=[Animal(id=1), Dog(id=2)]), Toy(id=1, parts=[Toy(id=2), Toy(id=3)])])
            await session.commit()
        yield engine


@pytest.fixture
def sent(toys: AsyncEngine) -> Iterator[list[bool]]:
    """Whether the collector was on, each time that a statement was sent."""
    found: list[bool] = []

    def note(*_: Any) -> None:
        found.append(gc.isenabled())

    event.listen(toys.sync_engine, "before_cursor_execute", note)
    yield found
    event.remove(toys.sync_engine, "before_cursor_execute", note)


@PLANS
async def test_it_is_still_while_objects_are_made_and_no_longer(
    toys: AsyncEngine, made: list[bool], sent: list[bool], plan: LoadPlan[Any]
) -> None:
    assert len(await Loader(toys).fetch_all(plan)) == 3
    assert gc.isenabled()
    assert made == [False] * 3
    assert sent
    assert all(sent), "other tasks run while a statement is on its way"


async def test_it_is_on_while_a_subclass_comes_with_its_base(toys: AsyncEngine, sent: list[bool]) -> None:
    plan = LoadPlan(Yard, load(Yard.animals))
    yard = await Loader(toys).fetch(plan, 1)
    assert yard.animals[1].breed == "pug"  # type: ignore[attr-defined]
    assert sent == [True] * in_one(toys, 2)


@PLANS
async def test_it_stays_off_in_a_process_that_turned_it_off(
    toys: AsyncEngine, made: list[bool], plan: LoadPlan[Any]
) -> None:
    gc.disable()
    try:
        assert len(await Loader(toys).fetch_all(plan)) == 3
        assert not gc.isenabled()
    finally:
        gc.enable()
    assert made == [False] * 3


async def test_it_is_on_after_an_object_could_not_be_made(toys: AsyncEngine) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("no such toy")

    event.listen(Toy, "load", fail)
    try:
        with pytest.raises(RuntimeError, match="no such toy"):
            await Loader(toys).fetch_all(TOYS)
    finally:
        event.remove(Toy, "load", fail)
    assert gc.isenabled()


@pytest.fixture
def collections() -> Iterator[list[int]]:
    """The generations that are collected."""
    found: list[int] = []

    def note(phase: str, details: dict[str, int]) -> None:
        if phase == "start":
            found.append(details["generation"])

    gc.callbacks.append(note)
    yield found
    gc.callbacks.remove(note)


@pytest.mark.parametrize(
    ("threshold", "many", "expected"),
    [(200, 3_000, [1]), (200, 1_000, [0]), (0, 3_000, [])],
    ids=["many", "few", "a process that wants no automatic collection"],
)
def test_many_objects_are_looked_at_once(
    collections: list[int], threshold: int, many: int, expected: list[int]
) -> None:
    """Once is not never: where graphs come and go, that look is what brings the next full collection nearer."""
    thresholds = gc.get_threshold()
    gc.set_threshold(threshold, 10, 10)
    try:
        gc.collect()
        collections.clear()
        with uncollected():
            made: list[list[int]] = [[] for _ in range(many)]
            within = list(collections)
        after = list(collections)
    finally:
        gc.set_threshold(*thresholds)
    assert len(made) == many
    assert within == []
    assert after[:1] == expected
