"""Checks paths in orders and conditions, such as ``source(Order.customer, Customer.email)``."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ClauseElement, ColumnElement
from sqlalchemy.orm import Mapper, QueryableAttribute, RelationshipProperty

from loadplan.declared.code import source as code_of
from loadplan.declared.sources import Aggregate, Source
from loadplan.errors import Problem
from loadplan.mapped import links, mapping
from loadplan.mapped.elements import element_of, has_aggregate
from loadplan.resolved import problems
from loadplan.resolved.meant import has_direction
from loadplan.sqlalchemy_internals import criteria_of, subtype_of

At = tuple[str, ...]


def path_problem(given: Source, mapper: Mapper[Any], at: At, word: str = "order_by") -> Problem | None:
    """Return the problem of a path that does not lead to one value, or None.

    Args:
        given: the path: relationships to one row each, and a value at the end.
        mapper: the mapper of the class at which the path starts.
        at: the place in the plan, for errors.
        word: the argument with the path: ``"where"`` or ``"order_by"``.

    Returns:
        The problem, LP112; None if the path is right.
    """
    start = mapper
    if len(given.path) < 2:
        return problems.not_a_path(word, given, "it needs a relationship and a column", at, start)
    for step in given.path[:-1]:
        prop = mapping.relationship(mapper, step.key) if isinstance(step, QueryableAttribute) else None
        owner = mapping.owner_of(step)
        if prop is None or owner is None or not mapper.isa(owner):
            detail = f"{_quoted(step)} is not a relationship of '{mapper.class_.__name__}'"
            return problems.not_a_path(word, given, detail, at, start)
        if prop.uselist:
            return problems.not_a_path(word, given, f"'{code_of(step)}' leads to many rows", at, start)
        if orders := [each for each in criteria_of(step) if has_direction(each)]:
            return problems.order_as_condition(orders[0], at)
        again = [*mapping.mapped_again(mapper, prop.key, ordered=not links.is_single(prop))]
        if again:
            return problems.path_mapped_again(given, code_of(step), again, at)
        if links.needs_row_of_union(prop, mapper):
            return problems.path_from_union(given, code_of(step), mapper, at)
        mapper = target_of(prop, step)
    wrong = _wrong_end(given.path[-1], mapper)
    return None if wrong is None else problems.not_a_path(word, given, wrong, at, start)


def _wrong_end(step: Any, mapper: Mapper[Any]) -> str | None:
    """Return why the last item of a path is not a value of a class, or None if it is one."""
    name = mapper.class_.__name__
    if isinstance(step, Aggregate | Source):
        return f"{_quoted(step)} is not a column or a SQL expression of '{name}'"
    no_column = f"{_quoted(step)} is not a column of '{name}'"
    if isinstance(step, QueryableAttribute):
        owner = mapping.owner_of(step)
        is_ours = owner is not None and mapper.isa(owner)
        if not is_ours or step.key in mapper.relationships:
            return no_column
    element = value_of(mapper, step)
    if not isinstance(element, ClauseElement) or not isinstance(element, ColumnElement):
        return no_column
    if has_direction(element):
        return "its last item has a direction, which belongs after the path"
    if has_aggregate(element):
        return f"{_quoted(step)} is an aggregate, which has one value for many rows"
    return None


def _quoted(step: object) -> str:
    code = code_of(step)
    return code if isinstance(step, str) else f"'{code}'"


def end_of(given: Source, mapper: Mapper[Any]) -> tuple[Mapper[Any], Any]:
    """Return the class at the end of a path, and the value at its end. The path has been checked before."""
    for prop, step in steps_of(given, mapper):
        mapper = target_of(prop, step)
    return mapper, value_of(mapper, given.path[-1])


def steps_of(given: Source, mapper: Mapper[Any]) -> Iterator[tuple[RelationshipProperty[Any], Any]]:
    """Yield the relationships of a path, each with the step that names it. The path has been checked before."""
    for step in given.path[:-1]:
        prop = mapping.relationship(mapper, step.key)
        assert prop is not None  # noqa: S101 - the path was checked
        yield prop, step
        mapper = target_of(prop, step)


def value_of(mapper: Mapper[Any], step: Any) -> Any:
    """Return the value at the end of a path as an expression over a class."""
    if isinstance(step, QueryableAttribute):
        step = getattr(mapper.class_, step.key)
    return element_of(step)


def target_of(prop: RelationshipProperty[Any], step: Any) -> Mapper[Any]:
    """Return the class that a step of a path leads to: the subclass, if the step has ``of_type``."""
    sub = mapping.mapper_of(subtype_of(step))
    return prop.mapper if sub is None else sub
