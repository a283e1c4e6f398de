"""What the benchmarks rest on: counting on the wire, comparing before timing, and the tables."""

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import attrs
import pytest
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.cases import orders
from benchmarks.cases.case import Case
from benchmarks.measure import time_parts
from benchmarks.reading import reading
from benchmarks.relay import Relay, relay
from benchmarks.report import Result, Run, read_json, write_json
from benchmarks.running import compare
from benchmarks.tables import case_table, losses, overview, overview_alone
from benchmarks.wire import Count, Wire


@pytest.fixture
async def between(postgres_url: URL) -> AsyncIterator[Relay]:
    if "host" not in postgres_url.query:
        pytest.skip("the relay leads to a Unix socket; this server has a host name")
    async with relay(postgres_url, 0.0) as found:
        yield found


async def counted(between: Relay, run: Any) -> Count:
    """What passes while a coroutine runs, for the second time."""
    await run()
    before = await between.seen()
    await run()
    return (await between.seen()).less(before)


async def test_a_statement_of_asyncpg_is_one_with_its_rows(between: Relay) -> None:
    connection = await asyncpg.connect(between.url.set(drivername="postgresql").render_as_string(hide_password=False))
    count = await counted(between, lambda: connection.fetch("SELECT * FROM generate_series(1, $1::int)", 1000))
    assert (count.statements, count.others, count.rows, count.trips) == (1, 0, 1000, 1)
    await connection.close()


async def test_a_session_counts_begin_and_rollback_apart(between: Relay) -> None:
    engine = create_async_engine(between.url)

    async def run() -> None:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1 UNION ALL SELECT 2"))
            await connection.execute(text("WITH two AS (SELECT 2) SELECT * FROM two"))

    count = await counted(between, run)
    assert (count.statements, count.others, count.rows, count.trips) == (2, 2, 3, 4)
    await engine.dispose()


async def test_rows_that_pass_in_pieces_are_counted_once(between: Relay) -> None:
    """More than what the relay reads at a time, in rows that are larger than that, and in small ones."""
    connection = await asyncpg.connect(between.url.set(drivername="postgresql").render_as_string(hide_password=False))
    wide = await counted(between, lambda: connection.fetch("SELECT repeat('x', 700000) FROM generate_series(1, 3)"))
    many = await counted(between, lambda: connection.fetch("SELECT repeat('x', 7) FROM generate_series(1, 50000)"))
    assert (wide.rows, many.rows) == (3, 50_000)
    assert wide.sent > 2_100_000
    await connection.close()


def test_messages_that_are_cut_anywhere_are_read_alike() -> None:
    def message(kind: bytes, body: bytes) -> bytes:
        return kind + (len(body) + 4).to_bytes(4, "big") + body

    startup = (8).to_bytes(4, "big") + (196608).to_bytes(4, "big")
    sent = startup + message(b"P", b"s\0SELECT 1\0\0\0") + message(b"B", b"\0s\0" + bytes(6)) + message(b"E", bytes(5))
    answered = message(b"D", b"\0\1\0\0\0\1x") * 3 + message(b"C", b"SELECT 3\0")
    for cut in range(1, 12):
        wire = Wire(Count())
        for at in range(0, len(sent), cut):
            wire.from_client(sent[at : at + cut])
        for at in range(0, len(answered), cut):
            wire.from_server(answered[at : at + cut])
        assert wire.count == Count(trips=1, statements=1, others=0, rows=3, sent=len(answered)), cut


async def test_another_value_of_one_rival_stops_the_case() -> None:
    async def right() -> list[Any]:
        return [(1, "a")]

    async def wrong() -> list[Any]:
        await asyncio.sleep(0)
        return [(1, "b")]

    case = Case("one", "", orders.ROW, key=7)
    await compare(case, {"first": right, "second": right})
    with pytest.raises(AssertionError, match="one: 'second' brings other values than 'first'"):
        await compare(case, {"first": right, "second": wrong})
    with pytest.raises(AssertionError, match="one: 'first' brings 1 roots instead of 2"):
        await compare(Case("one", "", orders.ROW, 2), {"first": right})


def results() -> list[Result]:
    """Three rounds of a case: one rival is faster than loadplan's entities, one cannot."""
    return [
        Result("one", "asyncpg, a level", 1, (0.001, 0.001, 0.001), 2),
        Result("one", "loadplan, entities", 1, (0.004, 0.005, 0.004), 2),
        Result("one", "loadplan, entities, named columns", 1, (0.003, 0.003, 0.003), 2),
        Result("one", "options prebuilt", 1, (0.002, 0.002, 0.002), 2),
        Result("one", "Piccolo", 1, note="cannot: a reason"),
    ]


def test_tables_say_who_was_faster_and_who_cannot() -> None:
    (loss,) = losses(results()).rows
    assert loss == ("one", "options prebuilt", "loadplan, entities", "2.00", "4.00", "0.50 (0.40 to 0.50)")
    (row,) = overview(results(), ["options prebuilt", "Piccolo"]).rows
    assert row == ("one", "1.00", "-", "4.00", "3.00", "4.00", "**0.50**", "-")
    whole = Result("one", "asyncpg, whole rows", 1, (0.002, 0.002, 0.002), 2)
    (row,) = overview([*results(), whole], []).rows
    assert row == ("one", "1.00", "-", "4.00", "3.00", "2.00")
    faster = Result("one", "asyncpg, whole rows", 1, (0.0005, 0.0005, 0.0005), 2)
    (row,) = overview([*results(), faster], []).rows
    assert row == ("one", "1.00", "-", "4.00", "3.00", "8.00"), "by chance the faster one, and still not the limit"
    rows = case_table(results(), "one").rows
    ours = ["loadplan, entities, named columns", "loadplan, entities"]
    assert [each[0] for each in rows] == ["asyncpg, a level", "options prebuilt", *ours, "Piccolo"]
    assert rows[-1][-1] == "cannot: a reason"


def test_the_fetch_alone_has_a_table_of_its_own() -> None:
    hand, ours, columns, options, piccolo = results()
    told = [attrs.evolve(hand, fetching=(0.001,) * 3), attrs.evolve(ours, fetching=(0.002, 0.002, 0.003)), options]
    told.append(attrs.evolve(columns, fetching=(0.0015, 0.0015, 0.001)))
    table = overview_alone([*told, piccolo], ["options prebuilt", "Piccolo"])
    assert table is not None
    assert table.names[-1] == "entities / whole rows", "nobody else tells the fetch apart, so nobody has a column"
    assert table.rows == [("one", "1.00", "-", "2.00", "1.50", "2.00")]
    assert overview_alone(results(), []) is None


async def test_the_time_of_reading_is_told_apart() -> None:
    async def fetch_and_read() -> list[int]:
        with reading():
            return list(range(1_000))

    async def fetch() -> list[int]:
        return list(range(1_000))

    ((told, untold),), ((alone, unknown),) = await time_parts([fetch_and_read, fetch], 1, 3)
    assert 0 < alone < told
    assert untold > 0
    assert math.isnan(unknown)


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    run = Run({"machine": "this one"}, results())
    write_json(run, tmp_path / "of" / "cases.json")
    assert read_json(tmp_path / "of" / "cases.json") == run


def test_times_of_different_cases_are_not_divided() -> None:
    first, *_ = results()
    with pytest.raises(ValueError, match="were not measured in turn"):
        first.ratios(Result("two", "loadplan, entities", 1, (0.001, 0.001, 0.001)))
