"""Raises an error before ``merge`` or ``delete`` loses rows of an object that may hold only some of its rows.

The guards listen to ``merge``, which fires an event for each relationship. They also listen to ``flush``, which lists
the objects that it will delete. They listen to all sessions, because an object may go into any session. They ignore
objects that no plan loaded.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from threading import Lock
from typing import Any
from weakref import WeakSet

from sqlalchemy import Connection, event
from sqlalchemy.orm import InstanceState, Mapper, RelationshipProperty, Session
from sqlalchemy.orm.attributes import instance_dict, instance_state

from loadplan.errors import PartialCollectionError, Problem, shown
from loadplan.objects.losses import (
    Part,
    Why,
    foreign_key,
    is_guarded,
    is_hidden,
    is_left_by_new_key,
    is_lost_by_delete,
    is_lost_by_merge,
    is_reference,
    is_unseen,
)
from loadplan.sqlalchemy_internals import (
    Held,
    guard_merge,
    installed_loaders,
    items_of,
    replace_loaders,
    value_to_merge_into,
)


class Guarded:
    """The facts that the guards need from the seal of an object.

    Attributes:
        parts: relationships that may hold only some of their rows, by name.
    """

    parts: Mapping[str, Part]

    def where(self) -> tuple[str, ...]:
        """Return the label of the plan, then the edges that lead to the object."""
        raise NotImplementedError

    def without(self, names: frozenset[str]) -> Any:
        """Return a seal in which some relationships count as complete."""
        raise NotImplementedError


def guarded(state: InstanceState[Any]) -> Guarded | None:
    """Return the seal of an object, or None if no plan loaded the object."""
    loaders: Any = installed_loaders(state)
    return loaders if isinstance(loaders, Guarded) else None


# --- merge ------------------------------------------------------------------------------------------------------------


def guard_class(mapper: Mapper[Any], parts: Mapping[str, Part]) -> None:
    """Add the listeners that check objects of a class before a merge or another change can lose rows.

    Later calls for the same class do nothing.
    """
    for prop in mapper.relationships:
        if prop.viewonly:
            continue
        if prop.cascade.merge:
            guard_merge(prop, _check_merge, _compare)
        if is_reference(prop) and prop.cascade.delete_orphan and _is_first(prop):
            check = partial(_check_replacement, prop)
            event.listen(getattr(mapper.class_, prop.key), "set", check, propagate=True)
    if parts and _is_first(mapper.class_):
        event.listen(mapper.class_, "expire", _forget_parts, raw=True)
        event.listen(mapper.class_, "refresh", _forget_refreshed, raw=True)


def _is_first(owner: Any) -> bool:
    """Tell whether loadplan does not listen to a class or relationship yet. Note that it does now."""
    with _guarding:
        is_first = owner not in _guarded
        _guarded.add(owner)
    return is_first


_guarded: WeakSet[Any] = WeakSet()
_guarding = Lock()


def _check_merge(edges: Iterable[tuple[Held, RelationshipProperty[Any]]]) -> None:
    """Check all objects that a merge will reach, before the merge writes anything.

    Raises:
        PartialCollectionError: LP409.
    """
    for held, prop in edges:
        seal = None if prop.viewonly else guarded(held[0])
        if seal is not None and is_lost_by_merge(held, prop, seal.parts.get(prop.key)):
            raise _refused("merge", held, prop, seal)


def _compare(held: Held, prop: RelationshipProperty[Any], into: Held) -> None:
    """Check that a merge does not remove a row that the object never had.

    Row-level security may have hidden this row, or it was inserted after the object was loaded.

    Raises:
        PartialCollectionError: LP409.
    """
    seal = guarded(held[0])
    if seal is None or prop.viewonly or is_reference(prop) or into[0].key is None:
        return
    if is_unseen(held, prop, items_of(prop, value_to_merge_into(into, prop.key))):
        raise _refused("merge", held, prop, seal)


def _check_replacement(prop: RelationshipProperty[Any], entity: object, value: object, *_: Any) -> None:
    """Check that a new value for a to-one with a "delete-orphan" cascade does not orphan a hidden row.

    Raises:
        PartialCollectionError: LP409.
    """
    held = _held(entity)
    seal = guarded(held[0])
    if seal is None or value is None or prop.key not in held[1]:
        return
    if is_hidden(held, prop, seal.parts.get(prop.key)):
        raise _refused("set", held, prop, seal)


def _held(entity: object) -> Held:
    return instance_state(entity), instance_dict(entity)


def _forget_refreshed(state: InstanceState[Any], context: Any, names: Any) -> None:
    """Count relationships as complete again when a query with ``populate_existing`` sets them."""
    if getattr(context, "populate_existing", False):
        _forget_parts(state, names)


def _forget_parts(state: InstanceState[Any], names: Any) -> None:
    """Count relationships as complete again when they expire, because a session then loads all of their rows."""
    seal = guarded(state)
    if seal is None:
        return
    gone = frozenset(seal.parts if names is None else seal.parts.keys() & set(names))
    if gone:
        replace_loaders(state, seal.without(gone))


# --- delete -----------------------------------------------------------------------------------------------------------


@event.listens_for(Session, "before_flush")
def _check_deleted(session: Session, _context: Any, _objects: Any) -> None:
    """Check the objects that a session is about to delete, before the session sends a statement."""
    for entity in session.deleted:
        _go_on(session, entity)
    for entity in session.deleted:
        _attach_children(session, entity)
        mapper = instance_state(entity).mapper
        _check_delete(mapper, entity, partial(session.connection, {"mapper": mapper}))


def _go_on(session: Session, entity: object) -> None:
    """Continue the cascade of a deleted object below detached objects, where ``delete`` loads nothing."""
    state = instance_state(entity)
    if guarded(state) is not None:
        for below, _, its, _ in state.mapper.cascade_iterator("delete", state):
            if its.key is not None:
                session.delete(below)


def _attach_children(session: Session, entity: object) -> None:
    """Add the children that a deleted object leaves behind to the session, so that the flush sets their key to NULL.

    ``delete`` of a detached object adds only the objects that it deletes. SQLAlchemy would warn, and the other children
    would keep the key of a deleted row.
    """
    state, values = _held(entity)
    if guarded(state) is None:
        return
    for prop in state.mapper.relationships:
        if prop.viewonly or is_reference(prop) or prop.cascade.delete or prop.passive_deletes == "all":
            continue
        for child in items_of(prop, values.get(prop.key)):
            its = instance_state(child)
            if its.key is not None and its.session is None:
                session.add(child)


@event.listens_for(Mapper, "before_update")
def _check_new_key(_mapper: Mapper[Any], _connection: Connection, entity: Any) -> None:
    """Check that no row keeps the old key of an object if SQLAlchemy, and not the database, passes on the new key.

    Raises:
        PartialCollectionError: LP409.
    """
    held = _held(entity)
    seal = guarded(held[0])
    for key in seal.parts if seal is not None else ():
        prop = held[0].mapper.relationships[key]
        if seal is not None and is_left_by_new_key(held, prop):
            raise _refused("rekey", held, prop, seal)


@event.listens_for(Mapper, "before_delete")
def _check_orphan(mapper: Mapper[Any], connection: Connection, entity: Any) -> None:
    """Check the orphans that a flush deletes, and the objects that their cascades reach."""
    _check_delete(mapper, entity, lambda: connection)


def _check_delete(mapper: Mapper[Any], entity: object, connect: Callable[[], Connection]) -> None:
    """Check that deleting an object leaves no row behind.

    Raises:
        PartialCollectionError: LP409.
    """
    held = _held(entity)
    seal = guarded(held[0])
    if seal is None:
        return
    for prop in mapper.relationships:
        if is_lost_by_delete(held, prop, seal.parts.get(prop.key)) and not (
            is_guarded(prop) and _keeps_foreign_keys(connect())
        ):
            raise _refused("delete", held, prop, seal)


def _keeps_foreign_keys(connection: Connection) -> bool:
    """Tell whether a database enforces its foreign keys. SQLite does this only if you turn it on."""
    if connection.dialect.name != "sqlite":
        return True
    return bool(connection.exec_driver_sql("PRAGMA foreign_keys").scalar())


# --- words ------------------------------------------------------------------------------------------------------------

#: For each operation, its effect on rows that the object does not hold, and on one row.
_HARM = {
    "merge": ("merge would delete or orphan the others", "merge would write NULL over it"),
    "delete": ("delete would leave the others behind", "delete would leave its row behind"),
    "set": ("setting it would orphan the others", "setting it would orphan its row"),
    "rekey": ("a new primary key would leave the others with the old one", ""),
}

_DONE = {"rekey": "a new primary key"} | {each: each for each in ("merge", "delete")}


def _refused(verb: str, held: Held, prop: RelationshipProperty[Any], seal: Guarded) -> PartialCollectionError:
    name = f"{held[0].class_.__name__}.{prop.key}"
    part = seal.parts.get(prop.key)
    many, one = _HARM[verb]
    if is_reference(prop):
        key = ", ".join(f"{column}={shown(value)}" for column, value in foreign_key(held, prop).items())
        message = f"'{name}' is None, but its foreign key is not NULL, and {one}"
        detail = f"the row that {key or 'it'} refers to was hidden (by where=, a criterion of the session or "
        detail += "row-level security), or the row does not exist."
    elif part is None:
        message = f"'{name}' does not show all of its rows, and {many}"
        detail = "the others were added after it was loaded, or row-level security hid them then."
    elif part.why is Why.SHAPE:
        message = f"'{name}' holds only some of its rows, and {many}"
        detail = f"the plan gives it a where= or limit=, but {_DONE[verb]} expects all rows."
    else:
        message = f"'{name}' may hold only some of its rows, and {many}"
        detail = f"a listener of the session that loaded it filters its rows, but {_DONE[verb]} expects all of them."
    return PartialCollectionError(Problem("LP409", message, seal.where(), detail=detail, hint=_hint(verb, name, part)))


def _hint(verb: str, name: str, part: Part | None) -> str:
    is_shaped = part is not None and part.why is Why.SHAPE
    seeing = "without where= and limit=" if is_shaped else "in a session that sees all rows"
    if verb == "merge":
        return f"use session.add(obj), or merge an object that was loaded {seeing}."
    if verb == "delete":
        return f"delete an object that was loaded without load({name}), in a session that sees all rows."
    return f"load the object {seeing}, and change it there."
