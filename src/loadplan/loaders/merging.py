"""Merges rows of several shards in one order, for values that Python compares as the databases do."""

from collections.abc import Callable, Iterable, Sequence
from functools import cmp_to_key
from heapq import merge
from typing import Any, TypeVar

from sqlalchemy import Dialect, types
from sqlalchemy.sql.elements import BinaryExpression, CollationClause

from loadplan.mapped.elements import element_of
from loadplan.mapped.ordering import Ordering
from loadplan.mapped.stored import AsStored

T = TypeVar("T")

#: Types whose values Python compares as the databases do.
_ALIKE = (
    types.Integer,
    types.Numeric,
    types.Float,
    types.Boolean,
    types.Date,
    types.DateTime,
    types.LargeBinary,
    AsStored,
)

#: Collations that compare code points, as Python does. None stands for the default collation of a database.
_BY_CODE_POINT: dict[str, frozenset[str | None]] = {
    "postgresql": frozenset({"C", "POSIX", "ucs_basic"}),
    "sqlite": frozenset({None, "BINARY"}),
    "mariadb": frozenset({"utf8mb4_nopad_bin"}),
}

#: Databases that sort UUIDs as text. MariaDB compares some parts in another order.
_PLAIN_UUIDS = frozenset({"postgresql", "sqlite"})


def is_mergeable(ordering: Ordering, dialect: Dialect) -> bool:
    """Tell whether Python orders the values of an expression as a database does."""
    kind = ordering.expression.type
    if isinstance(kind, types.TypeDecorator):
        return False
    if isinstance(kind, types.Uuid):
        return dialect.name in _PLAIN_UUIDS
    if isinstance(kind, types.String) and not isinstance(kind, types.Enum | types.CHAR):
        return _collation(ordering.expression, kind.dialect_impl(dialect)) in _BY_CODE_POINT.get(dialect.name, ())
    return isinstance(kind, _ALIKE)


def _collation(expression: Any, kind: Any) -> str | None:
    """Return the collation that an expression or its column has; None for the default."""
    element = element_of(expression)
    found = kind.collation
    if isinstance(element, BinaryExpression) and isinstance(element.right, CollationClause):
        found = element.right.collation
    return None if found is None else str(found)


def sort_key(order: Sequence[Ordering], dialect: Dialect) -> Callable[[Sequence[Any]], Any]:
    """Return a sort key that orders values as the database does: NULLs first or last, NaN as the largest number."""
    ways = [(each.descending, each.puts_nulls_first(dialect)) for each in order]

    def compare(one: Sequence[Any], other: Sequence[Any]) -> int:
        for left, right, (descending, nulls_first) in zip(one, other, ways, strict=False):
            if left is None or right is None:
                if left is not right:
                    return -1 if (left is None) == nulls_first else 1
                continue
            found = _compared(left, right)
            if found:
                return -found if descending else found
        return 0

    return cmp_to_key(compare)


def _compared(left: Any, right: Any) -> int:
    ends = left != left, right != right  # only NaN differs from itself
    if any(ends):
        return bool(ends[0]) - bool(ends[1])
    return bool(left > right) - bool(left < right)


def merged(
    parts: Iterable[Iterable[tuple[Sequence[Any], T]]], order: Sequence[Ordering], dialect: Dialect
) -> list[tuple[Sequence[Any], T]]:
    """Return the rows of sorted parts in one order. Rows that are equal in the order stay in the order of the parts.

    Args:
        parts: each part has pairs of (values of the order, the row).
        order: the order of all parts. A pair may have more values than ``order`` has expressions.
        dialect: the dialect of the databases.
    """
    key = sort_key(order, dialect)
    return list(merge(*parts, key=lambda row: key(row[0])))
