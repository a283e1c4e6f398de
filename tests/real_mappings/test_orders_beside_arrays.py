"""psycopg reads an enum as text beside nested rows. The database still sorts and compares the enum itself."""

import enum

import pytest
from real import filled
from sqlalchemy import ForeignKey
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, load, source
from support import recording


class Base(DeclarativeBase):
    pass


class Level(enum.Enum):
    """Levels from low to high. As text, they have another order."""

    low = "low"
    mid = "mid"
    high = "high"


class Grade(Base):
    __tablename__ = "beside_grades"
    level: Mapped[Level] = mapped_column(primary_key=True)
    hardest: Mapped[Level]
    pupils: Mapped[list["Pupil"]] = relationship(order_by="Pupil.id")
    rooms: Mapped[list["Room"]] = relationship(order_by="Room.id")


class Room(Base):
    __tablename__ = "beside_rooms"
    id: Mapped[int] = mapped_column(primary_key=True)
    level: Mapped[Level] = mapped_column(ForeignKey(Grade.level), index=True)


class Pupil(Base):
    __tablename__ = "beside_pupils"
    id: Mapped[int] = mapped_column(primary_key=True)
    level: Mapped[Level | None] = mapped_column(ForeignKey(Grade.level), index=True)
    grade: Mapped[Grade | None] = relationship(overlaps="pupils")
    marks: Mapped[list["Mark"]] = relationship(order_by="Mark.id")


class Mark(Base):
    __tablename__ = "beside_marks"
    id: Mapped[int] = mapped_column(primary_key=True)
    pupil_id: Mapped[int] = mapped_column(ForeignKey(Pupil.id), index=True)


ROWS = [
    "INSERT INTO beside_grades VALUES ('low', 'high'), ('mid', 'low'), ('high', 'mid')",
    "INSERT INTO beside_rooms VALUES (1, 'mid'), (2, 'high')",
    "INSERT INTO beside_pupils VALUES (1, 'high'), (2, NULL), (3, 'mid'), (4, 'low')",
    "INSERT INTO beside_marks VALUES (1, 3), (2, 3), (3, 1)",
]


@pytest.fixture(params=["asyncpg", "psycopg"])
def driver(request: pytest.FixtureRequest) -> AsyncEngine:
    engine: AsyncEngine = request.getfixturevalue(request.param)
    return engine


@pytest.mark.parametrize(("column", "expected"), [("level", [4, 3, 1, 2]), ("hardest", [3, 1, 4, 2])])
async def test_an_enum_of_a_joined_row_sorts_by_its_levels(
    driver: AsyncEngine, column: str, expected: list[int]
) -> None:
    plan = LoadPlan(Pupil, load(Pupil.grade), load(Pupil.marks))
    order = [source(Pupil.grade, getattr(Grade, column)), Pupil.id]
    async with filled(driver, Base.metadata, *ROWS) as loader:
        for _ in range(2):  # the second time, the statement is sent as text
            with recording(driver) as statements:
                found = await loader.fetch_all(plan, order_by=order, limit=9)
                page = await loader.fetch_page(plan, order, 2)
                rest = await loader.fetch_page(plan, order, 2, after=page.next)
                back = await loader.fetch_page(plan, order, 2, before=rest.previous)
            assert len(statements.selects) == 4  # the marks are nested each time
            assert [each.id for each in found] == expected
            assert [each.id for each in [*page.items, *rest.items]] == expected
            assert [each.id for each in back.items] == expected[:2]


async def test_an_enum_key_finds_the_rows_of_a_subquery(driver: AsyncEngine) -> None:
    """One collection is nested in the rows, and the statement of another one contains the statement of the roots."""
    plan = LoadPlan(Grade, load(Grade.rooms), load(Grade.pupils, strategy="subquery"))
    async with filled(driver, Base.metadata, *ROWS):
        found = await Loader(driver).fetch_all(plan, order_by=Grade.level, limit=2)
    assert [(each.level, [room.id for room in each.rooms], [one.id for one in each.pupils]) for each in found] == [
        (Level.low, [], [4]),
        (Level.mid, [1], [3]),
    ]
