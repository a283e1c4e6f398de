"""Combines the fetches by key of one turn of the event loop. Each caller waits for its own root."""

from __future__ import annotations  # annotations of inner functions would be evaluated in every call

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeAlias, TypeVar

import attrs
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from loadplan.errors import LoaderError, Problem, shown
from loadplan.loaders.arguments import Options, Params
from loadplan.loaders.calls import Calls
from loadplan.mapped.telling import is_equal
from loadplan.plan import LoadPlan
from loadplan.resolved.form import MOST
from loadplan.running.ownership import own_graphs
from loadplan.running.roots import is_count

T = TypeVar("T")
R = TypeVar("R")

Wait: TypeAlias = Callable[[Callable[[], Any]], Awaitable[Any]]
"""A function that does synchronous work on the loader's bind, and waits for it."""


@attrs.define(eq=False)
class _Batch:
    """Callers that wait for roots of one plan.

    Attributes:
        loop: the event loop of all callers.
        plan: the plan of all callers.
        params: values of the plan's bindparams.
        options: execution options.
        seen: the values of the context variables that the session's listeners may read.
        context: the context of the first caller. The batch runs in it.
        ids: the id of each caller.
        waiters: the future of each caller.
        task: the task that fetches the batch; None until the batch is sent.
    """

    loop: asyncio.AbstractEventLoop
    plan: LoadPlan[Any]
    params: Mapping[str, Any]
    options: Mapping[str, Any]
    seen: Any
    context: Context
    ids: list[object] = attrs.field(factory=list)
    waiters: list[asyncio.Future[Any]] = attrs.field(factory=list)
    task: asyncio.Task[None] | None = None

    def fits(self, other: _Batch) -> bool:
        """Tell whether the callers of ``other`` can join this batch."""
        return (
            self.loop is other.loop
            and self.plan == other.plan
            and _same(self.params, other.params)
            and _same(self.options, other.options)
            and is_equal(self.seen, other.seen)
        )

    def left(self, _: object) -> None:
        """Cancel the fetch of the batch if every caller was cancelled."""
        if self.task is not None and all(waiter.cancelled() for waiter in self.waiters):
            self.task.cancel()


class Batcher:
    """Gathers fetches by key until the event loop has run every task that is ready, and then sends them together.

    Args:
        calls: the calls of the loader.
        wait: runs work on the bind of the loader.
        max_batch: the most ids of a batch.
        context: context variables that must be equal within a batch; None for all of them.
        in_turn: whether a batch must end before the next batch begins, because all batches use one connection.

    Raises:
        LoaderError: LP408, ``max_batch`` is not a number of 1 or more.
    """

    def __init__(
        self,
        calls: Calls,
        wait: Wait,
        *,
        max_batch: int,
        context: Sequence[ContextVar[Any]] | None,
        in_turn: bool,
    ) -> None:
        if not (is_count(max_batch, least=1) and max_batch <= MOST):
            message = f"max_batch={shown(max_batch)} is not a number of 1 or more"
            raise LoaderError(Problem("LP408", message, hint="leave it out for batches of up to 500 ids."))
        self._calls = calls
        self._wait = wait
        self._max_batch = max_batch
        self._variables = None if context is None else tuple(context)
        self._open: list[_Batch] = []
        self._in_turn = in_turn
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def fetch(self, plan: LoadPlan[T], given: object, params: Params, options: Options) -> T | None:
        """Return the graph of one root, or None, in one fetch with the other callers of this turn.

        Raises:
            LoadPlanError: the error that a fetch of this root alone would raise.
        """
        self._calls.check_call(plan, given, params, options)
        batch = self._batch(plan, params, options)
        waiter = batch.loop.create_future()
        batch.ids.append(given)
        batch.waiters.append(waiter)
        waiter.add_done_callback(batch.left)
        if len(batch.ids) >= self._max_batch:
            self._send(batch)
        found: T | None = await waiter
        return found

    def _batch(self, plan: LoadPlan[Any], params: Params, options: Options) -> _Batch:
        """Return the open batch for a plan with these parameters and options, or a new batch."""
        loop, context = asyncio.get_running_loop(), copy_context()
        seen = context if self._variables is None else [context.get(each) for each in self._variables]
        batch = _Batch(loop, plan, dict(params or {}), dict(options or {}), seen, context)
        for each in tuple(self._open):
            if each.fits(batch):
                return each
        self._open.append(batch)
        loop.call_soon(self._send, batch)
        return batch

    def _send(self, batch: _Batch) -> None:
        """Send a batch, unless it was sent: when the batch is full, or at the end of the turn."""
        if batch not in self._open:
            return
        self._open.remove(batch)
        if all(waiter.done() for waiter in batch.waiters):
            return
        batch.task = batch.loop.create_task(self._answer(batch), context=batch.context)
        self._tasks.add(batch.task)  # the loop has only weak references to tasks
        batch.task.add_done_callback(self._tasks.discard)

    async def _answer(self, batch: _Batch) -> None:
        waiting = [(given, waiter) for given, waiter in zip(batch.ids, batch.waiters, strict=True) if not waiter.done()]
        try:
            async with self._turn if self._in_turn else contextlib.nullcontext():
                found = await self._results(batch, [given for given, _ in waiting])
            for (_, waiter), result in zip(waiting, own_graphs(found), strict=True):
                if waiter.done():
                    continue
                if isinstance(result, Exception):
                    waiter.set_exception(result)
                else:
                    waiter.set_result(result)
        finally:
            for waiter in batch.waiters:
                waiter.cancel()  # has no effect on callers that have their result

    async def _results(self, batch: _Batch, ids: list[object]) -> list[Any]:
        """Return, for each id, the root, or None, or an error."""
        try:
            found: list[Any] = await self._wait(
                lambda: self._calls.find(batch.plan, ids, batch.params or None, batch.options or None)
            )
        except Exception as error:
            if len(ids) == 1 or self._fails_for_all(error):
                return [error] * len(ids)
            return [await self._alone(batch, given) for given in ids]
        return found

    async def _alone(self, batch: _Batch, given: object) -> Any:
        """Fetch one id separately after the batch has failed. Return the root, or None, or an error."""
        try:
            return await self._wait(
                lambda: self._calls.fetch_or_none(batch.plan, given, batch.params or None, False, batch.options or None)
            )
        except Exception as error:
            return error

    def _fails_for_all(self, error: Exception) -> bool:
        """Tell whether an error comes from the connection, the transaction or the bind, and not from one id."""
        if isinstance(error, DBAPIError):
            lost = error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
            return self._in_turn or lost  # after an error, no statement works in the caller's transaction
        return isinstance(error, LoaderError | PoolTimeoutError | OSError)


def _same(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    """Tell whether parameters have the same names, values and types. So ``1``, ``1.0`` and ``True`` differ."""
    return left.keys() == right.keys() and all(
        type(value) is type(right[name]) and is_equal(value, right[name]) for name, value in left.items()
    )
