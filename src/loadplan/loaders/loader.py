"""The loader: takes a plan and an id, gives a graph. ``calls`` has the steps of a call; this module waits."""

from __future__ import annotations  # those of the functions in here would be evaluated with every call

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextvars import ContextVar
from typing import Any, Literal, TypeVar, overload

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from loadplan.declared.sources import RootConditions, RootOrder
from loadplan.declared.spec import Bare, Columns, Load, M, On
from loadplan.explained.analysis import Analysis
from loadplan.explained.explanation import Explanation
from loadplan.loaders.attached_calls import AllCalls
from loadplan.loaders.batching import Batcher
from loadplan.loaders.calls import Call, ForUpdate, Options, Params, check_plans, locks, not_found
from loadplan.loaders.counting import Total
from loadplan.loaders.sharding import calls_on
from loadplan.mapped.indexes import LearnedIndex
from loadplan.plan import LoadPlan
from loadplan.running.binds import Bind
from loadplan.running.cursors import CursorKey
from loadplan.running.paging import Page
from loadplan.running.session import enter
from loadplan.running.tally import FetchRecord

T = TypeVar("T")
R = TypeVar("R")


class Loader:
    """Fetches the graphs that plans declare.

    Args:
        bind: an ``AsyncEngine`` or ``async_sessionmaker``: each fetch takes its own connection, so the loader
            may be shared between tasks. An ``AsyncSession`` or ``AsyncConnection``: it runs inside the caller's
            transaction and sees its flushed work (a session that autoflushes is flushed first); nothing in the
            caller's session is touched.
        snapshot: on an engine or sessionmaker, run a plan of several statements in one REPEATABLE READ, READ ONLY
            transaction on PostgreSQL, so that a graph is never torn by a writer. It costs no round trip.
        max_rows: rows that one fetch may bring, over all its statements; a stream counts each batch.
        cursor_key: secret that signs the cursors of :meth:`fetch_page`, or a cipher that encrypts them: an object with
            ``encrypt`` and ``decrypt``, as ``cryptography.fernet.Fernet``. Without one a cursor is guarded against
            accidents, not against somebody who forges it.
        on_fetch: called at the end of every fetch, page and stream, one that raised too, with a
            :class:`loadplan.FetchRecord`. It runs in the event loop and must not wait; what it raises is logged. The
            logger ``loadplan`` says the same at DEBUG.

    Raises:
        LoaderError: LP408, ``bind`` is none of these.
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

    async def fetch(
        self,
        plan: LoadPlan[T],
        id: object,  # noqa: A002 - the word that every caller uses
        *,
        params: Params = None,
        for_update: ForUpdate = False,
        execution_options: Options = None,
    ) -> T:
        """Return the graph of one root, by primary key.

        Args:
            plan: what to load.
            id: a scalar; for a composite key a tuple in the mapping's order, or a mapping by attribute name.
            params: values of the plan's bindparams.
            for_update: lock the root row, and no other, until the caller's transaction ends.
            execution_options: of every statement of this fetch. The session's listeners see them, as they see the
                options of ``session.execute``; ``schema_translate_map`` works too.

        Raises:
            NotFound: LP402, no row has that key, or a filter of the session hides it.
            IdentityError: LP404, the value cannot be that key; before any SQL.
            ParameterError: LP405, ``params`` does not fit the plan; before any SQL.
            TooManyRows: LP406, the graph has more than ``max_rows`` rows.
            LoaderError: LP408, ``for_update`` without a transaction of the caller.
            PlanError: the plan does not resolve.
        """
        return await self._wait(lambda: self._calls.fetch(plan, id, params, for_update, execution_options))

    async def fetch_or_none(
        self,
        plan: LoadPlan[T],
        id: object,  # noqa: A002
        *,
        params: Params = None,
        for_update: ForUpdate = False,
        execution_options: Options = None,
    ) -> T | None:
        """Return the graph of one root by primary key, or None if there is no such row. See :meth:`fetch`."""
        return await self._wait(lambda: self._calls.fetch_or_none(plan, id, params, for_update, execution_options))

    async def fetch_many(
        self,
        plan: LoadPlan[T],
        ids: Iterable[object],
        *,
        missing: Literal["raise", "skip"] = "raise",
        params: Params = None,
        execution_options: Options = None,
    ) -> list[T]:
        """Return the graphs of many roots by primary key.

        Args:
            plan: what to load.
            ids: as for :meth:`fetch`. An id given twice answers twice, with the same object.
            missing: ``"raise"`` if an id has no row, or ``"skip"`` it.
            params: values of the plan's bindparams.
            execution_options: see :meth:`fetch`.

        Returns:
            The roots in the order of ``ids``. One statement for all of them on PostgreSQL, one for 500 elsewhere.

        Raises:
            NotFound: LP402, with the missing ids in ``missing``.
            IdentityError: LP404, before any SQL.
        """
        return await self._wait(lambda: self._calls.fetch_many(plan, ids, missing, params, execution_options))

    async def fetch_one(
        self,
        plan: LoadPlan[T],
        where: RootConditions | None,
        *,
        params: Params = None,
        for_update: ForUpdate = False,
        execution_options: Options = None,
    ) -> T:
        """Return the graph of the one root that meets a condition.

        Raises:
            NotFound: LP402, no row meets it.
            MultipleFound: LP403, more than one does.
        """
        return await self._wait(lambda: self._calls.fetch_one(plan, where, params, for_update, execution_options))

    async def fetch_all(
        self,
        plan: LoadPlan[T],
        where: RootConditions | None = None,
        order_by: RootOrder | None = None,
        limit: int | None = None,
        offset: int | None = None,
        *,
        params: Params = None,
        for_update: ForUpdate = False,
        execution_options: Options = None,
    ) -> list[T]:
        """Return the graphs of all roots that meet a condition.

        Args:
            plan: what to load.
            where: one condition on the root, or several that must all hold; None for all rows.
            order_by: one expression on the root, or several. Ties are broken by the primary key, and a limit
                without an order goes by it, so that the answer is the same every time.
            limit: roots at most. It counts roots, never joined rows.
            offset: roots to leave out first.
            params: values of the bindparams of plan, ``where`` and ``order_by``.
            for_update: lock the root rows, and no others.
            execution_options: see :meth:`fetch`.
        """
        return await self._wait(
            lambda: self._calls.fetch_all(plan, where, order_by, limit, offset, params, for_update, execution_options)
        )

    async def fetch_page(
        self,
        plan: LoadPlan[T],
        order_by: RootOrder | None = None,
        size: int = 50,
        *,
        after: str | None = None,
        before: str | None = None,
        where: RootConditions | None = None,
        params: Params = None,
        total: Total | None = None,
        execution_options: Options = None,
    ) -> Page[T]:
        """Return one page of roots, found by the values of the order at its edge, not by counting rows.

        No row comes twice and none is missed while others are inserted and deleted between pages.

        Args:
            plan: what to load.
            order_by: any mix of ascending, descending and nullable expressions on the root; the primary key breaks
                ties, and is the order if there is none.
            size: roots a page.
            after: the ``next`` of the page before.
            before: the ``previous`` of the page behind.
            where: conditions on the root.
            params: values of the bindparams.
            total: ``"exact"`` counts the roots of all pages by one statement more, in the same snapshot.
                ``"estimated"`` asks PostgreSQL's planner instead, which takes the same time for any number of rows and
                may be far off; other databases count. One page that holds everything is counted without a statement.
            execution_options: see :meth:`fetch`.

        Raises:
            CursorError: LP407, the cursor was tampered with or is of another order; before any SQL.
        """
        return await self._wait(
            lambda: self._calls.fetch_page(plan, order_by, size, after, before, where, params, total, execution_options)
        )

    async def stream(
        self,
        plan: LoadPlan[T],
        where: RootConditions | None = None,
        order_by: RootOrder | None = None,
        batch_size: int = 500,
        *,
        params: Params = None,
        execution_options: Options = None,
    ) -> AsyncGenerator[T, None]:
        """Yield the graphs of all roots that meet a condition, with the memory of one batch.

        The roots come through a server-side cursor on PostgreSQL, and each batch of them brings its graph in the
        statements that the plan has. MariaDB and MySQL keep no such cursor open: the keys of all roots come first, and
        stay in memory, a hundred bytes each. One transaction, and one snapshot, from beginning to end. One row is one
        object within a batch. Leaving the loop early ends the walk; ``contextlib.aclosing`` ends it at once.

        Args:
            plan: what to load.
            where: conditions on the root.
            order_by: one expression on the root, or several; ties go by the primary key.
            batch_size: roots a batch.
            params: values of the bindparams.
            execution_options: see :meth:`fetch`.

        Raises:
            PlanError: LP107, a batch size that counts nothing; LP216, the plan joins a collection to its root, whose
                rows no cursor can cut into batches.
        """
        batches = self._calls.batches(plan, where, order_by, batch_size, params, execution_options)
        try:
            while (batch := await self._wait(lambda: next(batches, None))) is not None:
                for root in batch:
                    yield root
        finally:
            await self._wait(batches.close)

    async def fetch_attached(
        self,
        plan: LoadPlan[T],
        id: object,  # noqa: A002 - as fetch has it
        *,
        params: Params = None,
        refresh: bool | None = None,
        for_update: ForUpdate | None = None,
        execution_options: Options = None,
    ) -> T:
        """Return the graph of one root in the session that this loader was made with: to load, change and commit.

        An object that the session has for a row is used. Its loaded values stay (see ``refresh``), and so do changes
        that are not flushed yet. Everything else that the plan names is loaded. Changes are saved as for any object of
        a session.

        An attribute that the plan does not name, and one that a commit or a flush has expired, raises ``NotLoaded``
        where SQLAlchemy would raise MissingGreenlet. ``awaitable_attrs``, ``session.refresh`` and ``run_sync`` load
        as mapped.

        Args:
            plan: what to load: mapped objects, and relationships with all of their rows.
            id: as for :meth:`fetch`.
            params: values of the plan's bindparams.
            refresh: replace what is loaded by what the database has now, except changes that are not flushed. By
                default a fetch that locks does so, and any other does not.
            for_update: lock the root row, and no other.
            execution_options: see :meth:`fetch`.

        Raises:
            LoaderError: LP408, the loader was not made with a session.
            PlanError: LP221, the plan has a ``where=`` or ``limit=``; LP222, it has ``into=``.
            NotFound: LP402, no row has that key, or a filter of the session hides it.
        """
        return await self._wait(
            lambda: self._calls.fetch_attached(plan, id, params, refresh, for_update, execution_options)
        )

    @overload
    async def extend(
        self,
        objects: Iterable[T],
        *loads: Load[object] | On[object] | LoadPlan[T],
        only: Columns | None = None,
        refresh: bool = False,
        params: Params = None,
        execution_options: Options = None,
    ) -> list[T]: ...
    @overload
    async def extend(
        self,
        objects: Iterable[M],
        *loads: Load[object] | On[object] | LoadPlan[M],
        only: Bare | None = None,
        refresh: bool = False,
        params: Params = None,
        execution_options: Options = None,
    ) -> list[M]: ...
    @overload
    async def extend(
        self,
        objects: T,
        *loads: Load[object] | On[object] | LoadPlan[T],
        only: Columns | None = None,
        refresh: bool = False,
        params: Params = None,
        execution_options: Options = None,
    ) -> T: ...
    @overload
    async def extend(
        self,
        objects: M,
        *loads: Load[object] | On[object] | LoadPlan[M],
        only: Bare | None = None,
        refresh: bool = False,
        params: Params = None,
        execution_options: Options = None,
    ) -> M: ...
    async def extend(
        self,
        objects: Any,
        *loads: Any,
        only: Any = None,
        refresh: bool = False,
        params: Params = None,
        execution_options: Options = None,
    ) -> Any:
        """Load what objects lack, and put it onto them.

        What is there stays. Columns that a commit has expired come along. The objects are sealed by all plans together.
        It takes one statement for each new relationship that does not join, as an ``explain`` of the loads shows.

        Args:
            objects: one object, or several of one class: detached, or in the session of this loader.
            *loads: relationships of theirs, as in a :class:`LoadPlan`. For objects in a session they must not have a
                ``where=`` or ``limit=``.
            only: columns of theirs, deferred ones for example.
            refresh: replace what the loads name by what the database has now, except changes that are not flushed.
            params: values of the loads' bindparams.
            execution_options: see :meth:`fetch`.

        Returns:
            The object itself; for several a list of them, in the order they came.

        Raises:
            LoaderError: LP416, they are not mapped objects, or not of one class, or not in one session.
            NotFound: LP402, the row of an object is gone. No object has changed then.
            PlanError: a load does not resolve, or LP221.
        """
        return await self._wait(lambda: self._calls.extend(objects, loads, only, refresh, params, execution_options))

    async def count(
        self,
        plan: LoadPlan[Any] | type[Any],
        where: RootConditions | None = None,
        *,
        params: Params = None,
        execution_options: Options = None,
    ) -> int:
        """Return the number of roots that meet a condition: those that :meth:`fetch_all` would return.

        It takes one statement, counts roots and never joined rows, and loads nothing.

        Args:
            plan: whose roots to count, or a mapped class. Of the plan's own joins only inner ones matter, because
                they leave out roots.
            where: as for :meth:`fetch_all`.
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
        """Tell whether there is a root that meets a condition. See :meth:`count`; the database stops at the first."""
        return await self._wait(lambda: self._calls.exists(plan, where, params, execution_options))

    def batched(self, *, max_batch: int = 500, context: Sequence[ContextVar[Any]] | None = None) -> BatchedLoader:
        """Return a loader whose concurrent :meth:`fetch` and :meth:`fetch_or_none` calls share statements.

        Calls for one plan in one turn of the event loop, with equal ``params`` and ``execution_options``, become one
        :meth:`fetch_many`. All other calls are the calls of this loader.

        Args:
            max_batch: ids that one statement takes; with more of them another batch begins.
            context: context variables that your session's listeners read, a tenant's for example. Calls with different
                values never share a batch. By default every context variable counts.

        Raises:
            LoaderError: LP408, ``max_batch`` counts nothing.
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
        """Return how a plan is loaded: tree, strategies with their reasons, every statement. Runs nothing.

        Args:
            plan: to explain; for ``call="count"`` and ``call="exists"`` a mapped class will do.
            roots: how many the fetch would bring, None for any number. The statements of a plan depend on it.
            call: ``"count"`` or ``"exists"`` for the statement of that call alone. ``"extend"`` for the statements of
                ``extend(objects, *plan.loads, only=plan.only)``, where ``roots`` is the number of objects.
            total: adds the statement of a page's total.
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
        """Fetch a root by primary key, and have the database explain each statement as it ran.

        Meant for a developer at a prompt: each statement runs twice. On PostgreSQL the second time is under
        ``EXPLAIN ANALYZE``, in the same transaction.

        Args:
            plan: what to load.
            id: as for :meth:`fetch`.
            params: values of the plan's bindparams.
            execution_options: see :meth:`fetch`.

        Returns:
            Rows, bytes and milliseconds of each statement, the database's plan, and the large tables that it read
            from end to end, with the index that is missing.
        """
        return await self._wait(lambda: self._calls.analyze(plan, id, params, execution_options))

    async def learn_indexes(
        self, *plans: LoadPlan[Any] | type[Any], execution_options: Options = None
    ) -> tuple[LearnedIndex, ...]:
        """Learn which indexes the database has and the mapping does not. For start-up, after the migrations.

        loadplan chooses LATERAL, nested arrays and subqueries by the indexes in your metadata. After this call it
        also knows those that only the database has. Plans that were compiled before are compiled again when you fetch
        them next. It reads the catalogs of the database, not your rows.

        The engine keeps this knowledge, so every loader on that engine has it. It lasts as long as the engine
        does, in this process. A second call replaces what is known of the same tables.

        Args:
            *plans: plans, whose tables are read; or mapped classes; or a declarative base for all of its classes.
            execution_options: a ``schema_translate_map`` says which schemas to read.

        Returns:
            The indexes that were learned: none if mapping and database agree.

        Raises:
            LoaderError: LP408, one of ``plans`` is nothing of these.
            PlanError: a plan does not resolve.
        """
        return await self._wait(lambda: self._calls.learn_indexes(plans, execution_options))

    def check(self, *plans: LoadPlan[Any]) -> None:
        """Resolve plans now, for start-up.

        Raises:
            PlanError: with the problems of all of them.
        """
        check_plans(plans)

    async def _wait(self, work: Callable[[], R]) -> R:
        return await enter(self._bind, work)


class BatchedLoader(Loader):
    """A loader whose concurrent fetches by key share statements; :meth:`Loader.batched` makes it.

    Each caller gets its own graph. If two callers of a batch would share an object, the later one gets a deep
    copy: a change that one of them makes is never seen by another. An id that is wrong or missing raises for its own
    caller, and so does a row that cannot be read. A caller that is cancelled cancels no other.

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
        """Return the graph of one root, by primary key. See :meth:`Loader.fetch`; one that locks is not batched."""
        found = await self.fetch_or_none(
            plan, id, params=params, for_update=for_update, execution_options=execution_options
        )
        if found is None:
            raise not_found(plan, [id])
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
        """Return the graph of one root by primary key, or None if there is no such row. See :meth:`fetch`."""
        if locks(for_update):
            return await super().fetch_or_none(
                plan, id, params=params, for_update=for_update, execution_options=execution_options
            )
        return await self._batcher.fetch(plan, id, params, execution_options)
