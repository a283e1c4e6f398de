"""Finds the values that the roots of a plan show. If you may see a page, you may see these values in its cursors."""

from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.orm import QueryableAttribute
from sqlalchemy.sql.visitors import iterate

from loadplan.declared.sources import Source
from loadplan.mapped.elements import element_of
from loadplan.resolved.paths import value_of
from loadplan.resolved.tree import Place
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


def _is_path_shown(path: list[Any], place: Place) -> bool:
    for step in path[:-1]:
        if subtype_of(step) is not None or not isinstance(step, QueryableAttribute):
            return False
        below = [
            edge.target
            for edge in place.edges
            if edge.prop is not None and edge.prop.key == step.key and edge.aggregation is None and edge.outputs
        ]
        if not below:
            return False
        place = below[0]
    return is_shown(value_of(place.mapper, path[-1]), place)


def _loaded(place: Place) -> tuple[set[Any], list[ColumnElement[Any]]]:
    """Return the columns that a plan loads at a place, and all values: columns and expressions."""
    found: list[Any] = [element_of(each.expression) for each in place.columns]
    return {each for each in found if each.__visit_name__ == "column"}, found
