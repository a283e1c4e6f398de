"""Sessions: their listeners, their databases, shards, greenlets."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, ref

from sqlalchemy import Engine
from sqlalchemy.ext.horizontal_shard import ShardedSession
from sqlalchemy.orm import (
    Session,
)
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.util import greenlet_spawn

R = TypeVar("R")


def shard_names(session: ShardedSession) -> list[str]:
    """Return the names of a session's shards. The public API can add a shard, but cannot list them."""
    known: Any = session
    return list(known._ShardedSession__shards)


def name_shard(entity: object, shard: str) -> None:
    """Note the shard of a new instance as SQLAlchemy's sharded session does: in the third part of its identity."""
    state: Any = instance_state(entity)
    state.key = (*state.key[:2], shard)
    state.identity_token = shard


def copy_listeners(source: Session, target: Session) -> None:
    """Register all listeners of the session ``source`` on ``target``, also the listeners on this one instance.

    ``event.listen(session, "do_orm_execute", ...)`` keeps its listener in the instance's dispatcher. A session that
    runs statements in its place must call these listeners, too. The public API can register listeners, but cannot list
    them.
    """
    target.dispatch._update(source.dispatch, only_propagate=False)


def has_transaction_hooks(session: Session, engine: Engine) -> bool:
    """Tell whether a session or its engine has a listener that may change the transaction, such as ``SET LOCAL``.

    This listener needs a transaction even around a single statement. The public API cannot list listeners.
    """
    ours: Any = session.dispatch
    return bool(ours.after_begin or ours.after_transaction_create or ours.do_orm_execute or has_engine_hooks(engine))


def has_engine_hooks(engine: Engine) -> bool:
    """Tell whether an engine has a listener that may change the transaction."""
    dispatch: Any = engine.dispatch
    return bool(dispatch.begin or dispatch.engine_connect or dispatch.before_execute or dispatch.before_cursor_execute)


#: A session that is never opened. Its dispatcher knows the listeners on the class.
_PLAIN: Any = Session()


#: Events of a session about statements, transactions and the objects of a fetch.
_HEARD = (
    *("do_orm_execute", "after_transaction_create", "after_transaction_end", "after_begin", "after_rollback"),
    *("after_soft_rollback", "loaded_as_persistent", "persistent_to_detached"),
)


def is_session_heard(session: Session = _PLAIN) -> bool:
    """Tell whether a session has listeners for the events of a fetch. By default, check the class ``Session``."""
    dispatch: Any = session.dispatch
    return any(getattr(dispatch, name) for name in _HEARD)


def is_session_class_heard(kind: type[Session]) -> bool:
    """Tell whether a class of sessions has listeners for the events of a fetch. Each sessionmaker makes its own class.

    The listeners of a class are in the ``_clslevel`` of each event, by the class that they were registered on.
    """
    events: Any = kind.dispatch
    return any(
        each in getattr(events, name)._clslevel and getattr(events, name)._clslevel[each]
        for name in _HEARD
        for each in kind.__mro__
    )


def adds_nothing(kind: type[Any], base: type[Any]) -> bool:
    """Tell whether a subclass behaves as its base, because its body and the bodies of the classes between are empty."""
    between = kind.__mro__[: kind.__mro__.index(base)]
    return all(set(vars(each)) <= _NO_BODY for each in between)


#: Names that every class has in its dictionary.
_NO_BODY = {
    *("__module__", "__doc__", "__dict__", "__weakref__", "__qualname__", "__firstlineno__"),
    *("__static_attributes__", "__orig_bases__", "__parameters__", "__annotations__"),
}


def has_binds(session: Session) -> bool:
    """Tell whether a session has classes in several databases."""
    return bool(tables_in_binds(session))


def tables_in_binds(session: Session) -> Mapping[Any, Any]:
    """Return the databases of a session's ``binds=`` by what they name: tables, mapped classes and other classes.

    Before SQLAlchemy 2.1, a session keeps them under a private name. A table without a class is in another database
    only if ``binds=`` says so. ``get_bind`` would give the default.
    """
    ours: Any = session
    binds: Mapping[Any, Any] = getattr(ours, "binds", None) or getattr(ours, "_Session__binds", {})
    return binds


#: Sessions that were closed after loadplan began to watch them.
_watched: WeakKeyDictionary[Session, list[bool]] = WeakKeyDictionary()


def is_closed(session: Session) -> bool:
    """Tell whether a session was closed after the first call of this function, and was not used again since.

    A closed session begins again when it is used, and then keeps its connection until it is closed again.
    SQLAlchemy has no event for ``close()``, and a closed session has the same attributes as a new session. So this
    function puts ``close`` and ``invalidate`` on the instance, which note the call and call the method of the class.
    """
    note = _watched.get(session)
    if note is None:
        note = _watched[session] = []
        kind, behind = type(session), ref(session)
        vars(session)["close"] = _noted(kind.close, behind, note)
        vars(session)["invalidate"] = _noted(kind.invalidate, behind, note)
    if note and session.in_transaction():
        note.clear()
    return bool(note)


def _noted(method: Callable[[Session], None], behind: ref[Session], note: list[bool]) -> Callable[[], None]:
    """Return a function for the instance that notes a call and calls a method of the class."""

    def close() -> None:
        found = behind()
        if found is not None:
            note.append(True)
            method(found)

    return close


def is_flushing(session: Session) -> bool:
    """Tell whether a session is in the middle of a flush. Your listeners for ``before_flush`` run there.

    SQLAlchemy's autoflush reads the same flag, and does nothing during a flush. The public ``flush()`` raises instead.
    """
    ours: Any = session
    return bool(ours._flushing)


def in_greenlet(work: Callable[[], R]) -> Awaitable[R]:
    """Run ``work`` in a greenlet, where SQLAlchemy can wait for an asynchronous driver.

    ``run_sync`` of an ``AsyncSession`` or an ``AsyncConnection`` is the public way. Here, ``work`` opens and closes a
    plain ``Connection``, which takes one switch of greenlets instead of three.
    """
    return greenlet_spawn(work)


def changes_statements(session: Session) -> bool:
    """Tell whether a session may change a statement before it reaches the connection.

    A listener for ``do_orm_execute``, on the class or on the instance, may change it. The public API cannot list
    listeners. A subclass may override ``execute``. Since SQLAlchemy 2.1 a session has its own execution options, too.
    """
    dispatch: Any = session.dispatch
    return bool(
        dispatch.do_orm_execute
        or type(session).execute is not Session.execute
        or getattr(session, "execution_options", None)
    )
