"""The load generator of the benchmarks over HTTP, against a server on this machine; percentiles, tables, progress."""

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator

import pytest
from rich.console import Console

from benchmarks.http.command import Effort as HttpEffort
from benchmarks.http.command import Served, cases_of, page
from benchmarks.http.contenders import CONTENDERS, DJANGO, ENTITIES, OPTIONS
from benchmarks.http.generator import answers, load, percentile
from benchmarks.progress import Progress, duration


class Server:
    """Answers with the path that was asked for, in pieces; keeps what it saw."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while request := await reader.readline():
            while await reader.readline() != b"\r\n":
                pass
            path = request.split()[1].decode()
            self.seen.append(path)
            if path == "/gone":
                break
            status = b"500 Internal Server Error" if path == "/broken" else b"200 OK"
            body = json.dumps({"path": path, "long": "x" * 200_000 if path == "/long" else ""}).encode()
            writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: " + str(len(body)).encode() + b"\r\n\r\n")
            for at in range(0, len(body), 50_000):
                writer.write(body[at : at + 50_000])
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[tuple[Server, int]]:
    server = Server()
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        yield server, listening.sockets[0].getsockname()[1]


async def test_answers_are_read_whole() -> None:
    async with serving() as (_, port):
        short, long = await answers(port, ["/short", "/long"])
    assert short == {"path": "/short", "long": ""}
    assert len(long["long"]) == 200_000


async def test_each_connection_asks_for_the_next_path() -> None:
    """Paths are taken in turn by all connections together, and every request has its time."""
    async with serving() as (server, port):
        found = await load(port, ["/a", "/b", "/c"], connections=3, duration=0.2)
    assert server.connections == 3
    assert len(found.seconds) == len(server.seen) > 3
    counts = [server.seen.count(path) for path in ("/a", "/b", "/c")]
    assert max(counts) - min(counts) <= 1
    assert all(0 < each <= found.elapsed for each in found.seconds)
    assert found.elapsed >= 0.2
    assert found.rate == pytest.approx(len(server.seen) / found.elapsed)
    assert sum(found.seconds) == pytest.approx(3 * found.elapsed, rel=0.5)


async def test_an_error_stops_the_load() -> None:
    async with serving() as (_, port):
        with pytest.raises(RuntimeError, match="/broken: status 500"):
            await load(port, ["/broken"], connections=1, duration=0.1)
        with pytest.raises(RuntimeError, match="before it had answered /gone"):
            await load(port, ["/gone"], connections=1, duration=0.1)


def test_percentiles_are_of_the_nearest_rank() -> None:
    hundred = [float(each) for each in range(100, 0, -1)]
    assert (percentile(hundred, 0.5), percentile(hundred, 0.99), percentile(hundred, 1.0)) == (50.0, 99.0, 100.0)
    assert percentile([3.0], 0.5) == percentile([3.0], 0.99) == 3.0


def test_drivers_stand_side_by_side() -> None:
    """Ratios are made round by round; what a way does not run on is a dash."""
    found = [
        Served("one order", OPTIONS.name, "asyncpg", (100.0, 200.0, 300.0), 0.010, 0.020, 600),
        Served("one order", ENTITIES.name, "asyncpg", (200.0, 300.0, 900.0), 0.005, 0.0101, 1_400),
        Served("one order", DJANGO.name, "psycopg", (50.0, 50.0, 50.0), 0.02, 0.04, 150),
    ]
    rows = [line.strip("| ").split(" | ") for line in page(found).splitlines() if line.startswith("| ")]
    assert rows[2] == [OPTIONS.name, "200", "1.00", "10.00", "20.00", "-", "-", "-", "-"]
    assert rows[3] == [ENTITIES.name, "300", "2.00", "5.00", "10.10", "-", "-", "-", "-"]
    assert rows[4] == [DJANGO.name, "-", "-", "-", "-", "50", "-", "20.00", "40.00"]


def test_contenders_are_told_apart_and_ask_for_orders_that_exist() -> None:
    assert len({each.name for each in CONTENDERS}) == len(CONTENDERS) == 11
    one, many = cases_of(HttpEffort(orders=20))
    assert {int(path.rpartition("/")[2]) for path in one.paths} == set(range(1, 21))
    assert many.paths == ("/orders?limit=50",)


def test_progress_estimates_by_the_steps_that_are_done() -> None:
    """What comes before the first step counts for nothing, and a long step for more."""
    now = [0.0]
    printed = io.StringIO()
    progress = Progress(Console(file=printed, width=100), total=10, clock=lambda: now[0])
    progress.say("filling")
    now[0] = 100.0
    progress.step("first")
    assert progress.left is None
    now[0] = 110.0
    progress.step("second")
    assert progress.left == pytest.approx(90.0)
    now[0] = 120.0
    progress.step("third", size=4)
    assert progress.left == pytest.approx(80.0)
    now[0] = 160.0
    progress.step("fourth")
    assert progress.left == pytest.approx(40.0)
    lines = [line.rstrip() for line in printed.getvalue().splitlines()]
    assert lines[0] == "   0.0 s    0%  filling"
    assert lines[-1] == " 160.0 s   60%, about 40 s left  fourth"


def test_durations_are_short() -> None:
    assert [duration(each) for each in (0.4, 99, 120, 3_000, 6_100)] == ["0 s", "99 s", "2 min", "50 min", "1 h 42 min"]
