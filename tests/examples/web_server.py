"""A real HTTP server inside the test's event loop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn


class StartupError(Exception):
    """The application did not come up."""


class _Server(uvicorn.Server):
    """Says when it is ready, and leaves the signals of the process alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit as error:  # in a task it would end the whole loop
            self.should_exit = True
            self.ready.set_exception(StartupError(str(error)))
        else:
            self.ready.set_result(None)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def served(app: Any, *, send_buffer: int | None = None) -> AsyncIterator[str]:
    """Serve an ASGI application on a free port of localhost while the block runs; gives its URL.

    Args:
        app: to be served.
        send_buffer: bytes that the kernel holds for a client that does not read; None for its default.

    Raises:
        StartupError: its lifespan raised.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        if send_buffer is not None:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        server = _Server(uvicorn.Config(app, lifespan="on", log_level="error", log_config=None))
        running = asyncio.create_task(server.serve([listening]))
        try:
            await server.ready
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running
