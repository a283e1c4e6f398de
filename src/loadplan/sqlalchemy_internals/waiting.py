"""Work of Python that is done while an asynchronous driver waits for its database."""

import contextlib
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, TypeVar

from sqlalchemy.util import await_only, greenlet_spawn

from loadplan.sqlalchemy_internals.attached import can_wait

R = TypeVar("R")


def while_waiting(fetch: Callable[[], R], work: Callable[[], None]) -> R:
    """Call ``fetch``. When it first waits for an asynchronous driver, do ``work``. Then wait with it to its end.

    SQLAlchemy waits for an asynchronous driver in a greenlet, and offers no way to do something else in between.
    ``greenlet_spawn`` runs ``fetch`` in a separate greenlet, as a coroutine. The first step of this coroutine ends when
    the driver has sent its statement. So the server works while this process does.

    Outside SQLAlchemy's greenlet, drivers are synchronous. Then ``work`` is done first.

    Args:
        fetch: sends statements, and waits for their rows.
        work: must not wait for a database. It should be short, because timeouts of the driver and the server go on. If
            it raises an error, ``fetch`` still gets to its end, so that no statement is left on the connection.

    Returns:
        What ``fetch`` returns.
    """
    if not can_wait():
        work()
        return fetch()
    fetching = greenlet_spawn(fetch)
    try:
        awaited = fetching.send(None)
    except StopIteration as end:  # it has waited for nothing
        work()
        found: R = end.value
        return found
    try:
        work()
    except BaseException:
        with contextlib.suppress(Exception):  # the first error is the one that a synchronous driver would show
            _end_of(fetching, awaited)
        raise
    return _end_of(fetching, awaited)


def _end_of(coroutine: Coroutine[Any, Any, R], awaited: Any) -> R:
    """Run a coroutine to its end, in this greenlet.

    Args:
        coroutine: the coroutine, after its first step.
        awaited: what it waits for. The event loop gets it as if the coroutine ran there.
    """
    while True:
        try:
            answer = await_only(_Awaited(awaited))
        except BaseException as error:
            step = partial(coroutine.throw, error)
        else:
            step = partial(coroutine.send, answer)
        try:
            awaited = step()
        except StopIteration as end:
            found: R = end.value
            return found


class _Awaited:
    """Waits for one thing that a coroutine waits for."""

    def __init__(self, awaited: Any) -> None:
        self._awaited = awaited

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield self._awaited)
