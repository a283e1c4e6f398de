"""Rows within a row: arrays of rows, and the columns next to them, as a driver can read them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Dialect, func, type_coerce, types

from loadplan.mapped.decoding import in_row, read_whole
from loadplan.resolved.tree import Column, Edge
from loadplan.statements.statement import Slot


def nested_row(items: Sequence[tuple[Slot, Any]], dialect: Dialect) -> Any:
    """Return values as one row, in a form that the driver can read within another row."""
    return func.row(*(_within(slot, each, dialect) for slot, each in items))


def _within(slot: Slot, expression: Any, dialect: Dialect) -> Any:
    if isinstance(slot, Column):
        return in_row(expression, slot.type, dialect, origin=slot.expression)
    computed = slot.aggregation
    if computed is None:
        return expression
    return in_row(expression, computed.type, dialect, origin=computed.expression)


def array_of(rows: Any) -> Any:
    """Return the rows of a statement of nested rows as one array."""
    return func.array(rows.scalar_subquery(), type_=types.NullType())


def beside_arrays(items: Sequence[tuple[Slot, Any]], dialect: Dialect) -> list[Any]:
    """Return the columns of a statement in a form that the driver can read next to arrays of rows, if there are any."""
    if not any(isinstance(slot, Edge) and slot.aggregation is None for slot, _ in items):
        return [each for _, each in items]
    return [read_whole(each, slot.type, dialect) if isinstance(slot, Column) else each for slot, each in items]


def further_beside_arrays(columns: Sequence[Any], dialect: Dialect) -> list[Any]:
    """Return further columns of a statement with arrays of rows in a form that the driver can read.

    They keep their types, which convert the values in Python.
    """
    return [
        each if found is each else type_coerce(found, each.type).label(None)
        for each in columns
        for found in (read_whole(each, each.type, dialect),)
    ]
