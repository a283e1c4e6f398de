"""Splits order expressions into the expression, the direction, and the place of NULLs."""

from collections.abc import Iterable, Sequence
from typing import Any

import attrs
from sqlalchemy import ColumnElement, Dialect, UnaryExpression, type_coerce
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import operators
from sqlalchemy.sql.compiler import SQLCompiler

from loadplan.mapped import mapping
from loadplan.mapped.elements import element_of
from loadplan.mapped.repeats import row_key
from loadplan.mapped.values import stored_type, type_on

_NULLS_ARE_LARGEST = frozenset({"postgresql", "oracle"})
_NULLS_ARE_SMALLEST = frozenset({"sqlite", "mysql", "mariadb", "mssql"})


class _Placed(UnaryExpression[Any]):
    """An order with a place for NULLs: ``x DESC NULLS LAST``. Databases without these words get two expressions."""

    inherit_cache = True


@compiles(_Placed)
def _placed(ordered: _Placed, compiler: SQLCompiler, **kw: Any) -> str:
    return compiler.process(UnaryExpression(ordered.element, modifier=ordered.modifier), **kw)


@compiles(_Placed, "mysql", "mariadb")
def _placed_by_two_terms(ordered: _Placed, compiler: SQLCompiler, **kw: Any) -> str:
    """Return ``x IS NULL, x``, or only ``x`` if the database already sorts NULLs to that place.

    MariaDB and MySQL sort NULL as the smallest value.
    """
    inner: Any = ordered.element
    nulls_first = ordered.modifier is operators.nulls_first_op
    if nulls_first == (inner.modifier is not operators.desc_op):
        return compiler.process(inner, **kw)
    test = "IS NOT NULL" if nulls_first else "IS NULL"
    return f"{compiler.process(inner.element, **kw)} {test}, {compiler.process(inner, **kw)}"


@attrs.frozen(eq=False)
class Ordering:
    """One order expression.

    Attributes:
        expression: the expression to order by, without its direction.
        descending: whether the largest value comes first.
        nulls_first: whether the caller wants NULLs first; None if the database decides.
        never_null: whether the expression is never NULL.
    """

    expression: ColumnElement[Any]
    descending: bool = False
    nulls_first: bool | None = None
    never_null: bool = False

    def on(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return the same order on another column, for example the column of a subquery that selects the expression."""
        ordered: ColumnElement[Any] = column.desc() if self.descending else column.asc()
        if self.nulls_first is None:
            return ordered
        return _Placed(ordered, modifier=operators.nulls_first_op if self.nulls_first else operators.nulls_last_op)

    @property
    def clause(self) -> ColumnElement[Any]:
        """The expression to put into an ORDER BY."""
        return self.on(self.expression)

    def puts_nulls_first(self, dialect: Dialect) -> bool:
        """Tell whether NULLs come first.

        PostgreSQL and Oracle sort NULL as the largest value, other databases as the smallest.
        """
        if self.nulls_first is not None:
            return self.nulls_first
        return self.descending == (dialect.name in _NULLS_ARE_LARGEST)

    def knows_nulls(self, dialect: Dialect) -> bool:
        """Tell whether loadplan knows where a database puts NULLs."""
        return dialect.name in _NULLS_ARE_LARGEST | _NULLS_ARE_SMALLEST


def orderings(given: Iterable[Any]) -> list[Ordering]:
    """Split order expressions into their parts."""
    return [_ordering(each) for each in given]


def _ordering(given: Any) -> Ordering:
    element = element_of(given)
    descending, nulls_first = False, None
    while isinstance(element, UnaryExpression) and element.modifier is not None:
        if element.modifier is operators.desc_op:
            descending = True
        elif element.modifier is operators.nulls_first_op:
            nulls_first = True
        elif element.modifier is operators.nulls_last_op:
            nulls_first = False
        element = element.element
    return Ordering(element, descending, nulls_first)


def as_stored(ordering: Ordering, dialect: Dialect) -> Ordering:
    """Return the order by the stored values, without the conversion that a decorated type does.

    For a type that stores one value differently each time, such as an encrypting type, only stored values can be
    compared.
    """
    kind = stored_type(ordering.expression.type, dialect)
    if kind is type_on(ordering.expression.type, dialect):
        return ordering
    return attrs.evolve(ordering, expression=type_coerce(ordering.expression, kind))


def with_tie_breaker(given: Sequence[Any], entity: Any) -> list[Ordering]:
    """Return a total order: the given order, then the primary key, ascending.

    Args:
        given: order expressions. If there are none, the result is empty.
        entity: the class, or alias, whose rows are ordered.
    """
    mapper = mapping.mapper_behind(entity)
    if entity is mapper.class_:
        given = [mapping.as_seen_from(mapper, each, subclasses=True) for each in given]
    found = orderings(given)
    if not found:
        return []
    named = [each.expression for each in found]
    for name in mapping.primary_key(mapper):
        column = getattr(entity, name)
        element = column.__clause_element__()
        if not any(element.compare(each) for each in named):
            found.append(Ordering(column))
    if entity is mapper.class_:  # row_key() adds the keys of concrete classes, which have their own tables
        found += map(Ordering, row_key(entity)[len(mapping.primary_key(mapper)) :])
    return found
