"""The loader takes a plan and an id, and returns a graph. ``calls`` has the steps of each call. This module waits."""

from __future__ import annotations  # annotations of inner functions would be evaluated in every call

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextvars import ContextVar
from typing import Any, Literal, TypeVar, overload

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from loadplan.declared.mistaken import with_hints
from loadplan.declared.sources import RootConditions, RootOrder
from loadplan.declared.spec import Bare, Columns, Load, M, On
from loadplan.explained.analysis import Analysis
from loadplan.explained.explanation import Explanation
from loadplan.loaders.arguments import Call, ForUpdate, Options, Params, check_plans, locks, not_found
from loadplan.loaders.attached_calls import AllCalls
from loadplan.loaders.batching import Batcher
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


@with_hints("Loader")
class Loader:
    """Fetches the graphs that plans declare.

    Args:
        bind: where to fetch. With an ``AsyncEngine`` or ``async_sessionmaker``, each fetch takes its own connection, so
            tasks can share the loader. With an ``AsyncSession`` or ``AsyncConnection``, it runs inside your transaction
            and sees what you have flushed. A session with autoflush is flushed first. Objects in your session do not
            change.
        snapshot: on an engine or sessionmaker of PostgreSQL, run a plan of several statements in one REPEATABLE READ,
            READ ONLY transaction, so that all statements see the same data. ``False`` saves the round trips of BEGIN
            and ROLLBACK. Each statement then sees what is committed when it starts.
        max_rows: the most rows that a fetch may return, over all its statements. A stream counts each batch.
        cursor_key: a secret that signs the cursors of :meth:`fetch_page`, or a cipher that encrypts them: an object
            with ``encrypt`` and ``decrypt``, such as ``cryptography.fernet.Fernet``. Without a key, loadplan notices a
            damaged cursor, but not a forged one.
        on_fetch: a function that is called at the end of every fetch, page and stream, also after an error, with a
            :class:`loadplan.FetchRecord`. It runs in the event loop and must not wait. Its errors are logged. The
            logger ``loadplan`` writes the same at DEBUG.

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
            id: one value. For a composite key, a tuple in the order of the mapping, or a mapping by attribute name.
            params: values of the plan's bindparams.
            for_update: lock the root row, and no other, until your transaction ends.
            execution_options: options for every statement of this fetch. The session's listeners see them,
                as for ``session.execute``. ``schema_translate_map`` works, too.

        Raises:
            NotFound: LP402, no row has this key, or a filter of the session hides it.
            IdentityError: LP404, the value cannot be this key; before any SQL.
            ParameterError: LP405, ``params`` does not fit the plan; before any SQL.
            TooManyRows: LP406, the graph has more than ``max_rows`` rows.
            LoaderError: LP408, you passed ``for_update``, but the loader is not on a session or a connection.
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
            ids: as for :meth:`fetch`. If you pass an id twice, its object is in the list twice.
            missing: what to do if an id has no row: ``"raise"`` an error, or ``"skip"`` it.
            params: values of the plan's bindparams.
            execution_options: see :meth:`fetch`.

        Returns:
            The roots in the order of ``ids``. PostgreSQL takes one statement for all of them, other databases one for
            500.

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

    async def fetch_one_or_none(
        self,
        plan: LoadPlan[T],
        where: RootConditions | None,
        *,
        params: Params = None,
        for_update: ForUpdate = False,
        execution_options: Options = None,
    ) -> T | None:
        """Return the graph of the one root that meets a condition, or None if no row meets it. See :meth:`fetch_one`.

        Raises:
            MultipleFound: LP403, more than one row meets it.
        """
        return await self._wait(
            lambda: self._calls.fetch_one_or_none(plan, where, params, for_update, execution_options)
        )

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
            where: one condition on the root, or several that a row must all meet. None means all rows.
            order_by: one expression on the root, or several. Rows that are equal in the order are sorted by their
                primary key. With a limit and no order, the primary key is the order. So you get the same rows each
                time.
            limit: the most roots to return. It counts roots, never joined rows.
            offset: number of roots to skip first.
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
        """Return one page of a list of roots. The cursor holds the values of the last row, not its number.

        So if rows are inserted or deleted between two pages, no row comes twice, and none is missed.

        Args:
            plan: what to load.
            order_by: expressions on the root. They may be ascending, descending or nullable. Rows that are equal in the
                order are sorted by their primary key. Without an order, the primary key is the order.
            size: number of roots on a page.
            after: ``next`` of the page before this one.
            before: ``previous`` of the page after this one.
            where: conditions on the root.
            params: values of the bindparams.
            total: ``"exact"`` counts the roots of all pages, with one more statement in the same snapshot.
                ``"estimated"`` asks PostgreSQL's planner instead. That takes the same time for any number of rows, but
                may be far from the true number. Other databases count. If one page holds all roots, no statement is
                needed.
            execution_options: see :meth:`fetch`.

        Raises:
            CursorError: LP407, the cursor was changed, or was made for another order; before any SQL.
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

        It reads the roots in batches, and loads the graph of each batch with the statements of the plan. All of it is
        one transaction and one snapshot. A row is one object within a batch. PostgreSQL reads the roots with a
        server-side cursor. MariaDB and MySQL cannot keep a cursor open: there, loadplan first reads the keys of all
        roots, and keeps them in memory, about a hundred bytes each. If you leave the loop early, use
        ``contextlib.aclosing`` to end the transaction at once.

        Args:
            plan: what to load.
            where: conditions on the root.
            order_by: one expression on the root, or several. Rows that are equal in the order are sorted by their
                primary key.
            batch_size: number of roots in a batch.
            params: values of the bindparams.
            execution_options: see :meth:`fetch`.

        Raises:
            PlanError: LP107, ``batch_size`` is not a number of 1 or more; LP216, the plan joins a collection to its
                root. A batch could end in the middle of a root.
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
        """Return the graph of one root as objects of your session, so that you can change and commit them.

        If the session already has an object for a row, the result has this object. Its loaded values and its changes
        stay. Everything else that the plan names is loaded. The session saves changes as usual.

        Reading an attribute that the plan does not name, or that a commit or a flush has expired, raises ``NotLoaded``
        instead of SQLAlchemy's MissingGreenlet. ``awaitable_attrs``, ``session.refresh`` and ``run_sync`` load as
        mapped.

        Args:
            plan: what to load. It must not have ``into=``, nor ``where=`` or ``limit=`` on a relationship.
            id: as for :meth:`fetch`.
            params: values of the plan's bindparams.
            refresh: replace loaded values by the values that the database has now, except changes that are not flushed.
                By default, only a fetch that locks does so.
            for_update: lock the root row, and no other.
            execution_options: see :meth:`fetch`.

        Raises:
            LoaderError: LP408, the loader was not made with a session.
            PlanError: LP221, the plan has a ``where=`` or ``limit=``; LP222, it has ``into=``.
            NotFound: LP402, no row has this key, or a filter of the session hides it.
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
        """Load more relationships and columns onto objects that you already have.

        Loaded values stay. Columns that a commit has expired are loaded, too. Afterwards, ``NotLoaded`` is raised for
        attributes that neither the objects' plan nor these loads name. It takes one statement for each new relationship
        that is not joined.

        Args:
            objects: one object, or several of one class. They are all detached, or all in the session of this loader.
            *loads: relationships of the objects, as in a :class:`LoadPlan`. For objects in a session, they
                must not have ``where=`` or ``limit=``.
            only: columns of the objects, for example deferred ones.
            refresh: replace loaded values by the values that the database has now, except changes that are
                not flushed.
            params: values of the loads' bindparams.
            execution_options: see :meth:`fetch`.

        Returns:
            The object itself. If you passed several, a list of them in the same order.

        Raises:
            LoaderError: LP416, they are not mapped objects, not of one class, or not in one session.
            NotFound: LP402, the row of an object was deleted. In this case, no object changes.
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
        """Return the number of roots that :meth:`fetch_all` would return.

        It takes one statement and loads nothing. It counts roots, never joined rows.

        Args:
            plan: a plan whose roots to count, or a mapped class. Only the inner joins of a plan matter, because they
                leave out roots.
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
        """Tell whether a root meets a condition. See :meth:`count`. The database stops at the first one."""
        return await self._wait(lambda: self._calls.exists(plan, where, params, execution_options))

    def batched(self, *, max_batch: int = 500, context: Sequence[ContextVar[Any]] | None = None) -> BatchedLoader:
        """Return a loader whose concurrent :meth:`fetch` and :meth:`fetch_or_none` calls share statements.

        Calls for one plan in one turn of the event loop, with equal ``params`` and ``execution_options``, become one
        :meth:`fetch_many`. All other calls work as on this loader.

        Args:
            max_batch: the most ids of one statement. With more ids, another batch begins.
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
        """Return how a plan is loaded: the tree, the strategies with their reasons, the statements. Runs no statement.

        Args:
            plan: the plan to explain. For ``call="count"`` and ``call="exists"``, you can pass a mapped class.
            roots: how many roots the fetch returns; None for any number. The statements of a plan depend on
                it.
            call: ``"count"`` or ``"exists"`` to explain only the statement of this call. ``"extend"`` for the
                statements of ``extend(objects, *plan.loads, only=plan.only)``, where ``roots`` counts objects.
            total: also explain the statement for the total of a page.
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

        Use it while you develop: each statement runs twice. On PostgreSQL, the second time is with ``EXPLAIN ANALYZE``,
        in the same transaction.

        Args:
            plan: what to load.
            id: as for :meth:`fetch`.
            params: values of the plan's bindparams.
            execution_options: see :meth:`fetch`.

        Returns:
            Rows, bytes and milliseconds of each statement, the query plan of the database, and the large tables that it
            read from end to end, with the missing index.
        """
        return await self._wait(lambda: self._calls.analyze(plan, id, params, execution_options))

    async def learn_indexes(
        self, *plans: LoadPlan[Any] | type[Any], execution_options: Options = None
    ) -> tuple[LearnedIndex, ...]:
        """Read which indexes the database has, also those that the mapping does not name. Call it at start-up.

        loadplan chooses LATERAL, nested arrays and subqueries by the indexes in your metadata. After this call, it also
        uses the indexes that only the database has. It compiles plans again that were compiled before. It reads the
        catalogs of the database, not your rows.

        Every loader on the same engine uses these indexes, as long as the engine exists in this process. A second call
        replaces what is known about the same tables.

        Args:
            *plans: plans, mapped classes, or a declarative base for all of its classes.
            execution_options: a ``schema_translate_map`` says which schemas to read.

        Returns:
            The indexes that only the database has.

        Raises:
            LoaderError: LP408, one of ``plans`` is something else.
            PlanError: a plan does not resolve.
        """
        return await self._wait(lambda: self._calls.learn_indexes(plans, execution_options))

    def check(self, *plans: LoadPlan[Any]) -> None:
        """Check plans now. Call it at start-up.

        Raises:
            PlanError: with the problems of all of them.
        """
        check_plans(plans)

    async def _wait(self, work: Callable[[], R]) -> R:
        return await enter(self._bind, work)


class BatchedLoader(Loader):
    """A loader whose concurrent fetches by key share statements; :meth:`Loader.batched` makes it.

    Each caller gets its own graph. If two callers of a batch would share an object, the later one gets a deep copy, so
    no caller sees the changes of another. If an id is wrong or missing, or a row cannot be read, only its own caller
    gets the error. If one caller is cancelled, the others go on.

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
