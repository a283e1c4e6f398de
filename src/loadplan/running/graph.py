"""Running a compiled view on a session: rows of each statement, keys for the next, objects from the leaves up."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Generic, TypeAlias, TypeVar

import attrs
from sqlalchemy import CursorResult, Dialect, event
from sqlalchemy.orm import Mapper, ORMExecuteState, Session

from loadplan.errors import MultipleFound, PlanError
from loadplan.mapped import mapping
from loadplan.mapped.decoding import Undecodable, is_undecodable, processor
from loadplan.mapped.drivers import driver_of
from loadplan.mapped.indexes import LearnedIndexes, learned_of
from loadplan.mapped.repeats import row_key
from loadplan.objects.building import Guards
from loadplan.objects.instance_script import InstanceWriter
from loadplan.objects.losses import NOTHING_HIDDEN, Hidden
from loadplan.objects.view_script import Blueprint, Hydrator, ViewWriter, make_hydrator
from loadplan.resolved.strategy import Choice, Databases, Learned, Roots, choose_ways, roots_of
from loadplan.resolved.tree import Column, Edge, Place, Tree, edges_below
from loadplan.running import call_problems
from loadplan.running.binary import in_binary
from loadplan.running.garbage import uncollected
from loadplan.running.own_connection import OwnConnection
from loadplan.running.tally import Tally
from loadplan.running.watching import Watch, note, watch_of
from loadplan.sqlalchemy_internals import (
    BY_POSITION,
    changes_statements,
    driver_rows,
    is_silent,
    rows_of_text,
    takes_text,
)
from loadplan.statements.builder import Slot, Statement, StatementBuilder
from loadplan.statements.linked import AnySelect, Narrowing, Parameters

T = TypeVar("T")

#: The instances that each execution made, each list with no instance twice.
Kept: TypeAlias = list[list[Any]]

#: Engines, twice, that a plan remembers its functions for.
_HYDRATORS = 128


@attrs.frozen(eq=False)
class CompiledView(Generic[T]):
    """A plan of views, ready to run on one dialect for some number of roots. Immutable; shared by all tasks.

    Attributes:
        tree: the resolved plan.
        dialect: that the statements are for.
        roots: how many a fetch may bring, as far as the choice of statements depends on it.
        chosen: the way of every edge.
        root: the statement that the graph starts with.
        later: the other statements, in the order they run.
        present: the column that tells whether a joined row is there.
        arrays: what the rows of each nested array hold.
        above: by the number of a statement, the number of the one whose rows have its keys.
        builder: of the statements; those that repeat the statement of their parents are built anew with it.
        databases: of classes that do not all live in one: the number and the dialect of each one's.
        learned: indexes that the databases had, when it was compiled, and the mapping has not.
        hydrators: the functions that build views, made when rows first come.
        variants: the same plan for other numbers of roots, or narrowed in ways that are used again.
        mappers: the mapper that each statement selects.
        classes: the mapper of each place.
    """

    tree: Tree
    dialect: Dialect
    roots: Roots
    chosen: Mapping[Edge, Choice]
    root: Statement
    later: tuple[Statement, ...]
    present: Mapping[Edge, Column]
    arrays: Mapping[Edge, Sequence[Slot]]
    above: Mapping[int, int]
    builder: StatementBuilder
    databases: Databases = attrs.field(factory=dict)
    learned: Learned = attrs.field(factory=dict)
    hydrators: dict[tuple[bool, Dialect, Hidden], Hydrator] = attrs.field(factory=dict)
    variants: dict[Any, Any] = attrs.field(factory=dict)
    mappers: tuple[Mapper[Any], ...] = attrs.field(init=False)
    classes: tuple[Mapper[Any], ...] = attrs.field(init=False)

    @mappers.default  # pyright: ignore[reportAttributeAccessIssue] - attrs makes it a field afterwards
    def _mappers(self) -> tuple[Mapper[Any], ...]:
        return tuple(each.place.mapper for each in (self.root, *self.later))

    @classes.default  # pyright: ignore[reportAttributeAccessIssue]
    def _classes(self) -> tuple[Mapper[Any], ...]:
        return (self.mapper, *(edge.target.mapper for edge in edges_below(self.tree.root)))

    @property
    def mapper(self) -> Mapper[Any]:
        """Of the entity that the graph starts at."""
        return self.tree.root.mapper

    @property
    def repeats_roots(self) -> bool:
        """Whether a join may bring several rows for one root: a collection of entities that the plan has joined."""
        return any(not edge.single and self.chosen[edge].way.joins for edge in edges_below(self.tree.root))

    @property
    def nests(self) -> bool:
        """Whether a statement packs rows into rows."""
        return bool(self.arrays)

    def narrowed(self, narrow: Narrowing) -> "CompiledView[T]":
        """Return the graph for the roots that ``narrow`` leaves: conditions, order and limits of the root."""
        select = narrow(self.root.select)
        if self.builder.root_ranks:  # the order of a joined collection comes after that of its parents
            select = select.order_by(*self.builder.root_ranks)
        root = attrs.evolve(self.root, select=select)
        return attrs.evolve(self, root=root, later=self._later_below(root), variants={})

    def _later_below(self, root: Statement) -> tuple[Statement, ...]:
        """Return the other statements below one for the roots: some repeat it within them."""
        if all(each.above is None for each in self.later):
            return self.later
        statements = [root]
        for number, each in enumerate(self.later, start=1):
            above = statements[self.above[number]]
            is_same = each.above is None or above is each.above
            statements.append(each if is_same or each.edge is None else self.builder.follow_up(each.edge, above))
        return tuple(statements[1:])

    def bringing(self, roots: int | None) -> "CompiledView[T]":
        """Return the plan as it is run for that many roots at most; None for any number."""
        return self._variant(roots_of(roots))

    @property
    def countable(self) -> "CompiledView[T]":
        """The same plan for a bound on rows, and for streams: each row is one of a statement, and none in an array."""
        return self._variant(Roots.COUNTED)

    @property
    def lockable(self) -> "CompiledView[T]":
        """The same plan for ``for_update=``: what is joined is in a subquery, which is not locked."""
        return self

    @property
    def streamable(self) -> "CompiledView[T]":
        """The same plan for a walk over any number of roots."""
        return self.countable

    def across(self, databases: Sequence[tuple[int, Dialect]] | None) -> "CompiledView[T]":
        """Return the plan for classes that live in several databases: no statement speaks of two.

        Args:
            databases: the number and the dialect of the database of each of ``classes``; None for one of all.
        """
        if databases is None or len({number for number, _ in databases}) == 1:
            return self
        learned = {dialect: learned_of(dialect) for _, dialect in databases}
        key = ("across", tuple(databases), *learned.values())
        found: CompiledView[T] | None = self.variants.get(key)
        if found is None:
            given = dict(zip(self.classes, databases, strict=True))
            found = self.variants[key] = _compile(self.tree, self.dialect, self.roots, given, learned)
        return found

    def _variant(self, roots: Roots) -> "CompiledView[T]":
        if roots is self.roots and not self.tree.undecodable:
            return self
        key = (roots, tuple(self.tree.undecodable))
        found: CompiledView[T] | None = self.variants.get(key)
        if found is None:
            found = self.variants[key] = _compile(self.tree, self.dialect, roots, self.databases, self.learned)
        return found

    def hydrator(self, dialect: Dialect, *, raw: bool, hidden: Hidden = NOTHING_HIDDEN) -> Hydrator:
        """Return the functions that build views from rows, made at first use.

        Args:
            dialect: of the engine at hand: two engines may read JSON by different functions.
            raw: whether rows are as the driver made them.
            hidden: whose rows the session may have hidden, which the seals of entities have to say.
        """
        found = self.hydrators.get((raw, dialect, hidden))
        if found is None:
            if len(self.hydrators) >= _HYDRATORS:
                self.hydrators.clear()
            blueprint = Blueprint(
                self.tree.recipe,
                (self.root, *self.later),
                self.chosen,
                self.present,
                self.arrays,
                dialect,
                Guards(self.tree.label),
                self.builder.all_columns,
            )
            writer = (
                InstanceWriter(blueprint, raw=raw, hidden=hidden)
                if self.tree.of_entities
                else ViewWriter(blueprint, raw=raw)
            )
            found = self.hydrators[raw, dialect, hidden] = make_hydrator(writer, blueprint)
        return found

    def without_nesting(self) -> None:
        """Have rows never nested again: the driver met a type that it cannot read within a row."""
        if self.dialect.driver not in self.tree.undecodable:
            self.tree.undecodable.append(self.dialect.driver)

    def run(
        self,
        session: Session | OwnConnection,
        executions: Sequence[Parameters],
        tally: Tally,
        limit: int | None = None,
        kept: Kept | None = None,
    ) -> list[T]:
        """Load the roots and all that hangs below them.

        Args:
            session: private to this call.
            executions: parameters of each execution of the root statement, with the parameters of the plan's
                conditions.
            tally: counts what comes.
            limit: that the root statement has already; one that ``max_rows`` exceeds stays as it is.
            kept: of a plan of entities: gets the instances of each execution, which the caller completes then.

        Returns:
            The views in the order of their rows. One statement for the roots, and one for each of ``later`` that has
            parents (more where keys go in chunks).

        Raises:
            TooManyRows: LP406.
            RelatedNotFound: LP410, a required row is not there.
            ViewError: LP411 or LP412, a class refused its row, or the rows are a cycle.
        """
        is_bounded = tally.allows(limit)
        found: list[T] = []
        for parameters in executions:
            run = _Run(session, self, parameters, tally, kept)
            rows = run.rows(self.root, parameters, is_bounded=is_bounded)
            found += _distinct(run.build(rows)) if self.tree.of_entities else run.build(rows)
        return found

    def run_beside(
        self,
        session: Session | OwnConnection,
        executions: Sequence[Parameters],
        columns: Sequence[Any],
        tally: Tally,
        keep: int | None = None,
        kept: Kept | None = None,
    ) -> tuple[list[T], list[tuple[Any, ...]]]:
        """Load roots, and select more columns of them beside.

        Args:
            session: private to this call.
            executions: parameters of each execution of the root statement.
            columns: of the root, selected beside it.
            tally: counts what comes.
            keep: make views of so many rows; all of them by default.
            kept: see :meth:`run`.

        Returns:
            The views, and the values of ``columns`` in each row, those that were not kept too.
        """
        width = len(self.root.slots)
        kinds = [column.type for column in columns]
        statement = self._root_with(columns)
        views: list[T] = []
        beside: list[tuple[Any, ...]] = []
        for parameters in executions:
            run = _Run(session, self, parameters, tally, kept)
            rows = run.rows(statement, parameters, is_bounded=keep is not None)
            firsts, used = self._first_rows(rows.rows, keep)
            values = [tuple(row[width:]) for row in firsts]
            beside += values if not rows.raw else [_processed(each, kinds, rows.dialect) for each in values]
            built = run.build(_Rows([tuple(row[:width]) for row in used], rows.raw, rows.dialect))
            views += _distinct(built) if self.tree.of_entities else built
        return views, beside

    def _first_rows(self, rows: Sequence[Any], keep: int | None) -> tuple[Sequence[Any], Sequence[Any]]:
        """Return the first row of each root, and all rows of the first ``keep`` roots."""
        if not (self.tree.of_entities or self.root.identity):  # a view has one row a root
            return rows, rows[:keep]
        key = self.root_key
        found: dict[Any, Any] = {}
        for row in rows:
            found.setdefault(key(row), row)
        if len(found) == len(rows):
            return rows, rows[:keep]
        wanted = set(list(found)[:keep])
        return list(found.values()), [row for row in rows if key(row) in wanted]

    @property
    def root_key(self) -> Callable[[Any], Any]:
        """Return what reads the key of a root from its row."""
        if self.root.identity:
            return itemgetter(*map(self.root.slots.index, self.root.identity))
        names = {*mapping.primary_key(self.mapper)}
        told: Column | None = getattr(self.tree.recipe, "discriminator", None)
        own = [*self.builder.columns(self.tree.root)]
        others = getattr(self.tree.recipe, "keys", ())
        wanted = [column for column in own if column.name in names or column is told or column in others]
        return itemgetter(*(self.root.slots.index(column) for column in wanted))

    def _root_with(self, columns: Sequence[Any]) -> Statement:
        """Return the statement of the roots with more columns beside, the same one for the same columns."""
        key = ("beside", *map(id, columns))
        if key not in self.variants:  # kept with the columns, so that no others have their ids
            select = self.root.select.add_columns(*columns)
            self.variants[key] = columns, attrs.evolve(self.root, select=select)
        statement: Statement = self.variants[key][1]
        return statement

    def by_identity(
        self,
        session: Session | OwnConnection,
        executions: Sequence[Parameters],
        tally: Tally,
        kept: Kept | None = None,
    ) -> dict[tuple[Any, ...], T]:
        """Load roots, by their primary keys.

        Raises:
            MultipleFound: LP403, concrete classes share a key.
        """
        key = [getattr(self.tree.root.entity, name) for name in mapping.primary_key(self.mapper)]
        views, identities = self.run_beside(session, executions, key, tally, kept=kept)
        if len(row_key(self.tree.root.entity)) > len(key):  # concrete classes
            for identity, count in Counter(identities).items():
                if count > 1:
                    given = identity if len(key) > 1 else identity[0]
                    name = self.mapper.class_.__name__
                    raise MultipleFound(call_problems.several_have_key(self.tree.label, name, given))
        return dict(zip(identities, views, strict=True))

    def batches(self, parameters: Parameters, size: int, tally: Tally) -> "ViewBatches[T]":
        """Return the roots in batches, with the memory of one.

        Raises:
            PlanError: LP216, the plan asks for a collection to be joined to the root: a cursor cuts rows, not roots.
        """
        joined = next(_joined_collections(self.tree.root), None) if self.tree.of_entities else None
        if joined is not None:
            raise PlanError([call_problems.joined_in_stream(self.tree.label, joined)])
        return ViewBatches(self, parameters, size, tally)


def _joined_collections(place: Place) -> Iterator[Edge]:
    """Yield the collections that a plan asks to have joined to a place, or to what is joined to it."""
    for edge in place.edges:
        if edge.cardinality.to_one and edge.asked not in {"selectin", "subquery"}:
            yield from _joined_collections(edge.target)
        elif edge.asked in {"joined", "inner"}:
            yield edge


class ViewBatches(Generic[T]):
    """A walk over roots in batches.

    Args:
        view: narrowed to the roots.
        parameters: that its statements bind.
        size: roots a batch.
        tally: counts what comes; each batch may bring its ``max_rows``.
    """

    def __init__(self, view: CompiledView[T], parameters: Parameters, size: int, tally: Tally) -> None:
        self._view = view
        self._parameters = parameters
        self._size = size
        self._tally = tally
        self._parts: Iterator[Sequence[Any]] | None = None
        self._result: Any = None
        self._last: Any = None

    def close(self, session: Session) -> None:
        """End the walk, and with it the cursor."""
        if self._result is not None:
            self._result.close()

    def next_batch(self, session: Session) -> list[T]:
        """Return the next views; nothing at the end."""
        if self._parts is None:
            most = self._tally.max_rows
            bound = self._size if most is None else min(self._size, most + 1)
            self._tally.sent(self._view.root.name)
            options = {"stream_results": True, "max_row_buffer": bound}
            watch = watch_of(session) if self._view.tree.of_entities and changes_statements(session) else None
            if watch is not None:
                event.listen(session, "do_orm_execute", note)
            self._result = _asked(session, watch, self._view.root.select, self._parameters, options)
            self._parts = iter(self._result.partitions(bound))
        for part in self._parts:
            rows = self._without_last(part) if self._view.root.identity else part
            self._tally.start_over()
            run = _Run(session, self._view, self._parameters, self._tally)
            built = run.build(run.counted(_Rows(rows, False, run.dialect), self._view.root))
            if found := _distinct(built) if self._view.tree.of_entities else built:
                return found
        return []

    def _without_last(self, part: Sequence[Any]) -> Sequence[Any]:
        """Return rows without the rows of the root that the batch before ended with."""
        key, last = self._view.root_key, self._last
        self._last = key(part[-1])
        return [row for row in part if key(row) != last]


@attrs.frozen(eq=False)
class _Rows:
    """Rows of a statement.

    Attributes:
        rows: one after the other.
        raw: whether they are as the driver made them.
        dialect: of the engine that they came from.
    """

    rows: Sequence[Any]
    raw: bool
    dialect: Dialect


def _rows_of(result: Any, dialect: Dialect) -> _Rows:
    """Return the rows of a result, as the driver made them if loadplan knows what that one makes."""
    if isinstance(result, CursorResult):
        dialect = result.dialect  # a listener may have chosen another database
        if driver_of(dialect).raw:
            return _Rows(driver_rows(result), True, dialect)
    return _Rows(result.all(), False, dialect)


class _Run(Generic[T]):
    """One run of a compiled view: what it may still bring."""

    def __init__(
        self,
        session: Session | OwnConnection,
        view: CompiledView[T],
        parameters: Parameters,
        tally: Tally,
        kept: Kept | None = None,
    ) -> None:
        self._session = session
        self._view = view
        self._parameters = parameters
        self._tally = tally
        self._kept = kept
        self.dialect: Dialect = session.get_bind(mapper=view.mapper).dialect
        self._executions: dict[int, list[Parameters]] = {0: [parameters]}
        self._asked: Session | None = None
        self._bare = session if isinstance(session, OwnConnection) else None
        self._watch: Watch | None = None
        if not isinstance(session, OwnConnection) and changes_statements(session):
            self._asked = session
            if view.tree.of_entities:
                self._watch = watch_of(session)
            event.listen(session, "do_orm_execute", _without_entities)

    def rows(self, statement: Statement, parameters: Parameters, *, is_bounded: bool = False) -> _Rows:
        """Execute a statement and return its rows.

        Raises:
            TooManyRows: LP406.
        """
        select = statement.select if is_bounded else self._tally.bounded(statement.select)
        self._tally.sent(statement.name)
        try:
            rows = self._fetch(statement, select, parameters)
        except Exception as error:
            if is_undecodable(error):
                raise Undecodable from error
            raise
        return self.counted(rows, statement)

    def _fetch(self, statement: Statement, select: AnySelect, parameters: Parameters) -> _Rows:
        """Execute a statement of columns without SQLAlchemy's ORM between its rows and ours.

        By way of the session where anything there may have a say in it; else on the session's connection, as text if
        it is asked for again.
        """
        arguments: dict[str, Any] = {"mapper": statement.place.mapper, "clause": select}
        if not (statement.nests and driver_of(self.dialect).in_binary):
            return self._sent(statement, select, parameters, arguments)
        with in_binary(self._session.connection(bind_arguments=arguments)):
            return self._sent(statement, select, parameters, arguments)

    def _sent(
        self, statement: Statement, select: AnySelect, parameters: Parameters, arguments: dict[str, Any]
    ) -> _Rows:
        if self._asked is not None:
            return _rows_of(_asked(self._asked, self._watch, select, parameters), self.dialect)
        connection = self._session.connection(bind_arguments=arguments)
        text = statement.texts.on(connection.dialect) if select is statement.select else None
        if text is not None and self._bare is not None and is_silent(connection) and self._bare.sends_at_once:
            return _Rows(rows_of_text(connection, text.sql, text.bind(parameters)), True, connection.dialect)
        if text is not None and takes_text(connection):
            rows = driver_rows(connection.exec_driver_sql(text.sql, text.bind(parameters)))
            return _Rows(rows, True, connection.dialect)
        return _rows_of(connection.execute(select, parameters, execution_options=BY_POSITION), self.dialect)

    def counted(self, rows: _Rows, statement: Statement) -> _Rows:
        """Return rows that arrived, if they are not too many."""
        self._tally.counted(rows.rows, statement.name)
        return rows

    def build(self, roots: _Rows) -> list[T]:
        """Load what hangs below rows of roots, and build the views of it all, from the leaves up."""
        if not roots.rows:
            return []
        arrived = {0: roots}
        for number, statement in enumerate(self._view.later, start=1):
            above = arrived[self._view.above[number]]
            keys = self._hydrator(above).keys[number](above.rows)
            arrived[number] = self._rows_below(number, statement, keys)
        with uncollected():
            if self._view.tree.of_entities:
                return self._grow(arrived)
            found: dict[int, Any] = {}
            for number in range(len(self._view.later), 0, -1):
                rows = arrived.pop(number)
                found[number] = self._hydrator(rows).build[number](rows.rows, found)
            views: list[T] = self._hydrator(roots).build[0](roots.rows, found)
            return views

    def _grow(self, arrived: dict[int, _Rows]) -> list[T]:
        """Make the instances of all rows, from the roots down, and complete them."""
        first = self._hydrator(arrived[0])
        grown = first.start(len(self._view.later) + 1)
        roots: list[T] = []
        for number in range(len(self._view.later) + 1):
            rows = arrived.pop(number)
            made = self._hydrator(rows).build[number](rows.rows, grown)
            if number == 0:
                roots = made
        if self._kept is None:
            first.complete(grown, self._session)
        else:
            self._kept.append(first.made(grown, self._session))
        return roots

    def _hydrator(self, rows: _Rows) -> Hydrator:
        hidden = NOTHING_HIDDEN if self._watch is None else self._watch.hidden
        return self._view.hydrator(rows.dialect, raw=rows.raw, hidden=hidden)

    def _rows_below(self, number: int, statement: Statement, keys: list[Any]) -> _Rows:
        """Return the rows of a statement for these keys, of all levels of a tree that goes level by level."""
        rows: list[Any] = []
        raw, dialect, asked = True, self.dialect, set(keys)
        executions = self._executions[number] = list[Parameters]()
        while keys:
            fresh: list[Any] = []
            for parameters in self._bound(number, statement, keys):
                executions.append(parameters)
                part = self.rows(statement, parameters)
                raw, dialect = part.raw, part.dialect
                rows += part.rows
                if statement.level_by_level:
                    fresh += self._hydrator(part).onward[number](part.rows)
            keys = [key for key in dict.fromkeys(fresh) if key not in asked]
            asked.update(keys)
        return _Rows(rows, raw, dialect)

    def _bound(self, number: int, statement: Statement, keys: list[Any]) -> Iterator[Parameters]:
        """Yield the parameters of each execution: the keys of parents, or what the parents' statement had."""
        if statement.keys is None:
            yield from self._executions[self._view.above[number]]
            return
        for bound in statement.keys.bind(keys):
            yield {**self._parameters, **bound}


def _asked(
    session: Session,
    watch: Watch | None,
    select: AnySelect,
    parameters: Parameters,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """Execute a statement by way of a session, under the eyes of a watch if the rows become entities."""
    if watch is None:
        return session.execute(select, parameters, execution_options=options or {})
    given: Any = parameters
    return watch.over(select, given, lambda: session.execute(select, given, execution_options=options or {}))


def _distinct(roots: list[T]) -> list[T]:
    """Return instances in the order of their first rows, each once."""
    return list({id(root): root for root in roots}.values())


def _without_entities(state: ORMExecuteState) -> Any:
    """Execute a statement of columns without SQLAlchemy's ORM between its rows and ours.

    The last listener of the session: all others, and the criteria that they add, were asked before it.
    """
    if not state.is_select:
        return None
    note(state)
    connection = state.session.connection(bind_arguments=state.bind_arguments)
    # what a listener sets with ``update_execution_options``, a schema_translate_map for one, is in the local ones alone
    options = {**state.execution_options, **state.local_execution_options}
    return connection.execute(state.statement, state.parameters or {}, execution_options=options)


def _processed(values: Sequence[Any], kinds: Sequence[Any], dialect: Dialect) -> tuple[Any, ...]:
    processors = [processor(kind, dialect) for kind in kinds]
    return tuple(
        value if process is None else process(value) for value, process in zip(values, processors, strict=True)
    )


def compile_view(tree: Tree, dialect: Dialect, learned: LearnedIndexes) -> CompiledView[Any]:
    """Return a resolved plan of views, ready to run on ``dialect``, with the indexes that are known of its database.

    Pure.
    """
    return _compile(tree, dialect, Roots.ONE, {}, {dialect: learned})


def _compile(tree: Tree, dialect: Dialect, roots: Roots, databases: Databases, learned: Learned) -> CompiledView[Any]:
    chosen = choose_ways(tree, roots, dialect, databases, learned)
    builder = StatementBuilder(tree.root, chosen, dialect, databases, learned)
    root = builder.root(tree.root)
    statements, above = [root], dict[int, int]()
    for edge in edges_below(tree.root):
        if chosen[edge].way.own_statement:
            parents = set(builder.parents(edge))
            number = next(at for at, each in enumerate(statements) if parents <= set(each.slots))
            above[len(statements)] = number
            statements.append(builder.follow_up(edge, statements[number]))
    return CompiledView(
        tree,
        dialect,
        roots,
        chosen,
        root,
        tuple(statements[1:]),
        builder.present,
        builder.arrays,
        above,
        builder,
        databases,
        learned,
    )
