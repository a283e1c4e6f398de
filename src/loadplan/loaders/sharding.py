"""The calls of a loader on a sharded session. Each shard returns whole graphs, and loadplan combines them.

A root and everything below it are in one shard. No statement and no graph reaches over two shards.
"""

from __future__ import annotations  # annotations of inner functions would be evaluated in every call

import contextlib
import itertools
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

import attrs
from sqlalchemy import Dialect, inspect, select, types

from loadplan.declared.sources import RootConditions, RootOrder
from loadplan.declared.spec import tuple_or_none
from loadplan.errors import LoaderError, NotFound, PlanError, Problem
from loadplan.explained.analysis import Analysis
from loadplan.explained.explanation import Explanation
from loadplan.loaders.arguments import Call, ForUpdate, Options, Params, check_plan, plan_behind
from loadplan.loaders.attached_calls import AllCalls
from loadplan.loaders.attaching import read_objects
from loadplan.loaders.calls import Work
from loadplan.loaders.counting import Total, check_total
from loadplan.loaders.merging import is_mergeable, merged, sort_key
from loadplan.mapped.indexes import LearnedIndex
from loadplan.mapped.ordering import Ordering
from loadplan.plan import LoadPlan
from loadplan.running import call_problems
from loadplan.running.binds import Bind, SyncBind
from loadplan.running.call_options import check_options
from loadplan.running.cursors import CursorKey
from loadplan.running.exact import comparable, exact_value
from loadplan.running.graph import load_roots_beside
from loadplan.running.identity import read_each
from loadplan.running.keyed_roots import by_id
from loadplan.running.paging import Page, PageQuery, page_of
from loadplan.running.plans import Compiled, resolve_plan
from loadplan.running.roots import RootQuery, check_counts
from loadplan.running.shards import all_shards, is_sharded, shards_of_key, shards_of_statement
from loadplan.running.tally import FetchRecord, Tally

T = TypeVar("T")

#: SQLAlchemy's own execution option for the shard of a statement.
_SHARD_OPTION = "_sa_shard_id"


def calls_on(
    bind: Bind | SyncBind,
    snapshot: bool,
    max_rows: int | None,
    cursor_key: CursorKey,
    on_fetch: Callable[[FetchRecord], object] | None,
) -> AllCalls:
    """Return the calls of a loader on a bind: one database, or the shards of a sharded session."""
    kind = ShardedCalls if is_sharded(bind) else AllCalls
    return kind(bind, snapshot, max_rows, cursor_key, on_fetch)


@attrs.frozen(eq=False)
class ShardedCalls(AllCalls):
    """The calls over several shards. They go to one shard after the other, each in its own transaction and snapshot."""

    def on(self, shard: str, tally: Tally | None = None) -> AllCalls:
        """Return the calls on one shard. They count rows and statements in the tally of the whole call."""
        return AllCalls(self.bind, self.snapshot, self.max_rows, self.cursor_key, self.on_fetch, shard, tally)

    @property
    def first(self) -> AllCalls:
        """The calls on the first shard, for everything that does not depend on the shard."""
        return self.on(all_shards(self.bind)[0])

    # --- by key ---------------------------------------------------------------------------------------------------

    def fetch_or_none(
        self, plan: LoadPlan[T], given: object, params: Params, for_update: ForUpdate, options: Options
    ) -> T | None:
        """Return the root by primary key, from the first shard that has it; None if no shard does."""
        shards = self._shards_of(plan, given, options)
        with self.told(plan) as tally:
            for shard in shards:
                found = self.on(shard, tally).fetch_or_none(plan, given, params, for_update, options)
                if found is not None:
                    return found
        return None

    def find(self, plan: LoadPlan[T], asked: Sequence[object], params: Params, options: Options) -> list[T | None]:
        """Return the roots by their ids, each from the first shard that has it. Fetch once from each shard."""
        wanted = read_each(asked, lambda given: self._shards_of(plan, given, options))
        places_in: dict[str, list[int]] = {}
        for place, shards in enumerate(wanted):
            for shard in shards:
                places_in.setdefault(shard, []).append(place)
        answers: dict[tuple[int, str], T] = {}
        with self.told(plan) as tally:
            for shard, places in places_in.items():
                found = self.on(shard, tally).find(plan, [asked[place] for place in places], params, options)
                answers.update(
                    {(place, shard): root for place, root in zip(places, found, strict=True) if root is not None}
                )
        return [
            next((answers[place, each] for each in shards if (place, each) in answers), None)
            for place, shards in enumerate(wanted)
        ]

    def fetch_attached(
        self,
        plan: LoadPlan[T],
        given: object,
        params: Params,
        refresh: bool | None,
        for_update: ForUpdate | None,
        options: Options,
    ) -> T:
        """Return the root in the caller's session, from the first shard that has it."""
        shards = self._shards_of(plan, given, options)
        for shard in shards[:-1]:
            with contextlib.suppress(NotFound):
                return self.on(shard).fetch_attached(plan, given, params, refresh, for_update, options)
        return self.on(shards[-1]).fetch_attached(plan, given, params, refresh, for_update, options)

    def extend(
        self, given: object, loads: Sequence[Any], only: Any, refresh: bool, params: Params, options: Options
    ) -> Any:
        """Extend objects, one shard after another.

        Raises:
            LoaderError: LP408, the shard of an object is not known.
        """
        read = read_objects(given, self.bind)
        if read is None:
            return []
        of_shards: dict[str, list[object]] = {}
        for each in read.objects:
            shard: str | None = inspect(each).identity_token
            if shard is None:
                raise _homeless(each)
            of_shards.setdefault(shard, []).append(each)
        for shard, objects in of_shards.items():
            self.on(shard).extend(objects, loads, only, refresh, params, options)
        return read.objects[0] if read.is_one else list(read.objects)

    def check_call(self, plan: LoadPlan[Any], given: object, params: Params, options: Options) -> None:
        """Check the arguments of a fetch, without any SQL. See :meth:`loadplan.loaders.calls.Calls.check_call`."""
        self.first.check_call(plan, given, params, options)

    def analyze(self, plan: LoadPlan[Any], given: object, params: Params, options: Options) -> Analysis:
        """Analyze the fetch on the first shard that has the root, or on the last one if no shard has it."""
        found: Analysis | None = None
        for shard in self._shards_of(plan, given, options):
            found = self.on(shard).analyze(plan, given, params, options)
            if found.statements[0].rows:
                break
        return self.first.analyze(plan, given, params, options) if found is None else found

    def learn_indexes(self, given: Sequence[LoadPlan[Any] | type[Any]], options: Options) -> tuple[LearnedIndex, ...]:
        """Learn the indexes of each shard."""
        found = [self.on(shard).learn_indexes(given, options) for shard in all_shards(self.bind)]
        return tuple(sorted(set(itertools.chain(*found)), key=str))

    def explain(
        self, plan: LoadPlan[Any] | type[Any], roots: int | None, call: Call, total: Total | None
    ) -> Explanation:
        """Explain the statements that one shard gets."""
        return self.first.explain(plan, roots, call, total)

    def _shards_of(self, plan: LoadPlan[Any], given: object, options: Options) -> list[str]:
        """Return the shards that a root may be in, by its id."""
        check_plan(plan)
        check_options(options)
        if options and _SHARD_OPTION in options:
            return [options[_SHARD_OPTION]]
        calls = self.first
        reader = by_id(calls.compiled(plan, calls.private(), 1)).reader
        return shards_of_key(self.bind, resolve_plan(plan).root.mapper, reader.read(given), options)

    # --- by condition ---------------------------------------------------------------------------------------------

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
        """Return the roots of all shards: in the order of ``order_by``, or shard by shard without it."""
        shards = self._shards_asked(plan, where, order_by, params, options)
        if len(shards) == 1:
            return self.on(shards[0]).fetch_all(plan, where, order_by, limit, offset, params, for_update, options)
        calls = self.first
        check_counts(calls.compiled(plan, calls.private(), None), limit, offset)
        skipped = offset or 0
        most = None if limit is None else skipped + limit
        with self.told(plan) as tally:
            if tuple_or_none(order_by):
                found = self._in_order(shards, tally, plan, where, order_by, most, params, for_update, options)
            else:
                found = []
                for shard in shards:
                    left = None if most is None else most - len(found)
                    if left != 0:
                        part = self.on(shard, tally)
                        found += part.fetch_all(plan, where, None, left, None, params, for_update, options)
        return found[skipped:most]

    def _in_order(
        self,
        shards: Sequence[str],
        tally: Tally,
        plan: LoadPlan[T],
        where: RootConditions | None,
        order_by: RootOrder | None,
        most: int | None,
        params: Params,
        for_update: ForUpdate,
        options: Options,
    ) -> list[T]:
        """Return the first roots of all shards in an order."""
        given = tuple_or_none(order_by) or ()
        parts: list[list[tuple[Sequence[Any], T]]] = []
        order: list[Ordering] = []
        for shard in shards:

            def prepare(compiled: Compiled[T], tally: Tally) -> Work[tuple[list[T], list[tuple[Any, ...]]]]:
                query = RootQuery(compiled, tuple_or_none(where) or (), given)
                order[:] = self._mergeable(query, query.total_order, at_least=len(given))
                bound = query.parameters(params)
                graph = query.graph(most, None, in_order=True)
                values = [
                    exact_value(comparable(each, compiled.dialect).expression, compiled.dialect).label(
                        f"loadplan_order_{number}"
                    )
                    for number, each in enumerate(order)
                ]
                return lambda session: load_roots_beside(graph, session, [bound], values, tally)

            roots, values = self.on(shard, tally).run(plan, prepare, options, roots=most, for_update=for_update)
            parts.append(list(zip(values, roots, strict=True)))
        return [root for _, root in merged(parts, order, self.dialect_of(plan))]

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
        """Return a page of the roots of all shards. Each shard returns as many roots as a page holds."""
        shards = self._shards_asked(plan, where, order_by, params, options)
        if len(shards) == 1:
            calls = self.on(shards[0])
            return calls.fetch_page(plan, order_by, size, after, before, where, params, total, options)
        check_total(plan, total)
        parts: list[list[tuple[Sequence[Any], Any]]] = []
        pages: list[PageQuery] = []
        with self.told(plan) as tally:
            for shard in shards:

                def prepare(compiled: Compiled[T], tally: Tally) -> Work[tuple[list[T], list[tuple[Any, ...]]]]:
                    query = RootQuery(compiled, tuple_or_none(where) or (), tuple_or_none(order_by) or ())
                    page = page_of(query, size, after, before, self.cursor_key)
                    # the cursor's row is in one shard, so other shards cannot read its value
                    for number, kept_value in {**page.kept, **page.read_there}.items():
                        kind = type(query.total_order[number].expression.type).__name__
                        if kept_value.is_of_own_type:
                            raise PlanError([call_problems.not_pageable(kind, (plan.label,))])
                        raise PlanError([_not_shown(plan, query.told(number))])
                    self._mergeable(query, page.order, at_least=len(page.order))
                    pages.append(page)
                    bound = query.parameters(params)
                    return lambda session: page.read(session, bound, tally)

                roots, values = self.on(shard, tally).run(plan, prepare, options, roots=size)
                kept: list[Any] = [*roots, *[None] * (len(values) - len(roots))]
                parts.append(list(zip(values, kept, strict=True)))
            page = pages[-1]
            dialect = self.dialect_of(plan)
            rows = merged(parts, page.order, dialect)[: size + 1]
            key = sort_key(page.order, dialect)
            for (one, _), (other, _) in itertools.pairwise(rows):
                if key(one) == key(other):
                    raise PlanError([_same_key(plan)])
            found = page.page([root for _, root in rows[:size]], [tuple(values) for values, _ in rows])
            if total is None:
                return found
            counted = [self.on(shard, tally).total(plan, where, params, total, options) for shard in shards]
        return attrs.evolve(found, total=sum(counted))

    def batches(
        self,
        plan: LoadPlan[T],
        where: RootConditions | None,
        order_by: RootOrder | None,
        batch_size: int,
        params: Params,
        options: Options,
    ) -> Generator[Sequence[T], None, None]:
        """Yield the roots shard by shard. An order over several shards is an error: each would keep a cursor open."""
        shards = self._shards_asked(plan, where, order_by, params, options)
        if len(shards) > 1 and tuple_or_none(order_by):
            raise PlanError([_ordered_stream(plan, shards)])
        with self.told(plan, whole=False) as tally:
            for shard in shards:
                yield from self.on(shard, tally).batches(plan, where, order_by, batch_size, params, options)

    def count(
        self, plan: LoadPlan[Any] | type[Any], where: RootConditions | None, params: Params, options: Options
    ) -> int:
        """Return the number of roots in all shards."""
        named = plan_behind(plan)
        with self.told(named) as tally:
            shards = self._shards_asked(named, where, None, params, options)
            return sum(self.on(shard, tally).count(named, where, params, options) for shard in shards)

    def exists(
        self, plan: LoadPlan[Any] | type[Any], where: RootConditions | None, params: Params, options: Options
    ) -> bool:
        """Tell whether a shard has a root that meets the condition. It stops at the first shard that has one."""
        named = plan_behind(plan)
        with self.told(named) as tally:
            shards = self._shards_asked(named, where, None, params, options)
            return any(self.on(shard, tally).exists(named, where, params, options) for shard in shards)

    def _shards_asked(
        self,
        plan: LoadPlan[Any],
        where: RootConditions | None,
        order_by: RootOrder | None,
        params: Params,
        options: Options,
    ) -> list[str]:
        """Return the shards that the session's ``execute_chooser`` names for the statement of the roots."""
        check_plan(plan)
        check_options(options)
        if options and _SHARD_OPTION in options:
            return [options[_SHARD_OPTION]]
        calls = self.first
        given = tuple_or_none(where) or (), tuple_or_none(order_by) or ()
        query = RootQuery(calls.compiled(plan, calls.private(), None), *given)
        mapper = resolve_plan(plan).root.mapper
        statement = select(plan.entity).where(*query.where)
        return shards_of_statement(self.bind, mapper, statement, query.parameters(params), options)

    def dialect_of(self, plan: LoadPlan[Any]) -> Dialect:
        """Return the dialect of the first shard."""
        return self.first.dialect_of(plan)

    @staticmethod
    def _mergeable(query: RootQuery, order: Sequence[Ordering], *, at_least: int) -> list[Ordering]:
        """Return the first expressions of an order, as far as Python can merge the rows of shards by them.

        Raises:
            PlanError: LP217, Python cannot merge enough of the order.
        """
        for number, each in enumerate(order):
            if not is_mergeable(each, query.compiled.dialect):
                if number < at_least:
                    raise PlanError([_unmergeable(query, number, each)])
                return list(order[:number])
        return list(order)


def _unmergeable(query: RootQuery, number: int, ordering: Ordering) -> Problem:
    kind = ordering.expression.type
    hint = (
        'order by collate(column, "C"), or by a number or a date.'
        if isinstance(kind, types.String) and not isinstance(kind, types.Enum)
        else "order by a number, a date or a UUID, or add a condition that selects one shard."
    )
    return Problem(
        "LP217",
        f"the rows of several shards cannot be merged in the order of '{query.told(number)}'",
        (query.compiled.tree.label,),
        detail=f"only the database knows how it compares values of {type(kind).__name__}.",
        hint=hint,
    )


def _ordered_stream(plan: LoadPlan[Any], shards: Sequence[str]) -> Problem:
    return Problem(
        "LP217",
        f"stream() cannot merge the rows of {len(shards)} shards in an order",
        (plan.label,),
        detail="each shard would keep a cursor and a transaction open until the end.",
        hint="leave order_by= out, use fetch_page, or add a condition that selects one shard.",
    )


def _not_shown(plan: LoadPlan[Any], order: str) -> Problem:
    return Problem(
        "LP217",
        f"the page is ordered by '{order}', which it does not show",
        (plan.label,),
        detail="no cursor holds this value, and one shard cannot read it in the row of another.",
        hint="load the column in the plan, or pass a cipher as cursor_key=.",
    )


def _same_key(plan: LoadPlan[Any]) -> Problem:
    return Problem(
        "LP217",
        f"two shards have a '{plan.entity.__name__}' with the same primary key and the same place in the order",
        (plan.label,),
        detail="a cursor between the two would lose one of them.",
        hint="add a column to order_by= that tells the shards apart.",
    )


def _homeless(entity: object) -> LoaderError:
    return LoaderError(
        Problem(
            "LP408",
            f"the shard of a '{type(entity).__name__}' is not known",
            detail="it was loaded without a sharded session.",
            hint="make the Loader with the engine of its shard.",
        )
    )
