"""Narrows a compiled graph to the roots that meet conditions, in an order, with a limit."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias, TypeVar

import attrs
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Mapper

from loadplan.declared.sources import Source, is_path
from loadplan.declared.spec import Plan
from loadplan.errors import PlanError
from loadplan.mapped import mapping
from loadplan.mapped.elements import has_aggregate
from loadplan.mapped.ordering import Ordering, with_tie_breaker
from loadplan.mapped.repeats import is_never_null, is_object, row_key, same_rows
from loadplan.resolved import number_problems, problems, problems_of_orders
from loadplan.resolved.conditions import conditions_of, foreign_tables, parameters_in
from loadplan.resolved.form import MOST, is_condition, is_expression
from loadplan.resolved.strategy import Way
from loadplan.resolved.tree import Parameter
from loadplan.running import call_problems
from loadplan.running.parameters import read_parameters
from loadplan.running.plans import Compiled
from loadplan.running.shown import is_shown
from loadplan.statements.joined_orders import Join, JoinedValue, Planned, in_joins, joined_to, joined_value
from loadplan.statements.keys import among
from loadplan.statements.linked import AnySelect, Narrowing
from loadplan.statements.reached import condition, ordered
from loadplan.statements.selected import labelled

T = TypeVar("T")


def root_key(mapper: Mapper[Any]) -> list[Any]:
    """Return the attributes of a class's primary key."""
    return mapping.key_attributes(mapper.class_)


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
            found = [problems_of_orders.condition_as_order(each, at) for each in order_by]
        if not found:
            found = [
                problems_of_orders.aggregate_in(word, each, at, mapper)
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

    @cached_property
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
        return parameters_of(self.compiled, (*self.where, *self._given_order), given)

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
        held = labelled(identity, "key")
        ranks = labelled([each.expression for each in order], "order")
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


def parameters_of(
    compiled: Compiled[Any], expressions: Sequence[Any], given: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the caller's parameters, checked. The plan, conditions and orders of the roots may declare them.

    Raises:
        ParameterError: LP405.
    """
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
