"""The hint of ``NotLoaded`` is the mend: where the plan cannot mend it, the mapping does."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from sqlalchemy import ForeignKey
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column, relationship

from loadplan import Loader, LoadPlan, NotLoaded, load
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
