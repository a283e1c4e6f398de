"""The private session of a fetch: the protocol that all kinds of binds implement."""

from __future__ import annotations  # annotations of inner functions would be evaluated in every call

import abc
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeAlias, TypeVar

from sqlalchemy import Dialect
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Mapper, Session

from loadplan.errors import LoadPlanError
from loadplan.running.binds import Bind
from loadplan.running.call_options import with_options
from loadplan.running.mixins import criteria_name_columns
from loadplan.running.own_connection import Opened
from loadplan.sqlalchemy_internals import in_greenlet

R = TypeVar("R")

Mappers: TypeAlias = Iterable[Mapper[Any]]


class OpenedSession(Protocol):
    """Does work with an open private session, again and again."""

    def __call__(self, work: Callable[[Opened], R], /) -> R:
        """Do ``work`` with the session, and return what it returns."""
        ...


class PrivateSession(abc.ABC):
    """loadplan's own session for one fetch. It has no objects of other work.

    It is synchronous. On an asynchronous bind, it runs in SQLAlchemy's greenlet: see :func:`enter`.
    """

    @property
    def in_transaction_of_caller(self) -> bool:
        """True if it runs inside a transaction that the caller began and will end."""
        return True

    @abc.abstractmethod
    def dialect(self, mapper: Mapper[Any]) -> Dialect:
        """Return the dialect of the database that holds ``mapper``. Opens nothing."""

    def databases(self, mappers: Mappers) -> list[tuple[int, Dialect]] | None:
        """Return the number and the dialect of the database of each class; None where one holds them all."""
        return None

    @abc.abstractmethod
    def _start(self, mappers: Mappers, statements: int | None) -> Opened:
        """Return the session, or the connection in its place, ready for statements."""

    def _refusals(self) -> contextlib.AbstractContextManager[None]:
        """Return a block that turns errors of the driver about wrong use into errors of loadplan."""
        return contextlib.nullcontext()

    def run(
        self,
        work: Callable[[Opened], R],
        mappers: Mappers,
        *,
        statements: int | None,
        options: Mapping[str, Any] | None,
    ) -> R:
        """Do ``work`` and close the session, which detaches its objects.

        Args:
            work: the work to do.
            mappers: the mappers that it will select, to begin the transactions of their databases.
            statements: how many statements it may send. One statement needs no snapshot. None if they need a
                transaction, as a cursor does.
            options: execution options of all its statements.
        """
        with self._refusals():
            session = with_options(self._start(mappers, statements), options)
            try:
                with criteria_name_columns():
                    return work(session)
            finally:
                session.close()

    @contextlib.contextmanager
    def open(self, mappers: Mappers, *, options: Mapping[str, Any] | None) -> Iterator[OpenedSession]:
        """Open the session for work with a cursor, in several steps, and close it at the end, also after an error."""
        with self._refusals():
            session = with_options(self._start(mappers, None), options)

        def do(work: Callable[[Opened], R], /) -> R:
            with self._refusals(), criteria_name_columns():
                return in_words_of_sqlalchemy(work, session, mappers)

        try:
            yield do
        except BaseException:
            # cancelled while it rolls back, SQLAlchemy drops the connection; shielded it would go on when we are gone
            with contextlib.suppress(DBAPIError):  # no rollback on a lost connection: what ended the work says why
                session.close()
            raise
        with self._refusals():
            session.close()


async def enter(bind: Bind, work: Callable[[], R]) -> R:
    """Do synchronous work on an asynchronous bind, where SQLAlchemy can wait for the driver."""
    if isinstance(bind, AsyncSession | AsyncConnection):
        return await bind.run_sync(lambda _: work())
    return await in_greenlet(work)


def in_words_of_sqlalchemy(work: Callable[[Session], R], session: Session, mappers: Mappers) -> R:
    """Do ``work``, and turn errors of the driver into SQLAlchemy's errors, as for any other statement.

    SQLAlchemy itself does this for executions, but not while it reads from a server-side cursor of asyncpg.

    Raises:
        DBAPIError: with the driver's error as ``orig``. A lost connection has left the pool.
    """
    try:
        return work(session)
    except (LoadPlanError, SQLAlchemyError):
        raise
    except Exception as error:
        connection = session.connection({"mapper": next(iter(mappers))})
        dialect: Any = connection.dialect  # its types speak of errors that are translated already
        if type(error).__module__.partition(".")[0] != dialect.driver:
            raise
        is_lost = dialect.is_disconnect(error, connection.connection.dbapi_connection, None)
        if is_lost:
            connection.invalidate(error)
        raise DBAPIError(None, None, error, connection_invalidated=is_lost) from error


def databases_of(session: Session, mappers: Mappers) -> list[tuple[int, Dialect]]:
    """Return the number and the dialect of the database that a session has each class in."""
    numbers: dict[Any, int] = {}
    binds = [session.get_bind(mapper=mapper) for mapper in mappers]
    return [(numbers.setdefault(bind, len(numbers)), bind.dialect) for bind in binds]
