"""The calls of a loader, written once, as synchronous code. ``Loader`` and ``SyncLoader`` both use this code."""

from __future__ import annotations  # annotations of inner functions would be evaluated in every call

import contextlib
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

import attrs
from sqlalchemy import Dialect, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from loadplan.declared.sources import RootConditions, RootOrder
from loadplan.declared.spec import tuple_or_none
from loadplan.errors import LoaderError, MultipleFound, NotFound, PlanError, Problem, shown
from loadplan.explained.analysis import Analysis, analyze
from loadplan.explained.explanation import Explanation, explain_plan
from loadplan.loaders.arguments import (
    Call,
    ForUpdate,
    Options,
    Params,
    check_call,
    check_missing,
    check_plan,
    listed,
    locks,
    plan_behind,
    plan_itself,
    tables_of,
)
from loadplan.loaders.counting import Total, check_total, root_count
from loadplan.loaders.missing import not_found
from loadplan.mapped.decoding import Undecodable
from loadplan.mapped.indexes import DatabaseIndex, LearnedIndex, remember
from loadplan.plan import LoadPlan
from loadplan.resolved import number_problems
from loadplan.resolved.form import MOST
from loadplan.running import call_problems
from loadplan.running.batches import batches_of
from loadplan.running.binds import Bind, SyncBind, check_bind, is_async
from loadplan.running.call_options import check_options
from loadplan.running.cursors import CursorKey
from loadplan.running.graph import load_roots
from loadplan.running.identity import read_each
from loadplan.running.key_walk import KeyWalk, walks_by_keys
from loadplan.running.keyed_roots import by_id, by_ids
from loadplan.running.one_database import check_in_one_database
from loadplan.running.own_connection import Opened
from loadplan.running.paging import Page, page_of
from loadplan.running.plans import Compiled, compile_plan, compile_resolved, resolve_plan
from loadplan.running.private_session import private_session
from loadplan.running.root_shapes import roots_by
from loadplan.running.roots import RootQuery, is_count, locking, narrowing
from loadplan.running.session import PrivateSession
from loadplan.running.table_indexes import unmapped_indexes
from loadplan.running.tally import FetchRecord, Tally, told
from loadplan.running.tested import warn_if_untested

T = TypeVar("T")
R = TypeVar("R")

Work: TypeAlias = Callable[[Opened], R]

#: The most rows that a FETCH of PostgreSQL can return at once.
_MOST_OF_A_CURSOR = 2**31 - 1


class _Batches(Protocol):
    """Reads roots in batches."""

    def next_batch(self, session: Any) -> list[Any]:
        """Return the next roots; an empty list at the end."""
        ...

    def close(self, session: Any) -> None:
        """End the walk."""
        ...


@attrs.frozen(eq=False)
class Calls:
    """Every call of a loader. On an asynchronous bind, the calls run in SQLAlchemy's greenlet.

    Attributes:
        bind: the bind of the loader.
        snapshot: see :class:`loadplan.Loader`.
        max_rows: the most rows that one call may return; see :class:`loadplan.Loader`.
        cursor_key: the key of the cursors; see :class:`loadplan.Loader`.
        on_fetch: the function to call at the end of each call; see :class:`loadplan.Loader`.
        shard: in a sharded session, the shard that the calls go to.
        tally: counts for a larger call that these calls are a part of; None if each is a separate call.
    """

    bind: Bind | SyncBind
    snapshot: bool
    max_rows: int | None
    cursor_key: CursorKey
    on_fetch: Callable[[FetchRecord], object] | None
    shard: str | None = None
    tally: Tally | None = None

    def check(self, loader: str) -> None:
        """Check the arguments of the loader.

        Args:
            loader: the name of the loader's class.

        Raises:
            LoaderError: LP408, an argument has a wrong value.
        """
        check_bind(self.bind, loader)
        key = self.cursor_key
        if not (isinstance(key, bytes) or (hasattr(key, "encrypt") and hasattr(key, "decrypt"))):
            raise LoaderError(call_problems.not_a_cursor_key(key))
        on_fetch: object = self.on_fetch
        if on_fetch is not None and not callable(on_fetch):
            message = f"on_fetch={shown(on_fetch)} is not a function"
            raise LoaderError(Problem("LP408", message, hint="pass a function that takes a FetchRecord."))
        if self.max_rows is not None and not (is_count(self.max_rows, least=0) and self.max_rows <= MOST):
            message = f"max_rows={shown(self.max_rows)} must be a whole number of 0 or more"
            raise LoaderError(Problem("LP408", message, hint="remove max_rows= to allow any number of rows."))

    def fetch(self, plan: LoadPlan[T], given: object, params: Params, for_update: ForUpdate, options: Options) -> T:
        """Return the graph of one root by primary key. See :meth:`loadplan.Loader.fetch`."""
        found = self.fetch_or_none(plan, given, params, for_update, options)
        if found is None:
            raise not_found(plan, [given], self.dialect_of(plan))
        return found

    def fetch_or_none(
        self, plan: LoadPlan[T], given: object, params: Params, for_update: ForUpdate, options: Options
    ) -> T | None:
        """Return the graph of one root by primary key, or None. See :meth:`loadplan.Loader.fetch_or_none`."""

        def prepare(compiled: Compiled[T], tally: Tally) -> Work[list[T]]:
            one = by_id(compiled)
            bound = {**one.parameters(params), **one.bind(given)}
            graph = one.graph.narrowed(locking(plan, for_update)) if locks(for_update) else one.graph
            return lambda session: load_roots(graph, session, [bound], tally)

        found = self.run(plan, prepare, options, roots=1, for_update=for_update)
        if len(found) > 1:
            raise MultipleFound(call_problems.several_have_key(plan.label, plan.entity.__name__, given))
        return found[0] if found else None

    def fetch_many(
        self, plan: LoadPlan[T], ids: Iterable[object], missing: str, params: Params, options: Options
    ) -> list[T]:
        """Return the graphs of many roots by primary key. See :meth:`loadplan.Loader.fetch_many`."""
        check_plan(plan)
        check_missing(missing, plan)
        asked = listed(plan, ids)
        found = self.find(plan, asked, params, options)
        absent = [each for each, root in zip(asked, found, strict=False) if root is None]
        if absent and missing == "raise":
            raise not_found(plan, absent, self.dialect_of(plan))
        return [root for root in found if root is not None]

    def find(self, plan: LoadPlan[T], asked: Sequence[object], params: Params, options: Options) -> list[T | None]:
        """Return the graph of each id in order, or None for an id without a row. Equal ids share one object."""
        check_options(options)
        if not asked:
            return []

        def prepare(compiled: Compiled[T], tally: Tally) -> Work[list[T | None]]:
            many = by_ids(compiled)
            bound = many.parameters(params)
            wanted = read_each(asked, many.reader.read)
            return lambda session: many.run(session, wanted, bound, tally)

        def executions(compiled: Compiled[T]) -> int:
            return by_ids(compiled).executions(asked)

        return self.run(plan, prepare, options, roots=len(asked), executions=executions)

    def check_call(self, plan: LoadPlan[Any], given: object, params: Params, options: Options) -> None:
        """Check the arguments of a fetch, without any SQL.

        Raises:
            IdentityError: LP404, the id cannot be a key.
            ParameterError: LP405, ``params`` does not fit the plan.
            LoaderError: LP408, an option has a wrong value.
        """
        check_plan(plan)
        check_options(options)
        many = by_ids(self.compiled(plan, self.private(), None))
        many.parameters(params)
        many.reader.read(given)

    def fetch_one(
        self, plan: LoadPlan[T], where: RootConditions | None, params: Params, for_update: ForUpdate, options: Options
    ) -> T:
        """Return the graph of the one root that meets a condition. See :meth:`loadplan.Loader.fetch_one`."""
        found = self.fetch_one_or_none(plan, where, params, for_update, options)
        if found is None:
            entity = plan.entity.__name__
            raise NotFound(Problem("LP402", f"no '{entity}' matches the condition", (plan.label,)))
        return found

    def fetch_one_or_none(
        self, plan: LoadPlan[T], where: RootConditions | None, params: Params, for_update: ForUpdate, options: Options
    ) -> T | None:
        """Return the root that meets a condition, or None. See :meth:`loadplan.Loader.fetch_one_or_none`."""
        found = self.fetch_all(plan, where, None, 2, None, params, for_update, options)
        if len(found) > 1:
            raise MultipleFound(
                Problem(
                    "LP403",
                    f"more than one '{plan.entity.__name__}' matches the condition",
                    (plan.label,),
                    hint="narrow the condition, or use fetch_all(..., limit=1) to take any one of them.",
                )
            )
        return found[0] if found else None

    def fetch_all(
        self,
        plan: LoadPlan[T],
        where: RootConditions | None,
        order_by: RootOrder | None,
        limit: int | None,
        offset: int | None,
        params: Params,
        for_update: ForUpdate,
        options: Options,
    ) -> list[T]:
        """Return the graphs of all roots that meet a condition. See :meth:`loadplan.Loader.fetch_all`."""

        def prepare(compiled: Compiled[T], tally: Tally) -> Work[list[T]]:
            conditions, order = tuple_or_none(where) or (), tuple_or_none(order_by) or ()
            graph, bound = roots_by(compiled, conditions, order, limit, offset, params)
            if locks(for_update):
                graph = graph.narrowed(locking(plan, for_update))
            return lambda session: load_roots(graph, session, [bound], tally, limit)

        return self.run(plan, prepare, options, roots=limit, for_update=for_update, asked=(where, order_by))

    def fetch_page(
        self,
        plan: LoadPlan[T],
        order_by: RootOrder | None,
        size: int,
        after: str | None,
        before: str | None,
        where: RootConditions | None,
        params: Params,
        total: Total | None,
        options: Options,
    ) -> Page[T]:
        """Return one page of roots. See :meth:`loadplan.Loader.fetch_page`."""
        check_plan(plan)
        check_total(plan, total)

        def prepare(compiled: Compiled[T], tally: Tally) -> Work[Page[T]]:
            query = RootQuery(compiled, tuple_or_none(where) or (), tuple_or_none(order_by) or ())
            bound = query.parameters(params)
            page = page_of(query, size, after, before, self.cursor_key)
            how = total
            if how is None:
                return lambda session: page.run(session, bound, tally)
            counted = compiled.narrowed(narrowing(compiled, query.where, (), None, None))

            def work(session: Opened) -> Page[T]:
                found = page.run(session, bound, tally)
                if found.next is None and found.previous is None:  # this is the only page
                    return attrs.evolve(found, total=len(found.items))
                return attrs.evolve(found, total=root_count(counted).total(how, session, bound, tally))

            return work

        executions = 1 + (total is not None)
        return self.run(plan, prepare, options, roots=size, executions=lambda _: executions, asked=(where, order_by))

    def total(
        self, plan: LoadPlan[Any], where: RootConditions | None, params: Params, total: Total, options: Options
    ) -> int:
        """Return the number of all roots, counted or estimated, for ``fetch_page(total=...)``."""

        def prepare(compiled: Compiled[Any], tally: Tally) -> Work[int]:
            graph, bound = roots_by(compiled, tuple_or_none(where) or (), (), None, None, params)
            counted = root_count(graph)
            return lambda session: counted.total(total, session, bound, tally)

        return self.run(plan, prepare, options, roots=None, follows=False, asked=(where, None))

    def count(
        self, plan: LoadPlan[Any] | type[Any], where: RootConditions | None, params: Params, options: Options
    ) -> int:
        """Return the number of roots that meet a condition. See :meth:`loadplan.Loader.count`."""
        return self._counted(plan, where, params, options, "count")

    def exists(
        self, plan: LoadPlan[Any] | type[Any], where: RootConditions | None, params: Params, options: Options
    ) -> bool:
        """Tell whether a root meets a condition. See :meth:`loadplan.Loader.exists`."""
        return bool(self._counted(plan, where, params, options, "exists"))

    def _counted(
        self,
        plan: LoadPlan[Any] | type[Any],
        where: RootConditions | None,
        params: Params,
        options: Options,
        call: Literal["count", "exists"],
    ) -> int:
        def prepare(compiled: Compiled[Any], tally: Tally) -> Work[int]:
            graph, bound = roots_by(compiled, tuple_or_none(where) or (), (), None, None, params)
            count = root_count(graph)
            ask = count.number if call == "count" else count.any
            return lambda session: ask(session, bound, tally)

        return self.run(plan_behind(plan), prepare, options, roots=None, follows=False, asked=(where, None))

    def batches(
        self,
        plan: LoadPlan[T],
        where: RootConditions | None,
        order_by: RootOrder | None,
        batch_size: int,
        params: Params,
        options: Options,
    ) -> Generator[Sequence[T], None, None]:
        """Yield the graphs of :meth:`loadplan.Loader.stream`, batch by batch."""
        check_plan(plan)
        check_options(options)
        if not (is_count(batch_size, least=1) and batch_size <= MOST):
            raise PlanError([number_problems.bad_number("batch_size", batch_size, (plan.label,))])
        private = self.private()
        dialect = private.dialect(resolve_plan(plan).root.mapper)
        warn_if_untested(dialect)
        compiled = compile_plan(plan, dialect)
        compiled = compiled.across(private.databases(compiled.classes)).countable
        query = RootQuery(compiled, tuple_or_none(where) or (), tuple_or_none(order_by) or ())
        bound = query.parameters(params)
        check_in_one_database(private, compiled, where, order_by)
        with self.told(plan, whole=False) as tally:
            batches = _batches(compiled, query, bound, min(batch_size, _MOST_OF_A_CURSOR), tally)
            with private.open(compiled.mappers, options=options) as opened:
                try:
                    while batch := opened(batches.next_batch):
                        yield batch
                except (Exception, GeneratorExit):
                    with contextlib.suppress(DBAPIError, LoaderError):  # the connection is lost: close nothing
                        opened(batches.close)
                    raise

    def explain(
        self, plan: LoadPlan[Any] | type[Any], roots: int | None, call: Call, total: Total | None
    ) -> Explanation:
        """Return how a plan is loaded. See :meth:`loadplan.Loader.explain`."""
        check_call(call)
        plan = plan_behind(plan) if call in {"count", "exists"} else plan_itself(plan)
        check_total(plan, total)
        compiled = self.compiled(plan, self.private(), roots)
        explained = explain_plan(by_id(compiled).graph if roots == 1 and total is None else compiled)
        if call == "fetch" and total is None:
            return explained
        count = root_count(compiled)
        if call == "fetch":
            assert total is not None  # noqa: S101 - one of the two is asked for
            sql = (*explained.sql, count.explained(total))
            formula = f"{explained.formula}, and 1 for the total"
            return attrs.evolve(explained, sql=sql, statements=len(sql), formula=formula)
        formula = "1, however many rows"
        sql = (count.explained("exists" if call == "exists" else "count"),)
        return attrs.evolve(explained, columns=None, edges=(), sql=sql, statements=1, formula=formula)

    def learn_indexes(self, given: Sequence[LoadPlan[Any] | type[Any]], options: Options) -> tuple[LearnedIndex, ...]:
        """Read which indexes the database has. See :meth:`loadplan.Loader.learn_indexes`."""
        check_options(options)
        wanted = dict.fromkeys(pair for each in given for pair in tables_of(each))

        def work(session: Opened) -> dict[Dialect, dict[Table, Sequence[DatabaseIndex]]]:
            found: dict[Dialect, dict[Table, Sequence[DatabaseIndex]]] = {}
            for mapper, table in wanted:
                connection = session.connection(bind_arguments={"mapper": mapper})
                of_tables = found.setdefault(connection.dialect, {})
                if table not in of_tables:
                    names = {**connection.get_execution_options(), **(options or {})}.get("schema_translate_map") or {}
                    of_tables[table] = unmapped_indexes(connection, table, names.get(table.schema, table.schema))
            return found

        mappers = list(dict.fromkeys(mapper for mapper, _ in wanted))
        found = self.private().run(work, mappers, statements=1, options=options) if wanted else {}
        for dialect, of_tables in found.items():
            remember(dialect, of_tables)
        learned = [
            LearnedIndex(table.fullname, each.name, each.columns)
            for of_tables in found.values()
            for table, indexes in of_tables.items()
            for each in indexes
        ]
        return tuple(sorted(learned, key=str))

    def analyze(self, plan: LoadPlan[Any], given: object, params: Params, options: Options) -> Analysis:
        """Fetch a root, and have the database explain each statement. See :meth:`loadplan.Loader.analyze`."""
        check_plan(plan)
        check_options(options)
        private = self.private()
        compiled = self.compiled(plan, private, 1)
        one = by_id(compiled)
        bound = {**one.parameters(params), **one.bind(given)}

        def work(session: Session) -> Analysis:
            return analyze(session, compiled, lambda session, tally: load_roots(one.graph, session, [bound], tally))

        return private.run(work, compiled.mappers, statements=None, options=options)

    def run(
        self,
        plan: LoadPlan[T],
        prepare: Callable[[Compiled[T], Tally], Work[R]],
        options: Options,
        *,
        roots: int | None,
        for_update: ForUpdate = False,
        executions: Callable[[Compiled[T]], int] = lambda _: 1,
        follows: bool = True,
        asked: tuple[RootConditions | None, RootOrder | None] = (None, None),
    ) -> R:
        """Compile, let ``prepare`` check its input and build the work, and only then open a connection.

        Args:
            plan: the plan to run.
            prepare: checks the input and returns the work.
            options: execution options of all statements.
            roots: the most roots that the call returns; None for any number.
            for_update: whether, and how, to lock the roots.
            executions: how often the statement of the roots may run. If it runs more than once, it needs a snapshot.
            follows: whether the statements below the roots run, too.
            asked: the conditions and the order of the roots.
        """
        check_plan(plan)
        check_options(options)
        if not call_problems.is_lock(for_update):
            raise LoaderError(call_problems.not_a_lock(for_update, (plan.label,)))
        if isinstance(for_update, Mapping) and not call_problems.locks_root(for_update, plan.entity):
            raise LoaderError(call_problems.lock_of_others(for_update, (plan.label,)))
        bare = not options
        private = self.private(bare=bare)
        if locks(for_update) and not private.in_transaction_of_caller:
            raise LoaderError(call_problems.lock_without_transaction(is_async(self.bind), (plan.label,)))
        number = roots if is_count(roots, least=0) else None  # ``prepare`` reports a wrong value
        with self.told(plan) as tally:
            while True:
                compiled = self.compiled(plan, private, number)
                work = prepare(compiled, tally)
                check_in_one_database(private, compiled, *asked)
                statements = executions(compiled) + (len(compiled.later) if follows else 0)
                try:
                    return private.run(work, compiled.mappers, statements=statements, options=options)
                except Undecodable as signal:
                    if not compiled.nests and signal.__cause__ is not None:
                        raise signal.__cause__ from None  # no rows were nested, so nesting did not cause it
                    compiled.without_nesting()
                tally.start_over()
                private = self.private(bare=bare)

    def told(self, plan: LoadPlan[Any], *, whole: bool = True) -> contextlib.AbstractContextManager[Tally]:
        """Count the rows and statements of a call, and report the numbers at the end of the call.

        If the call is a part of a larger call, the larger call counts and reports them.
        """
        if self.tally is not None:
            return contextlib.nullcontext(self.tally)
        return told(plan, self.bind, self.max_rows, self.on_fetch, whole=whole)

    def private(self, *, bare: bool = False) -> PrivateSession:
        """Return a private session for one run. The session is not open yet."""
        return private_session(self.bind, snapshot=self.snapshot, bare=bare, shard=self.shard)

    def dialect_of(self, plan: LoadPlan[Any]) -> Dialect:
        """Return the dialect of the database that holds the roots of a plan."""
        return self.private().dialect(resolve_plan(plan).root.mapper)

    def compiled(self, plan: LoadPlan[T], private: PrivateSession, roots: int | None) -> Compiled[T]:
        """Return a plan ready to run on the database of a session."""
        tree = resolve_plan(plan)
        dialect = private.dialect(tree.root.mapper)
        warn_if_untested(dialect)
        compiled = compile_resolved(plan, tree, dialect)
        compiled = compiled.across(private.databases(compiled.classes)).bringing(roots)
        return compiled if self.max_rows is None else compiled.countable


def _batches(compiled: Compiled[T], query: RootQuery, parameters: dict[str, Any], size: int, tally: Tally) -> _Batches:
    """Return the reader of the roots of a query: with a cursor, or by keys if no cursor can stay open.

    Raises:
        PlanError: LP216, a collection is joined to the root.
    """
    graph = query.graph(None, None, in_order=compiled.repeats_roots or bool(compiled.root.identity))
    by_cursor: _Batches = batches_of(graph, parameters, size, tally)
    return KeyWalk(compiled, query, parameters, size, tally) if walks_by_keys(compiled.dialect) else by_cursor
