"""Raises clear errors for mistakes that SQLAlchemy or the driver notices: other tasks, other loops, closed sessions."""

import contextlib
from collections.abc import Iterator

from sqlalchemy.exc import DBAPIError, InvalidRequestError, UnboundExecutionError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.asyncio.exc import AsyncContextNotStarted
from sqlalchemy.orm import Session

from loadplan.errors import LoaderError, Problem


@contextlib.contextmanager
def one_task_at_a_time(kind: str) -> Iterator[None]:
    """Raise a clear error if SQLAlchemy or the driver refuses a second task on the caller's session or connection.

    Raises:
        LoaderError: LP408, two tasks use the session or connection. The work of the other task goes on.
    """
    try:
        yield
    except RuntimeError as error:
        if not _is_of_another_loop(error):
            raise
        raise _another_loop() from error
    except (InvalidRequestError, DBAPIError) as error:
        words = str(error.orig) if isinstance(error, DBAPIError) else str(error)
        if error.code != "isce" and not any(each in words for each in _BUSY):
            raise
        left = " If only one task uses it, the engine was used in another event loop before: make the engine with "
        raise LoaderError(
            Problem(
                "LP408",
                f"two tasks use the {kind} of this Loader at the same time",
                detail="another task was running a statement or taking a connection.",
                hint="give each task its own session, or make the Loader with the engine or the sessionmaker."
                + (f"{left}poolclass=NullPool." if _BUSY[0] in words else ""),
            )
        ) from error


@contextlib.contextmanager
def one_event_loop() -> Iterator[None]:
    """Raise a clear error if a connection of the pool belongs to another event loop.

    If another loop failed on a connection, asyncpg leaves the connection in the middle of a statement. Another task
    cannot be the reason, because each fetch has its own connection.

    Raises:
        LoaderError: LP408, the engine was used in another event loop before.
    """
    try:
        yield
    except (RuntimeError, DBAPIError) as error:
        if not _is_of_another_loop(error) and not (isinstance(error, DBAPIError) and _BUSY[0] in str(error.orig)):
            raise
        raise _another_loop() from error


def _is_of_another_loop(error: Exception) -> bool:
    return isinstance(error, RuntimeError) and any(each in str(error) for each in _OTHER_LOOP)


#: Messages of asyncio when a future, a lock or a transport is used in the wrong event loop.
_OTHER_LOOP = ("attached to a different loop", "bound to a different event loop", "Event loop is closed")


def _another_loop() -> LoaderError:
    return LoaderError(
        Problem(
            "LP408",
            "the engine of this loader was used in another event loop before",
            detail="its pool holds connections that belong to that loop; a second asyncio.run starts another one, and "
            "so does pytest-asyncio for each test.",
            hint="run everything in one event loop, or make the engine with poolclass=NullPool, which keeps no "
            'connections. For pytest-asyncio, set asyncio_default_test_loop_scope = "session" and '
            'asyncio_default_fixture_loop_scope = "session".',
        )
    )


#: Messages of asyncpg, and of a session that flushes, about a second task. SQLAlchemy's other messages have the code
#: "isce".
_BUSY = ("another operation is in progress", "Session is already flushing")


def closed_session(session: AsyncSession | Session) -> LoaderError:
    """Return the error for a loader on a session that the caller closed."""
    loader, kind = ("Loader", "AsyncSession") if isinstance(session, AsyncSession) else ("SyncLoader", "Session")
    return LoaderError(
        Problem(
            "LP408",
            f"the {kind} of this loader is closed",
            detail="it would open again, and its connection would never go back to the pool.",
            hint=f"fetch before the session is closed, or make the {loader} with the engine or the sessionmaker.",
        )
    )


#: Messages of SQLAlchemy about a closed connection, and about a session with ``close_resets_only=False``.
_CLOSED = ("This Connection is closed", "permanently closed")


def unusable(error: InvalidRequestError, bind: object) -> LoaderError | None:
    """Return the error for a bind that has no engine, is closed, or is not open yet; None for any other error."""
    kind = type(bind).__name__
    loader = "Loader" if kind.lower().startswith("async") else "SyncLoader"
    if isinstance(error, UnboundExecutionError):
        what, detail = "has no engine", str(error).partition("\n")[0]
        hint = f"make it with an engine: {kind}(engine)."
    elif isinstance(error, AsyncContextNotStarted):
        what, detail = "is not open yet", None
        hint = f"write async with engine.connect() as connection, and make {loader}(connection) in it."
    elif any(each in str(error) for each in _CLOSED):
        what, detail = "is closed", None
        hint = f"fetch before it is closed, or make the {loader} with the engine or the sessionmaker."
    else:
        return None
    return LoaderError(Problem("LP408", f"the {kind} of this loader {what}", detail=detail, hint=hint))
