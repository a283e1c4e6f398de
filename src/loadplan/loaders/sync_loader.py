"""The synchronous loader: the calls of ``Loader`` without ``await``."""

from __future__ import annotations  # annotations of inner functions would be evaluated in every call

from collections.abc import Callable, Generator, Iterable
from typing import Any, Literal, TypeVar, overload

from loadplan.declared.mistaken import with_hints
from loadplan.declared.sources import RootConditions, RootOrder
from loadplan.declared.spec import Bare, Columns, Load, M, On
from loadplan.explained.analysis import Analysis
from loadplan.explained.explanation import Explanation
from loadplan.loaders.arguments import Call, ForUpdate, Options, Params, check_plans
from loadplan.loaders.call_hints import with_call_hints
from loadplan.loaders.counting import Total
from loadplan.loaders.sharding import calls_on
from loadplan.mapped.indexes import LearnedIndex
from loadplan.plan import LoadPlan
from loadplan.running.binds import SyncBind
from loadplan.running.cursors import CursorKey
from loadplan.running.paging import Page
from loadplan.running.tally import FetchRecord

T = TypeVar("T")


@with_hints("Loader")
@with_call_hints
class SyncLoader:
    """Fetches the graphs that plans declare, in synchronous code.

    It has the calls of :class:`loadplan.Loader`, with the same arguments, results, statements and errors.

    Args:
        bind: the engine, sessionmaker, session or connection to fetch with. With an ``Engine`` or ``sessionmaker``,
            each fetch takes its own connection, so threads can share the loader. With a ``Session`` or ``Connection``,
            each fetch runs inside your transaction and sees the changes that you have flushed. A session with autoflush
            is flushed first. Objects in your session do not change.
        snapshot: as for :class:`loadplan.Loader`.
        max_rows: as for :class:`loadplan.Loader`.
        cursor_key: as for :class:`loadplan.Loader`.
        on_fetch: a function that is called at the end of every call, in the same thread, with a
            :class:`loadplan.FetchRecord`.

    Raises:
        LoaderError: LP408, ``bind`` is not one of these, or another argument has a wrong value.
    """

    def __init__(
        self,
        bind: SyncBind,
        *,
        snapshot: bool = True,
        max_rows: int | None = None,
        cursor_key: CursorKey = b"",
        on_fetch: Callable[[FetchRecord], object] | None = None,
    ) -> None:
        self._bind: Any = bind
        self._calls = calls_on(bind, snapshot, max_rows, cursor_key, on_fetch)
        self._calls.check("SyncLoader")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self._bind).__name__})"

    def fetch(
        self,
        plan: LoadPlan[T],
        id: object,  # noqa: A002 - the word that every caller uses
        *,
        params: Params = None,
        for_update: ForUpdate = False,
        execution_options: Options = None,
    ) -> T:
        """Return the graph of one root, by primary key. See :meth:`loadplan.Loader.fetch`."""
        return self._calls.fetch(plan, id, params, for_update, execution_options)

    def fetch_or_none(
        self,
        plan: LoadPlan[T],
        id: object,  # noqa: A002
        *,
        params: Params = None,
        for_update: ForUpdate = False,
        execution_options: Options = None,
    ) -> T | None:
        """Return the graph of one root by primary key, or None if no row has this key."""
        return self._calls.fetch_or_none(plan, id, params, for_update, execution_options)

    def fetch_many(
        self,
        plan: LoadPlan[T],
        ids: Iterable[object],
        *,
        missing: Literal["raise", "skip"] = "raise",
        params: Params = None,
        execution_options: Options = None,
    ) -> list[T]:
        """Return the graphs of many roots by primary key. See :meth:`loadplan.Loader.fetch_many`."""
        return self._calls.fetch_many(plan, ids, missing, params, execution_options)

    def fetch_one(
        self,
        plan: LoadPlan[T],
        where: RootConditions | None,
        *,
        params: Params = None,
        for_update: ForUpdate = False,
        execution_options: Options = None,
    ) -> T:
        """Return the graph of the one root that meets a condition. See :meth:`loadplan.Loader.fetch_one`."""
        return self._calls.fetch_one(plan, where, params, for_update, execution_options)

    def fetch_one_or_none(
        self,
        plan: LoadPlan[T],
        where: RootConditions | None,
        *,
        params: Params = None,
        for_update: ForUpdate = False,
        execution_options: Options = None,
    ) -> T | None:
        """Return the root that meets a condition, or None. See :meth:`loadplan.Loader.fetch_one_or_none`."""
        return self._calls.fetch_one_or_none(plan, where, params, for_update, execution_options)

    def fetch_all(
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
        """Return the graphs of all roots that meet a condition. See :meth:`loadplan.Loader.fetch_all`."""
        return self._calls.fetch_all(plan, where, order_by, limit, offset, params, for_update, execution_options)

    def fetch_page(
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
        """Return one page of roots. See :meth:`loadplan.Loader.fetch_page`."""
        return self._calls.fetch_page(plan, order_by, size, after, before, where, params, total, execution_options)

    def stream(
        self,
        plan: LoadPlan[T],
        where: RootConditions | None = None,
        order_by: RootOrder | None = None,
        batch_size: int = 500,
        *,
        params: Params = None,
        execution_options: Options = None,
    ) -> Generator[T, None, None]:
        """Yield the graphs of all roots that meet a condition. See :meth:`loadplan.Loader.stream`.

        If you leave the loop early, use ``contextlib.closing`` to end the transaction at once.
        """
        batches = self._calls.batches(plan, where, order_by, batch_size, params, execution_options)
        try:
            for batch in batches:
                yield from batch
        finally:
            batches.close()

    def fetch_attached(
        self,
        plan: LoadPlan[T],
        id: object,  # noqa: A002 - as fetch has it
        *,
        params: Params = None,
        refresh: bool | None = None,
        for_update: ForUpdate | None = None,
        execution_options: Options = None,
    ) -> T:
        """Return the graph of one root in your session. See :meth:`loadplan.Loader.fetch_attached`.

        A synchronous session can load at any time. So an attribute that has expired loads as mapped. On objects that
        this fetch adds to the session, an attribute that the plan does not name raises ``NotLoaded``. Objects that were
        in the session before are not sealed.
        """
        return self._calls.fetch_attached(plan, id, params, refresh, for_update, execution_options)

    @overload
    def extend(
        self,
        objects: Iterable[T],
        *loads: Load[object] | On[object] | LoadPlan[T],
        only: Columns | None = None,
        refresh: bool = False,
        params: Params = None,
        execution_options: Options = None,
    ) -> list[T]: ...
    @overload
    def extend(
        self,
        objects: Iterable[M],
        *loads: Load[object] | On[object] | LoadPlan[M],
        only: Bare | None = None,
        refresh: bool = False,
        params: Params = None,
        execution_options: Options = None,
    ) -> list[M]: ...
    @overload
    def extend(
        self,
        objects: T,
        *loads: Load[object] | On[object] | LoadPlan[T],
        only: Columns | None = None,
        refresh: bool = False,
        params: Params = None,
        execution_options: Options = None,
    ) -> T: ...
    @overload
    def extend(
        self,
        objects: M,
        *loads: Load[object] | On[object] | LoadPlan[M],
        only: Bare | None = None,
        refresh: bool = False,
        params: Params = None,
        execution_options: Options = None,
    ) -> M: ...
    def extend(
        self,
        objects: Any,
        *loads: Any,
        only: Any = None,
        refresh: bool = False,
        params: Params = None,
        execution_options: Options = None,
    ) -> Any:
        """Load more relationships and columns onto objects that you have. See :meth:`loadplan.Loader.extend`."""
        return self._calls.extend(objects, loads, only, refresh, params, execution_options)

    def count(
        self,
        plan: LoadPlan[Any] | type[Any],
        where: RootConditions | None = None,
        *,
        params: Params = None,
        execution_options: Options = None,
    ) -> int:
        """Return the number of roots that meet a condition. See :meth:`loadplan.Loader.count`."""
        return self._calls.count(plan, where, params, execution_options)

    def exists(
        self,
        plan: LoadPlan[Any] | type[Any],
        where: RootConditions | None = None,
        *,
        params: Params = None,
        execution_options: Options = None,
    ) -> bool:
        """Tell whether a root meets a condition. See :meth:`loadplan.Loader.exists`."""
        return self._calls.exists(plan, where, params, execution_options)

    def explain(
        self,
        plan: LoadPlan[Any] | type[Any],
        *,
        roots: int | None = 1,
        call: Call = "fetch",
        total: Total | None = None,
    ) -> Explanation:
        """Return how a plan is loaded. Run no statement. See :meth:`loadplan.Loader.explain`."""
        return self._calls.explain(plan, roots, call, total)

    def analyze(
        self,
        plan: LoadPlan[Any],
        id: object,  # noqa: A002 - as fetch has it
        *,
        params: Params = None,
        execution_options: Options = None,
    ) -> Analysis:
        """Fetch a root, and have the database explain each statement. See :meth:`loadplan.Loader.analyze`."""
        return self._calls.analyze(plan, id, params, execution_options)

    def learn_indexes(
        self, *plans: LoadPlan[Any] | type[Any], execution_options: Options = None
    ) -> tuple[LearnedIndex, ...]:
        """Read which indexes the database has. See :meth:`loadplan.Loader.learn_indexes`."""
        return self._calls.learn_indexes(plans, execution_options)

    def check(self, *plans: LoadPlan[Any]) -> None:
        """Check plans now. Call it at start-up. See :meth:`loadplan.Loader.check`."""
        check_plans(plans)
