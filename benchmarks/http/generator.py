"""Load: some connections, on each of which a request follows the answer of the one before it."""

# pyright: reportMissingImports=false

import asyncio
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import httptools


@attrs.frozen
class Load:
    """What came of it.

    Attributes:
        seconds: that each request took, from its first byte sent to the last one of the answer.
        elapsed: seconds from the first request to the last answer.
    """

    seconds: tuple[float, ...]
    elapsed: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.seconds) / self.elapsed


def percentile(seconds: Sequence[float], share: float) -> float:
    """Return the time within which a share of the requests was answered: the nearest rank."""
    ordered = sorted(seconds)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


class _Answer:
    """One answer as it arrives; httptools calls these methods."""

    def __init__(self) -> None:
        self.body: list[bytes] = []
        self.complete = False

    def on_body(self, part: bytes) -> None:
        self.body.append(part)

    def on_message_complete(self) -> None:
        self.complete = True


@attrs.define
class Connection:
    """A connection that is kept open."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, port: int) -> "Connection":
        """Connect to a server on this machine."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def get(self, path: str) -> bytes:
        """Return the body of the answer to a request.

        Raises:
            RuntimeError: the answer is an error, or the server has gone.
        """
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode("ascii"))
        answer = _Answer()
        parser = httptools.HttpResponseParser(answer)
        while not answer.complete:
            arrived = await self.reader.read(65_536)
            if not arrived:
                raise RuntimeError(f"the server closed the connection before it had answered {path}")
            parser.feed_data(arrived)
        if parser.get_status_code() != 200:
            raise RuntimeError(f"{path}: status {parser.get_status_code()}: {b''.join(answer.body)[:200]!r}")
        return b"".join(answer.body)

    async def close(self) -> None:
        """Close it."""
        self.writer.close()
        await self.writer.wait_closed()


async def answers(port: int, paths: Sequence[str]) -> list[Any]:
    """Return the JSON that a server answers each path with."""
    connection = await Connection.open(port)
    try:
        return [json.loads(await connection.get(path)) for path in paths]
    finally:
        await connection.close()


async def load(port: int, paths: Sequence[str], connections: int, duration: float) -> Load:
    """Request paths in turn for so many seconds; a request that is under way at the end is waited for.

    Raises:
        RuntimeError: an answer is an error.
    """
    turn = itertools.cycle(paths)
    opened = [await Connection.open(port) for _ in range(connections)]
    started = time.perf_counter()
    try:
        taken = await asyncio.gather(*(_requests(each, turn, started + duration) for each in opened))
        elapsed = time.perf_counter() - started
    finally:
        await asyncio.gather(*(each.close() for each in opened))
    return Load(tuple(itertools.chain.from_iterable(taken)), elapsed)


async def _requests(connection: Connection, paths: Iterator[str], end: float) -> list[float]:
    """Return the seconds of each request; there is one at least."""
    seconds: list[float] = []
    started = time.perf_counter()
    while not seconds or started < end:
        await connection.get(next(paths))
        now = time.perf_counter()
        seconds.append(now - started)
        started = now
    return seconds
