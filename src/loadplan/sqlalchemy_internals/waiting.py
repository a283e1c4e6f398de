"""Work of Python that is done while an asynchronous driver waits for its database."""

import contextlib
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from inspect import iscoroutine
from typing import Any, Generic, TypeVar

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

    ``work`` calls code of the application, such as the constructor of a view. If this code sends SQL, it may need the
    connection that ``fetch`` uses. Then ``fetch`` gets to its end first.

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
    here: Any = getcurrent()
    driver = here.parent
    here.parent = ahead = _Ahead(driver, partial(_end_of, fetching, awaited))
    try:
        work()
    except BaseException:
        here.parent = driver
        if ahead.failure is None:
            with contextlib.suppress(Exception):  # the first error is the one that a synchronous driver would show
                ahead.found()
            raise
    here.parent = driver
    return ahead.found()


class _Ahead(greenlet, Generic[R]):  # type: ignore[misc]
    """Stands between a greenlet and its parent. If the greenlet wants to wait, this does something else first.

    ``await_only`` calls ``switch`` of the parent with an awaitable that has not begun. This greenlet itself never runs.

    Attributes:
        failure: the error of the thing that is done first.
    """

    def __init__(self, driver: greenlet, first: Callable[[], R]) -> None:
        super().__init__(None, driver)
        self.failure: BaseException | None = None
        self._driver = driver
        self._first = first
        self._found: list[R] = []

    def __bool__(self) -> bool:
        return True  # await_only checks the parent, and a greenlet that does not run would be False

    def switch(self, awaitable: Any) -> Any:
        """Do the other thing, and then wait."""
        getcurrent().parent = self._driver
        try:
            self.found()
        except BaseException:
            if iscoroutine(awaitable):
                awaitable.close()
            raise
        return self._driver.switch(awaitable)

    def found(self) -> R:
        """Do the other thing, unless it is done, and return its result or raise its error."""
        if self.failure is not None:
            raise self.failure
        if not self._found:
            try:
                self._found.append(self._first())
            except BaseException as error:
                self.failure = error
                raise
        return self._found[0]


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
