"""Which SQL expressions compute one value for many rows."""

from typing import Any

import pytest
from sqlalchemy import column, func, select, table

from loadplan.mapped.elements import has_aggregate

A, B = column("a"), column("b")
ITEMS = table("items", A)


@pytest.mark.parametrize(
    "expression",
    [
        func.max(A),
        func.count(),
        func.COUNT(A),
        func.coalesce(func.sum(A), 0),
        func.max(A) + 1,
        func.max(A).desc(),
        func.percentile_cont(0.5).within_group(A),
        func.count(A).filter(B > 1),
    ],
    ids=str,
)
def test_aggregates(expression: Any) -> None:
    assert has_aggregate(expression)


@pytest.mark.parametrize(
    "expression",
    [
        A,
        func.lower(A),
        func.max(A, B),
        func.app.count(A),
        func.total(A),
        func.sum(A).over(partition_by=B),
        select(func.max(A)).select_from(ITEMS).scalar_subquery(),
    ],
    ids=str,
)
def test_values_of_one_row(expression: Any) -> None:
    """A function in a schema is the application's own, and ``total`` is an aggregate on SQLite alone."""
    assert not has_aggregate(expression)
