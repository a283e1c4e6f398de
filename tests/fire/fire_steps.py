"""Coroutines taken step by step: something happens when they are about to wait for the n-th time."""

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


class Steps:
    """Counts how often a coroutine waited.

    Args:
        at: the numbers of the waits at which ``do`` is called, from 1.
        do: what happens then, before the coroutine waits.
    """

    def __init__(self, at: tuple[int, ...] = (), do: Callable[[], object] = lambda: None) -> None:
        self._at = at
        self._do = do
        self.count = 0

    @types.coroutine
    def run(self, coroutine: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        """Run a coroutine to its end, as ``await`` would."""
        awaited = coroutine.__await__()
        advance: Callable[[], Any] = awaited.__next__
        try:
            while True:
                waits_for = advance()
                self.count += 1
                if self.count in self._at:
                    self._do()
                try:
                    yield waits_for
                except BaseException as error:  # whatever the loop throws is the coroutine's
                    advance = _throwing(awaited, error)
                else:
                    advance = awaited.__next__
        except StopIteration as stop:
            found: T = stop.value
            return found


def _throwing(awaited: Any, error: BaseException) -> Callable[[], Any]:
    return lambda: awaited.throw(error)


def cancel_current() -> Callable[[], object]:
    """Return what cancels the task that called this; the wait that it is about to begin ends at once."""
    task = asyncio.current_task()
    assert task is not None
    return task.cancel
