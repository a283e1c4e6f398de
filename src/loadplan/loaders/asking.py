"""What a loader tells without loading a graph: numbers of roots, explanations, indexes, problems of plans."""

from __future__ import annotations  # annotations of inner functions would be evaluated in every call

from collections.abc import Callable
from typing import Any, TypeVar

from loadplan.declared.sources import RootConditions
from loadplan.explained.analysis import Analysis
from loadplan.explained.explanation import Explanation
from loadplan.loaders.arguments import Call, Options, Params, check_plans
from loadplan.loaders.attached_calls import AllCalls
from loadplan.loaders.counting import Total
from loadplan.mapped.indexes import LearnedIndex
from loadplan.plan import LoadPlan
from loadplan.running.session import enter

R = TypeVar("R")


class Asking:
    """The questions that a loader answers."""

    _bind: Any
    _calls: AllCalls

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
