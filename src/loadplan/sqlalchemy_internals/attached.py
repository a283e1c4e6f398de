"""Instances in a session: loading as mapped, expired attributes, and what has changed."""

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

#: The result of an attribute loader that has no value and must not run SQL.
NO_RESULT = LoaderCallableStatus.PASSIVE_NO_RESULT


def load_as_mapped(state: InstanceState[Any], key: str, passive: PassiveFlag) -> Any:
    """Answer as the mapping's own loader would, for the unit of work that must see a value before it deletes.

    ``AttributeImpl.callable_`` is the class-level loader that ``InstanceState.callables`` took precedence over.
    """
    loader = state.manager[key].impl.callable_
    return LoaderCallableStatus.ATTR_EMPTY if loader is None else loader(state, passive)


def load_column_as_mapped(state: InstanceState[Any], key: str, passive: PassiveFlag) -> Any:
    """Load a column that a statement left out, as SQLAlchemy does on first access.

    A statement that leaves a column out puts a loader for it into ``InstanceState.callables``, and the mapping has no
    loader for it. The strategy of deferred columns is what that loader calls.
    """
    prop: Any = state.manager.mapper.attrs[key]
    return prop._get_strategy((("deferred", True), ("instrument", True)))._load_for_state(state, passive)


def can_wait() -> bool:
    """Tell whether an asynchronous driver can be waited for here: ``await_only`` raises MissingGreenlet where not.

    It is what ``await_only`` itself asks before it waits.
    """
    return bool(runs_in_greenlet())


def guard_expired(mapper: Mapper[Any], guard: Callable[[InstanceState[Any], str], None]) -> None:
    """Call ``guard`` before a class loads expired columns, with the name of the column that was read.

    Expired columns are never looked up in ``InstanceState.callables``. ``ClassManager.expired_attribute_loader`` is
    what loads them, all at once. Only the frame of ``_fire_loader_callables`` knows which of them was read.
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
    """Return which of expired columns is read right now; the first one where nobody can tell."""
    frame: Any = sys._getframe(1)
    for _ in range(5):
        if frame is None:
            break
        if frame.f_code.co_name == "_fire_loader_callables":
            return str(frame.f_locals["key"])
        frame = frame.f_back
    return min(names, default="")


def replace_loaders(state: InstanceState[Any], loaders: Mapping[str, AttributeLoader]) -> None:
    """Have ``loaders`` asked, as by :func:`install_loaders`, and leave all else of an object in a session as it is."""
    behind: Any = state
    behind.callables = loaders


def attach_as_loaded(session: Session, entity: object) -> None:
    """Put an instance into a session as ``loading.py`` does with one that it made of a row.

    ``Session.add`` is the public way. It cascades, and its events tell of an object that was detached before.
    """
    state: Any = instance_state(entity)
    state.session_id = session.hash_key
    identities: Any = session.identity_map
    identities._add_unpresent(state, state.key)


def has_waiting_changes(state: InstanceState[Any], key: str) -> bool:
    """Tell whether a collection that is not loaded has changes that wait for it, of back-references."""
    return key in state.__dict__.get("_pending_mutations", ())


def tell_of_refresh(entity: object, names: Iterable[str]) -> None:
    """Fire the ``refresh`` event of an instance, as ``loading.py`` does for a row that adds to one.

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

    A dynamic attribute never looks at ``callables``; detached it answers ``[]``, which is a lie. On every read, it
    calls ``query_class(impl, state)``.
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
