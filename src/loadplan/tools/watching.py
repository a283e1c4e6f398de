"""Watching mapped attributes as code reads them: one hook, in place only while a tool watches."""

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
    """Have ``watch`` read every mapped attribute of every object while the block runs.

    ``InstrumentedAttribute.__get__`` is what Python calls for ``user.posts``, whoever made ``user`` and however. It is
    replaced for the block, in all threads, and costs nothing before and after.

    Args:
        watch: called as ``watch(read, attribute, instance)``; returns the value, or raises. ``read(attribute,
            instance)`` is what would have been done without it.
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
