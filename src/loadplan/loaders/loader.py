"""The loader takes a plan and an id, and returns a graph. ``calls`` has the steps of each call."""

from __future__ import annotations  # annotations of inner functions would be evaluated in every call

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from loadplan.declared.mistaken import with_hints
from loadplan.declared.sources import RootConditions
from loadplan.explained.analysis import Analysis
from loadplan.explained.explanation import Explanation
from loadplan.loaders.arguments import Call, ForUpdate, Options, Params, check_plans, locks
from loadplan.loaders.attached_calls import AllCalls
from loadplan.loaders.batching import Batcher
from loadplan.loaders.call_hints import with_call_hints
from loadplan.loaders.counting import Total
from loadplan.loaders.fetching import Fetching
from loadplan.loaders.missing import not_found
from loadplan.loaders.sharding import calls_on
from loadplan.mapped.indexes import LearnedIndex
from loadplan.plan import LoadPlan
from loadplan.running.binds import Bind
from loadplan.running.cursors import CursorKey
from loadplan.running.tally import FetchRecord

T = TypeVar("T")


@with_hints("Loader")
@with_call_hints
class Loader(Fetching):
    """Fetches the graphs that plans declare.

    Args:
        bind: the engine, sessionmaker, session or connection to fetch with. With an ``AsyncEngine`` or
            ``async_sessionmaker``, each fetch takes its own connection, so tasks can share the loader. With an
            ``AsyncSession`` or ``AsyncConnection``, each fetch runs inside your transaction and sees the changes that
            you have flushed. A session with autoflush is flushed first. Objects in your session do not change.
        snapshot: let all statements of a fetch see the same data. On an engine or sessionmaker of PostgreSQL, a plan of
            several statements then runs in one REPEATABLE READ, READ ONLY transaction. ``False`` saves the round trips
            of BEGIN and ROLLBACK. Each statement then sees the data that is committed when it starts.
        max_rows: the most rows that a fetch may return, over all its statements. A stream counts each batch.
        cursor_key: a secret that signs the cursors of :meth:`fetch_page`, or a cipher that encrypts them: an object
            with ``encrypt`` and ``decrypt``, such as ``cryptography.fernet.Fernet``. Without a key, loadplan notices a
            damaged cursor, but not a forged one.
        on_fetch: a function that is called at the end of every fetch, page and stream, also after an error, with a
            :class:`loadplan.FetchRecord`. It runs in the event loop and must not wait. loadplan logs its errors. The
            logger ``loadplan`` writes each record at DEBUG.

    Raises:
        LoaderError: LP408, ``bind`` is not one of these, or another argument has a wrong value.
    """

    def __init__(
        self,
        bind: Bind,
        *,
        snapshot: bool = True,
        max_rows: int | None = None,
        cursor_key: CursorKey = b"",
        on_fetch: Callable[[FetchRecord], object] | None = None,
    ) -> None:
        self._bind: Any = bind
        self._calls = calls_on(bind, snapshot, max_rows, cursor_key, on_fetch)
        self._calls.check("Loader")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self._bind).__name__})"

    async def count(
        self,
        plan: LoadPlan[Any] | type[Any],
        where: RootConditions | None = None,
        *,
        params: Params = None,
        execution_options: Options = None,
    ) -> int:
        """Return the number of roots that :meth:`fetch_all` would return.

        The call takes one statement and loads nothing. It counts roots, never joined rows.

        Args:
            plan: the plan whose roots to count, or a mapped class. Only the inner joins of a plan matter,
                because they leave out roots.
            where: conditions on the root, as for :meth:`fetch_all`.
            params: values of the bindparams of plan and ``where``.
            execution_options: see :meth:`fetch`.
        """
        return await self._wait(lambda: self._calls.count(plan, where, params, execution_options))

    async def exists(
        self,
        plan: LoadPlan[Any] | type[Any],
        where: RootConditions | None = None,
        *,
        params: Params = None,
        execution_options: Options = None,
    ) -> bool:
        """Tell whether a root meets a condition. The database stops at the first root. See :meth:`count`."""
        return await self._wait(lambda: self._calls.exists(plan, where, params, execution_options))

    def batched(self, *, max_batch: int = 500, context: Sequence[ContextVar[Any]] | None = None) -> BatchedLoader:
        """Return a loader whose concurrent :meth:`fetch` and :meth:`fetch_or_none` calls share statements.

        Calls for one plan in one turn of the event loop, with equal ``params`` and ``execution_options``, become one
        :meth:`fetch_many`. All other calls work as on this loader.

        Args:
            max_batch: the most ids in one statement. Further ids go into another batch.
            context: context variables that your session's listeners read, for example the tenant. Calls
                with different values never share a batch. By default, all context variables must be equal.

        Raises:
            LoaderError: LP408, ``max_batch`` is not a number of 1 or more.
        """
        return BatchedLoader(self._calls, max_batch=max_batch, context=context)

    def explain(
        self,
        plan: LoadPlan[Any] | type[Any],
        *,
        roots: int | None = 1,
        call: Call = "fetch",
        total: Total | None = None,
    ) -> Explanation:
        """Return how a plan is loaded: the tree, the strategies with their reasons, the statements. Run no statement.

        Args:
            plan: the plan to explain. For ``call="count"`` and ``call="exists"``, you can pass a mapped class.
            roots: the number of roots that the fetch returns; None for any number. The statements of a plan depend on
                this number.
            call: ``"count"`` or ``"exists"`` to explain only the statement of this call. ``"extend"`` to explain the
                statements of ``extend(objects, *plan.loads, only=plan.only)``; ``roots`` is then the number of objects.
            total: also explain the statement for the total of a page.

        Raises:
            PlanError: the plan does not resolve.
            LoaderError: LP408, ``call`` does not name a call that can be explained.
        """
        return self._calls.explain(plan, roots, call, total)

    async def analyze(
        self,
        plan: LoadPlan[Any],
        id: object,  # noqa: A002 - as fetch has it
        *,
        params: Params = None,
        execution_options: Options = None,
    ) -> Analysis:
        """Fetch a root by primary key, and let the database explain each statement that ran.

        Use it while you develop, because each statement runs twice. On PostgreSQL, the second run is an
        ``EXPLAIN ANALYZE`` in the same transaction.

        Args:
            plan: the plan to load.
            id: the primary key of the root, as for :meth:`fetch`.
            params: values of the plan's bindparams.
            execution_options: see :meth:`fetch`.

        Returns:
            The rows, bytes, milliseconds and query plan of each statement. Also the large tables that a statement read
            from end to end, each with the missing index.
        """
        return await self._wait(lambda: self._calls.analyze(plan, id, params, execution_options))

    async def learn_indexes(
        self, *plans: LoadPlan[Any] | type[Any], execution_options: Options = None
    ) -> tuple[LearnedIndex, ...]:
        """Read which indexes the database has, including indexes that the mapping does not name. Call it at start-up.

        loadplan chooses LATERAL, nested arrays and subqueries by the indexes in your metadata. After this call, it also
        uses the indexes that only the database has. loadplan then compiles again the plans that it compiled before. The
        call reads the catalogs of the database, not your rows.

        Every loader on the same engine uses these indexes, as long as the engine exists in this process. A second call
        replaces the indexes of the tables that it reads.

        Args:
            *plans: plans, mapped classes, or a declarative base for all of its classes.
            execution_options: pass a ``schema_translate_map`` to read the schemas that it names.

        Returns:
            The indexes that only the database has.

        Raises:
            LoaderError: LP408, one of ``plans`` is not a plan, a mapped class or a base.
            PlanError: a plan does not resolve.
        """
        return await self._wait(lambda: self._calls.learn_indexes(plans, execution_options))

    def check(self, *plans: LoadPlan[Any]) -> None:
        """Check plans now. Call it at start-up.

        Raises:
            PlanError: one or more plans do not resolve. The error lists the problems of all plans.
        """
        check_plans(plans)


@with_call_hints
class BatchedLoader(Loader):
    """A loader whose concurrent fetches by key share statements; :meth:`Loader.batched` makes it.

    Each caller gets its own graph. If two callers of a batch would share an object, the later caller gets a deep copy,
    so no caller sees the changes of another. If an id is wrong or missing, or a row cannot be read, only the caller
    that passed this id gets the error. If one caller is cancelled, the others go on.

    On a session or connection, batches run one after another.
    """

    def __init__(self, calls: AllCalls, *, max_batch: int, context: Sequence[ContextVar[Any]] | None) -> None:
        self._bind = calls.bind
        self._calls = calls
        in_turn = isinstance(calls.bind, AsyncSession | AsyncConnection)
        self._batcher = Batcher(calls, self._wait, max_batch=max_batch, context=context, in_turn=in_turn)

    async def fetch(
        self,
        plan: LoadPlan[T],
        id: object,  # noqa: A002
        *,
        params: Params = None,
        for_update: ForUpdate = False,
        execution_options: Options = None,
    ) -> T:
        """Return the graph of one root, by primary key. See :meth:`Loader.fetch`. Locks are not batched."""
        found = await self.fetch_or_none(
            plan, id, params=params, for_update=for_update, execution_options=execution_options
        )
        if found is None:
            raise not_found(plan, [id], self._calls.dialect_of(plan))
        return found

    async def fetch_or_none(
        self,
        plan: LoadPlan[T],
        id: object,  # noqa: A002
        *,
        params: Params = None,
        for_update: ForUpdate = False,
        execution_options: Options = None,
    ) -> T | None:
        """Return the graph of one root by primary key, or None if no row has this key. See :meth:`fetch`."""
        if locks(for_update):
            return await super().fetch_or_none(
                plan, id, params=params, for_update=for_update, execution_options=execution_options
            )
        return await self._batcher.fetch(plan, id, params, execution_options)
