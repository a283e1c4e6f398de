"""The loader: takes a plan and an id, gives a graph. The only module that waits."""

from __future__ import annotations  # those of the functions in here would be evaluated with every call

import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from loadplan import problems
from loadplan.analysis import Analysis, analyze
from loadplan.errors import IdentityError, LoaderError, MultipleFound, NotFound, PlanError, Problem, shown
from loadplan.explain import Explanation, explain_plan
from loadplan.form import MOST
from loadplan.identity import Identity
from loadplan.key_walk import KeyWalk, walks_by_keys
from loadplan.own_connection import Opened
from loadplan.paging import Page, page_of
from loadplan.plans import Compiled, compile_plan, resolve_plan
from loadplan.roots import RootQuery, by_id, by_ids, is_count, locking, roots_by
from loadplan.session import Bind, PrivateSession, private_session
from loadplan.spec import Conditions, LoadPlan, Order, tuple_or_none
from loadplan.tally import FetchRecord, Tally, told
from loadplan.tested import warn_if_untested
from loadplan.views.decoding import Undecodable

T = TypeVar("T")
R = TypeVar("R")

ForUpdate: TypeAlias = bool | Mapping[str, Any]
"""Whether to lock the root rows; the keyword arguments of ``with_for_update`` say more."""

Params: TypeAlias = Mapping[str, Any] | None
"""Values of the plan's bindparams, by name."""

Work: TypeAlias = Callable[[Opened], R]


#: Rows that PostgreSQL's FETCH can be asked for at once.
_MOST_OF_A_CURSOR = 2**31 - 1


class _Batches(Protocol):
    """A walk over roots in batches."""

    def next_batch(self, session: Any) -> list[Any]:
        """Return the next roots; nothing at the end."""
        ...

    def close(self, session: Any) -> None:
        """End the walk."""
        ...


class Loader:
    """Fetches the graphs that plans declare.

    Args:
        bind: an ``AsyncEngine`` or ``async_sessionmaker``: each fetch takes a connection of its own, so the loader
            may be shared between tasks. An ``AsyncSession`` or ``AsyncConnection``: it runs inside the caller's
            transaction and sees its flushed work (a session that autoflushes is flushed first); nothing in the
            caller's session is touched.
        snapshot: on an engine or sessionmaker, run a plan of several statements in one REPEATABLE READ, READ ONLY
            transaction on PostgreSQL, so that a graph is never torn by a writer. It costs no round trip.
        max_rows: rows that one fetch may bring, over all its statements; a stream counts each batch.
        cursor_key: secret that signs the cursors of :meth:`fetch_page`. Without one a cursor is guarded against
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
        cursor_key: bytes = b"",
        on_fetch: Callable[[FetchRecord], object] | None = None,
    ) -> None:
        self._bind = bind
        self._snapshot = snapshot
        self._max_rows = max_rows
        self._cursor_key = cursor_key
        self._on_fetch = on_fetch
        if max_rows is not None and not (is_count(max_rows, least=0) and max_rows <= MOST):
            message = f"max_rows={shown(max_rows)} is not a number of 0 or more"
            raise LoaderError(Problem("LP408", message, hint="leave it out for no bound on the rows of a fetch."))
        private_session(bind, snapshot=snapshot)  # refuses a wrong bind here, not at the first fetch

    def __repr__(self) -> str:
        return f"Loader({type(self._bind).__name__})"

    async def fetch(
        self,
        plan: LoadPlan[T],
        id: object,  # noqa: A002 - the word that every caller uses
        *,
        params: Params = None,
        for_update: ForUpdate = False,
    ) -> T:
        """Return the graph of one root, by primary key.

        Args:
            plan: what to load.
            id: a scalar; for a composite key a tuple in the mapping's order, or a mapping by attribute name.
            params: values of the plan's bindparams.
            for_update: lock the root row, and no other, until the caller's transaction ends.

        Raises:
            NotFound: LP402, no row has that key, or a filter of the session hides it.
            IdentityError: LP404, the value cannot be that key; before any SQL.
            ParameterError: LP405, ``params`` does not fit the plan; before any SQL.
            TooManyRows: LP406, the graph has more than ``max_rows`` rows.
            LoaderError: LP408, ``for_update`` without a transaction of the caller.
            PlanError: the plan does not resolve.
        """
        found = await self.fetch_or_none(plan, id, params=params, for_update=for_update)
        if found is None:
            raise _not_found(plan, [id])
        return found

    async def fetch_or_none(
        self,
        plan: LoadPlan[T],
        id: object,  # noqa: A002
        *,
        params: Params = None,
        for_update: ForUpdate = False,
    ) -> T | None:
        """Return the graph of one root by primary key, or None if there is no such row. See :meth:`fetch`."""

        def prepare(compiled: Compiled[T], tally: Tally) -> Work[list[T]]:
            one = by_id(compiled)
            bound = {**one.parameters(params), **one.bind(id)}
            graph = one.graph.narrowed(locking(plan, for_update)) if _locks(for_update) else one.graph
            return lambda session: graph.run(session, [bound], tally)

        found = await self._run(plan, prepare, roots=1, for_update=for_update)
        return found[0] if found else None

    async def fetch_many(
        self,
        plan: LoadPlan[T],
        ids: Iterable[object],
        *,
        missing: Literal["raise", "skip"] = "raise",
        params: Params = None,
    ) -> list[T]:
        """Return the graphs of many roots by primary key.

        Args:
            plan: what to load.
            ids: as for :meth:`fetch`. An id given twice answers twice, with the same object.
            missing: ``"raise"`` if an id has no row, or ``"skip"`` it.
            params: values of the plan's bindparams.

        Returns:
            The roots in the order of ``ids``. One statement for all of them on PostgreSQL, one for 500 elsewhere.

        Raises:
            NotFound: LP402, with the missing ids in ``missing``.
            IdentityError: LP404, before any SQL.
        """
        _check_plan(plan)
        asked = _listed(plan, ids)
        wanted: list[Identity] = []

        def prepare(compiled: Compiled[T], tally: Tally) -> Work[dict[Identity, T]]:
            many = by_ids(compiled)
            bound = many.parameters(params)
            wanted[:] = map(many.reader.read_hashable, asked)
            return lambda session: many.run(session, list(dict.fromkeys(wanted)), bound, tally)

        def executions(compiled: Compiled[T]) -> int:
            return by_ids(compiled).executions(len(asked))

        found = await self._run(plan, prepare, roots=len(asked), executions=executions) if asked else {}
        absent = [each for each, identity in zip(asked, wanted, strict=False) if identity not in found]
        if absent and missing == "raise":
            raise _not_found(plan, absent)
        return [found[identity] for identity in wanted if identity in found]

    async def fetch_one(
        self,
        plan: LoadPlan[T],
        where: Conditions | None,
        *,
        params: Params = None,
        for_update: ForUpdate = False,
    ) -> T:
        """Return the graph of the one root that meets a condition.

        Raises:
            NotFound: LP402, no row meets it.
            MultipleFound: LP403, more than one does.
        """
        found = await self.fetch_all(plan, where, limit=2, params=params, for_update=for_update)
        entity = plan.entity.__name__
        if not found:
            raise NotFound(Problem("LP402", f"no '{entity}' meets the condition", (plan.label,)))
        if len(found) > 1:
            raise MultipleFound(
                Problem(
                    "LP403",
                    f"more than one '{entity}' meets the condition",
                    (plan.label,),
                    hint="narrow the condition, or use fetch_all(..., limit=1) if any one of them will do.",
                )
            )
        return found[0]

    async def fetch_all(
        self,
        plan: LoadPlan[T],
        where: Conditions | None = None,
        order_by: Order | None = None,
        limit: int | None = None,
        offset: int | None = None,
        *,
        params: Params = None,
        for_update: ForUpdate = False,
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
        """

        def prepare(compiled: Compiled[T], tally: Tally) -> Work[list[T]]:
            conditions, order = tuple_or_none(where) or (), tuple_or_none(order_by) or ()
            graph, bound = roots_by(compiled, conditions, order, limit, offset, params)
            if _locks(for_update):
                graph = graph.narrowed(locking(plan, for_update))
            return lambda session: graph.run(session, [bound], tally, limit)

        return await self._run(plan, prepare, roots=limit, for_update=for_update)

    async def fetch_page(
        self,
        plan: LoadPlan[T],
        order_by: Order | None = None,
        size: int = 50,
        *,
        after: str | None = None,
        before: str | None = None,
        where: Conditions | None = None,
        params: Params = None,
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

        Raises:
            CursorError: LP407, the cursor was tampered with or is of another order; before any SQL.
        """

        def prepare(compiled: Compiled[T], tally: Tally) -> Work[Page[T]]:
            query = RootQuery(compiled, tuple_or_none(where) or (), tuple_or_none(order_by) or ())
            bound = query.parameters(params)
            page = page_of(query, size, after, before, self._cursor_key)
            return lambda session: page.run(session, bound, tally)

        return await self._run(plan, prepare, roots=size)

    async def stream(
        self,
        plan: LoadPlan[T],
        where: Conditions | None = None,
        order_by: Order | None = None,
        batch_size: int = 500,
        *,
        params: Params = None,
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

        Raises:
            PlanError: LP107, a batch size that counts nothing; LP216, the plan joins a collection to its root, whose
                rows no cursor can cut into batches.
        """
        _check_plan(plan)
        if not (is_count(batch_size, least=1) and batch_size <= MOST):
            raise PlanError([problems.bad_number("batch_size", batch_size, (plan.label,))])
        private = self._private()
        dialect = private.dialect(resolve_plan(plan).root.mapper)
        warn_if_untested(dialect)
        compiled = compile_plan(plan, dialect).streamable
        query = RootQuery(compiled, tuple_or_none(where) or (), tuple_or_none(order_by) or ())
        bound = query.parameters(params)
        with told(plan.label, self._max_rows, self._on_fetch) as tally:
            batches = _batches(compiled, query, bound, min(batch_size, _MOST_OF_A_CURSOR), tally)
            async with private.open(compiled.mappers, statements=2) as opened:
                try:
                    while batch := await opened(batches.next_batch):
                        for root in batch:
                            yield root
                finally:
                    with contextlib.suppress(DBAPIError):  # no closing on a lost connection
                        await opened(batches.close)

    def explain(self, plan: LoadPlan[Any], *, roots: int | None = 1) -> Explanation:
        """Return how a plan is loaded: tree, strategies with their reasons, every statement. Runs nothing.

        Args:
            plan: to explain.
            roots: how many the fetch would bring, None for any number. The statements of a plan of views depend on
                it; those of a plan of entities do not.
        """
        _check_plan(plan)
        compiled = self._compiled(plan, self._private(), roots)
        return explain_plan(by_id(compiled).graph if roots == 1 else compiled)

    async def analyze(
        self,
        plan: LoadPlan[Any],
        id: object,  # noqa: A002 - as fetch has it
        *,
        params: Params = None,
    ) -> Analysis:
        """Fetch a root by primary key, and have the database explain each statement as it ran.

        Meant for a developer at a prompt: each statement runs twice. On PostgreSQL the second time is under
        ``EXPLAIN ANALYZE``, in the same transaction.

        Args:
            plan: what to load.
            id: as for :meth:`fetch`.
            params: values of the plan's bindparams.

        Returns:
            Rows, bytes and milliseconds of each statement, the database's plan, and the large tables that it read
            from end to end, with the index that is missing.
        """
        _check_plan(plan)
        private = self._private()
        compiled = self._compiled(plan, private, 1)
        one = by_id(compiled)
        bound = {**one.parameters(params), **one.bind(id)}

        def work(session: Session) -> Analysis:
            return analyze(session, compiled, lambda session, tally: one.graph.run(session, [bound], tally))

        return await private.run(work, compiled.mappers, statements=2)

    def check(self, *plans: LoadPlan[Any]) -> None:
        """Resolve plans now, for start-up.

        Raises:
            PlanError: with the problems of all of them.
        """
        found: list[Problem] = []
        for plan in plans:
            _check_plan(plan)
            try:
                resolve_plan(plan)
            except PlanError as error:
                found.extend(error.problems)
        if found:
            raise PlanError(found)

    async def _run(
        self,
        plan: LoadPlan[T],
        prepare: Callable[[Compiled[T], Tally], Work[R]],
        *,
        roots: int | None,
        for_update: ForUpdate = False,
        executions: Callable[[Compiled[T]], int] = lambda _: 1,
    ) -> R:
        """Compile, let ``prepare`` check its input and build the work, and only then open a connection.

        Args:
            plan: to run.
            prepare: returns the work.
            roots: how many it may bring; None for any number.
            for_update: whether, and how, to lock the roots.
            executions: how often the statement of the roots may run: more than one want one snapshot.
        """
        _check_plan(plan)
        private = self._private(bare=plan.into is not None)
        if _locks(for_update) and not private.in_transaction_of_caller:
            raise _lock_without_transaction(plan)
        number = roots if is_count(roots, least=0) else None  # ``prepare`` says what is wrong with one that is none
        with told(plan.label, self._max_rows, self._on_fetch) as tally:
            while True:
                compiled = self._compiled(plan, private, number)
                if _locks(for_update):
                    compiled = compiled.lockable
                work = prepare(compiled, tally)
                statements = executions(compiled) + len(compiled.later)
                try:
                    return await private.run(work, compiled.mappers, statements=statements)
                except Undecodable as signal:
                    if not compiled.nests and signal.__cause__ is not None:
                        raise signal.__cause__ from None  # by level it is the same: a column itself is a row
                    compiled.without_nesting()
                tally.start_over()
                private = self._private(bare=plan.into is not None)

    def _private(self, *, bare: bool = False) -> PrivateSession:
        return private_session(self._bind, snapshot=self._snapshot, bare=bare)

    def _compiled(self, plan: LoadPlan[T], private: PrivateSession, roots: int | None) -> Compiled[T]:
        dialect = private.dialect(resolve_plan(plan).root.mapper)
        warn_if_untested(dialect)
        compiled = compile_plan(plan, dialect).bringing(roots)
        return compiled if self._max_rows is None else compiled.countable


def _batches(compiled: Compiled[T], query: RootQuery, parameters: dict[str, Any], size: int, tally: Tally) -> _Batches:
    """Return the walk over the roots of a query: by a cursor, or by keys where no cursor stays open.

    Raises:
        PlanError: LP216, a collection is joined to the root.
    """
    graph = query.graph(None, None, in_order=compiled.repeats_roots)
    by_cursor: _Batches = graph.batches(parameters, size, tally)
    return KeyWalk(compiled, query, parameters, size, tally) if walks_by_keys(compiled.dialect) else by_cursor


def _listed(plan: LoadPlan[Any], ids: Iterable[object]) -> list[object]:
    """Return ids that came as something to iterate over.

    Raises:
        IdentityError: LP404, it is nothing of the kind, or a text, whose letters nobody means.
    """
    if issubclass(type(ids), str | bytes | bytearray | memoryview):
        message = f"{shown(ids)} is one value, no list of ids"
        raise IdentityError(
            Problem("LP404", message, (plan.label,), hint="put it into a list: fetch_many(plan, [id]).")
        )
    try:
        return list(ids)
    except Exception as error:  # what stands there may come from outside
        raise IdentityError(
            Problem(
                "LP404",
                f"{shown(ids)} is no list of ids",
                (plan.label,),
                detail=f"iterating over it raises {type(error).__name__}.",
            )
        ) from error


def _check_plan(plan: object) -> None:
    """Check that a plan is one.

    Raises:
        LoaderError: LP408, it is something else, a mapped class perhaps.
    """
    if not issubclass(type(plan), LoadPlan):  # isinstance would ask an object from outside for its class
        raise LoaderError(
            Problem(
                "LP408",
                f"{shown(plan)} is no LoadPlan",
                hint="make one: LoadPlan(User, load(User.posts)); for the class alone LoadPlan(User).",
            )
        )


def _locks(for_update: ForUpdate) -> bool:
    return isinstance(for_update, Mapping) or bool(for_update)


def _lock_without_transaction(plan: LoadPlan[Any]) -> LoaderError:
    return LoaderError(
        Problem(
            "LP408",
            "for_update= on a loader that owns its transaction",
            (plan.label,),
            detail="the lock would be gone as soon as the fetch returns.",
            hint="make the Loader with the AsyncSession, or AsyncConnection, that goes on to change the row.",
        )
    )


def _not_found(plan: LoadPlan[Any], missing: Sequence[object]) -> NotFound:
    entity = plan.entity.__name__
    listed = ", ".join(shown(each) for each in missing[:5])
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    what = "has the primary key" if len(missing) == 1 else "has one of the primary keys"
    return NotFound(Problem("LP402", f"no '{entity}' {what} {listed}{more}", (plan.label,)), tuple(missing))
