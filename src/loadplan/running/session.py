"""The private session of a fetch: the protocol that all kinds of binds implement."""

from __future__ import annotations  # annotations of inner functions would be evaluated in every call

import abc
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeAlias, TypeVar

from sqlalchemy import Dialect
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.ext.asyncio.exc import AsyncContextNotStarted
from sqlalchemy.orm import Mapper, Session

from loadplan.errors import LoadPlanError
from loadplan.running.binds import Bind
from loadplan.running.call_options import with_options
from loadplan.running.mixins import criteria_name_columns
from loadplan.running.own_connection import Opened
from loadplan.running.refusals import unusable
from loadplan.sqlalchemy_internals import in_greenlet

R = TypeVar("R")

Mappers: TypeAlias = Iterable[Mapper[Any]]


class OpenedSession(Protocol):
    """A function that does work with an open private session. It can be called several times."""

    def __call__(self, work: Callable[[Opened], R], /) -> R:
        """Call ``work`` with the session, and return its result."""
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
        """Return the dialect of the database that holds ``mapper``. Open nothing."""

    def databases(self, mappers: Mappers) -> list[tuple[int, Dialect]] | None:
        """Return (number, dialect) of the database of each class; None if one database has all classes."""
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
        """Call ``work`` with the session, then close the session, which detaches its objects.

        Args:
            work: the work to do.
            mappers: the mappers that the work selects. Transactions begin on the databases of these mappers.
            statements: the most statements that the work sends. One statement needs no snapshot. None if the statements
                need a transaction, as a cursor does.
            options: execution options for all statements.
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
        """Open the session for work in several steps, as with a cursor. Close it at the end, also after an error."""
        with self._refusals():
            session = with_options(self._start(mappers, None), options)

        def do(work: Callable[[Opened], R], /) -> R:
            with self._refusals(), criteria_name_columns():
                return in_words_of_sqlalchemy(work, session, mappers)

        try:
            yield do
        except BaseException:
            # no shield: if this task is cancelled while it rolls back, SQLAlchemy drops the connection. With a shield,
            # the rollback would go on after the task has ended.
            with contextlib.suppress(DBAPIError):  # the connection may be lost: raise the first error
                session.close()
            raise
        with self._refusals():
            session.close()


async def enter(bind: Bind, work: Callable[[], R]) -> R:
    """Call synchronous ``work`` on an asynchronous bind, in a greenlet in which SQLAlchemy can await the driver."""
    if isinstance(bind, AsyncSession | AsyncConnection):
        try:
            return await bind.run_sync(lambda _: work())
        except AsyncContextNotStarted as error:
            raise unusable(error, bind) or error from error
    return await in_greenlet(work)


def in_words_of_sqlalchemy(work: Callable[[Session], R], session: Session, mappers: Mappers) -> R:
    """Call ``work``, and turn errors of the driver into SQLAlchemy's errors, as for any other statement.

    SQLAlchemy itself does this for executions, but not while it reads from a server-side cursor of asyncpg.

    Raises:
        DBAPIError: the driver raised an error, which is in ``orig``. A lost connection has left the pool.
    """
    try:
        return work(session)
    except (LoadPlanError, SQLAlchemyError):
        raise
    except Exception as error:
        connection = session.connection({"mapper": next(iter(mappers))})
        dialect: Any = connection.dialect  # typed Any: the stubs declare translated errors only
        if type(error).__module__.partition(".")[0] != dialect.driver:
            raise
        is_lost = dialect.is_disconnect(error, connection.connection.dbapi_connection, None)
        if is_lost:
            connection.invalidate(error)
        raise DBAPIError(None, None, error, connection_invalidated=is_lost) from error


def databases_of(session: Session, mappers: Mappers) -> list[tuple[int, Dialect]]:
    """Return (number, dialect) of the database in which a session has each class."""
    numbers: dict[Any, int] = {}
    binds = [session.get_bind(mapper=mapper) for mapper in mappers]
    return [(numbers.setdefault(bind, len(numbers)), bind.dialect) for bind in binds]
