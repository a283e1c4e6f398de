"""Sessions: for every kind of bind a private one, which carries over whatever holds in the caller's own."""

from __future__ import annotations  # those of the functions in here would be evaluated with every call

import abc
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Protocol, TypeAlias, TypeVar

import attrs
from sqlalchemy import Connection, Dialect, Engine
from sqlalchemy.exc import DBAPIError, InvalidRequestError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Mapper, Session, sessionmaker

from loadplan.errors import LoaderError, LoadPlanError, Problem
from loadplan.running import call_problems
from loadplan.running.own_connection import GuestConnection, Opened, OwnConnection
from loadplan.running.shards import in_shard, stay_on_shard
from loadplan.running.snapshot import beginning
from loadplan.sqlalchemy_internals import (
    adds_nothing,
    changes_statements,
    copy_listeners,
    has_binds,
    has_engine_hooks,
    has_transaction_hooks,
    in_greenlet,
    is_closed,
    is_session_class_heard,
    is_session_heard,
)

R = TypeVar("R")

Bind: TypeAlias = AsyncEngine | async_sessionmaker[Any] | AsyncSession | AsyncConnection
"""The binds of a Loader."""

SyncBind: TypeAlias = Engine | sessionmaker[Any] | Session | Connection
"""The binds of a SyncLoader."""

Mappers: TypeAlias = Iterable[Mapper[Any]]


class OpenedSession(Protocol):
    """Does work with an open private session, again and again."""

    def __call__(self, work: Callable[[Opened], R], /) -> R:
        """Do ``work`` with the session, and return what it returns."""
        ...


class PrivateSession(abc.ABC):
    """A session of our own for one fetch: what earlier work loaded or changed elsewhere is not in it.

    All of it is synchronous. On an asynchronous bind it runs in SQLAlchemy's greenlet: see :func:`enter`.
    """

    @property
    def in_transaction_of_caller(self) -> bool:
        """Whether it runs inside a transaction that the caller began and will end."""
        return True

    @abc.abstractmethod
    def dialect(self, mapper: Mapper[Any]) -> Dialect:
        """Return the dialect of the database that holds ``mapper``. Opens nothing."""

    def databases(self, mappers: Mappers) -> list[tuple[int, Dialect]] | None:
        """Return the number and the dialect of the database of each class; None where one holds them all."""
        return None

    @abc.abstractmethod
    def _start(self, mappers: Mappers, statements: int) -> Opened:
        """Return the session, or the connection in its place, ready for statements."""

    def _refusals(self) -> contextlib.AbstractContextManager[None]:
        """Return a block in which what the driver says of a wrong use becomes an error of ours."""
        return contextlib.nullcontext()

    def run(
        self, work: Callable[[Opened], R], mappers: Mappers, *, statements: int, options: Mapping[str, Any] | None
    ) -> R:
        """Do ``work`` and close the session, which detaches its objects.

        Args:
            work: what to do.
            mappers: of the entities that it will select, to open their databases' transactions.
            statements: how many it may send; one needs no snapshot.
            options: execution options of all its statements.
        """
        with self._refusals():
            session = _with_options(self._start(mappers, statements), options)
            try:
                return work(session)
            finally:
                session.close()

    @contextlib.contextmanager
    def open(self, mappers: Mappers, *, statements: int, options: Mapping[str, Any] | None) -> Iterator[OpenedSession]:
        """Open the session for work that comes in pieces, and close it at the end, however that comes."""
        with self._refusals():
            session = _with_options(self._start(mappers, statements), options)

        def do(work: Callable[[Opened], R], /) -> R:
            with self._refusals():
                return _in_words_of_sqlalchemy(work, session, mappers)

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


def _in_words_of_sqlalchemy(work: Callable[[Session], R], session: Session, mappers: Mappers) -> R:
    """Do ``work``; an error that the driver raises comes out as SQLAlchemy's, as from any other statement.

    SQLAlchemy translates what an execution raises, but not what reading from a server-side cursor of asyncpg raises.

    Raises:
        DBAPIError: with the driver's error as ``orig``; a connection that is lost is out of the pool by then.
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


def private_session(
    bind: Bind | SyncBind, *, snapshot: bool, bare: bool = False, shard: str | None = None
) -> PrivateSession:
    """Return a private session on ``bind``. Nothing is opened before it runs.

    Args:
        bind: of the loader.
        snapshot: whether several statements of a separate transaction see one state.
        bare: whether a connection will do, where a session would add nothing to it.
        shard: of a sharded session, where all of the work is done.
    """
    if isinstance(bind, AsyncEngine | Engine):
        engine = bind.sync_engine if isinstance(bind, AsyncEngine) else bind
        if bare and not is_session_heard():
            return _NoSession(engine, snapshot)
        return _OwnSession(Session(engine, autoflush=False, expire_on_commit=False), snapshot)
    if isinstance(bind, async_sessionmaker | sessionmaker):
        engine_alone = _engine_of(bind) if bare else None
        if engine_alone is not None:
            return _NoSession(engine_alone, snapshot)
        # on a connection, whatever way of joining its transaction the application chose must not end it
        given = bind(autoflush=False, join_transaction_mode="rollback_only")
        if shard is not None:
            stay_on_shard(given.sync_session if isinstance(given, AsyncSession) else given, shard)
        return _OwnSession(given, snapshot)
    if isinstance(bind, AsyncSession | Session):
        session = bind.sync_session if isinstance(bind, AsyncSession) else bind
        is_closed(session)  # from now on its end is noted
        return _BareGuest(bind) if bare and shard is None and _is_plain(session) else _GuestOfSession(bind, shard)
    return _GuestOfConnection(bind, bare and not is_session_heard())


#: Arguments of a sessionmaker that make no difference to statements and rows.
_HARMLESS = {"bind", "autoflush", "autobegin", "expire_on_commit", "info", "join_transaction_mode", "close_resets_only"}


def _engine_of(maker: async_sessionmaker[Any] | sessionmaker[Any]) -> Engine | None:
    """Return the engine of a sessionmaker whose sessions would add nothing to it; None where they may."""
    bind = maker.kw.get("bind")
    engine = bind.sync_engine if isinstance(bind, AsyncEngine) else bind
    if not isinstance(engine, Engine) or not maker.kw.keys() <= _HARMLESS:
        return None
    kind: type[Any] = maker.class_
    if isinstance(maker, async_sessionmaker):
        is_plain = adds_nothing(kind, AsyncSession) and kind.sync_session_class is Session and not is_session_heard()
    else:
        is_plain = adds_nothing(kind, Session) and not is_session_class_heard(kind)
    return engine if is_plain else None


def _is_plain(session: Session) -> bool:
    """Tell whether a session of the caller's adds nothing to its connection."""
    return bool(
        session.bind is not None
        and adds_nothing(type(session), Session)
        and not is_session_heard(session)
        and not has_binds(session)
        and not changes_statements(session)
    )


def check_bind(bind: object, loader: str) -> None:
    """Check that a loader can use a bind.

    Args:
        bind: as it was given.
        loader: ``"Loader"`` or ``"SyncLoader"``.

    Raises:
        LoaderError: LP408, it cannot.
    """
    ours, others = (_ASYNC, _SYNC) if loader == "Loader" else (_SYNC, _ASYNC)
    if isinstance(bind, ours):
        return
    raise LoaderError(
        call_problems.not_a_bind(bind, loader, [each.__name__ for each in ours], of_other=isinstance(bind, others))
    )


_ASYNC = (AsyncEngine, async_sessionmaker, AsyncSession, AsyncConnection)
_SYNC = (Engine, sessionmaker, Session, Connection)


def check_options(options: object) -> None:
    """Check execution options of one call.

    Raises:
        LoaderError: LP408, they are not a mapping by name, or a statement cannot decide one of them.
    """
    if options is None:
        return
    if not isinstance(options, Mapping) or not all(isinstance(name, str) for name in options):
        message = f"execution_options= takes a mapping of names to values, not {type(options).__name__}"
        raise LoaderError(Problem("LP408", message, hint="pass execution_options={'name': value}."))
    refused = sorted(set(options) & set(_NOT_FOR_ONE_CALL))
    if refused:
        name = refused[0]
        message = f"execution_options= of a fetch cannot set '{name}'"
        raise LoaderError(Problem("LP408", message, hint=_NOT_FOR_ONE_CALL[name]))


_OF_THE_ENGINE = "set it on the engine: create_engine(...) or engine.execution_options(...)."
_OF_THE_STREAM = "loadplan sets it itself. Use stream(batch_size=...) to read in batches."
_NOT_FOR_ONE_CALL = {
    "isolation_level": _OF_THE_ENGINE,
    "postgresql_readonly": _OF_THE_ENGINE,
    "postgresql_deferrable": _OF_THE_ENGINE,
    "max_row_buffer": _OF_THE_STREAM,
    "stream_results": _OF_THE_STREAM,
    "yield_per": _OF_THE_STREAM,
    "populate_existing": "leave it out: each fetch reads into a session of its own, so all values are fresh.",
}


def _with_options(session: Opened, options: Mapping[str, Any] | None) -> Opened:
    """Have every statement of a session run with execution options, which its listeners see."""
    if options:
        kind: Any = type(session)
        session.__class__ = _class_with_options(kind)
        session._loadplan_options = dict(options)
    return session


@lru_cache(maxsize=256)
def _class_with_options(session_class: Any) -> type[Session]:
    """Return a subclass of a session class whose statements all run with options of its instance.

    ``Session.execution_options`` would do, but SQLAlchemy has it only since 2.1. ``changes_statements`` sees that
    ``execute`` is not ``Session``'s own, so no statement goes around it.
    """

    def execute(self: Any, statement: Any, params: Any = None, *, execution_options: Any = None, **kw: Any) -> Any:
        options = {**self._loadplan_options, **(execution_options or {})}
        return session_class.execute(self, statement, params, execution_options=options, **kw)

    return type(session_class.__name__, (session_class,), {"execute": execute, "__module__": __name__})


@attrs.frozen(eq=False)
class _OwnSession(PrivateSession):
    """A session with its own connection and transaction, from an engine or a sessionmaker."""

    given: AsyncSession | Session
    snapshot: bool

    @property
    def session(self) -> Session:
        """The synchronous session; an asynchronous one is kept, for listeners that ask for it."""
        return self.given.sync_session if isinstance(self.given, AsyncSession) else self.given

    @property
    def in_transaction_of_caller(self) -> bool:
        bind = self.session.bind
        return isinstance(bind, Connection) and bind.in_transaction()

    def dialect(self, mapper: Mapper[Any]) -> Dialect:
        return self.session.get_bind(mapper=mapper).dialect

    def databases(self, mappers: Mappers) -> list[tuple[int, Dialect]] | None:
        return _databases(self.session, mappers)

    def _refusals(self) -> contextlib.AbstractContextManager[None]:
        bind = self.session.bind
        return _one_task_at_a_time("AsyncConnection") if isinstance(bind, Connection) else _one_event_loop()

    def _start(self, mappers: Mappers, statements: int) -> Session:
        session = self.session
        try:
            if not session.in_transaction():
                session.begin()
            engines = {session.get_bind(mapper=mapper): mapper for mapper in mappers}
            for engine, mapper in engines.items():
                if not isinstance(engine, Engine):
                    continue
                hooks = has_transaction_hooks(session, engine)
                begun = beginning(engine, statements, snapshot=self.snapshot, hooks=hooks)
                if begun.options is not None or begun.statement is not None:
                    connection = session.connection({"mapper": mapper}, execution_options=begun.options)
                    if begun.statement is not None:
                        connection.exec_driver_sql(begun.statement)
        except BaseException:
            session.close()
            raise
        return session


@attrs.frozen(eq=False)
class _NoSession(PrivateSession):
    """A separate connection, from an engine, for work that has no objects. Nobody listens to sessions."""

    engine: Engine
    snapshot: bool

    @property
    def in_transaction_of_caller(self) -> bool:
        return False

    def dialect(self, mapper: Mapper[Any]) -> Dialect:
        return self.engine.dialect

    def _refusals(self) -> contextlib.AbstractContextManager[None]:
        return _one_event_loop()

    def _start(self, mappers: Mappers, statements: int) -> OwnConnection:
        engine = self.engine
        hooks = has_engine_hooks(engine)
        return OwnConnection(engine, beginning(engine, statements, snapshot=self.snapshot, hooks=hooks))


@contextlib.contextmanager
def _one_task_at_a_time(kind: str) -> Iterator[None]:
    """Say it clearly where SQLAlchemy or the driver refuses a second task on the caller's session or connection.

    Raises:
        LoaderError: LP408. The work of the other task goes on.
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
        raise LoaderError(
            Problem(
                "LP408",
                f"two tasks use the {kind} of this Loader at the same time",
                detail="another task was running a statement or taking a connection.",
                hint="give each task its own session, or make the Loader with the engine or the sessionmaker.",
            )
        ) from error


@contextlib.contextmanager
def _one_event_loop() -> Iterator[None]:
    """Say it clearly where a connection of the pool belongs to another event loop.

    asyncpg leaves a connection that another loop failed on in the midst of a statement. No other task can be the
    reason: each fetch has its own connection.

    Raises:
        LoaderError: LP408.
    """
    try:
        yield
    except (RuntimeError, DBAPIError) as error:
        if not _is_of_another_loop(error) and not (isinstance(error, DBAPIError) and _BUSY[0] in str(error.orig)):
            raise
        raise _another_loop() from error


def _is_of_another_loop(error: Exception) -> bool:
    return isinstance(error, RuntimeError) and any(each in str(error) for each in _OTHER_LOOP)


#: What asyncio says where a future, a lock or a transport is used in another event loop than its own.
_OTHER_LOOP = ("attached to a different loop", "bound to a different event loop", "Event loop is closed")


def _another_loop() -> LoaderError:
    return LoaderError(
        Problem(
            "LP408",
            "the engine of this loader was used in another event loop before",
            detail="its pool holds connections that belong to that loop; a second asyncio.run starts another one, and "
            "so does pytest-asyncio for each test.",
            hint="run everything in one event loop, or make the engine with poolclass=NullPool, which keeps no "
            "connections.",
        )
    )


#: What asyncpg, and a session that flushes, say of a second task. SQLAlchemy's other words for it have a code, "isce".
_BUSY = ("another operation is in progress", "Session is already flushing")


@attrs.frozen(eq=False)
class _GuestOfConnection(PrivateSession):
    """A session on the caller's connection; the connection alone, where nobody listens to sessions."""

    connection: AsyncConnection | Connection
    bare: bool = False

    @property
    def in_transaction_of_caller(self) -> bool:
        return self.connection.in_transaction()

    def dialect(self, mapper: Mapper[Any]) -> Dialect:
        return self.connection.dialect

    def _refusals(self) -> contextlib.AbstractContextManager[None]:
        return _one_task_at_a_time(type(self.connection).__name__)

    def _start(self, mappers: Mappers, statements: int) -> Opened:
        given = self.connection
        connection = given.sync_connection if isinstance(given, AsyncConnection) else given
        if self.bare and connection is not None:
            return GuestConnection(connection)
        return Session(
            connection,
            autoflush=False,
            expire_on_commit=False,
            join_transaction_mode="rollback_only",
        )


@attrs.frozen(eq=False)
class _GuestOfSession(PrivateSession):
    """A session on the connections that the caller's session has, or would take, inside its transaction."""

    given: AsyncSession | Session
    shard: str | None = None

    @property
    def session(self) -> Session:
        """The caller's session, as a synchronous one."""
        return self.given.sync_session if isinstance(self.given, AsyncSession) else self.given

    def dialect(self, mapper: Mapper[Any]) -> Dialect:
        return self.session.get_bind(mapper=mapper, **in_shard(self.shard)).dialect

    def databases(self, mappers: Mappers) -> list[tuple[int, Dialect]] | None:
        return None if self.shard is not None else _databases(self.session, mappers)

    def _refusals(self) -> contextlib.AbstractContextManager[None]:
        return _one_task_at_a_time("AsyncSession" if isinstance(self.given, AsyncSession) else "Session")

    def _start(self, mappers: Mappers, statements: int) -> Opened:
        caller = self._flushed()
        kind: Any = type(caller)
        guest = _guest_class(kind)
        joined = _join(guest.__new__(guest), caller, self.shard)
        if self.shard is not None:
            stay_on_shard(joined, self.shard)
        return joined

    def _flushed(self) -> Session:
        """Return the caller's session, its changes sent.

        Raises:
            LoaderError: LP408, it is closed.
        """
        caller = self.session
        if is_closed(caller):
            raise _closed_session(self.given)
        if caller.autoflush:
            caller.flush()
        return caller


class _BareGuest(_GuestOfSession):
    """The connection that the caller's session has, or would take, where nobody listens to the session."""

    def databases(self, mappers: Mappers) -> list[tuple[int, Dialect]] | None:
        return None

    def _start(self, mappers: Mappers, statements: int) -> Opened:
        return GuestConnection(self._flushed().connection())


def _databases(session: Session, mappers: Mappers) -> list[tuple[int, Dialect]]:
    """Return the number and the dialect of the database that a session has each class in."""
    numbers: dict[Any, int] = {}
    binds = [session.get_bind(mapper=mapper) for mapper in mappers]
    return [(numbers.setdefault(bind, len(numbers)), bind.dialect) for bind in binds]


def _closed_session(session: AsyncSession | Session) -> LoaderError:
    return LoaderError(
        Problem(
            "LP408",
            f"the {'AsyncSession' if isinstance(session, AsyncSession) else 'Session'} of this loader is closed",
            detail="it would open again, and keep a connection of the pool that nobody gives back.",
            hint="fetch before the session is closed, or make the Loader with the engine or the sessionmaker.",
        )
    )


@lru_cache(maxsize=256)
def _guest_class(session_class: Any) -> type[Session]:
    """Return a subclass of the caller's session class that lives on the caller's connections.

    A subclass, so that listeners on the class hold and ``isinstance`` in them still says yes. Whatever routing the
    class does (``binds``, an overridden ``get_bind``) is left to the caller's session, which answers with the
    connection that it has in its transaction.
    """

    def get_bind(self: Any, mapper: Any = None, *, clause: Any = None, bind: Any = None, **kw: Any) -> Any:
        if bind is not None:  # chosen by a listener; an engine's connection is the caller's, too
            return self._loadplan_caller.connection({"bind": bind}) if isinstance(bind, Engine) else bind
        return self._loadplan_caller.connection({"mapper": mapper, "clause": clause, **kw, **self._loadplan_in_shard})

    def connection(self: Any, bind_arguments: Any = None, execution_options: Any = None) -> Any:
        given = dict(bind_arguments or {})
        if isinstance(given.get("bind"), Engine):
            given["bind"] = get_bind(self, bind=given["bind"])
        return Session.connection(self, given, execution_options)

    names = {"get_bind": get_bind, "connection": connection, "__module__": __name__}
    return type(session_class.__name__, (session_class,), names)


def _join(session: Session, caller: Session, shard: str | None) -> Session:
    """Make ``session`` a guest of ``caller``: it gets its connections, listeners, ``info`` and attributes.

    ``__init__`` of a subclass is passed by: it may want arguments that only the application knows, and what it set is
    on the caller already.
    """
    Session.__init__(session, autoflush=False, expire_on_commit=False, join_transaction_mode="rollback_only")
    ours = vars(session)
    ours["_loadplan_caller"] = caller
    ours["_loadplan_in_shard"] = in_shard(shard)
    ours["info"] = caller.info
    if hasattr(caller, "execution_options"):  # since SQLAlchemy 2.1
        ours["execution_options"] = caller.execution_options
    for name, value in vars(caller).items():
        if not hasattr(Session, name):
            ours.setdefault(name, value)
    copy_listeners(caller, session)
    return session
