"""Checks the binds of loaders: engines, sessionmakers, sessions and connections."""

from typing import Any, TypeAlias

from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from loadplan.errors import LoaderError
from loadplan.running import call_problems
from loadplan.sqlalchemy_internals import is_closed

Bind: TypeAlias = AsyncEngine | async_sessionmaker[Any] | AsyncSession | AsyncConnection
"""The binds of a Loader."""

SyncBind: TypeAlias = Engine | sessionmaker[Any] | Session | Connection
"""The binds of a SyncLoader."""


def check_bind(bind: object, loader: str) -> None:
    """Check that a loader can use a bind. If it is a session, loadplan notes from now on when you close it.

    Args:
        bind: the value that the caller passed.
        loader: ``"Loader"`` or ``"SyncLoader"``.

    Raises:
        LoaderError: LP408, the loader cannot use this bind.
    """
    ours, others = (_ASYNC, _SYNC) if loader == "Loader" else (_SYNC, _ASYNC)
    if isinstance(bind, ours):
        if isinstance(bind, AsyncSession | Session):
            is_closed(plain_session(bind))
        return
    raise LoaderError(
        call_problems.not_a_bind(bind, loader, [each.__name__ for each in ours], of_other=isinstance(bind, others))
    )


def plain_session(given: AsyncSession | Session) -> Session:
    """Return a session unchanged. For an ``AsyncSession``, return the synchronous session inside it."""
    return given.sync_session if isinstance(given, AsyncSession) else given


def is_async(bind: object) -> bool:
    """Tell whether a bind is asynchronous. Asynchronous binds are for a ``Loader``, the others for a ``SyncLoader``."""
    return isinstance(bind, _ASYNC)


_ASYNC = (AsyncEngine, async_sessionmaker, AsyncSession, AsyncConnection)
_SYNC = (Engine, sessionmaker, Session, Connection)
