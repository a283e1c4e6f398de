"""Work of Python that is done while an asynchronous driver waits for its database."""

import contextlib
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from inspect import iscoroutine
from typing import Any, TypeVar

from greenlet import getcurrent, greenlet
from sqlalchemy.util import await_only, greenlet_spawn

from loadplan.sqlalchemy_internals.attached import can_wait

R = TypeVar("R")


def while_waiting(fetch: Callable[[], R], work: Callable[[], None]) -> R:
    """Call ``fetch``. When it first waits for an asynchronous driver, do ``work``. Then wait with it to its end.

    SQLAlchemy waits for an asynchronous driver in a greenlet, and offers no way to do something else in between.
    ``greenlet_spawn`` runs ``fetch`` in a separate greenlet, as a coroutine. The first step of this coroutine ends when
    the driver has sent its statement. So the server works while this process does.

    Outside SQLAlchemy's greenlet, drivers are synchronous. Then ``work`` is done first.

    ``work`` runs in a separate greenlet, too. It calls code of the application, such as the constructor of a view. If
    this code sends SQL, it may wait for the connection that ``fetch`` uses. Then ``fetch`` gets to its end first.

    Args:
        fetch: sends statements, and waits for their rows.
        work: should be short and should not wait, because timeouts of the driver and the server go on. If it raises an
            error, ``fetch`` still gets to its end, so that no statement is left on the connection.

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
    working = _Working(work)
    try:
        wanted = working.switch()
    except BaseException:
        with contextlib.suppress(Exception):  # the first error is the one that a synchronous driver would show
            _end_of(fetching, awaited)
        raise
    if working.dead:
        return _end_of(fetching, awaited)
    try:
        found = _end_of(fetching, awaited)
    except BaseException as error:
        if iscoroutine(wanted):
            wanted.close()  # it has not begun
        with contextlib.suppress(Exception):
            working.go_on(working.throw(error))
        raise
    working.go_on(wanted)
    return found


class _Working(greenlet):  # type: ignore[misc]
    """Runs work that may wait. Its awaitable begins only when the caller wants it.

    ``greenlet_spawn`` would begin it at once. Then it might be in a queue for the connection that the fetch needs.
    """

    __sqlalchemy_greenlet_provider__ = True  # await_only looks for this name

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__(work)
        self.gr_context = getcurrent().gr_context

    def go_on(self, wanted: Any) -> None:
        """Run the work to its end.

        Args:
            wanted: the awaitable of the work. It has not begun.
        """
        while not self.dead:
            try:
                answer = await_only(wanted)
            except BaseException as error:
                wanted = self.throw(error)
            else:
                wanted = self.switch(answer)


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
            result: R = end.value
            return result


class _Awaited:
    """Waits for one thing that a coroutine waits for."""

    def __init__(self, awaited: Any) -> None:
        self._awaited = awaited

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield self._awaited)
