"""Tables partitioned over two PostgreSQL servers by postgres_fdw: what of a plan's statements reaches the far one."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from sqlalchemy import URL, bindparam, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, load
from support import execute
from system_postgres import MISSING, find_postgres, system_postgres

BY_REGION = {"postgresql_partition_by": "LIST (region)"}
BOTH = "and_(Order.region == foreign(Line.region), Order.id == foreign(Line.order_id))"


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    __table_args__ = BY_REGION
    region: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str]
    lines: Mapped[list["Line"]] = relationship(primaryjoin=BOTH, back_populates="order", order_by="Line.id")
    by_id: Mapped[list["Line"]] = relationship(
        primaryjoin="Order.id == foreign(Line.order_id)", viewonly=True, order_by="Line.id"
    )


class Line(Base):
    __tablename__ = "lines"
    __table_args__ = BY_REGION
    region: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int]
    order: Mapped[Order] = relationship(primaryjoin=BOTH, back_populates="lines")


ORDER = LoadPlan(Order, load(Order.lines, strategy="selectin"), name="order")
LINE = LoadPlan(Line, load(Line.order), name="line")
IN_REGION = LoadPlan(
    Order, load(Order.by_id, where=Line.region == bindparam("region"), strategy="selectin"), name="order in region"
)

COLUMNS = {
    "orders": "region text NOT NULL, id integer NOT NULL, customer text NOT NULL",
    "lines": "region text NOT NULL, id integer NOT NULL, order_id integer NOT NULL",
}
#: Orders on the far server, and as many on the near one.
FAR = 40


@pytest.fixture(scope="module")
def two_servers() -> Iterator[tuple[URL, URL]]:
    """Two servers of the PostgreSQL that is installed: the wheel has no postgres_fdw."""
    found = find_postgres()
    if found is None or not found.has("postgres_fdw"):
        pytest.skip(MISSING)
    with system_postgres("near") as near, system_postgres("far") as far:
        yield near, far


@pytest.fixture(scope="module")
async def partitioned(two_servers: tuple[URL, URL], drivername: str) -> AsyncIterator[AsyncEngine]:
    """Orders of Europe on the near server, those of Asia on the far one; two lines each."""
    near, far = two_servers
    await execute(
        far,
        *(f"CREATE TABLE {name}_asia ({columns}, PRIMARY KEY (region, id))" for name, columns in COLUMNS.items()),
        "INSERT INTO orders_asia SELECT 'asia', n, 'far ' || n FROM generate_series(1, 40) n",
        "INSERT INTO lines_asia SELECT 'asia', n, (n + 1) / 2 FROM generate_series(1, 80) n",
    )
    host = far.query["host"]
    await execute(
        near,
        "CREATE EXTENSION postgres_fdw",
        f"CREATE SERVER asia FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{host}', dbname 'postgres')",
        "CREATE USER MAPPING FOR postgres SERVER asia OPTIONS (user 'postgres')",
    )
    for name, columns in COLUMNS.items():
        await execute(
            near,
            f"CREATE TABLE {name} ({columns}) PARTITION BY LIST (region)",
            f"CREATE TABLE {name}_europe PARTITION OF {name} (PRIMARY KEY (region, id)) FOR VALUES IN ('europe')",
            f"CREATE FOREIGN TABLE {name}_asia PARTITION OF {name} FOR VALUES IN ('asia') SERVER asia",
        )
    await execute(
        near,
        "INSERT INTO orders SELECT 'europe', n, 'near ' || n FROM generate_series(41, 80) n",
        "INSERT INTO lines SELECT 'europe', n, (n + 1) / 2 FROM generate_series(81, 160) n",
    )
    engine = create_async_engine(near.set(drivername=drivername))
    yield engine
    await engine.dispose()


class Plans:
    """What the near server did with the statements that ran."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.sent: list[tuple[str, Any]] = []

    def note(self, _c: Any, _cursor: Any, sql: str, parameters: Any, *_: Any) -> None:
        self.sent.append((sql, parameters))

    async def of(self, call: Any) -> tuple[Any, list[list[str]], list[bool]]:
        """Return what a call gives; for each statement what the far server is asked, and if the near one reads."""
        self.sent.clear()
        event.listen(self.engine.sync_engine, "before_cursor_execute", self.note)
        try:
            found = await call
        finally:
            event.remove(self.engine.sync_engine, "before_cursor_execute", self.note)
        remote, reads_near = [], []
        async with self.engine.connect() as connection:
            for sql, parameters in self.sent:
                answer = await connection.exec_driver_sql(f"EXPLAIN (VERBOSE, COSTS OFF) {sql}", parameters)
                text = "\n".join(answer.scalars())
                remote.append([each.partition("WHERE ")[2] for each in re.findall(r"Remote SQL: (.*)", text)])
                reads_near.append("_europe" in text)
        return found, remote, reads_near


async def test_one_region_stays_on_one_server(partitioned: AsyncEngine) -> None:
    plans, loader = Plans(partitioned), Loader(partitioned)
    orders, remote, reads_near = await plans.of(
        loader.fetch_all(ORDER, Order.region == "asia", order_by=Order.id, limit=3)
    )
    assert [(each.id, [line.id for line in each.lines]) for each in orders] == [(1, [1, 2]), (2, [3, 4]), (3, [5, 6])]
    assert reads_near == [False, False]
    assert remote[0][0].startswith("((region = 'asia')) ORDER BY id")
    assert "(region = ANY ('{asia,asia,asia}'::text[]))" in remote[1][0]
    assert "(order_id = ANY ('{1,2,3}'::integer[]))" in remote[1][0]


async def test_keys_are_sent_on_and_partitions_without_any_are_passed_by(partitioned: AsyncEngine) -> None:
    plans, loader = Plans(partitioned), Loader(partitioned)
    orders, remote, reads_near = await plans.of(loader.fetch_many(ORDER, [("asia", 7), ("asia", 9)]))
    assert [[line.id for line in each.lines] for each in orders] == [[13, 14], [17, 18]]
    assert reads_near == [False, False]
    assert all("ANY" in each for statement in remote for each in statement)
    orders, remote, reads_near = await plans.of(loader.fetch_many(ORDER, [("europe", FAR + 1), ("asia", 9)]))
    assert [each.customer for each in orders] == [f"near {FAR + 1}", "far 9"]
    assert reads_near == [True, True]
    orders, remote, _ = await plans.of(loader.fetch_many(ORDER, [("europe", FAR + 1)]))
    assert [len(each.lines) for each in orders] == [2]
    assert remote == [[], []]


async def test_a_relationship_by_one_key_stays_where_a_condition_says(partitioned: AsyncEngine) -> None:
    plans, loader = Plans(partitioned), Loader(partitioned)
    order, remote, reads_near = await plans.of(loader.fetch(IN_REGION, ("asia", 5), params={"region": "asia"}))
    assert [line.id for line in order.by_id] == [9, 10]
    assert reads_near == [False, False]
    assert remote[0] == ["((region = 'asia')) AND ((id = 5))"]
    assert "((order_id = ANY ('{5}'::integer[]))) AND ((region = 'asia'))" in remote[1][0]


async def test_joins_and_counts(partitioned: AsyncEngine) -> None:
    plans, loader = Plans(partitioned), Loader(partitioned)
    lines, _, reads_near = await plans.of(loader.fetch_all(LINE, Line.region == "asia", order_by=Line.id, limit=2))
    assert [each.order.customer for each in lines] == ["far 1", "far 1"]
    assert reads_near == [False]
    number, remote, reads_near = await plans.of(loader.count(Order, Order.region == "asia"))
    assert number == FAR
    assert remote == [["((region = 'asia'))"]]
    assert reads_near == [False]


async def test_graphs_and_pages_span_both_servers(partitioned: AsyncEngine) -> None:
    loader = Loader(partitioned)
    found, after = [], None
    while True:
        page = await loader.fetch_page(ORDER, Order.id, 25, after=after)
        found += page.items
        if (after := page.next) is None:
            break
    assert [each.id for each in found] == list(range(1, 2 * FAR + 1))
    assert all(len(each.lines) == 2 for each in found)
    streamed = [each async for each in loader.stream(ORDER, order_by=Order.id, batch_size=30)]
    assert [each.id for each in streamed] == [each.id for each in found]
