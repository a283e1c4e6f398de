"""Checks fetched objects that you add to a session. If the session has another object for a row, it raises an error.

``session.add(post)`` adds the whole graph of the post. If the session has another object for one of its rows,
SQLAlchemy raises an error at that row, and a part of the graph is then in the session. The listener here checks the
whole graph when its first object is added. So after the error, no object of the graph is in the session.
"""

from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import event
from sqlalchemy.ext.asyncio import async_session
from sqlalchemy.orm import InstanceState, Session
from sqlalchemy.orm.attributes import instance_state

from loadplan.errors import Problem, RowInSessionError, shown
from loadplan.objects.seal import Seal
from loadplan.sqlalchemy_internals import installed_loaders

#: For each session, the objects of a checked graph that were not added yet.
_expected: WeakKeyDictionary[Session, WeakSet[InstanceState[Any]]] = WeakKeyDictionary()


def _before_attach(session: Session, entity: Any) -> None:
    """Refuse a fetched object that cannot go into a session.

    Raises:
        RowInSessionError: LP415.
    """
    state: InstanceState[Any] = instance_state(entity)
    if not isinstance(installed_loaders(state), Seal):
        return
    expected = _expected.get(session)
    if expected is not None and state in expected:
        expected.discard(state)
        _check(session, state, state)
        return
    _check(session, state, state)
    below = list(_cascaded(session, state))
    for each in below:
        _check(session, each, state)
    if below:
        _expected[session] = WeakSet(below)


def _cascaded(session: Session, state: InstanceState[Any]) -> Iterator[InstanceState[Any]]:
    """Yield the objects that ``session.add`` of an object adds with it."""
    for _, _, each, _ in state.mapper.cascade_iterator("save-update", state, lambda below: below.session is session):
        if each.key is not None:
            yield each


def _check(session: Session, state: InstanceState[Any], first: InstanceState[Any]) -> None:
    """Raise an error if a session has another object for the row of an object that is being added."""
    key: Any = state.key
    if key is None:
        return
    there = session.identity_map.get(key)
    if there is None or there is state.obj():
        return
    identity = key[1][0] if len(key[1]) == 1 else key[1]
    row = f"'{state.class_.__name__}' {shown(identity)}"
    seal: Any = installed_loaders(first)
    loader = "SyncLoader" if async_session(session) is None else "Loader"
    added = "it" if state is first else f"the '{first.class_.__name__}' that you add leads to it, and it"
    raise RowInSessionError(
        Problem(
            "LP415",
            f"{row} is in this session already, as another object",
            seal.where(),
            detail=f"{added} cannot be there twice.",
            hint="use session.merge(obj), which copies your changes onto the session's objects, or load the graph with "
            f"{loader}(session).fetch_attached(plan, id) before you change it.",
        )
    )


def watch_sessions() -> None:
    """Make every session check an object before it adds the object. A session that adds nothing runs no check."""
    if not event.contains(Session, "before_attach", _before_attach):
        event.listen(Session, "before_attach", _before_attach)
