"""SQLAlchemy's sharded sessions: graphs by their root's shard, lists merged over all shards, or refused clearly."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, BindParameter, ForeignKey, String, collate, event, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.ext.horizontal_shard import ShardedSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, sessionmaker, with_loader_criteria
from sqlalchemy.sql.visitors import iterate

from loadplan import (
    FetchRecord,
    LearnedIndex,
    Loader,
    LoaderError,
    LoadPlan,
    NotFound,
    PlanError,
    SyncLoader,
    TooManyRows,
    load,
    source,
)
from loadplan.sqlalchemy_internals import in_greenlet
from support import Statements, execute, recording

SHARDS = ("asia", "europe")


class Base(DeclarativeBase):
    pass


class City(Base):
    """Odd ids are in Asia, even ones in Europe; so is everything that a city has."""

    __tablename__ = "shd_cities"
    id: Mapped[int] = mapped_column(primary_key=True)
    continent: Mapped[str]
    name: Mapped[str] = mapped_column(String(collation="C").with_variant(String(), "sqlite"))
    size: Mapped[int | None]
    key: Mapped[uuid.UUID]
    reports: Mapped[list["Report"]] = relationship(back_populates="city", order_by="Report.id")


class Report(Base):
    __tablename__ = "shd_reports"
    id: Mapped[int] = mapped_column(primary_key=True)
    city_id: Mapped[int] = mapped_column(ForeignKey("shd_cities.id"), index=True)
    text: Mapped[str]
    city: Mapped[City] = relationship(back_populates="reports")


@dataclass
class ReportCard:
    id: int
    text: str


@dataclass
class CityCard:
    id: int
    name: str
    reports: list[ReportCard]


CITY = LoadPlan(City, load(City.reports), name="city")
CARD = LoadPlan(City, into=CityCard)
REPORT = LoadPlan(Report, load(Report.city), name="report")

NAMES = {1: "Delhi", 2: "Rome", 3: "agra", 4: "Oslo", 5: "Zhuhai", 6: "Bern", 7: "Ude"}
SIZES = {1: 30, 2: 30, 3: None, 4: 10, 5: 20, 6: None, 7: 10}


def shard_of_city(number: int) -> str:
    return SHARDS[1 - number % 2]


def choose_shard(mapper: Any, instance: Any, clause: Any = None) -> str:
    """Where a new object goes: an application's own function, which wants to see an object."""
    if isinstance(instance, City):
        return shard_of_city(instance.id)
    if isinstance(instance, Report):
        return shard_of_city(instance.city_id)
    raise NotImplementedError


def choose_by_key(mapper: Any, primary_key: Any, **_: Any) -> list[str]:
    """Where a row may be: of a city one knows, of a report not."""
    return [shard_of_city(primary_key[0])] if mapper.class_ is City else list(SHARDS)


def choose_by_statement(state: Any) -> list[str]:
    """Where a statement goes: by the continents that it names."""
    clause = getattr(state.statement, "whereclause", None)
    values = (
        [] if clause is None else [each.effective_value for each in iterate(clause) if isinstance(each, BindParameter)]
    )
    return [each for each in SHARDS if each in values] or list(SHARDS)


CHOOSERS: dict[str, Any] = {
    "shard_chooser": choose_shard,
    "identity_chooser": choose_by_key,
    "execute_chooser": choose_by_statement,
}


@pytest.fixture(scope="module")
async def continents(server_url: URL, drivername: str) -> AsyncIterator[dict[str, URL]]:
    """Two empty databases of PostgreSQL."""
    names = {each: f"{each}_{uuid.uuid4().hex[:12]}" for each in SHARDS}
    await execute(server_url, *(f"CREATE DATABASE {name}" for name in names.values()))
    yield {each: server_url.set(drivername=drivername, database=name) for each, name in names.items()}
    await execute(server_url, *(f"DROP DATABASE {name} WITH (FORCE)" for name in names.values()))


@pytest.fixture(params=["PostgreSQL", "SQLite"])
async def engines(
    request: pytest.FixtureRequest, continents: dict[str, URL], tmp_path: Path
) -> AsyncIterator[dict[str, AsyncEngine]]:
    """Two databases with the cities of one continent each."""
    if request.param == "SQLite":
        found = {each: create_async_engine(f"sqlite+aiosqlite:///{tmp_path / each}") for each in SHARDS}
    else:
        found = {each: create_async_engine(url) for each, url in continents.items()}
    for engine in found.values():
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
    async with sessions_on(found)() as session:
        for number, name in NAMES.items():
            city = City(
                id=number, continent=shard_of_city(number), name=name, size=SIZES[number], key=uuid.UUID(int=number)
            )
            city.reports = [Report(id=number * 10 + each, text=f"{name} {each}") for each in range(number % 3)]
            session.add(city)
            await session.flush()
        await session.commit()
    yield found
    for engine in found.values():
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.drop_all)
        await engine.dispose()


def sessions_on(engines: dict[str, AsyncEngine]) -> async_sessionmaker[AsyncSession]:
    """Sessions as an application makes them."""
    shards = {name: engine.sync_engine for name, engine in engines.items()}
    return async_sessionmaker(sync_session_class=ShardedSession, shards=shards, expire_on_commit=False, **CHOOSERS)


@pytest.fixture
def sessions(engines: dict[str, AsyncEngine]) -> async_sessionmaker[AsyncSession]:
    return sessions_on(engines)


class Heard:
    """The statements of each shard."""

    def __init__(self, engines: dict[str, AsyncEngine]) -> None:
        self._blocks = {name: recording(engine) for name, engine in engines.items()}
        self.of: dict[str, Statements] = {}

    def __enter__(self) -> "Heard":
        self.of = {name: block.__enter__() for name, block in self._blocks.items()}
        return self

    def __exit__(self, *error: object) -> None:
        for block in self._blocks.values():
            block.__exit__(None, None, None)

    @property
    def selects(self) -> dict[str, int]:
        return {name: len(found.selects) for name, found in self.of.items() if found.selects}


async def test_a_root_comes_with_its_graph_from_its_shard_alone(sessions: Any, engines: Any) -> None:
    loader = Loader(sessions)
    for plan in (CITY, CARD):
        with Heard(engines) as heard:
            city: Any = await loader.fetch(plan, 2)
        assert list(heard.selects) == ["europe"]
        assert (city.name, [each.text for each in city.reports]) == ("Rome", ["Rome 0", "Rome 1"])
    with pytest.raises(NotFound):
        await loader.fetch(CITY, 99)


async def test_a_row_that_may_be_anywhere_is_looked_for_until_it_is_found(sessions: Any, engines: Any) -> None:
    loader = Loader(sessions)
    with Heard(engines) as heard:
        report = await loader.fetch(REPORT, 20)
    assert report.city.name == "Rome"
    assert heard.selects == {"asia": 1, "europe": 1}
    with Heard(engines) as heard:
        assert (await loader.fetch(REPORT, 10)).city.name == "Delhi"
    assert heard.selects == {"asia": 1}
    assert await loader.fetch_or_none(REPORT, 99) is None


async def test_many_ids_are_one_fetch_a_shard(sessions: Any, engines: Any) -> None:
    loader = Loader(sessions)
    with Heard(engines) as heard:
        found = await loader.fetch_many(CITY, [5, 2, 4, 1, 2, 77], missing="skip")
    assert [each.id for each in found] == [5, 2, 4, 1, 2]
    assert found[1] is found[4]
    assert heard.selects == {"asia": 2, "europe": 2} or heard.selects == {"asia": 1, "europe": 1}
    assert [len(each.reports) for each in found] == [2, 2, 1, 1, 2]
    reports = await loader.fetch_many(REPORT, [40, 10, 20])
    assert [each.text for each in reports] == ["Oslo 0", "Delhi 0", "Rome 0"]
    with pytest.raises(NotFound) as caught:
        await loader.fetch_many(CITY, [1, 88, 99])
    assert caught.value.missing == (88, 99)


async def test_batched_fetches_go_to_their_shards(sessions: Any, engines: Any) -> None:
    batched = Loader(sessions).batched()
    found = await asyncio.gather(*(batched.fetch(CITY, number) for number in (1, 2, 3)))
    assert [each.name for each in found] == ["Delhi", "Rome", "agra"]


async def test_a_list_of_one_shard_asks_no_other(sessions: Any, engines: Any) -> None:
    with Heard(engines) as heard:
        found = await Loader(sessions).fetch_all(CITY, City.continent == "europe", order_by=City.id, limit=2)
    assert [each.id for each in found] == [2, 4]
    assert list(heard.selects) == ["europe"]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ([City.id], [1, 2, 3, 4, 5, 6, 7]),
        ([City.id.desc()], [7, 6, 5, 4, 3, 2, 1]),
        ([City.size.nulls_last()], [4, 7, 5, 1, 2, 3, 6]),
        ([City.size.desc().nulls_first(), City.id.desc()], [6, 3, 2, 1, 5, 7, 4]),
        ([City.name], [6, 1, 4, 2, 7, 5, 3]),
        ([collate(City.name, "C").desc()], [3, 5, 7, 2, 4, 1, 6]),
        ([City.key.desc()], [7, 6, 5, 4, 3, 2, 1]),
    ],
    ids=["id", "descending", "nulls last", "nulls first", "text", "collate", "uuid"],
)
async def test_lists_and_pages_are_merged_in_order(sessions: Any, request: Any, order: Any, expected: Any) -> None:
    loader = Loader(sessions)
    if "SQLite" in request.node.name and "collate" in request.node.name:
        order = [City.name.desc()]  # SQLite has no collation of that name
    for plan in (CITY, CARD):
        found: list[Any] = await loader.fetch_all(plan, order_by=order)
        assert [each.id for each in found] == expected
        assert [each.name for each in found] == [NAMES[number] for number in expected]
        assert [len(each.reports) for each in found] == [number % 3 for number in expected]
        some = await loader.fetch_all(plan, order_by=order, limit=3, offset=2)
        assert [each.id for each in some] == expected[2:5]
    for size in (1, 2, 3, 7, 20):
        walked, after = [], None
        while True:
            page = await loader.fetch_page(CITY, order, size, after=after)
            walked += [each.id for each in page.items]
            assert len(page.items) <= size
            if (after := page.next) is None:
                break
        assert walked == expected
    back = await loader.fetch_page(CITY, order, 4, after=(await loader.fetch_page(CITY, order, 4)).next)
    before = await loader.fetch_page(CITY, order, 3, before=back.previous, total="exact")
    assert [each.id for each in before.items] == expected[1:4]
    assert before.total == 7


async def test_without_an_order_the_shards_follow_each_other(sessions: Any, engines: Any) -> None:
    loader = Loader(sessions)
    assert [each.id for each in await loader.fetch_all(CITY, limit=6)] == [1, 3, 5, 7, 2, 4]
    with Heard(engines) as heard:
        assert [each.id for each in await loader.fetch_all(CITY, limit=2, offset=1)] == [3, 5]
    assert list(heard.selects) == ["asia"]
    assert {each.id for each in await loader.fetch_all(CITY)} == set(NAMES)
    one = await loader.fetch_one(CITY, City.name == "Oslo")
    assert one.id == 4


async def test_counts_are_added_up(sessions: Any, engines: Any) -> None:
    loader = Loader(sessions)
    assert await loader.count(City) == 7
    assert await loader.count(CITY, City.continent == "asia") == 4
    assert await loader.exists(City, City.name == "Oslo")
    assert not await loader.exists(City, City.name == "Lima")
    with Heard(engines) as heard:
        assert await loader.exists(City, City.id > 0)
    assert heard.selects == {"asia": 1}


async def test_a_stream_walks_shard_by_shard(sessions: Any) -> None:
    loader = Loader(sessions)
    found = [each async for each in loader.stream(CITY, batch_size=2)]
    assert sorted(each.id for each in found) == list(NAMES)
    assert [shard_of_city(each.id) for each in found] == ["asia"] * 4 + ["europe"] * 3
    some = [each.id async for each in loader.stream(CITY, City.continent == "asia", City.id.desc(), batch_size=3)]
    assert some == [7, 5, 3, 1]


async def test_an_order_by_a_to_one_is_told_as_it_was_written(sessions: Any) -> None:
    """The page does not show the value, so no shard can go on after the row of another shard."""
    order = source(Report.city, City.id).desc()
    with pytest.raises(PlanError) as caught:
        await Loader(sessions).fetch_page(LoadPlan(Report), order, 2)
    message = "the page is ordered by 'source(Report.city, City.id)', which it does not show"
    assert (caught.value.code, caught.value.message) == ("LP217", message)


async def test_what_cannot_be_merged_is_refused(sessions: Any, engines: Any) -> None:
    loader = Loader(sessions)
    with pytest.raises(PlanError) as caught:
        _ = [each async for each in loader.stream(CITY, order_by=City.id)]
    assert str(caught.value) == (
        "LP217: stream() cannot merge the rows of 2 shards in an order\n"
        "  at: city\n"
        "  detail: each shard would keep a cursor and a transaction open until the end.\n"
        "  hint: leave order_by= out, use fetch_page, or add a condition that selects one shard."
    )
    if engines["asia"].dialect.name == "sqlite":  # it compares text letter by letter
        assert [each.id for each in await loader.fetch_all(CITY, order_by=[City.continent, City.id], limit=1)] == [1]
        return
    for call in (loader.fetch_all, loader.fetch_page):
        with pytest.raises(PlanError) as caught:
            await call(CITY, order_by=City.continent)
        assert str(caught.value) == (
            "LP217: the rows of several shards cannot be merged in the order of 'shd_cities.continent'\n"
            "  at: city\n"
            "  detail: only the database knows how it compares values of String.\n"
            '  hint: order by collate(column, "C"), or by a number or a date.'
        )


async def test_the_same_key_in_two_shards_is_no_place_for_a_cursor(sessions: Any, engines: Any) -> None:
    twin = City(id=1, continent="europe", name="Twin", key=uuid.UUID(int=1))
    async with AsyncSession(engines["europe"]) as session:
        session.add(twin)
        await session.commit()
    with pytest.raises(PlanError, match="LP217: two shards have a 'City' with the same primary key"):
        await Loader(sessions).fetch_page(CITY, City.id, 1)
    assert [each.id for each in await Loader(sessions).fetch_all(CITY, order_by=City.id, limit=3)] == [1, 1, 2]


async def test_a_session_sees_its_own_work_and_takes_results_back(sessions: Any) -> None:
    async with sessions() as session:
        loader = Loader(session)
        session.add(City(id=8, continent="europe", name="Nice", size=1, key=uuid.UUID(int=8)))
        assert [each.id for each in await loader.fetch_all(CITY, order_by=City.id.desc(), limit=2)] == [8, 7]
        assert (await loader.fetch(CITY, 8)).name == "Nice"
        assert await loader.count(City) == 8
        await session.rollback()
        locked = await loader.fetch(CITY, 2, for_update=True)
        assert inspect(locked).key == (City, (2,), "europe")
    assert await Loader(sessions).count(City) == 7
    city = await Loader(sessions).fetch(CITY, 2)
    async with sessions() as session:
        session.add(city)
        city.name = "Roma"
        city.reports[0].text = "new"
        await session.commit()
    async with sessions() as session:
        other = await session.merge(await Loader(sessions).fetch(CITY, 1))
        other.name = "Dilli"
        await session.commit()
    found = await Loader(sessions).fetch_many(CITY, [1, 2])
    assert [each.name for each in found] == ["Dilli", "Roma"]
    assert found[1].reports[0].text == "new"


async def test_graphs_stay_in_a_session_and_grow_there(sessions: Any, engines: Any) -> None:
    async with sessions() as session:
        loader = Loader(session)
        with Heard(engines) as heard:
            city = await loader.fetch_attached(CITY, 2)
        assert list(heard.selects) == ["europe"]
        assert city is await session.get(City, 2)
        report = await loader.fetch_attached(REPORT, 10)
        city.reports[0].text = report.text = "changed"
        await session.commit()
    found = await Loader(sessions).fetch_many(REPORT, [20, 10])
    assert [each.text for each in found] == ["changed"] * 2
    cities = await Loader(sessions).fetch_all(LoadPlan(City, name="cities"), order_by=City.id)
    with Heard(engines) as heard:
        extended = await Loader(sessions).extend(cities, load(City.reports))
    assert set(heard.selects) == set(SHARDS)
    assert extended == cities
    assert [len(each.reports) for each in extended] == [each.id % 3 for each in cities]
    alone = await Loader(engines["asia"]).fetch(LoadPlan(City), 1)
    with pytest.raises(LoaderError, match="LP408: the shard of a 'City' is not known"):
        await Loader(sessions).extend(alone, load(City.reports))


async def test_criteria_of_the_session_hold_in_every_shard(engines: Any) -> None:
    class Tenants(ShardedSession):
        pass

    @event.listens_for(Tenants, "do_orm_execute")
    def hide(state: Any) -> None:
        state.statement = state.statement.options(with_loader_criteria(City, City.size.is_not(None)))

    shards = {name: engine.sync_engine for name, engine in engines.items()}
    sessions: Any = async_sessionmaker(sync_session_class=Tenants, shards=shards, **CHOOSERS)
    loader = Loader(sessions)
    assert [each.id for each in await loader.fetch_all(CITY, order_by=City.id)] == [1, 2, 4, 5, 7]
    assert await loader.fetch_or_none(CITY, 3) is None
    assert await loader.count(City) == 5
    assert len([each async for each in loader.stream(CARD)]) == 5
    async with sessions() as session:
        assert await Loader(session).fetch_or_none(CARD, 6) is None


async def test_one_call_is_one_record_and_one_bound(sessions: Any) -> None:
    records: list[FetchRecord] = []
    loader = Loader(sessions, on_fetch=records.append)
    await loader.fetch_all(CITY, order_by=City.id)
    await loader.fetch_many(CARD, [1, 2])
    assert [each.plan for each in records] == ["city", "CityCard"]
    assert records[0].rows == len(NAMES) + sum(number % 3 for number in NAMES)
    with pytest.raises(TooManyRows):
        await Loader(sessions, max_rows=8).fetch_all(CITY, order_by=City.id)
    assert len(await Loader(sessions, max_rows=15).fetch_all(CITY, order_by=City.id)) == 7


async def test_explain_and_analyze_speak_of_one_shard(sessions: Any, engines: Any) -> None:
    loader = Loader(sessions)
    assert loader.explain(CITY).statements in {1, 2}
    with Heard(engines) as heard:
        analysis = await loader.analyze(CITY, 2)
    assert analysis.rows == sum(each.rows for each in analysis.statements) >= 1
    assert not heard.of["asia"].selects


async def test_the_synchronous_loader_does_the_same(engines: Any) -> None:
    shards = {name: engine.sync_engine for name, engine in engines.items()}
    made = sessionmaker(class_=ShardedSession, shards=shards, **CHOOSERS)
    loader = SyncLoader(made)
    assert (await in_greenlet(lambda: loader.fetch(CITY, 2))).name == "Rome"
    found = await in_greenlet(lambda: loader.fetch_all(CITY, order_by=City.id.desc(), limit=3))
    assert [each.id for each in found] == [7, 6, 5]
    assert await in_greenlet(lambda: [each.id for each in loader.stream(CARD)]) == [1, 3, 5, 7, 2, 4, 6]


async def test_each_shard_is_asked_for_its_indexes(sessions: Any, engines: dict[str, AsyncEngine]) -> None:
    """Both shards answer with the same rows, each by what its own database has."""
    plan = LoadPlan(City, load(City.reports, order_by=Report.text.desc(), limit=1, strategy="selectin"))
    async with engines["asia"].begin() as connection:
        await connection.execute(text("CREATE INDEX ix_shd_text ON shd_reports (city_id, text)"))
    assert await Loader(sessions).learn_indexes(plan) == (
        LearnedIndex("shd_reports", "ix_shd_text", ("city_id", "text")),
    )
    known = "an index that the database has and the mapping does not"
    reasons = {name: Loader(engine).explain(plan).edges[0].reason for name, engine in engines.items()}
    is_postgres = engines["asia"].dialect.name == "postgresql"
    assert {name: known in reason for name, reason in reasons.items()} == {"asia": is_postgres, "europe": False}
    cities = await Loader(sessions).fetch_many(plan, [1, 2, 5])
    assert [[report.text for report in city.reports] for city in cities] == [["Delhi 0"], ["Rome 1"], ["Zhuhai 1"]]
