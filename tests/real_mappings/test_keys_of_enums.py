"""Keys of enums: a member or its name, as SQLAlchemy takes them."""

import enum
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from real import filled
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import IdentityError, Loader, LoadPlan, load


class Letter(enum.StrEnum):
    """Stored by name. Its members are texts themselves."""

    A = "first"
    B = "second"
    C = "third"


class Level(enum.Enum):
    """Stored by value, and with an alias."""

    LOW = "l"
    HIGH = "h"
    TOP = "h"  # noqa: PIE796 - an alias


class Base(DeclarativeBase):
    pass


class Shelf(Base):
    __tablename__ = "enum_shelves"
    letter: Mapped[Letter] = mapped_column(sa.Enum(Letter, name="enum_letter"), primary_key=True)
    level: Mapped[Level] = mapped_column(
        sa.Enum(Level, name="enum_level", values_callable=lambda cls: [each.value for each in cls]), primary_key=True
    )
    books: Mapped[list["Book"]] = relationship(order_by="Book.id")


class Book(Base):
    __tablename__ = "enum_books"
    __table_args__ = (sa.ForeignKeyConstraint(["letter", "level"], [Shelf.letter, Shelf.level]),)
    id: Mapped[int] = mapped_column(primary_key=True)
    letter: Mapped[Letter] = mapped_column(sa.Enum(Letter, name="enum_letter"))
    level: Mapped[Level] = mapped_column(Shelf.__table__.c.level.type)


class Sign(Base):
    __tablename__ = "enum_signs"
    letter: Mapped[Letter] = mapped_column(sa.Enum(Letter, name="enum_letter"), primary_key=True)
    text: Mapped[str]


@pytest.fixture
async def loader(engine: AsyncEngine) -> AsyncIterator[Loader]:
    """Three shelves with a book each, and two signs."""
    keys = [(Letter.C, Level.LOW), (Letter.C, Level.HIGH), (Letter.B, Level.LOW)]
    shelves = [
        Shelf(letter=letter, level=level, books=[Book(id=number)]) for number, (letter, level) in enumerate(keys)
    ]
    signs = [Sign(letter=each, text=each.name) for each in Letter]
    async with filled(engine, Base.metadata, *shelves, *signs) as found:
        yield found


async def test_ids_by_name(engine: AsyncEngine, loader: Loader) -> None:
    """A text finds the row that ``session.get`` finds by it; members and texts may be mixed."""
    plan = LoadPlan(Sign)
    async with AsyncSession(engine) as session:
        expected = [(await session.get_one(Sign, given)).text for given in ("A", "B", "C")]
    assert expected == ["A", "B", "C"]
    assert [(await loader.fetch(plan, given)).text for given in ("A", "B", "C")] == expected
    found = await loader.fetch_many(plan, ["B", Letter.A, "C", "A"])
    assert [each.text for each in found] == ["B", "A", "C", "A"]
    assert found[1] is found[3], "equal ids have one object"
    assert found[0].letter is Letter.B
    assert (await loader.batched().fetch(plan, "C")).text == "C"


async def test_composite_keys_by_name_and_by_value(loader: Loader) -> None:
    """The text is what the database has: with ``values_callable``, the value of a member."""
    plan = LoadPlan(Shelf, load(Shelf.books))
    for given in (("C", "h"), (Letter.C, Level.TOP), {"letter": "C", "level": Level.HIGH}):
        assert [each.id for each in (await loader.fetch(plan, given)).books] == [1]
    found = await loader.fetch_many(plan, [("B", "l"), ("C", Level.LOW)])
    assert [[each.id for each in shelf.books] for shelf in found] == [[2], [0]]


async def test_what_is_no_member_is_refused(loader: Loader) -> None:
    """Before any SQL, also where SQLAlchemy would let the database fail."""
    for entity, given in ((Sign, "c"), (Sign, 1), (Shelf, ("C", "HIGH"))):
        with pytest.raises(IdentityError, match="LP404"):
            await loader.fetch(LoadPlan(entity), given)
