"""Narrows a compiled graph to some roots: by key, by keys, or by condition, order and limit."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias, TypeVar

import attrs
from sqlalchemy import ColumnElement, bindparam, func, select
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.orm.attributes import instance_state

from loadplan.declared.sources import Source, is_path
from loadplan.declared.spec import Plan
from loadplan.errors import PlanError
from loadplan.mapped import mapping
from loadplan.mapped.elements import has_aggregate
from loadplan.mapped.ordering import Ordering, with_tie_breaker
from loadplan.mapped.repeats import is_never_null, is_object, may_be_null_in_key, row_key, same_rows
from loadplan.mapped.telling import has_hash
from loadplan.resolved import number_problems, problems, problems_of_orders
from loadplan.resolved.conditions import conditions_of, foreign_tables, parameters_in
from loadplan.resolved.form import MOST, is_condition, is_expression
from loadplan.resolved.strategy import Way
from loadplan.resolved.tree import Parameter
from loadplan.running import call_problems
from loadplan.running.answers import asking
from loadplan.running.graph import identity_class, load_by_identity, load_roots
from loadplan.running.identity import Identity, IdentityReader
from loadplan.running.making import Kept
from loadplan.running.own_connection import Opened
from loadplan.running.parameters import read_parameters
from loadplan.running.plans import Compiled
from loadplan.running.root_keys import RootKeys, root_keys
from loadplan.running.shown import is_shown
from loadplan.running.tally import Tally
from loadplan.sqlalchemy_internals import stored_key
from loadplan.statements.joined_orders import Join, JoinedValue, Planned, in_joins, joined_to, joined_value
from loadplan.statements.keys import CHUNK, Keys, among, keys_of, type_of_keys
from loadplan.statements.linked import AnySelect, Narrowing
from loadplan.statements.reached import condition, ordered

T = TypeVar("T")


@attrs.frozen(eq=False)
class ById:
    """A graph narrowed to one root by primary key. Its statement is the same for every id."""

    graph: Compiled[Any]
    reader: IdentityReader

    def bind(self, given: object) -> dict[str, Any]:
        """Return the parameters for an id.

        Raises:
            IdentityError: LP404, the value cannot be the key.
        """
        return {f"loadplan_id_{index}": value for index, value in enumerate(self.reader.read(given))}

    def parameters(self, given: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the caller's parameters, checked."""
        return _parameters(self.graph, (), given)


@attrs.frozen(eq=False)
class ByIds:
    """A graph narrowed to many roots by primary key."""

    compiled: Compiled[Any]
    graph: Compiled[Any]
    reader: IdentityReader
    keys: Keys
    root_keys: RootKeys

    def parameters(self, given: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the caller's parameters, checked."""
        return _parameters(self.graph, (), given)

    def executions(self, asked: Sequence[object]) -> int:
        """Return the largest number of statements for the roots.

        Each chunk of ids takes one or two, and each id with NULL takes one.
        """
        chunks = 1 if self.keys.as_arrays else -(-len(asked) // CHUNK)
        with_null = sum(_has_null(self.reader.read(each)) for each in asked) if self.reader.partial else 0
        return with_null + (chunks if self.reader.exact else 2 * chunks)

    def run(
        self,
        session: Opened,
        asked: Sequence[Identity],
        parameters: Mapping[str, Any],
        tally: Tally,
        kept: Kept | None = None,
        classes: Sequence[Any] | None = None,
    ) -> list[Any]:
        """Return, for each id, its root or None. Equal ids share one root.

        The ids go in chunks, each as large as the database allows.

        Args:
            session: the private session of this call.
            asked: the ids.
            parameters: the parameters of the plan's conditions.
            tally: counts rows and statements.
            kept: see :func:`~loadplan.running.graph.load_roots`.
            classes: for each id, the class of its entity, where concrete classes share ids.
        """
        named = [()] * len(asked) if classes is None else [(each,) for each in classes]
        places = _places([(*name, *each) for name, each in zip(named, asked, strict=True)])
        distinct = {place: identity for identity, place in zip(asked, places, strict=True)}
        whole = {place: each for place, each in distinct.items() if not _has_null(each)}
        executions = _executions(self.keys, [*whole.values()], parameters)
        by_value, by_mark = load_by_identity(
            self.graph, session, executions, self.root_keys, tally, kept, with_class=classes is not None
        )
        found: dict[int, Any] = {}
        one = by_id(self.compiled)
        for place in (each for each in distinct if each not in whole):  # in a list, a key with NULL equals nothing
            bound = {f"loadplan_id_{index}": value for index, value in enumerate(distinct[place])}
            for root in load_roots(one.graph, session, [{**parameters, **bound}], tally, kept=kept):
                if classes is None or identity_class(root) is classes[place]:
                    found[place] = root
        missing = []
        for place, identity in whole.items():
            key = (*named[place], *self.root_keys.mark(identity)) if has_hash(identity) else None
            root = None if key is None else by_value.get(key)
            if root is None:
                missing.append(place)
            else:
                found[place] = root
        if by_mark and missing and not self.reader.exact:
            for number, *mark in self._answers(session, [whole[each] for each in missing], tally):
                place = missing[number]
                if (root := by_mark.get((*named[place], *self.root_keys.mark(mark)))) is not None:
                    found[place] = root
        return [found.get(place) for place in places]

    def _answers(self, session: Opened, missing: Sequence[Identity], tally: Tally) -> Iterator[Any]:
        """Yield (index of the id, mark of the row) for each id that equals a key in the database, but not in Python."""
        mapper, keys = self.compiled.mapper, self.root_keys
        for statement, values, read in asking(self.keys, keys.told, missing):
            tally.sent(mapper.class_.__name__)
            if isinstance(session, Session):
                result = session.execute(statement, values, bind_arguments={"mapper": mapper})
            else:
                result = session.connection({}).execute(statement, values)
            yield from read(tally.counted(result.all(), mapper.class_.__name__))


@attrs.frozen(eq=False)
class ByStored:
    """A graph narrowed to the rows of objects that were loaded before, by the stored values of their keys."""

    graph: Compiled[Any]
    keys: Keys
    root_keys: RootKeys

    def row_of(self, entity: Any) -> tuple[Any, ...] | None:
        """Return an object's values of the columns that tell the roots apart; None if it does not know all of them."""
        state: Any = instance_state(entity)
        stored = stored_key(state)
        if stored is None or any(value is None for value in stored):
            return None
        return *state.identity, *stored

    def run(
        self,
        session: Opened,
        rows: Sequence[tuple[Any, ...]],
        parameters: Mapping[str, Any],
        tally: Tally,
        kept: Kept,
        classes: Sequence[Any] | None = None,
    ) -> list[Any]:
        """Return, for each of ``rows``, its root or None. For ``classes``, see :meth:`ByIds.run`."""
        marks = [self.root_keys.mark_of(row) for row in rows]
        bound = {mark: self.root_keys.bound_of(row) for mark, row in zip(marks, rows, strict=True)}
        executions = _executions(self.keys, [*bound.values()], parameters)
        _, by_mark = load_by_identity(
            self.graph, session, executions, self.root_keys, tally, kept, with_class=classes is not None
        )
        if classes is None:
            return [by_mark.get(mark) for mark in marks]
        return [by_mark.get((cls, *mark)) for cls, mark in zip(classes, marks, strict=True)]


def by_stored(compiled: Compiled[Any]) -> ByStored | None:
    """Return a graph narrowed to the rows of objects; None if Python can compare their keys themselves.

    Later calls for the graph return the same value.
    """
    if "by stored" not in compiled.variants:
        told = root_keys(compiled.tree.root.entity, compiled.mapper, compiled.dialect)
        found = None
        if not told.by_value:
            keys = keys_of(told.asked, compiled.dialect)
            graph = compiled.narrowed(lambda statement: statement.where(keys.condition))
            found = ByStored(graph, keys, told)
        compiled.variants["by stored"] = found
    answer: ByStored | None = compiled.variants["by stored"]
    return answer


def _executions(keys: Keys, rows: Sequence[Identity], parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the parameters of each execution of a statement that is narrowed to keys."""
    values: Sequence[Any] = [each[0] for each in rows] if keys.width == 1 else rows
    return [{**parameters, **bound} for bound in (keys.bind(values) if values else ())]


def _places(asked: Sequence[Identity]) -> list[int]:
    """Return, for each id, the index of the first id that is equal to it."""
    first: dict[Any, int] = {}
    try:
        return [first.setdefault(each, at) for at, each in enumerate(asked)]
    except Exception:  # an id has no hash, or its class raises another error
        return [first.setdefault(each, at) if has_hash(each) else at for at, each in enumerate(asked)]


def _has_null(identity: Identity) -> bool:
    """Tell whether a part of a key is NULL. The other parts may be values that Python cannot compare."""
    return any(value is None for value in identity)


def by_id(compiled: Compiled[Any]) -> ById:
    """Return a graph narrowed to one root. Later calls for the graph return the same value."""
    found: ById | None = compiled.variants.get("by id")
    if found is None:
        mapper, conditions = compiled.mapper, list[ColumnElement[bool]]()
        for index, column in enumerate(root_key(mapper)):
            given = bindparam(f"loadplan_id_{index}", type_=type_of_keys(column.type, compiled.dialect))
            is_solid = not may_be_null_in_key(mapper, column.key)
            conditions.append(column == given if is_solid else column.is_not_distinct_from(given))
        graph = compiled.narrowed(lambda statement: statement.where(*conditions))
        found = compiled.variants["by id"] = ById(graph, _reader(compiled))
    return found


def by_ids(compiled: Compiled[Any]) -> ByIds:
    """Return a graph narrowed to many roots. Later calls for the graph return the same value."""
    found: ByIds | None = compiled.variants.get("by ids")
    if found is None:
        keys = keys_of(root_key(compiled.mapper), compiled.dialect)
        graph = compiled.narrowed(lambda statement: statement.where(keys.condition))
        told = root_keys(compiled.tree.root.entity, compiled.mapper, compiled.dialect)
        found = compiled.variants["by ids"] = ByIds(compiled, graph, _reader(compiled), keys, told)
    return found


def root_key(mapper: Mapper[Any]) -> list[Any]:
    """Return the attributes of a class's primary key."""
    return [getattr(mapper.class_, name) for name in mapping.primary_key(mapper)]


class RootQuery:
    """The roots that meet conditions, in an order.

    Args:
        compiled: the graph.
        where: conditions on the root that must all hold.
        order_by: order expressions on the root.

    Raises:
        PlanError: LP108, LP112 or LP215, a condition or an order is not valid, or names another table.
    """

    def __init__(self, compiled: Compiled[Any], where: Sequence[Any], order_by: Sequence[Any]) -> None:
        self.compiled = compiled
        mapper, at = compiled.mapper, (compiled.tree.label,)
        place = compiled.tree.root
        where = [condition(each, place, at) if is_path(each) else each for each in where]
        given, order_by = order_by, [ordered(each, place, at) if is_path(each) else each for each in order_by]
        self._sources = tuple(given)
        self._shown = [is_shown(each, place) if is_path(each) else None for each in given]
        found = [
            call_problems.not_of_roots(word, each, at, mapper.class_)
            for word, given in (("where", where), ("order_by", order_by))
            for each in given
            if not is_expression(word, each)
        ]
        if not found and order_by and all(map(is_condition, order_by)):
            found = [problems.condition_as_order(each, at) for each in order_by]
        if not found:
            found = [
                problems_of_orders.aggregate_in(word, each, at)
                for word, given in (("where", where), ("order_by", order_by))
                for each in filter(has_aggregate, given)
            ]
        if not found:
            self.where = conditions_of(mapper, where)
            order_by = [mapping.as_seen_from(mapper, each, subclasses=True) for each in order_by]
            entity = mapper.class_.__name__
            found = [
                problems.speaks_of_others(entity, mapper, word, tables, given, (compiled.tree.label,))
                for word, given in (("where", self.where), ("order_by", order_by))
                if (tables := foreign_tables(mapping.tables_of(mapper), given))
            ]
        if found:
            raise PlanError(found)
        self.order = with_tie_breaker(order_by, mapper.class_)
        self._given_order = tuple(order_by)

    @property
    def total_order(self) -> list[Ordering]:
        """The order of the roots, which ends with the primary key. Each part knows whether it may be NULL."""
        mapper = self.compiled.mapper
        found = self.order or with_tie_breaker(root_key(mapper), mapper.class_)
        return [attrs.evolve(each, never_null=is_never_null(mapper, each.expression)) for each in found]

    def breaks_ties(self, number: int) -> bool:
        """Tell whether one part of the total order is a key that loadplan added after the given order."""
        return number >= len(self._given_order)

    def shows(self, number: int) -> bool:
        """Tell whether the plan loads the value of one part of the total order, so that you can read it from a root."""
        shown = None if self.breaks_ties(number) else self._shown[number]
        return is_shown(self.total_order[number].expression, self.compiled.tree.root) if shown is None else shown

    def told(self, number: int) -> str:
        """Return one part of the total order for an error: a path as it was written, or the SQL of an expression."""
        if self.breaks_ties(number) or not is_path(self._sources[number]):
            return str(self.total_order[number].expression)
        return str(attrs.evolve(self._sources[number], modifiers=()))

    def parameters(self, given: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the caller's parameters, checked.

        Raises:
            ParameterError: LP405, a value is missing, unknown, or cannot be compared with its column.
        """
        return _parameters(self.compiled, (*self.where, *self._given_order), given)

    def graph(self, limit: int | None, offset: int | None, *, in_order: bool = False) -> Compiled[Any]:
        """Return the graph of these roots, in a total order if a limit, an offset or ``in_order`` needs it.

        Raises:
            PlanError: LP107, a limit or an offset is not a number of rows.
        """
        check_counts(self.compiled, limit, offset)
        return self.narrowed(limit, offset, in_order=in_order)

    def narrowed(self, limit: Any, offset: Any, *, in_order: bool = False) -> Compiled[Any]:
        """Return the graph of these roots. ``limit`` and ``offset`` may be parameters."""
        counts = limit is not None or offset is not None
        order, joins = self.in_joins(self.total_order if in_order or counts else self.order, counts=counts)
        narrow = narrowing(self.compiled, self.where, order, limit, offset, joins=joins, once=in_order)
        return self.compiled.narrowed(narrow)

    def in_joins(self, order: Sequence[Ordering], *, counts: bool) -> tuple[list[Ordering], list[Join]]:
        """Return an order whose paths are columns of joined rows, and the joins that a statement of the roots needs.

        Args:
            order: the order of the roots, or the same order made comparable or reversed.
            counts: whether the statement has a limit or an offset.
        """
        in_subquery = counts and self.compiled.repeats_roots  # the plan's own joins are not in this subquery
        return in_joins(order, self._joined, reuse=not in_subquery)

    @cached_property
    def _joined(self) -> list[JoinedValue | None]:
        """For each part of the given order, the value in rows that a statement can join, or None."""
        return [self._join(each) if is_path(each) else None for each in self._sources]

    def _join(self, given: Source) -> JoinedValue | None:
        compiled = self.compiled
        if compiled.root.identity:  # one root may come in several rows, which are numbered before they are sorted
            return None
        planned = Planned(compiled.root, compiled.chosen, compiled.builder.columns)
        return joined_value(given, compiled.tree.root, compiled.dialect, planned)


def is_count(given: object, *, least: int) -> bool:
    """Tell whether a value is a whole number of at least ``least``.

    The value may have any type.
    """
    try:
        return isinstance(given, int) and not isinstance(given, bool) and bool(given >= least)
    except Exception:  # the methods of the value's class may raise any error
        return False


def check_counts(compiled: Compiled[Any], limit: int | None, offset: int | None) -> None:
    """Check a limit and an offset.

    Raises:
        PlanError: LP107, one of them is not a number of rows.
    """
    for word, given in (("limit", limit), ("offset", offset)):
        if given is None:
            continue
        if not is_count(given, least=0):
            raise PlanError([call_problems.bad_count(word, given, (compiled.tree.label,))])
        if given > MOST:
            raise PlanError([number_problems.too_large_count(word, given, (compiled.tree.label,))])


#: A function that makes the condition for the rows beyond a cursor, from the columns of the order.
Beyond: TypeAlias = Callable[[Sequence[Ordering]], ColumnElement[bool]]


def narrowing(
    compiled: Compiled[Any],
    where: Sequence[Any],
    order: Sequence[Ordering],
    limit: Any,
    offset: Any,
    *,
    joins: Sequence[Join] = (),
    forward: Sequence[Ordering] = (),
    beyond: Beyond | None = None,
    once: bool = False,
) -> Narrowing:
    """Return a function that narrows a statement to roots by condition, order and limit.

    If a join may repeat roots, a subquery selects the roots, so that a limit counts roots and not rows. If one root may
    come in several rows, this subquery numbers the rows. The first row of a root decides its place in the order.

    Args:
        compiled: the graph.
        where: conditions on the roots.
        order: the order in which the roots are read.
        limit: the largest number of roots; None for all.
        offset: the number of roots that are skipped.
        joins: the rows that the order reads beside the roots.
        forward: the order that decides which row of a root is the first. By default, it is ``order``.
        beyond: makes the condition for the rows beyond a cursor.
        once: whether the rows of one root must follow each other.
    """
    mapper = compiled.mapper
    key = root_key(mapper)
    clauses = [each.clause for each in order]
    solid = is_object(mapper)
    conditions = [*where] if solid is None else [*where, solid]
    past = [] if beyond is None else [beyond(order)]
    counts = limit is not None or offset is not None

    def narrow(statement: AnySelect) -> AnySelect:
        joined = joined_to(statement, mapper.class_, joins)
        return joined.where(*conditions, *past).order_by(*clauses).limit(limit).offset(offset)

    def with_rows(statement: AnySelect) -> list[Any]:
        """Return the condition that an inner join of the statement sets on the roots.

        The result is an empty list without an inner join.
        """
        if all(choice.way is not Way.INNER for choice in compiled.chosen.values()):
            return []
        joined = statement.with_only_columns(*key, maintain_column_froms=True)
        return [among(key, joined.order_by(None), compiled.dialect)]

    def narrow_by_subquery(statement: AnySelect) -> AnySelect:
        roots = narrow(select(*key).where(*with_rows(statement)))
        joined = joined_to(statement, mapper.class_, joins)
        return joined.where(among(key, roots, compiled.dialect)).order_by(*clauses)

    def narrow_by_number(statement: AnySelect) -> AnySelect:
        identity = row_key(mapper.class_)
        first = [each.clause for each in forward or order]
        number = func.row_number().over(partition_by=identity, order_by=first).label("number")
        held = [each.label(f"key_{index}") for index, each in enumerate(identity)]
        ranks = [each.expression.label(f"order_{index}") for index, each in enumerate(order)]
        rows = select(*held, *ranks, number).where(*conditions, *with_rows(statement))
        numbered = rows.subquery("loadplan_numbered")
        ranked = [attrs.evolve(each, expression=numbered.c[rank.name]) for each, rank in zip(order, ranks, strict=True)]
        roots = select(numbered).where(numbered.c.number == 1, *([] if beyond is None else [beyond(ranked)]))
        roots = roots.order_by(*(each.clause for each in ranked)).limit(limit).offset(offset)
        chosen = roots.subquery("loadplan_roots")
        met = same_rows(identity, [chosen.c[each.name] for each in held], mapper)
        in_order = [each.on(chosen.c[rank.name]) for each, rank in zip(order, ranks, strict=True)]
        return statement.join_from(mapper.class_, chosen, met).where(*conditions).order_by(*in_order, *first)

    if (counts or once) and compiled.root.identity:
        return narrow_by_number
    return narrow_by_subquery if counts and compiled.repeats_roots else narrow


def locking(plan: Plan[Any], for_update: bool | Mapping[str, Any]) -> Narrowing:
    """Return a function that makes a statement lock the rows of the root, but no joined rows."""
    options = dict(for_update) if isinstance(for_update, Mapping) else {}
    return lambda statement: statement.with_for_update(**{**options, "of": plan.entity})


def _reader(compiled: Compiled[Any]) -> IdentityReader:
    return IdentityReader(compiled.mapper, compiled.tree.label, compiled.dialect)


def _parameters(compiled: Compiled[Any], expressions: Sequence[Any], given: Mapping[str, Any] | None) -> dict[str, Any]:
    if given is None and not expressions and not compiled.tree.parameters:
        return {}
    return checked_parameters(compiled, [each for one in expressions for each in parameters_in(one)], given)


def checked_parameters(
    compiled: Compiled[Any], more: Sequence[Parameter], given: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the caller's parameters, checked.

    Args:
        compiled: the graph, with the parameters that its plan declares.
        more: the parameters that conditions and orders of the roots declare.
        given: what the caller passed.

    Raises:
        ParameterError: LP405.
    """
    declared = [*compiled.tree.parameters, *more]
    return (
        read_parameters(compiled.tree.label, declared, given, compiled.dialect) if given is not None or declared else {}
    )
