"""A subclass in the same table, within the row of an array: what stands below it takes the place that it can take."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from oracle import fill
from sqlalchemy import Column, Enum, ForeignKey, Table
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from loadplan import Load, Loader, LoadPlan, load, on
from support import tables


class Base(DeclarativeBase):
    pass


LABELS = Table(  # no constraint keeps a pair from coming twice
    "below_labels",
    Base.metadata,
    Column("task_id", ForeignKey("below_items.id"), index=True),
    Column("label_id", ForeignKey("below_label.id")),
)


class Label(Base):
    __tablename__ = "below_label"
    id: Mapped[int] = mapped_column(primary_key=True)


class Owner(Base):
    __tablename__ = "below_owners"
    id: Mapped[int] = mapped_column(primary_key=True)
    pets: Mapped[list["Pet"]] = relationship(order_by="Pet.id")


class Pet(Base):
    __tablename__ = "below_pets"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey(Owner.id), index=True)


class Board(Base):
    __tablename__ = "below_boards"
    id: Mapped[int] = mapped_column(primary_key=True)
    items: Mapped[list["Item"]] = relationship(order_by="Item.id")


class Item(Base):
    __tablename__ = "below_items"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "item"}
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    board_id: Mapped[int] = mapped_column(ForeignKey(Board.id), index=True)


class Task(Item):
    __mapper_args__ = {"polymorphic_identity": "task"}
    owner_id: Mapped[int | None] = mapped_column(ForeignKey(Owner.id))
    labels: Mapped[list[Label]] = relationship(secondary=LABELS, order_by=Label.id)
    notes: Mapped[list["Note"]] = relationship(order_by="Note.id")
    owner: Mapped[Owner | None] = relationship()


class Note(Base):
    __tablename__ = "below_notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey(Item.id), index=True)
    mood: Mapped[str | None] = mapped_column(Enum("glad", "sad", name="below_moods"))


@pytest.fixture
async def filled(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    async with tables(engine, Base.metadata):
        labels = [Label(id=number) for number in (1, 2, 3)]
        owner = Owner(id=1, pets=[Pet(id=1), Pet(id=2)])
        first = Task(id=2, labels=labels[:2], notes=[Note(id=1, mood="sad"), Note(id=2)], owner=owner)
        others = [Task(id=4, labels=labels[1:], owner=Owner(id=2)), Task(id=5)]
        await fill(engine, Board(id=1, items=[Item(id=1), first, Item(id=3), *others]), Board(id=2))
        yield engine


def _read(board: Any, key: str) -> Any:
    return [
        (type(item).__name__, item.id, _below(item, key) if isinstance(item, Task) else None) for item in board.items
    ]


def _below(task: Any, key: str) -> Any:
    if key != "owner":
        return [each.id for each in getattr(task, key)]
    return None if task.owner is None else (task.owner.id, [pet.id for pet in task.owner.pets])


@pytest.mark.parametrize(
    "below",
    [
        load(Task.labels),
        load(Task.notes, strategy="selectin"),
        load(Task.owner, load(Owner.pets), strategy="selectin"),
        load(Task.owner, load(Owner.pets, strategy="joined")),
        load(Task.owner, load(Owner.pets, strategy="inner")),
        load(Task.owner, load(Owner.pets, strategy="selectin")),
    ],
    ids=lambda each: repr(each),
)
async def test_what_no_array_can_hold_takes_a_statement(filled: AsyncEngine, below: Load) -> None:
    """A relationship of a subclass in the same table may need its own statement, and so its parents need one, too."""
    key = below.relationship.key
    plan = LoadPlan(Board, load(Board.items, on(Task, below)))

    def walk(session: Session) -> Any:
        return [_read(session.get_one(Board, number), key) for number in (1, 2)]

    async with AsyncSession(filled) as session:
        expected = await session.run_sync(walk)
    loader = Loader(filled)
    assert _read(await loader.fetch(plan, 1), key) == expected[0]
    assert [_read(each, key) for each in await loader.fetch_many(plan, [1, 2])] == expected
    assert [_read(each, key) async for each in loader.stream(plan, order_by=Board.id)] == expected


async def test_a_joined_collection_below_a_to_one_of_a_subclass(filled: AsyncEngine) -> None:
    """A join would repeat the row of the subclass."""
    tasks = LoadPlan(Item, on(Task, load(Task.owner, load(Owner.pets, strategy="joined"))))
    found = await Loader(filled).fetch_all(tasks, order_by=Item.id)
    read = [_below(each, "owner") for each in found if isinstance(each, Task)]
    assert read == [(1, [1, 2]), (2, []), None]
