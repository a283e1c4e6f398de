"""A network in between: a TCP relay in a process of its own, which holds up what it passes on and counts what it sees.

It listens on localhost, and hands every connection on to the Unix socket of a server. It counts what passes if that is
PostgreSQL; MariaDB counts by itself.
"""

import argparse
import asyncio
import contextlib
import json
import selectors
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from benchmarks.wire import Count, Wire

if TYPE_CHECKING:  # the process of the relay has no need of it, and starts sooner
    from sqlalchemy import URL

ROOT = Path(__file__).resolve().parents[1]
"""Where this package is found."""

CHUNK = 2**18


@attrs.frozen
class Relay:
    """A relay that runs.

    Attributes:
        url: of the database, by way of it.
    """

    url: "URL"
    _process: Process

    async def seen(self) -> Count:
        """Return what it has seen so far."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        await self._process.stdin.drain()
        return Count(**json.loads(await self._process.stdout.readline()))

    async def trips(self) -> int:
        """Return the number of round trips so far."""
        return (await self.seen()).trips


@contextlib.asynccontextmanager
async def relay(url: "URL", delay: float) -> AsyncIterator[Relay]:
    """Start a relay to the server of ``url``, which a Unix socket leads to.

    Args:
        url: of the database.
        delay: seconds that each direction takes.
    """
    socket, counted = socket_of(url)
    command = [sys.executable, "-m", "benchmarks.relay", "--socket", str(socket), "--delay", str(delay)]
    command += [] if counted else ["--uncounted"]
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, cwd=ROOT)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = int(await process.stdout.readline())
        through = url.set(host="127.0.0.1", port=port).difference_update_query(["host", "unix_socket"])
        yield Relay(through, process)
    finally:
        process.stdin.close()  # which ends it
        await process.wait()


def socket_of(url: "URL") -> tuple[Path, bool]:
    """Return the Unix socket of a server, and whether what passes there can be counted: it is PostgreSQL's protocol."""
    if "unix_socket" in url.query:
        return Path(str(url.query["unix_socket"])), False
    folder = url.query["host"]
    assert isinstance(folder, str)
    return Path(folder) / f".s.PGSQL.{url.port or 5432}", True


def ignore(_piece: bytes) -> None:
    """Take no note of a piece."""


async def pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float, note: Callable[[bytes], None]
) -> None:
    """Pass on one direction of a connection, each piece ``delay`` seconds after it came and was noted.

    Pieces on the way do not wait for each other: it is a delay, and no limit of the throughput.
    """
    loop = asyncio.get_running_loop()
    on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        while True:
            due, piece = await on_the_way.get()
            arrived = loop.create_future()
            timer = loop.call_at(due, arrived.set_result, None)
            try:
                await arrived
            finally:
                timer.cancel()
            if not piece:
                break
            writer.write(piece)
        writer.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(deliver())
        piece = b"."
        while piece:
            try:
                piece = await reader.read(CHUNK)
            except ConnectionError:
                piece = b""
            if piece:
                note(piece)
            on_the_way.put_nowait((loop.time() + delay, piece))


async def serve(socket: str, delay: float, *, counted: bool) -> None:
    """Listen on a free port and print it; then print what was seen for each line that comes in, until the end."""
    count = Count()

    async def handle(from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_unix_connection(socket, limit=CHUNK)
        wire = Wire(count)
        with contextlib.suppress(asyncio.CancelledError):  # the end of the relay: whoever is connected yet is cut off
            await asyncio.gather(
                pass_on(from_client, to_server, delay, wire.from_client if counted else ignore),
                pass_on(from_server, to_client, delay, wire.from_server if counted else ignore),
            )

    server = await asyncio.start_server(handle, "127.0.0.1", 0, limit=CHUNK)
    print(server.sockets[0].getsockname()[1], flush=True)
    orders = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while await orders.readline():
        print(json.dumps(attrs.asdict(count)), flush=True)
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--socket", required=True, help="of the server")
    parser.add_argument("--delay", type=float, required=True, help="seconds in each direction")
    parser.add_argument("--uncounted", action="store_true", help="the server is not PostgreSQL")
    options = parser.parse_args()
    # epoll waits for whole milliseconds, select for less
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(serve(options.socket, options.delay, counted=not options.uncounted))
