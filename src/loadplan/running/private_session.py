"""Chooses the private session for a bind: a separate session, a guest of the caller's session, or only a connection."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from loadplan.running.binds import Bind, SyncBind, plain_session
from loadplan.running.guest_session import BareGuest, GuestOfConnection, GuestOfSession
from loadplan.running.own_session import NoSession, OwnSession
from loadplan.running.session import PrivateSession
from loadplan.running.shards import stay_on_shard
from loadplan.sqlalchemy_internals import (
    adds_nothing,
    changes_statements,
    has_binds,
    is_session_class_heard,
    is_session_heard,
)


def private_session(
    bind: Bind | SyncBind, *, snapshot: bool, bare: bool = False, shard: str | None = None
) -> PrivateSession:
    """Return a private session on ``bind``. It opens nothing before it runs.

    Args:
        bind: the bind of the loader.
        snapshot: whether several statements of a separate transaction see one snapshot.
        bare: whether a connection is enough if a session would add nothing.
        shard: in a sharded session, the shard for all of the work.
    """
    if isinstance(bind, AsyncEngine | Engine):
        engine = bind.sync_engine if isinstance(bind, AsyncEngine) else bind
        if bare and not is_session_heard():
            return NoSession(engine, snapshot)
        return OwnSession(Session(engine, autoflush=False, expire_on_commit=False), snapshot)
    if isinstance(bind, async_sessionmaker | sessionmaker):
        engine_alone = _engine_of(bind) if bare else None
        if engine_alone is not None:
            return NoSession(engine_alone, snapshot)
        # the sessionmaker may be bound to a connection: its join_transaction_mode must not end the caller's transaction
        given = bind(autoflush=False, join_transaction_mode="rollback_only")
        session = plain_session(given)
        session.twophase = False  # there is nothing to commit, and a two-phase transaction begins in its own way
        if shard is not None:
            stay_on_shard(session, shard)
        return OwnSession(given, snapshot)
    if isinstance(bind, AsyncSession | Session):
        session = plain_session(bind)
        return BareGuest(bind) if bare and shard is None and _is_plain(session) else GuestOfSession(bind, shard)
    return GuestOfConnection(bind, bare and not is_session_heard())


#: Arguments of a sessionmaker that do not change statements or rows.
_HARMLESS = {"bind", "autoflush", "autobegin", "expire_on_commit", "info", "join_transaction_mode", "close_resets_only"}


def _engine_of(maker: async_sessionmaker[Any] | sessionmaker[Any]) -> Engine | None:
    """Return the engine of a sessionmaker if its sessions add nothing to the engine; otherwise None."""
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
    """Tell whether a session of the caller adds nothing to its connection."""
    return bool(
        session.bind is not None
        and adds_nothing(type(session), Session)
        and not is_session_heard(session)
        and not has_binds(session)
        and not changes_statements(session)
    )
