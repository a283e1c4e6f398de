"""Private sessions for a fetch in a separate transaction, made from an engine or a sessionmaker."""

from __future__ import annotations  # annotations of inner functions would be evaluated in every call

import contextlib
from typing import Any

import attrs
from sqlalchemy import Connection, Dialect, Engine
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapper, Session

from loadplan.running.binds import plain_session
from loadplan.running.own_connection import OwnConnection
from loadplan.running.refusals import one_event_loop, one_task_at_a_time
from loadplan.running.session import Mappers, PrivateSession, databases_of
from loadplan.running.snapshot import beginning
from loadplan.sqlalchemy_internals import has_engine_hooks, has_transaction_hooks


@attrs.frozen(eq=False)
class OwnSession(PrivateSession):
    """A session with its own connection and transaction, from an engine or a sessionmaker."""

    given: AsyncSession | Session
    snapshot: bool

    @property
    def session(self) -> Session:
        """The synchronous session. An asynchronous session around it is kept alive for listeners that need it."""
        return plain_session(self.given)

    @property
    def in_transaction_of_caller(self) -> bool:
        """Whether it runs inside a transaction that the caller began."""
        bind = self.session.bind
        return isinstance(bind, Connection) and bind.in_transaction()

    def dialect(self, mapper: Mapper[Any]) -> Dialect:
        """Return the dialect of the database that holds a class."""
        return self.session.get_bind(mapper=mapper).dialect

    def databases(self, mappers: Mappers) -> list[tuple[int, Dialect]] | None:
        """Return (number, dialect) of the database of each class; None if one database has all classes."""
        return databases_of(self.session, mappers)

    def _refusals(self) -> contextlib.AbstractContextManager[None]:
        bind = self.session.bind
        return one_task_at_a_time("AsyncConnection") if isinstance(bind, Connection) else one_event_loop()

    def _start(self, mappers: Mappers, statements: int | None) -> Session:
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
class NoSession(PrivateSession):
    """A separate connection from an engine, if no listener needs a session."""

    engine: Engine
    snapshot: bool

    @property
    def in_transaction_of_caller(self) -> bool:
        """Whether it runs inside a transaction that the caller began."""
        return False

    def dialect(self, mapper: Mapper[Any]) -> Dialect:
        """Return the dialect of the database that holds a class."""
        return self.engine.dialect

    def _refusals(self) -> contextlib.AbstractContextManager[None]:
        return one_event_loop()

    def _start(self, mappers: Mappers, statements: int | None) -> OwnConnection:
        engine = self.engine
        hooks = has_engine_hooks(engine)
        return OwnConnection(engine, beginning(engine, statements, snapshot=self.snapshot, hooks=hooks))
