"""Turns ``source(Order.customer, Customer.email)`` in a condition or an order into a SQL expression.

Each step is a subquery. It selects the target class directly, so the session's criteria apply, and no join can drop or
repeat a row. An order takes a subquery for one row. If this row is missing or hidden, its value is NULL. On PostgreSQL,
an order then becomes a join where this is certain to give the same rows: see
:mod:`loadplan.statements.joined_orders`. A condition takes an IN, because databases can then start at the rows that
meet the condition.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Integer, literal_column, select
from sqlalchemy.orm import Mapper, QueryableAttribute, RelationshipProperty

from loadplan.declared.sources import Source
from loadplan.errors import PlanError
from loadplan.mapped import links, mapping
from loadplan.mapped.ordering import with_tie_breaker
from loadplan.mapped.repeats import key_part, row_key
from loadplan.resolved import problems
from loadplan.resolved.conditions import conditions_of, conditions_on, problem_of_path
from loadplan.resolved.paths import value_of
from loadplan.resolved.tree import Edge, Place, Shape
from loadplan.sqlalchemy_internals import criteria_of, subtype_of
from loadplan.statements.keys import row_of
from loadplan.statements.linked import collection_order, linked
from loadplan.statements.selected import labelled

At = tuple[str, ...]


def is_plain(given: Source) -> bool:
    """Tell whether all items of a path are attributes. The path then contains no values."""
    return all(isinstance(each, QueryableAttribute) and not criteria_of(each) for each in given.path)


def ordered(given: Source, place: Place, at: At) -> ColumnElement[Any]:
    """Return the order expression of a path, with its direction.

    Raises:
        PlanError: LP112, the path does not lead to one value.
    """
    found: Any = value_at(given, place, at)
    for word in given.modifiers:
        found = getattr(found, word)()
    order: ColumnElement[Any] = found
    return order


def condition(given: Source, place: Place, at: At) -> ColumnElement[bool]:
    """Return the condition at the end of a path, as an expression over the class at a place.

    Raises:
        PlanError: LP112, the path does not end with a condition.
    """
    last = given.path[-1] if given.path else None
    kind = getattr(getattr(last, "__clause_element__", lambda: last)(), "type", None)
    if given.modifiers or kind is None or kind.python_type is not bool:
        raise PlanError([problems.not_a_path("where", given, "it does not end with a condition", at, place.mapper)])
    found: ColumnElement[bool] = value_at(given, place, at, is_condition=True)
    return found


def value_at(given: Source, place: Place, at: At, *, is_condition: bool = False) -> Any:
    """Return the value at the end of a path, as an expression over the class at a place.

    Args:
        given: the path: relationships to one row each, and a value at the end.
        place: the place at which the path starts. The plan's conditions on these relationships apply here, too.
        at: the place in the plan, for errors.
        is_condition: whether the value is a condition that rows must meet.

    Raises:
        PlanError: LP112 or LP215, the path does not lead to one value.
    """
    wrong = problem_of_path(given, place.mapper, at, "where" if is_condition else "order_by")
    if wrong is not None:
        raise PlanError([wrong])
    return _value(place.mapper, list(given.path), place, is_condition=is_condition)


def _value(mapper: Mapper[Any], path: list[Any], place: Place | None, *, is_condition: bool) -> Any:
    step, rest = path[0], path[1:]
    if not rest:
        (element,) = conditions_of(mapper, [value_of(mapper, step)])
        return element
    prop = mapping.relationship(mapper, step.key)
    assert prop is not None  # noqa: S101 - the path was checked
    edge = planned_edge(place, prop)
    shape, below = ((), None) if edge is None else (edge.shape.where, edge.target)
    sub = mapping.mapper_of(subtype_of(step))
    end = prop.mapper if sub is None else sub
    is_single = links.is_single(prop)
    is_condition = is_condition and is_single  # the first row of several is known only after they are sorted
    value = _value(end, rest, below if sub is None else None, is_condition=is_condition)
    if end is not prop.mapper:
        value = _of_row(end, value, prop.mapper, is_condition=is_condition)
    ties = linked(prop, mapper, links.link_in_database(prop, mapper))
    keys = labelled(ties.columns, "key")
    order = [] if is_single else collection_order(prop, Shape(), ties.target)
    if not order and not is_single:
        order = with_tie_breaker(row_key(ties.target), ties.target)
    ranks = labelled([each.expression for each in order], "order")
    conditions = (*shape, *conditions_on(prop, criteria_of(step)))
    rows = ties.statement if prop.secondary is not None else ties.statement.select_from(ties.target)
    rows = rows.where(*conditions)
    attributes = [key_part(mapper.class_, name) for name in ties.link.attributes]
    if is_condition:
        return _is_among(attributes, rows.where(value).with_only_columns(*keys))
    rows = rows.with_only_columns(*keys, *ranks, value.label("value")).subquery()
    met = [rows.c[key.name] == attribute for key, attribute in zip(keys, attributes, strict=True)]
    found = select(rows.c.value).where(*met)
    if order:
        in_order = [each.on(rows.c[rank.name]) for each, rank in zip(order, ranks, strict=True)]
        found = found.order_by(*in_order).limit(literal_column("1", Integer))
    return found.scalar_subquery()


def _of_row(sub: Mapper[Any], value: Any, base: Mapper[Any], *, is_condition: bool) -> Any:
    """Return a value of a subclass as an expression over rows of its base class: NULL for rows of other classes."""
    key = mapping.key_attributes(sub.class_)
    held = labelled(key, "key")
    attributes = mapping.key_attributes(base.class_)
    if is_condition:
        return _is_among(attributes, select(*held).select_from(sub.class_).where(value))
    rows = select(*held, value.label("value")).select_from(sub.class_).subquery()
    met = [rows.c[each.name] == attribute for each, attribute in zip(held, attributes, strict=True)]
    return select(rows.c.value).where(*met).scalar_subquery()


def _is_among(attributes: Sequence[Any], rows: Any) -> ColumnElement[bool]:
    """Return the condition that attributes are among the rows of a statement.

    A subquery around the statement keeps its tables apart from the tables of the outer statement.
    """
    return row_of(attributes).in_(select(*rows.subquery().c))


def planned_edge(place: Place | None, prop: RelationshipProperty[Any]) -> Edge | None:
    """Return the edge of the plan for a to-one at a place.

    The result is None if the plan does not load it, or loads it in several ways.
    """
    edges = [] if place is None else [each for each in place.edges if each.prop is prop and each.aggregation is None]
    return edges[0] if len(edges) == 1 else None
