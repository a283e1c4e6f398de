"""Joins the rows that ``source(Order.customer, Customer.email)`` leads to, so that a database can sort by their values.

A subquery for a value runs once for each sorted row. PostgreSQL can join all rows in one go. Other databases find each
row by its key in both cases, so there an order stays a subquery. See :mod:`loadplan.statements.reached`.

The joined rows are the rows of that subquery: the same class, selected directly, under the same conditions. So the
session's criteria apply, and a row that is missing or hidden gives NULL. The join is LEFT OUTER, and a constraint holds
each step to one row. So no row is dropped or repeated.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import attrs
from sqlalchemy import BindParameter, ColumnElement, Dialect, ScalarSelect, and_
from sqlalchemy.orm import Mapper
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import (
    AsBoolean,
    BinaryExpression,
    BooleanClauseList,
    ClauseList,
    CollationClause,
    False_,
    Grouping,
    Null,
    True_,
    UnaryExpression,
)
from sqlalchemy.sql.functions import Function
from sqlalchemy.sql.schema import Column as TableColumn
from sqlalchemy.sql.visitors import iterate, replacement_traverse

from loadplan.declared.sources import Source
from loadplan.mapped import links, mapping
from loadplan.mapped.elements import element_of
from loadplan.mapped.links import LinkKind
from loadplan.mapped.ordering import Ordering
from loadplan.mapped.repeats import key_part
from loadplan.resolved.conditions import conditions_of, conditions_on
from loadplan.resolved.paths import value_of
from loadplan.resolved.strategy import Choice, Way
from loadplan.resolved.tree import Edge, Place, edges_below
from loadplan.sqlalchemy_internals import criteria_of, subtype_of
from loadplan.statements.linked import AnySelect, Linked, linked
from loadplan.statements.place_columns import PlaceColumns
from loadplan.statements.reached import planned_edge
from loadplan.statements.selected import labelled
from loadplan.statements.statement import Statement

#: Rows to join as a subquery, with the condition that connects them with the rows before.
Join: TypeAlias = tuple[Any, ColumnElement[bool]]

#: Databases that can join all rows in one go, with a hash table or by merging sorted rows.
_JOINS_IN_ONE_GO = frozenset({"postgresql"})

#: Parts of expressions that fail for no value.
_PARTS = (TableColumn, BindParameter, CollationClause, ClauseList, BooleanClauseList, Grouping, Null, True_, False_)

#: Operators that fail for no value.
_OPERATORS = frozenset(
    {
        *(operators.collate, operators.eq, operators.ne, operators.lt, operators.le, operators.gt, operators.ge),
        *(operators.is_, operators.is_not, operators.is_distinct_from, operators.is_not_distinct_from),
        *(operators.in_op, operators.not_in_op, operators.is_true, operators.is_false, operators.inv),
    }
)

#: Functions that fail for no value.
_NEVER_FAIL = frozenset({"lower", "upper", "coalesce", "length", "char_length", "trim", "ltrim", "rtrim"})


@attrs.frozen(eq=False)
class JoinedValue:
    """A value at the end of a path, in rows that a statement can join.

    Attributes:
        value: the value, as a column of the last rows.
        joins: the rows of each step of the path.
        planned: the same value in rows that the plan's own statement of roots joins; None if it does not join them.
    """

    value: ColumnElement[Any]
    joins: tuple[Join, ...]
    planned: ColumnElement[Any] | None


@attrs.frozen(eq=False)
class _Step:
    """A step of a path.

    Attributes:
        owner: the class at which it starts.
        ties: the rows at its end, with the keys of their parents.
        conditions: conditions on these rows.
    """

    owner: Mapper[Any]
    ties: Linked
    conditions: tuple[Any, ...]


@attrs.frozen(eq=False)
class Planned:
    """What a plan joins and selects.

    Attributes:
        statement: the statement of the roots.
        chosen: the way in which the plan loads each edge.
        columns: the columns that the plan selects at each place.
    """

    statement: Statement
    chosen: Mapping[Edge, Choice]
    columns: PlaceColumns


def joined_value(given: Source, start: Place, dialect: Dialect, planned: Planned | None = None) -> JoinedValue | None:
    """Return the value of a path in rows that a statement can join, or None if it must stay a subquery. Pure.

    Args:
        given: the path, as an order. It was checked.
        start: the place at which it starts. The statement selects the class of this place itself.
        dialect: the dialect of the database.
        planned: what the plan joins already; None if this is not known yet.
    """
    place: Place | None = start
    mapper = start.mapper
    if dialect.name not in _JOINS_IN_ONE_GO or mapping.is_read_elsewhere(mapper):
        return None
    steps, is_joined = list[_Step](), planned is not None
    for each in given.path[:-1]:
        prop = mapping.relationship(mapper, each.key)
        if prop is None or subtype_of(each) is not None or not links.is_single(prop):
            return None
        ties, criteria = linked(prop, mapper, links.link_in_database(prop, mapper)), criteria_of(each)
        if ties.link.kind is not LinkKind.TARGET:
            return None
        edge = planned_edge(place, prop)
        shape = () if edge is None else edge.shape.where
        conditions = (*shape, *conditions_on(prop, criteria))
        steps.append(_Step(mapper, ties, conditions))
        if planned is None or criteria or edge is None or not _joins_the_same_rows(edge, planned.chosen):
            is_joined = False
            if not all(map(_never_fails, conditions)):
                return None
        place, mapper = None if edge is None else edge.target, prop.mapper
    (value,) = conditions_of(mapper, [value_of(mapper, given.path[-1])])
    if not _never_fails(value):
        return None
    found = _selected(value, place, planned) if is_joined and planned is not None and place is not None else None
    return _joined(steps, value, found)


def _joins_the_same_rows(edge: Edge, chosen: Mapping[Edge, Choice]) -> bool:
    """Tell whether the plan joins the rows of a to-one, and leaves none of them out."""
    is_whole = edge.prop is not None and edge.target.entity is edge.prop.mapper.class_ and edge.single
    leaves_out = any(chosen[below].way is Way.INNER for below in edges_below(edge.target))
    return is_whole and chosen[edge].way.joins and not leaves_out


def in_joins(
    order: Sequence[Ordering], joined: Sequence[JoinedValue | None], *, reuse: bool
) -> tuple[list[Ordering], list[Join]]:
    """Return an order whose paths are columns of joined rows, and the joins that its statement needs.

    Args:
        order: the order, which may have been reversed or made comparable. Its paths are subqueries.
        joined: for each part of the order, the joined value; None for a part that is not a path, or stays a subquery.
            The order may have further parts.
        reuse: whether the statement contains the joins of the plan.
    """
    found, joins = list(order), list[Join]()
    for index, each in enumerate(joined):
        if each is not None:
            value = each.planned if reuse and each.planned is not None else each.value
            joins += each.joins if value is each.value else ()
            found[index] = attrs.evolve(found[index], expression=_with_value(found[index].expression, value))
    return found, joins


def _with_value(expression: ColumnElement[Any], value: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return an expression with a value in place of the subquery that reads it."""
    found: ColumnElement[Any] = replacement_traverse(
        expression, {}, lambda element, **_: value if isinstance(element, ScalarSelect) else None
    )
    return found


def joined_to(statement: AnySelect, entity: Any, joins: Iterable[Join]) -> AnySelect:
    """Return a statement with the rows of paths joined to the rows of a class."""
    for rows, met in joins:
        statement = statement.outerjoin_from(entity, rows, met)
    return statement


def _joined(steps: Sequence[_Step], value: Any, planned: ColumnElement[Any] | None) -> JoinedValue:
    """Join each step to the one before. Each subquery has one class, so PostgreSQL merges it with the statement."""
    joins = list[Join]()
    parents = _keys_of(steps[0])
    for number, step in enumerate(steps, start=1):
        onward = [value] if number == len(steps) else _keys_of(steps[number])
        columns = [*labelled(step.ties.columns, "key"), *labelled(onward, "value")]
        rows = step.ties.rows.where(*step.conditions).with_only_columns(*columns).subquery()
        found = [rows.c[each.name] for each in columns]
        keys, onward = found[: len(parents)], found[len(parents) :]
        joins.append((rows, and_(*(key == parent for key, parent in zip(keys, parents, strict=True)))))
        parents = onward
    return JoinedValue(parents[0], tuple(joins), planned)


def _keys_of(step: _Step) -> list[Any]:
    """Return the attributes of the class at which a step starts that hold the key of the row at its end."""
    return [key_part(step.owner.class_, name) for name in step.ties.link.attributes]


def _never_fails(value: Any) -> bool:
    """Tell whether a value or a condition can be computed for all rows.

    A join may compute it for rows that no sorted row leads to. ``1 / Customer.share`` could fail for a customer without
    orders. A subquery for each order does not read this row.
    """
    return all(
        isinstance(each, _PARTS)
        or (isinstance(each, BinaryExpression | UnaryExpression | AsBoolean) and each.operator in _OPERATORS)
        or (isinstance(each, Function) and each.name.lower() in _NEVER_FAIL and not each.packagenames)
        for each in iterate(value)
    )


def _selected(value: Any, place: Place, planned: Planned) -> ColumnElement[Any] | None:
    """Return the expression by which the statement of the roots selects a value at a joined place, or None."""
    root = planned.statement
    for column in planned.columns.at(place):
        if column in root.slots and element_of(column.expression).compare(value):
            found: ColumnElement[Any] = root.values[root.slots.index(column)]
            return found
    return None
