"""Gives each of several callers its own graph. If two callers would share an object, the later one gets a copy."""

import datetime
import decimal
import enum
import types
import uuid
import weakref
from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any

#: Types whose values cannot be changed, so they can be shared.
_PLAIN = (
    type(None),
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    decimal.Decimal,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    datetime.tzinfo,
    uuid.UUID,
    enum.Enum,
    type,
    types.FunctionType,
    weakref.ReferenceType,
)


def own_graphs(found: Iterable[Any]) -> Iterator[Any]:
    """Yield results so that no object is in two of them.

    The first result with an object keeps it. A later result with the same object becomes a deep copy.

    Args:
        found: roots, None, or errors. Errors stay as they are.
    """
    given: dict[int, Any] = {}  # keep the objects alive, so that no other objects get their ids
    for result in found:
        if result is None or isinstance(result, Exception):
            yield result
            continue
        objects = {id(each): each for each in reachable(result)}
        if objects.keys().isdisjoint(given):
            given.update(objects)
            yield result
        else:
            try:
                copied = deepcopy(result)
            except Exception as error:
                copied = error
            yield copied


def reachable(root: Any) -> Iterator[Any]:
    """Yield all objects of a graph that can be changed, each once: entities, views, and their values."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        each = waiting.pop()
        if isinstance(each, _PLAIN) or id(each) in seen:
            continue
        seen.add(id(each))
        if not isinstance(each, tuple | frozenset):
            yield each
        waiting += _parts(each)


def _parts(each: Any) -> Iterator[Any]:
    """Yield the items of a collection, or the attributes of another object."""
    if isinstance(each, dict):
        yield from each.keys()
        yield from each.values()
    elif isinstance(each, list | tuple | set | frozenset):
        yield from each
    else:
        for name, value in getattr(each, "__dict__", {}).items():
            if not name.startswith("_sa_"):  # SQLAlchemy's own attributes, such as the state of an entity
                yield value
        for name in _slots(type(each)):
            yield getattr(each, name, None)


def _slots(kind: type[Any]) -> Iterator[str]:
    yield from getattr(kind, "__struct_fields__", ())
    for base in kind.__mro__:
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__"):
                yield (
                    f"_{base.__name__.lstrip('_')}{name}" if name.startswith("__") and not name.endswith("__") else name
                )
