"""Pages by dates that Python does not have: asyncpg reads 'infinity' and '9999-12-31' as the same date."""

import datetime
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import DateTime, delete, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from loadplan import CursorError, Loader, LoadPlan
from support import tables


class Base(DeclarativeBase):
    pass


class Price(Base):
    __tablename__ = "shapes_infinite_prices"
    id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[datetime.date | None]
    moment: Mapped[datetime.datetime | None]
    instant: Mapped[datetime.datetime | None] = mapped_column(DateTime(timezone=True))


NAMES = ("day", "moment", "instant")
ENDS = ["infinity", "-infinity", "9999-12-31", "0001-01-01", "2026-01-01", None]
MOMENTS = [*ENDS, "9999-12-31 23:59:59.999999", "0001-01-01 00:00:00.000001"]


@pytest.fixture
async def prices(asyncpg: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    async with tables(asyncpg, Base.metadata):
        async with asyncpg.begin() as connection:
            for number, (each, _) in enumerate(itertools.product(MOMENTS, range(3))):
                zone = "" if each is None or "inf" in each else "+00"
                day = moment = "NULL" if each is None else f"'{each}'"
                instant = "NULL" if each is None else f"'{each}{zone}'"
                values = f"{number}, {day}, {moment}, {instant}"
                await connection.execute(text(f"INSERT INTO shapes_infinite_prices VALUES ({values})"))  # noqa: S608
        yield asyncpg


def orders() -> list[Any]:
    columns = [getattr(Price, name) for name in NAMES]
    found = [(each, each.desc(), each.nulls_first(), each.desc().nulls_last()) for each in columns]
    return [*itertools.chain(*found)]


@pytest.mark.parametrize("plan", [LoadPlan(Price), LoadPlan(Price, only=[Price.id])], ids=["shown", "not shown"])
@pytest.mark.parametrize("order", orders(), ids=str)
@pytest.mark.parametrize("size", [1, 4])
async def test_all_pages_are_one_sorted_list(prices: AsyncEngine, plan: LoadPlan[Price], order: Any, size: int) -> None:
    loader = Loader(prices)
    whole = [each.id for each in await loader.fetch_all(plan, order_by=[order, Price.id])]
    pages, after = [await loader.fetch_page(plan, order, size)], None
    while (after := pages[-1].next) is not None:
        pages.append(await loader.fetch_page(plan, order, size, after=after))
        assert len(pages) <= len(whole)
    assert [each.id for page in pages for each in page.items] == whole
    page, found = pages[-1], [each.id for each in pages[-1].items]
    while page.previous is not None:
        page = await loader.fetch_page(plan, order, size, before=page.previous)
        found[:0] = [each.id for each in page.items]
    assert found == whole


async def test_a_deleted_row_ends_the_listing_clearly(prices: AsyncEngine) -> None:
    """The cursor names the row and does not hold its date."""
    plan, loader = LoadPlan(Price), Loader(prices)
    page = await loader.fetch_page(plan, Price.day.desc().nulls_last(), 4)
    async with prices.begin() as connection:
        await connection.execute(delete(Price).where(Price.id == page.items[-1].id))
    with pytest.raises(CursorError) as caught:
        await loader.fetch_page(plan, Price.day.desc().nulls_last(), 4, after=page.next)
    assert str(caught.value) == (
        "LP407: the row of the cursor is gone\n"
        "  at: Price\n"
        "  detail: the listing is ordered by a value that this cursor does not hold.\n"
        "  hint: start at page one."
    )
