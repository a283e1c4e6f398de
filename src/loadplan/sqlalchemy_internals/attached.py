"""Instances in a session: loading as mapped, expired attributes, and changes that wait for a flush."""

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy.orm import (
    InstanceState,
    LoaderCallableStatus,
    Mapper,
    PassiveFlag,
    Session,
)
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.util.concurrency import in_greenlet as runs_in_greenlet

from loadplan.sqlalchemy_internals.instances import AttributeLoader, keep_as_loaded

#: An attribute loader returns this if it has no value and must not run SQL.
NO_RESULT = LoaderCallableStatus.PASSIVE_NO_RESULT


def load_as_mapped(state: InstanceState[Any], key: str, passive: PassiveFlag) -> Any:
    """Load a value with the mapping's own loader. The unit of work needs the value before it deletes an object.

    ``AttributeImpl.callable_`` is the loader of the class. SQLAlchemy asks ``InstanceState.callables`` before it.
    """
    loader = state.manager[key].impl.callable_
    return LoaderCallableStatus.ATTR_EMPTY if loader is None else loader(state, passive)


def load_column_as_mapped(state: InstanceState[Any], key: str, passive: PassiveFlag) -> Any:
    """Load a column that a statement left out, as SQLAlchemy does on first access.

    A statement that leaves a column out puts a loader for it into ``InstanceState.callables``, and the mapping has no
    loader for it. That loader calls the strategy of deferred columns, and so does this function.
    """
    prop: Any = state.manager.mapper.attrs[key]
    return prop._get_strategy((("deferred", True), ("instrument", True)))._load_for_state(state, passive)


def can_wait() -> bool:
    """Tell whether this code runs in SQLAlchemy's greenlet, so that it can await an asynchronous driver.

    If it does not, ``await_only`` raises MissingGreenlet. ``await_only`` makes the same check before it waits.
    """
    return bool(runs_in_greenlet())


def guard_expired(mapper: Mapper[Any], guard: Callable[[InstanceState[Any], str], None]) -> None:
    """Call ``guard`` before a class loads expired columns, with the name of the column that was read.

    Expired columns are never looked up in ``InstanceState.callables``. ``ClassManager.expired_attribute_loader`` loads
    all of them at once. Only the frame of ``_fire_loader_callables`` knows which column was read.
    """
    manager: Any = mapper.class_manager
    loader = manager.expired_attribute_loader
    if getattr(loader, "_loadplan_guarded", False):
        return

    def guarded(state: InstanceState[Any], names: set[str], passive: PassiveFlag) -> Any:
        guard(state, _column_read(names))
        return loader(state, names, passive)

    guarded._loadplan_guarded = True  # type: ignore[attr-defined] # pyright: ignore[reportFunctionMemberAccess]
    manager.expired_attribute_loader = guarded


def _column_read(names: set[str]) -> str:
    """Return the expired column that is being read; the first one if the frame cannot be found."""
    frame: Any = sys._getframe(1)
    for _ in range(5):
        if frame is None:
            break
        if frame.f_code.co_name == "_fire_loader_callables":
            return str(frame.f_locals["key"])
        frame = frame.f_back
    return min(names, default="")


def replace_loaders(state: InstanceState[Any], loaders: Mapping[str, AttributeLoader]) -> None:
    """Install ``loaders`` as :func:`install_loaders` does, on an object in a session, and change nothing else."""
    behind: Any = state
    behind.callables = loaders


def attach_as_loaded(session: Session, entity: object) -> None:
    """Put an instance into a session as SQLAlchemy's ``loading.py`` does with an instance that it made from a row.

    ``Session.add`` is the public way. But it cascades, and its events report an object that was detached before.
    """
    state: Any = instance_state(entity)
    state.session_id = session.hash_key
    identities: Any = session.identity_map
    identities._add_unpresent(state, state.key)


def has_waiting_changes(state: InstanceState[Any], key: str) -> bool:
    """Tell whether back-references have added to, or removed from, a collection that is not loaded yet."""
    return key in state.__dict__.get("_pending_mutations", ())


def tell_of_refresh(entity: object, names: Iterable[str]) -> None:
    """Fire the ``refresh`` event of an instance, as ``loading.py`` does when a row adds values to an instance.

    The listeners may set the attributes that were loaded. This does not count as a change, so no flush writes it.
    """
    state: Any = instance_state(entity)
    loaded = set(names)
    was_modified = state.modified
    state.manager.dispatch.refresh(state, None, loaded)
    for name in loaded:
        state.committed_state.pop(name, None)
    if state.modified and not was_modified and not state.committed_state:
        keep_as_loaded(state)


def guard_dynamic(mapper: Mapper[Any], key: str, guard: Callable[[InstanceState[Any], str], None]) -> None:
    """Call ``guard`` whenever the ``lazy="dynamic"`` attribute ``key`` is read.

    A dynamic attribute ignores ``callables``. On a detached object it wrongly gives ``[]``. On every read, it calls
    ``query_class(impl, state)``, so the guard is installed there.
    """
    impl: Any = mapper.class_manager[key].impl
    query_class = impl.query_class
    if getattr(query_class, "_loadplan_guarded", False):
        return

    class Guarded(query_class):  # type: ignore[misc,valid-type]
        _loadplan_guarded = True

        def __init__(self, attr: Any, state: InstanceState[Any]) -> None:
            guard(state, attr.key)
            super().__init__(attr, state)

    Guarded.__name__ = query_class.__name__
    impl.query_class = Guarded
