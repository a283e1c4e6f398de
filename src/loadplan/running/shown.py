"""Finds the values that the roots of a plan show. If you may see a page, you may see these values in its cursors."""

from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.orm import QueryableAttribute
from sqlalchemy.sql.visitors import iterate

from loadplan.declared.sources import Source
from loadplan.mapped.elements import element_of
from loadplan.resolved.paths import value_of
from loadplan.resolved.tree import Edge, Place, edges_below
from loadplan.sqlalchemy_internals import subtype_of


def is_shown(given: Any, place: Place) -> bool:
    """Tell whether objects at a place show the value that they are ordered by.

    Args:
        given: an expression over the class at the place, or a path that starts there.
        place: the place, with the columns that the plan loads.

    Returns:
        True if the plan loads the value, or all columns in its expression. False if this is not known.
    """
    if isinstance(given, Source):
        return _is_path_shown(list(given.path), place)
    element = element_of(given)
    plain, made = _loaded(place)
    if any(element.compare(each) for each in made):
        return True
    parts = [each for each in iterate(element) if each.__visit_name__ in {"column", "select", "textclause"}]
    return bool(parts) and all(each.__visit_name__ == "column" and each in plain for each in parts)


def _is_path_shown(path: list[Any], place: Place, *, is_planned: bool = True) -> bool:
    """Tell whether objects at a place show the value at the end of a path.

    Args:
        path: the rest of the path.
        place: the place at which it starts.
        is_planned: whether the order has the plan's conditions on the rows of this place. See ``planned_edge``.
    """
    if len(path) == 1:
        return is_shown(value_of(place.mapper, path[0]), place)
    step, *rest = path
    if subtype_of(step) is not None or not isinstance(step, QueryableAttribute):
        return False
    edges = [
        each for each in place.edges if each.prop is not None and each.prop.key == step.key and each.aggregation is None
    ]
    is_planned = is_planned and len(edges) == 1
    return any(
        _is_path_shown(rest, edge.target, is_planned=is_planned)
        for edge in edges
        if edge.outputs and not _leaves_out(edge) and (is_planned or not edge.shape.where)
    )


def _leaves_out(edge: Edge) -> bool:
    """Tell whether an inner join below an edge leaves out some of its rows."""
    return any(below.asked == "inner" for below in edges_below(edge.target))


def _loaded(place: Place) -> tuple[set[Any], list[ColumnElement[Any]]]:
    """Return the columns that a plan loads at a place, and all values: columns and expressions."""
    found: list[Any] = [element_of(each.expression) for each in place.columns]
    return {each for each in found if each.__visit_name__ == "column"}, found
