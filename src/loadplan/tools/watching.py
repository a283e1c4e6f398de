"""Watches reads of mapped attributes, with one hook that is installed only while a tool watches."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from sqlalchemy.orm import InstrumentedAttribute

Get: TypeAlias = Callable[[Any, Any], Any]
"""Reads an attribute of an object: ``get(attribute, instance)``."""

_lock = threading.RLock()


@contextmanager
def watching(watch: Callable[[Get, Any, Any], Any]) -> Iterator[None]:
    """Call ``watch`` for every read of a mapped attribute, of every object, while the block runs.

    Python calls ``InstrumentedAttribute.__get__`` for ``user.posts``, on any mapped object. This function replaces
    ``__get__`` while the block runs, in all threads. Reads before and after the block cost nothing extra.

    Args:
        watch: called as ``watch(read, attribute, instance)``; returns the value, or raises. ``read(attribute,
            instance)`` does the read without the hook.
    """
    kind: Any = InstrumentedAttribute
    with _lock:
        before = kind.__get__

        def read(attribute: Any, instance: Any) -> Any:
            return before(attribute, instance, type(instance))

        def watched(attribute: Any, instance: Any, owner: Any = None) -> Any:
            return before(attribute, instance, owner) if instance is None else watch(read, attribute, instance)

        kind.__get__ = watched
    try:
        yield
    finally:
        with _lock:
            kind.__get__ = before
