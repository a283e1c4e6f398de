"""Attributes of mapped classes as the SQL expressions that stand for them. Pure."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import ClauseElement, Over, SelectBase, WithinGroup
from sqlalchemy.sql.functions import FunctionElement

#: Functions that compute one value for many rows.
_AGGREGATES = frozenset(
    {
        *("aggregate_strings", "array_agg", "avg", "bit_and", "bit_or", "bool_and", "bool_or", "count", "every"),
        *("group_concat", "json_agg", "json_group_array", "jsonb_agg", "stddev", "stddev_pop", "stddev_samp"),
        *("string_agg", "sum", "var_pop", "var_samp", "variance"),
    }
)

#: Functions that compute one value for many rows if they have one argument. On SQLite, ``max(a, b)`` is the larger one.
_OF_ONE_ARGUMENT = frozenset({"max", "min"})


def element_of(expression: Any) -> Any:
    """Return the SQL expression that an attribute or another object stands for; a SQL expression is returned unchanged.

    SQLAlchemy asks objects for ``__clause_element__`` in the same way.
    """
    return expression.__clause_element__() if hasattr(expression, "__clause_element__") else expression


def has_window(expression: Any) -> bool:
    """Tell whether an expression contains a window function outside of subqueries."""
    return _first(expression, lambda part: issubclass(type(part), Over)) is not None


def has_aggregate(expression: Any) -> bool:
    """Tell whether an expression contains an aggregate outside of subqueries and window functions."""
    return first_aggregate(expression) is not None


def first_aggregate(expression: Any) -> Any:
    """Return an aggregate in an expression, outside of subqueries and window functions; None if there is none."""
    return _first(expression, _is_aggregate)


def _is_aggregate(part: Any) -> bool:
    kind = type(part)
    if not issubclass(kind, FunctionElement):
        return issubclass(kind, WithinGroup)
    if getattr(part, "packagenames", ()):  # a function of the application, in a schema
        return False
    name = str(getattr(part, "name", "")).lower()
    return name in _AGGREGATES or (name in _OF_ONE_ARGUMENT and len(part.clauses) == 1)


def _first(expression: Any, is_wanted: Callable[[Any], bool]) -> Any:
    """Return a part of an expression that is wanted, or None. Subqueries and window functions are not taken apart."""
    waiting = [element_of(expression)]
    while waiting:
        part = waiting.pop()
        if is_wanted(part):
            return part
        kind = type(part)  # isinstance() would ask an object of the application for its __class__
        if issubclass(kind, ClauseElement) and not issubclass(kind, SelectBase | Over):
            waiting += part.get_children()
    return None
