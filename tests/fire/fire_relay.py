"""A relay between driver and server that knows PostgreSQL's messages, and cuts, stalls or delays at any of them.

The protocol is that of PostgreSQL's documentation, chapter "Frontend/Backend Protocol": after a start-up message
without a type, every message is one byte of type and four of length, which count themselves.
"""

import asyncio
import contextlib
import enum
from collections.abc import AsyncIterator

import attrs
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from support import named_driver


class Fault(enum.Enum):
    """What happens at a message."""

    CUT = "cut"  #: The connection is reset instead of passing it on.
    HALF = "half"  #: Half of it is passed on, then the connection is reset.
    STALL = "stall"  #: Neither it nor anything behind it is passed on, and nobody is told.
    CLOSE = "close"  #: The connection is closed in good order after it.


@attrs.define
class Plan:
    """What the relay does.

    Attributes:
        fault: to make; None to pass everything on.
        at: the message that it is made at, counted from 1.
        by_server: whether messages of the server are counted, else those of the driver.
        crumbs: pass everything on in pieces of so many bytes.
    """

    fault: Fault | None = None
    at: int = 0
    by_server: bool = True
    crumbs: int | None = None


class Relay:
    """Listens on a port of this machine and passes connections on to a server.

    Attributes:
        plan: what it does to messages from now on.
        passed: types of the messages that were passed on, of the driver in small and of the server in capital words.
        reached: set when the fault was made.
        port: that it listens on.
    """

    def __init__(self, url: URL) -> None:
        self._url = url
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.StreamWriter] = set()
        self.plan = Plan()
        self.counts = {True: 0, False: 0}
        self.reached = asyncio.Event()
        self.port = 0

    def arm(
        self, fault: Fault | None = None, at: int = 0, *, by_server: bool = True, crumbs: int | None = None
    ) -> None:
        """Count anew, and make a fault at a message; without one, pass everything on."""
        self.plan = Plan(fault, at, by_server, crumbs)
        self.counts = {True: 0, False: 0}
        self.reached.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on, both ways, until either end is closed."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        server_reader, server_writer = await self._connect()
        self._open |= {writer, server_writer}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, server_writer, writer, by_server=False))
                group.create_task(self._pass(server_reader, writer, server_writer, by_server=True))
        except* (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            for each in (writer, server_writer):
                each.transport.abort()
                self._open.discard(each)
            self._tasks.discard(task)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        folder, port = self._url.query.get("host"), self._url.port or 5432
        if folder is not None:
            return await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{port}")
        return await asyncio.open_connection(self._url.host, port)

    async def _pass(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, back: asyncio.StreamWriter, *, by_server: bool
    ) -> None:
        first = not by_server
        while True:
            head = await source.readexactly(4 if first else 5)
            body = await source.readexactly(int.from_bytes(head[-4:], "big") - 4)
            first = False
            await self._message(head + body, target, back, by_server=by_server)

    async def _message(
        self, message: bytes, target: asyncio.StreamWriter, back: asyncio.StreamWriter, *, by_server: bool
    ) -> None:
        self.counts[by_server] += 1
        plan = self.plan
        due = plan.fault is not None and plan.by_server == by_server and self.counts[by_server] == plan.at
        if due and plan.fault is not Fault.CLOSE:
            self.reached.set()
            if plan.fault is Fault.STALL:
                await asyncio.get_running_loop().create_future()  # for ever, or until the relay is closed
            if plan.fault is Fault.HALF:
                target.write(message[: len(message) // 2])
                await target.drain()
            raise ConnectionResetError
        for start in range(0, len(message), plan.crumbs or len(message)):
            target.write(message[start : start + (plan.crumbs or len(message))])
            await target.drain()
            if plan.crumbs:
                await asyncio.sleep(0)  # another piece of the same message in another turn of the loop
        if due:
            self.reached.set()
            target.write_eof()
            back.write_eof()
            raise ConnectionResetError

    def drop_all(self) -> None:
        """Reset every connection that goes through, those that stall too."""
        for each in list(self._open):
            each.transport.abort()
        for task in list(self._tasks):
            task.cancel()


@contextlib.asynccontextmanager
async def relay_to(url: URL) -> AsyncIterator[Relay]:
    """Run a relay to the server of a URL."""
    relay = Relay(url)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        relay.drop_all()


def engine_through(relay: Relay, url: URL, name: str, driver: str = "postgresql", **options: object) -> AsyncEngine:
    """Return an engine whose connections go through the relay, two of them at most."""
    through, named = named_driver(driver, url.set(host="127.0.0.1", port=relay.port, query={}), name)
    plain = {"sslmode": "disable", "gssencmode": "disable"} if driver == "psycopg" else {"ssl": False}
    arguments = {**plain, **named, **options}
    return create_async_engine(through, pool_size=2, max_overflow=0, pool_timeout=5, connect_args=arguments)
