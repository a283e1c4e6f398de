"""The hint of ``NotLoaded`` is the mend: where the plan cannot mend it, the mapping does."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import attrs
import pytest
from sqlalchemy import Column, ForeignKey, Integer, String, Table, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, Session, mapped_column, registry, relationship
from sqlalchemy.pool import StaticPool

from loadplan import Loader, LoadPlan, NotLoaded, SyncLoader, load
from support import tables


class Base(MappedAsDataclass, DeclarativeBase):
    pass


class Writer(Base):
    __tablename__ = "hint_writers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    diary: Mapped[str] = mapped_column(deferred=True)
    letters: Mapped[list["Letter"]] = relationship(default_factory=list, back_populates="writer")


class Letter(Base):
    __tablename__ = "hint_letters"
    id: Mapped[int] = mapped_column(primary_key=True)
    writer_id: Mapped[int] = mapped_column(ForeignKey("hint_writers.id"), init=False)
    writer: Mapped[Writer] = relationship(repr=False, compare=False, back_populates="letters")


@pytest.fixture
async def letters(sqlite: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    async with tables(sqlite, Base.metadata):
        async with AsyncSession(sqlite) as session:
            session.add(Letter(id=1, writer=Writer(id=1, name="Ada", diary="d")))
            await session.commit()
        yield sqlite


GENERATED: dict[str, tuple[Callable[[Any], object], str]] = {
    "repr": (
        repr,
        "the dataclass generated __repr__, which reads every field: map 'letters' as relationship(repr=False)",
    ),
    "text": (
        lambda writer: f"{writer}",
        "the dataclass generated __repr__, which reads every field: map 'letters' as relationship(repr=False)",
    ),
    "equality": (
        lambda writer: writer == Writer(id=1, name="Ada", diary="d"),
        "the dataclass generated __eq__, which reads every field: map 'letters' as relationship(compare=False)",
    ),
    "a line of one's own": (lambda writer: writer.letters, "add load(Writer.letters) to the plan"),
}


@pytest.mark.parametrize("name", GENERATED)
async def test_a_generated_method_of_a_dataclass(letters: AsyncEngine, name: str) -> None:
    read, hint = GENERATED[name]
    plan = LoadPlan(Writer, only=[Writer.id, Writer.name, Writer.diary], name="writer")
    writer = await Loader(letters).fetch(plan, 1)
    with pytest.raises(NotLoaded) as caught:
        read(writer)
    assert str(caught.value) == (f"LP401: 'Writer.letters' is not part of plan 'writer' (at its root)\n  hint: {hint}")


async def test_a_column_that_the_mapping_defers_cannot_be_taken_out_of_defer(letters: AsyncEngine) -> None:
    letter = await Loader(letters).fetch(LoadPlan(Letter, load(Letter.writer, defer=[Writer.name])), 1)
    with pytest.raises(NotLoaded) as caught:
        _ = letter.writer.diary
    assert caught.value.hint == (
        "the mapping defers this column; replace defer=[...] of load(Letter.writer) by only=[...] that names it"
    )
    with pytest.raises(NotLoaded) as caught:
        _ = letter.writer.name
    assert caught.value.hint == "take Writer.name out of defer=[...] of load(Letter.writer)"


class Ordered(MappedAsDataclass, DeclarativeBase, order=True, unsafe_hash=True):
    pass


class Stamp(Ordered):
    __tablename__ = "hint_stamps"
    id: Mapped[int] = mapped_column(primary_key=True)
    place: Mapped[str] = mapped_column(deferred=True)


imperative = registry()
boxes = Table("hint_boxes", imperative.metadata, Column("id", Integer, primary_key=True), Column("name", String))
pens = Table(
    "hint_pens",
    imperative.metadata,
    Column("id", Integer, primary_key=True),
    Column("box_id", ForeignKey("hint_boxes.id")),
)


@attrs.define(slots=False)
class Pen:
    id: int


@attrs.define(slots=False, unsafe_hash=True)
class Box:
    id: int
    name: str
    pens: list[Pen] = attrs.field(factory=list)


imperative.map_imperatively(Pen, pens)
imperative.map_imperatively(Box, boxes, properties={"pens": relationship(Pen)})

#: name: (the class, what reads it, the attribute, the hint)
OTHERS: dict[str, tuple[Any, Callable[[Any], object], str, str]] = {
    "an order of dataclasses": (
        Stamp,
        lambda stamp: sorted([stamp, stamp]),
        "place",
        "the dataclass generated __lt__, which reads every field: map 'place' as mapped_column(compare=False)",
    ),
    "a set of dataclasses": (
        Stamp,
        lambda stamp: {stamp},
        "place",
        "the dataclass generated __hash__, which reads every field: map 'place' as mapped_column(hash=False, "
        "compare=False)",
    ),
    "repr of attrs": (
        Box,
        repr,
        "pens",
        "attrs generated __repr__, which reads every field: write pens = attrs.field(repr=False)",
    ),
    "equality of attrs": (
        Box,
        lambda box: box == Box(1, "a"),
        "pens",
        "attrs generated __eq__, which reads every field: write pens = attrs.field(eq=False)",
    ),
    "hash of attrs": (
        Box,
        hash,
        "pens",
        "attrs generated __hash__, which reads every field: write pens = attrs.field(hash=False, eq=False)",
    ),
    "a line of one's own": (Box, lambda box: box.pens, "pens", "add load(Box.pens) to the plan"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_methods_that_other_libraries_generated(name: str) -> None:
    kind, read, attribute, hint = OTHERS[name]
    engine = create_engine("sqlite://", poolclass=StaticPool)
    for base in (Ordered, imperative):
        base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Stamp(id=1, place="p"), Box(1, "a", [Pen(1)])])
        session.commit()
    found = SyncLoader(engine).fetch(LoadPlan(kind), 1)
    with pytest.raises(NotLoaded) as caught:
        read(found)
    assert (caught.value.attribute, caught.value.hint) == (attribute, hint)
    engine.dispose()
