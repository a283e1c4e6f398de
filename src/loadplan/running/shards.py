"""Recognizes sharded sessions of SQLAlchemy, finds the shards that may hold a row, and keeps a session on one shard.

Source: SQLAlchemy's "Horizontal Sharding". Its session calls three functions of the application for names of shards.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import event
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.ext.horizontal_shard import ShardedSession
from sqlalchemy.orm import Mapper, ORMExecuteState, Session, sessionmaker

from loadplan.running.binds import plain_session
from loadplan.sqlalchemy_internals import shard_names


def is_sharded(bind: object) -> bool:
    """Tell whether a bind is a sharded session, or makes sharded sessions."""
    if isinstance(bind, AsyncSession):
        return isinstance(bind.sync_session, ShardedSession)
    if isinstance(bind, async_sessionmaker):
        made = bind.kw.get("sync_session_class") or bind.class_.sync_session_class
        return issubclass(made, ShardedSession)
    if isinstance(bind, sessionmaker):
        return issubclass(bind.class_, ShardedSession)
    return isinstance(bind, ShardedSession)


def sharded_session(bind: Any) -> ShardedSession:
    """Return a session that knows the shards: the caller's session, or a new one that is never opened."""
    made = bind() if isinstance(bind, async_sessionmaker | sessionmaker) else bind
    session: Any = plain_session(made)
    return cast("ShardedSession", session)


def all_shards(bind: Any) -> list[str]:
    """Return the names of all shards, in the order that the application gave them."""
    return shard_names(sharded_session(bind))


def shards_of_key(bind: Any, mapper: Mapper[Any], key: Sequence[Any], options: Mapping[str, Any] | None) -> list[str]:
    """Return the shards that a row with a primary key may be in, the likeliest first."""
    given = dict(options or {})
    session = sharded_session(bind)
    return list(
        dict.fromkeys(
            session.identity_chooser(
                mapper, tuple(key), lazy_loaded_from=None, execution_options=given, bind_arguments={"mapper": mapper}
            )
        )
    )


def shards_of_statement(
    bind: Any, mapper: Mapper[Any], statement: Any, parameters: Mapping[str, Any], options: Mapping[str, Any] | None
) -> list[str]:
    """Return the shards that a statement would go to. Send nothing.

    The session executes the statement. A listener then returns the result of ``execute_chooser``, and no database is
    asked.
    """
    session = sharded_session(bind)
    found: list[str] = []

    def ask(state: ORMExecuteState) -> Any:
        found.extend(session.execute_chooser(state))
        return IteratorResult(SimpleResultMetaData(()), iter(()))

    event.listen(session, "do_orm_execute", ask, insert=True, retval=True)
    try:
        with session.no_autoflush:
            arguments = {"mapper": mapper}
            session.execute(
                statement, dict(parameters), execution_options=dict(options or {}), bind_arguments=arguments
            )
    finally:
        event.remove(session, "do_orm_execute", ask)
    return list(dict.fromkeys(found))


def stay_on_shard(session: Session, shard: str) -> None:
    """Make a private session do all of its work on one shard. Its objects note the shard in their identity."""
    chosen: Any = session
    chosen.shard_chooser = lambda *_, **__: shard
    chosen.identity_chooser = lambda *_, **__: [shard]
    chosen.execute_chooser = lambda *_, **__: [shard]
    chosen._loadplan_shard = shard


def in_shard(shard: str | None) -> dict[str, Any]:
    """Return the bind arguments that name a shard; an empty dictionary for None."""
    return {} if shard is None else {"shard_id": shard}
