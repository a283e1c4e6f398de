"""Equal plans share their tree, their statements and their generated functions.

A plan that is built inside a request handler is a new object each time, but equals the last one. The mapper of the
entity keeps everything that was made from plans, as long as the mapper exists.
"""

from collections import OrderedDict
from threading import Lock
from types import UnionType
from typing import Any, TypeAlias, Union, get_args, get_origin

import attrs
from sqlalchemy import ClauseElement
from sqlalchemy.orm import Mapper, QueryableAttribute

from loadplan.declared.sources import Source
from loadplan.declared.spec import Budget, Load, On, Plan, facts_of
from loadplan.sqlalchemy_internals import criteria_of, notes_of, shape_of, subtype_of

#: The number of plans of one class that are remembered: the most recently used plans.
MOST_PLANS = 64

#: The name under which the plans are kept.
NOTE = "loadplan_plans"

#: Classes whose values tell by themselves whether they are equal.
_PLAIN = frozenset({str, int, bool, Budget})

Fingerprint: TypeAlias = tuple[Any, ...]


class Unlike(Exception):  # noqa: N818 - a signal, caught here
    """A plan contains a value that cannot be compared."""


class SharedPlans:
    """The values that were made from the plans of one class, by the fingerprint of the plan."""

    def __init__(self) -> None:
        self._found: OrderedDict[Fingerprint, dict[str, Any]] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._found)

    def get(self, fingerprint: Fingerprint) -> dict[str, Any] | None:
        """Return the values that were made from a plan with this fingerprint, or None."""
        with self._lock:
            found = self._found.get(fingerprint)
            if found is not None:
                self._found.move_to_end(fingerprint)
            return found

    def put(self, fingerprint: Fingerprint, made: dict[str, Any]) -> None:
        """Remember the values of a plan. Forget the plan that was not used for the longest time."""
        with self._lock:
            self._found[fingerprint] = made
            self._found.move_to_end(fingerprint)
            while len(self._found) > MOST_PLANS:
                self._found.popitem(last=False)


def made_of_equal(plan: Plan[Any], mapper: Mapper[Any]) -> dict[str, Any] | None:
    """Return the values that were made from an equal plan, or None.

    Args:
        plan: a plan from which no values were made yet.
        mapper: the mapper of its entity.
    """
    known: SharedPlans | None = notes_of(mapper).get(NOTE)
    if known is None:
        return None
    mark = fingerprint(plan)
    return None if mark is None else known.get(mark)


def share(plan: Plan[Any], mapper: Mapper[Any], made: dict[str, Any]) -> None:
    """Let equal plans find the values of this plan."""
    mark = fingerprint(plan)
    if mark is not None:
        known: SharedPlans = notes_of(mapper).setdefault(NOTE, SharedPlans())
        known.put(mark, made)


def fingerprint(plan: Plan[Any]) -> Fingerprint | None:
    """Return a key that is equal for equal plans; None if the plan cannot be compared.

    It is stricter than ``==``: equal values must also have the same type, and a parameter must not call a function.
    """
    try:
        found = _of(plan)
        hash(found)
    except Exception:  # the methods of values in a plan may raise any error
        return None
    return found


def _of(value: Any) -> Fingerprint:
    kind = type(value)
    if value is None or kind in _PLAIN:
        return (kind, value)
    if kind in (list, tuple):
        return (kind, *map(_of, value))
    if isinstance(value, Plan | Load | On):
        return (kind, *(_of(getattr(value, each.name)) for each in attrs.fields(kind) if each.eq))
    if isinstance(value, QueryableAttribute):
        carried = (_of(each) for each in criteria_of(value))
        return (kind, value.parent, value.class_, value.key, subtype_of(value), *carried)
    if isinstance(value, ClauseElement):
        shape = shape_of(value)
        if shape is None:
            raise Unlike
        if any(each.callable is not None for each in shape[1]):
            raise Unlike
        return (kind, shape[0], *(part for each in shape[1] for part in facts_of(each)))
    if kind is Source:
        return (kind, _of(value.path), value.modifiers)
    if get_origin(value) in (Union, UnionType):
        return (Union, *map(_of, get_args(value)))
    if isinstance(value, type):
        return (kind, value)
    raise Unlike
