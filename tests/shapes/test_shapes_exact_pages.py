"""Pages ordered by values that Python rounds, or that the database has in another form: no row twice, none missing."""

import datetime
import decimal
import enum
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from sqlalchemy import REAL, Float, ForeignKey, Interval, Numeric, Uuid, extract, func, literal, literal_column, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, source
from support import tables


class Base(DeclarativeBase):
    pass


class Grade(enum.Enum):
    """Neither the names nor the values are in the order of the declaration."""

    LOW = "b"
    HIGH = "c"
    MEDIUM = "a"


class Measured(Base):
    """Rows in ties of two, with values that differ behind the digits that Python shows."""

    __tablename__ = "shx_measured"
    id: Mapped[int] = mapped_column(primary_key=True)
    price: Mapped[decimal.Decimal] = mapped_column(Numeric(12, 3))
    weight: Mapped[decimal.Decimal] = mapped_column(Numeric(12, 3))
    share: Mapped[float] = mapped_column(Numeric(38, 20, asdecimal=False))
    real: Mapped[float] = mapped_column(REAL)
    ratio: Mapped[decimal.Decimal | None] = mapped_column(Float(53, asdecimal=True))
    made: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
    day: Mapped[datetime.date] = mapped_column(server_default=func.current_date())
    token: Mapped[uuid.UUID] = mapped_column(Uuid)
    period: Mapped[datetime.timedelta | None] = mapped_column(Interval)
    grade: Mapped[Grade | None]
    due: Mapped[datetime.date | None]
    at: Mapped[datetime.time | None]
    twin_id: Mapped[int | None] = mapped_column(ForeignKey("shx_measured.id"))
    twin: Mapped["Measured | None"] = relationship(remote_side=id)


PLAN = LoadPlan(Measured)

ORDERS: dict[str, Callable[[], Any]] = {
    "a product": lambda: Measured.price * Measured.weight,
    "a quotient": lambda: Measured.price / Measured.weight,
    "a third": lambda: Measured.price / 3,
    "rounded to float": lambda: Measured.share,
    "single precision": lambda: Measured.real,
    "decimals of a float": lambda: Measured.ratio,
    "a time of the database": lambda: Measured.made,
    "a day of the database": lambda: Measured.day,
    "a uuid with hyphens": lambda: Measured.token,
    "an interval": lambda: Measured.period,
    "a grade": lambda: Measured.grade,
    "a grade or another": lambda: func.coalesce(Measured.grade, literal(Grade.LOW, Measured.grade.type)),
    "the grade of a to-one": lambda: source(Measured.twin, Measured.grade),
    "a day or another": lambda: func.coalesce(Measured.due, datetime.date(2026, 1, 2)),
    "a time or another": lambda: func.coalesce(Measured.at, datetime.time(12)),
    "the interval of a to-one": lambda: source(Measured.twin, Measured.period),
    "a number that is called an integer": lambda: extract("second", Measured.made),
}


@pytest.fixture
async def measured(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Eight rows; some values are written by SQL, as another program would write them."""
    async with tables(engine, Base.metadata):
        async with AsyncSession(engine) as session:
            for number in range(1, 9):
                tie = (number - 1) // 2
                session.add(
                    Measured(
                        id=number,
                        price=decimal.Decimal(tie + 1) / 8 + decimal.Decimal("0.001"),
                        weight=decimal.Decimal(number // 3) / 8 + decimal.Decimal("0.007"),
                        share=1,
                        real=tie / 10 + 0.1,
                        ratio=None if tie == 3 else decimal.Decimal(tie) / 3 + decimal.Decimal(10) ** -12,
                        token=uuid.UUID(int=tie),
                        grade=None if tie == 3 else list(Grade)[tie],
                        due=None if tie == 1 else datetime.date(2026, 1, tie + 1),
                        at=None if tie == 1 else datetime.time(10 + tie),
                        twin_id=number - 1 or None,
                    )
                )
            await session.commit()
        async with engine.begin() as connection:
            for number in range(1, 9):
                tie = (number - 1) // 2
                written = {"share": f"0.1234567890123456789{tie}"}
                if engine.dialect.name == "postgresql":
                    written["period"] = f"'{tie} years 2 mons 3 days'"
                    written["made"] = f"'2026-01-01 00:00:0{tie}.5'"
                elif engine.dialect.name == "sqlite":  # it stores 36 characters in a CHAR(32)
                    written["token"] = f"'{uuid.UUID(int=tie)}'"
                values = {name: literal_column(value) for name, value in written.items()}
                await connection.execute(update(Measured).where(Measured.id == number).values(values))
        yield engine


async def test_each_page_starts_behind_the_last_row_of_the_page_before(measured: AsyncEngine) -> None:
    loader = Loader(measured)
    for name, order in [(name, order) for name, make in ORDERS.items() for order in (make(), make().desc())]:
        expected = [each.id for each in await loader.fetch_all(PLAN, order_by=order)]
        found: list[int] = []
        page = await loader.fetch_page(PLAN, order, 3)
        while len(found) < 20:
            found += [each.id for each in page.items]
            if page.next is None:
                break
            page = await loader.fetch_page(PLAN, order, 3, after=page.next)
        assert found == expected, name
        found = [each.id for each in page.items]
        while page.previous is not None and len(found) < 20:
            page = await loader.fetch_page(PLAN, order, 3, before=page.previous)
            found = [*(each.id for each in page.items), *found]
        assert found == expected, name


async def test_a_quotient_that_the_page_does_not_show(measured: AsyncEngine) -> None:
    """The database reads the quotient at the row of the cursor."""
    loader, order, plan = Loader(measured), Measured.price / 7, LoadPlan(Measured, only=[Measured.id])
    expected = [each.id for each in await loader.fetch_all(plan, order_by=[order, Measured.id])]
    page = await loader.fetch_page(plan, order, 1)
    found = [each.id for each in page.items]
    while page.next is not None and len(found) < 20:
        page = await loader.fetch_page(plan, order, 1, after=page.next)
        found += [each.id for each in page.items]
    assert found == expected
