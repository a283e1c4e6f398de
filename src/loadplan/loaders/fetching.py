"""The calls of a loader that return graphs. ``calls`` has the steps of each call. This module awaits them."""

from __future__ import annotations  # annotations of inner functions would be evaluated in every call

from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any, Literal, TypeVar, overload

from loadplan.declared.sources import RootConditions, RootOrder
from loadplan.declared.spec import Bare, Columns, Load, M, On
from loadplan.loaders.arguments import ForUpdate, Options, Params
from loadplan.loaders.attached_calls import AllCalls
from loadplan.loaders.call_hints import with_call_hints
from loadplan.loaders.counting import Total
from loadplan.plan import LoadPlan
from loadplan.running.paging import Page
from loadplan.running.session import enter

T = TypeVar("T")
R = TypeVar("R")


@with_call_hints
class Fetching:
    """Returns the graphs that plans declare."""

    _bind: Any
    _calls: AllCalls

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
            plan: the plan to load.
            id: the primary key of the root. For a composite key, a tuple in the order of the mapping, or a mapping by
                attribute name.
            params: values of the plan's bindparams.
            for_update: lock the root row until your transaction ends. Other rows are not locked.
            execution_options: options for every statement of this fetch. The session's listeners see them,
                as for ``session.execute``. ``schema_translate_map`` works, too.

        Raises:
            NotFound: LP402, no row has this key, or a filter of the session hides it.
            IdentityError: LP404, the value cannot be this key. Raised before any SQL.
            ParameterError: LP405, ``params`` does not fit the plan. Raised before any SQL.
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
        """Return the graph of one root by primary key, or None if no row has this key. See :meth:`fetch`."""
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
            plan: the plan to load.
            ids: the primary keys, each as for :meth:`fetch`. If you pass an id twice, its object is in the list twice.
            missing: what to do if an id has no row: ``"raise"`` an error, or ``"skip"`` it.
            params: values of the plan's bindparams.
            execution_options: see :meth:`fetch`.

        Returns:
            The roots in the order of ``ids``. PostgreSQL takes one statement for all of them, other databases one for
            500.

        Raises:
            NotFound: LP402, with the missing ids in ``missing``.
            IdentityError: LP404, one of the values cannot be this key. Raised before any SQL.
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
            NotFound: LP402, no row meets the condition.
            MultipleFound: LP403, more than one row meets the condition.
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
            MultipleFound: LP403, more than one row meets the condition.
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
            plan: the plan to load.
            where: one condition on the root, or several that a row must all meet. None means all rows.
            order_by: one expression on the root, or several. Rows that are equal in the order are sorted by their
                primary key. If you pass ``limit`` without an order, the rows are sorted by their primary key, so that
                you get the same rows each time.
            limit: the most roots to return. It counts roots, never joined rows.
            offset: the number of roots to skip first.
            params: values of the bindparams of plan, ``where`` and ``order_by``.
            for_update: lock the root rows. Other rows are not locked.
            execution_options: see :meth:`fetch`.

        Raises:
            PlanError: LP107, ``limit`` or ``offset`` is not a number of rows; LP108, LP112 or LP215, a condition or an
                order is not valid for the root.
            ParameterError: LP405, ``params`` does not fit the plan and the conditions.
            TooManyRows: LP406, the graphs have more than ``max_rows`` rows.
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
        """Return one page of a list of roots.

        A cursor holds the values of the last row, not its number. So if rows are inserted or deleted between two pages,
        no row comes twice and no row is missed.

        Args:
            plan: the plan to load.
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
            CursorError: LP407, the cursor was changed, or was made for another order. Raised before any SQL.
            PlanError: LP107, ``size`` is not a number of 1 or more; LP110, a cursor cannot hold the values of an order.
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
        server-side cursor. MariaDB and MySQL cannot keep a cursor open. There, loadplan first reads the keys of all
        roots, and keeps them in memory. A key takes about a hundred bytes. If you leave the loop early, use
        ``contextlib.aclosing`` to end the transaction at once.

        Args:
            plan: the plan to load.
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
            plan: the plan to load. It must not have ``into=``, nor ``where=`` or ``limit=`` on a relationship.
            id: the primary key of the root, as for :meth:`fetch`.
            params: values of the plan's bindparams.
            refresh: replace loaded values with the values that the database has now, except changes that are not
                flushed. By default, only a fetch that locks replaces them.
            for_update: lock the root row. Other rows are not locked.
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

        Loaded values stay. Columns that a commit has expired are loaded, too. Afterwards, an attribute that neither the
        objects' plan nor these loads name raises ``NotLoaded``. The call takes one statement for each new relationship
        that is not joined.

        Args:
            objects: one object, or several of one class. They are all detached, or all in the session of this loader.
            *loads: relationships of the objects, as in a :class:`LoadPlan`. For objects in a session, they
                must not have ``where=`` or ``limit=``.
            only: columns of the objects, for example deferred ones.
            refresh: replace loaded values with the values that the database has now, except changes that are not
                flushed.
            params: values of the loads' bindparams.
            execution_options: see :meth:`fetch`.

        Returns:
            The object itself. If you passed several, a list of them in the same order.

        Raises:
            LoaderError: LP416, the objects are not mapped objects, not of one class, or not in one session.
            NotFound: LP402, the row of an object was deleted. In this case, no object changes.
            PlanError: a load does not resolve; LP221, the objects are in a session and a load has ``where=`` or
                ``limit=``.
        """
        return await self._wait(lambda: self._calls.extend(objects, loads, only, refresh, params, execution_options))

    async def _wait(self, work: Callable[[], R]) -> R:
        return await enter(self._bind, work)
