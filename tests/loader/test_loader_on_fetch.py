"""``on_fetch=`` and the log: one record a call, whatever came of it."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest
from loader_models import POST_PAGE, Author, Base, Post, rows
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from loadplan import FetchRecord, Loader, LoadPlan, NotFound, ParameterError, TooManyRows
from support import recording, tables


@pytest.fixture
async def blog(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    async with tables(engine, Base.metadata):
        async with AsyncSession(engine) as session:
            session.add_all(rows())
            await session.commit()
        yield engine


@attrs.frozen
class Title:
    id: int
    title: str


TITLES = LoadPlan(Post, into=Title, name="titles")


async def test_a_record_says_what_was_sent_and_what_came(blog: AsyncEngine) -> None:
    records: list[FetchRecord] = []
    loader = Loader(blog, on_fetch=records.append)
    with recording(blog) as sent:
        await loader.fetch(POST_PAGE, 11)
    (record,) = records
    assert (record.plan, record.statements, record.error) == ("post page", len(sent), None)
    assert record.rows >= 1
    assert 0 < record.seconds < 60


@pytest.mark.parametrize("call", ["fetch", "fetch_many", "fetch_one", "fetch_all", "fetch_page", "stream"])
@pytest.mark.parametrize("plan", [POST_PAGE, TITLES], ids=["entities", "views"])
async def test_every_call_tells_once(blog: AsyncEngine, plan: LoadPlan[Any], call: str) -> None:
    records: list[FetchRecord] = []
    loader = Loader(blog, on_fetch=records.append)
    with recording(blog) as sent:
        if call == "fetch":
            await loader.fetch(plan, 11)
        elif call == "fetch_many":
            await loader.fetch_many(plan, [11, 12])
        elif call == "fetch_one":
            await loader.fetch_one(plan, Post.id == 11)
        elif call == "fetch_all":
            await loader.fetch_all(plan, Post.id < 100)
        elif call == "fetch_page":
            await loader.fetch_page(plan, size=1)
        else:
            assert [post.id async for post in loader.stream(plan, batch_size=1)] == [11, 12, 13]
    assert [record.plan for record in records] == [plan.label]
    assert records[0].statements == len(sent)


async def test_a_fetch_that_raises_tells_what(blog: AsyncEngine) -> None:
    records: list[FetchRecord] = []
    loader = Loader(blog, on_fetch=records.append, max_rows=1)
    with pytest.raises(TooManyRows):
        await loader.fetch_all(LoadPlan(Author))
    with pytest.raises(ParameterError):
        await loader.fetch(TITLES, 11, params={"no": 1})
    assert [type(record.error) for record in records] == [TooManyRows, ParameterError]
    assert [record.statements for record in records] == [1, 0]


async def test_a_row_that_is_not_there_is_no_error_of_the_fetch(blog: AsyncEngine) -> None:
    records: list[FetchRecord] = []
    with pytest.raises(NotFound):
        await Loader(blog, on_fetch=records.append).fetch(TITLES, 999)
    assert [(record.rows, record.error) for record in records] == [(0, None)]


async def test_a_callback_that_raises_spoils_nothing(blog: AsyncEngine, caplog: pytest.LogCaptureFixture) -> None:
    def broken(record: FetchRecord) -> None:
        raise RuntimeError("no metrics today")

    view = await Loader(blog, on_fetch=broken).fetch(TITLES, 11)
    assert view.id == 11
    assert "on_fetch raised for titles" in caplog.text


async def test_the_log_says_it_at_debug(blog: AsyncEngine, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="loadplan"):
        await Loader(blog).fetch(TITLES, 11)
    (line,) = [record.getMessage() for record in caplog.records if record.name == "loadplan"]
    assert line.startswith("titles: 1 statements, 1 rows, ")
    assert line.endswith(" ms")
