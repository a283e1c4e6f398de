"""``greenlet_spawn`` step by step: work is done while an asynchronous driver waits, and nothing else changes."""

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.util import await_only, greenlet_spawn

from loadplan.sqlalchemy_internals import while_waiting

WHO: contextvars.ContextVar[str] = contextvars.ContextVar("WHO")


class Server:
    """Answers when it is told to. Notes the order of what happens."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.ended = 0

    async def ask(self, number: int, error: Exception | None = None) -> int:
        self.seen.append(f"sent {number}")
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(self._answer, answer, number, error)
        try:
            return await answer
        finally:
            self.ended += 1

    def _answer(self, answer: asyncio.Future[int], number: int, error: Exception | None) -> None:
        self.seen.append(f"answered {number}")
        if not answer.done():
            answer.set_exception(error) if error else answer.set_result(number)

    def work(self) -> None:
        self.seen.append("work")

    def fetch(self, *numbers: int) -> Callable[[], list[int]]:
        return lambda: [await_only(self.ask(number)) for number in numbers]


async def test_work_is_done_between_the_first_statement_and_its_answer() -> None:
    server = Server()
    assert await greenlet_spawn(lambda: while_waiting(server.fetch(1, 2), server.work)) == [1, 2]
    assert server.seen == ["sent 1", "work", "answered 1", "sent 2", "answered 2"]


async def test_work_is_done_if_nothing_waits() -> None:
    server = Server()
    assert await greenlet_spawn(lambda: while_waiting(lambda: 5, server.work)) == 5
    assert server.seen == ["work"]


def test_work_is_done_first_where_drivers_are_synchronous() -> None:
    seen: list[str] = []
    assert while_waiting(lambda: seen.append("fetch"), lambda: seen.append("work")) is None
    assert seen == ["work", "fetch"]


async def test_a_wait_may_hold_others() -> None:
    server, inner = Server(), Server()

    def fetch() -> list[int]:
        return while_waiting(server.fetch(1, 2), lambda: None) + while_waiting(inner.fetch(3), inner.work)

    assert await greenlet_spawn(lambda: while_waiting(fetch, server.work)) == [1, 2, 3]
    assert server.seen == ["sent 1", "work", "answered 1", "sent 2", "answered 2"]
    assert inner.seen == ["sent 3", "work", "answered 3"]


async def test_an_error_of_the_work_waits_for_the_answer() -> None:
    server = Server()

    def fail() -> None:
        raise LookupError("no such class")

    with pytest.raises(LookupError, match="no such class"):
        await greenlet_spawn(lambda: while_waiting(server.fetch(1, 2), fail))
    assert server.seen == ["sent 1", "answered 1", "sent 2", "answered 2"]


async def test_work_that_waits_for_the_connection_gets_it_after_the_fetch() -> None:
    """A constructor of the application may send SQL on the connection of the fetch, which has a lock."""
    server, lock = Server(), asyncio.Lock()

    async def alone(number: int) -> int:
        async with lock:
            return await server.ask(number)

    def work() -> None:
        server.work()
        await_only(alone(3))
        server.work()

    def call() -> list[int]:
        return while_waiting(lambda: [await_only(alone(1)), await_only(alone(2))], work)

    async with asyncio.timeout(5):
        assert await greenlet_spawn(call) == [1, 2]
    sent = ["sent 1", "work", "answered 1", "sent 2", "answered 2"]
    assert server.seen == [*sent, "sent 3", "answered 3", "work"]
    assert server.ended == 3


async def test_an_error_of_work_that_waits_is_raised_after_the_fetch() -> None:
    server = Server()

    def work() -> None:
        await_only(asyncio.sleep(0))
        raise LookupError("no such class")

    with pytest.raises(LookupError, match="no such class"):
        await greenlet_spawn(lambda: while_waiting(server.fetch(1, 2), work))
    assert server.ended == 2


async def test_an_error_of_the_driver_ends_work_that_waits() -> None:
    server = Server()

    def work() -> None:
        try:
            await_only(server.ask(2))
        finally:
            await_only(server.ask(3))
            server.work()

    with pytest.raises(OSError, match="lost"):
        await greenlet_spawn(lambda: while_waiting(lambda: await_only(server.ask(1, OSError("lost"))), work))
    assert server.seen == ["sent 1", "answered 1", "sent 3", "answered 3", "work"]


async def test_a_task_that_is_cancelled_does_not_wait_for_its_work() -> None:
    server = Server()

    async def ask(name: str) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            server.seen.append(f"{name} ended")

    def work() -> None:
        try:
            await_only(ask("work"))
        finally:
            server.work()

    def call() -> None:
        while_waiting(lambda: await_only(ask("fetch")), work)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await greenlet_spawn(call)
    assert server.seen == ["fetch ended", "work"]


async def test_the_error_of_the_work_is_raised_if_the_driver_fails_too() -> None:
    server = Server()

    def fail() -> None:
        raise LookupError("no such class")

    with pytest.raises(LookupError, match="no such class"):
        await greenlet_spawn(lambda: while_waiting(lambda: await_only(server.ask(1, OSError("lost"))), fail))
    assert server.ended == 1


async def test_an_error_of_the_driver_is_raised_where_the_statement_was_sent() -> None:
    server = Server()
    caught: list[str] = []

    def fetch() -> int:
        try:
            return await_only(server.ask(1, OSError("lost")))
        except OSError as error:
            caught.append(str(error))
            return await_only(server.ask(2))

    assert await greenlet_spawn(lambda: while_waiting(fetch, server.work)) == 2
    assert caught == ["lost"]
    with pytest.raises(OSError, match="lost"):
        await greenlet_spawn(lambda: while_waiting(lambda: await_only(server.ask(1, OSError("lost"))), server.work))


async def test_an_error_before_the_first_wait_leaves_the_work_undone() -> None:
    server = Server()

    def fetch() -> None:
        raise OSError("refused")

    with pytest.raises(OSError, match="refused"):
        await greenlet_spawn(lambda: while_waiting(fetch, server.work))
    assert server.seen == []


@pytest.mark.parametrize("how", ["cancel", "timeout"])
async def test_a_task_can_be_cancelled_while_it_waits(how: str) -> None:
    server = Server()

    async def ask() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            server.seen.append("ended")

    async def call() -> None:
        async with asyncio.timeout(0.01 if how == "timeout" else None):
            await greenlet_spawn(lambda: while_waiting(lambda: await_only(ask()), server.work))

    task = asyncio.ensure_future(call())
    await asyncio.sleep(0)
    if how == "cancel":
        task.cancel()
    with pytest.raises(TimeoutError if how == "timeout" else asyncio.CancelledError):
        await task
    assert server.seen == ["work", "ended"]


async def test_the_task_and_its_context_stay_the_same() -> None:
    seen: list[Any] = []

    async def ask() -> None:
        for _ in range(3):
            seen.append((asyncio.current_task(), WHO.get()))
            await asyncio.sleep(0)
        WHO.set("driver")

    def note() -> None:
        seen.append((asyncio.current_task(), WHO.get()))

    def call() -> str:
        while_waiting(lambda: await_only(ask()), note)
        return WHO.get()

    WHO.set("caller")
    assert await greenlet_spawn(call) == "driver"
    assert seen == [(asyncio.current_task(), "caller")] * 4


async def test_other_tasks_run_while_it_waits() -> None:
    server = Server()

    async def other() -> None:
        server.seen.append("other")

    task = asyncio.ensure_future(other())
    await greenlet_spawn(lambda: while_waiting(server.fetch(1), server.work))
    await task
    assert server.seen == ["sent 1", "work", "other", "answered 1"]
