"""Order expressions, taken apart: what is ordered by, in which direction, and where NULLs go."""

from collections.abc import Iterable, Sequence
from typing import Any

import attrs
from sqlalchemy import ColumnElement, Dialect, UnaryExpression, type_coerce
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import operators
from sqlalchemy.sql.compiler import SQLCompiler

from loadplan.mapped import mapping
from loadplan.mapped.repeats import row_key
from loadplan.mapped.values import stored_type, type_on

_NULLS_ARE_LARGEST = frozenset({"postgresql", "oracle"})
_NULLS_ARE_SMALLEST = frozenset({"sqlite", "mysql", "mariadb", "mssql"})


class _Placed(UnaryExpression[Any]):
    """An order with a place for NULLs: ``x DESC NULLS LAST``, or the same in words that the database has."""

    inherit_cache = True


@compiles(_Placed)
def _placed(ordered: _Placed, compiler: SQLCompiler, **kw: Any) -> str:
    return compiler.process(UnaryExpression(ordered.element, modifier=ordered.modifier), **kw)


@compiles(_Placed, "mysql", "mariadb")
def _placed_by_two_terms(ordered: _Placed, compiler: SQLCompiler, **kw: Any) -> str:
    """Return two terms of an ORDER BY, ``x IS NULL, x``, or one where NULLs are there already: they are smallest."""
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
        expression: what is ordered by, without direction.
        descending: the direction.
        nulls_first: where NULLs were asked to go; None where the database decides.
        never_null: whether there are none.
    """

    expression: ColumnElement[Any]
    descending: bool = False
    nulls_first: bool | None = None
    never_null: bool = False

    def on(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return the same order of another column, as of a subquery that hands the expression on."""
        ordered: ColumnElement[Any] = column.desc() if self.descending else column.asc()
        if self.nulls_first is None:
            return ordered
        return _Placed(ordered, modifier=operators.nulls_first_op if self.nulls_first else operators.nulls_last_op)

    @property
    def clause(self) -> ColumnElement[Any]:
        """The expression to put into an ORDER BY."""
        return self.on(self.expression)

    def puts_nulls_first(self, dialect: Dialect) -> bool:
        """Tell where NULLs go: PostgreSQL and Oracle take NULL for the largest value, the others for the smallest."""
        if self.nulls_first is not None:
            return self.nulls_first
        return self.descending == (dialect.name in _NULLS_ARE_LARGEST)

    def knows_nulls(self, dialect: Dialect) -> bool:
        """Tell whether that is known of a database."""
        return dialect.name in _NULLS_ARE_LARGEST | _NULLS_ARE_SMALLEST


def orderings(given: Iterable[Any]) -> list[Ordering]:
    """Take order expressions apart."""
    return [_ordering(each) for each in given]


def _ordering(given: Any) -> Ordering:
    element = given.__clause_element__() if hasattr(given, "__clause_element__") else given
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
    """Return the order with the values as the database has them: what a decorated type makes of them is not ordered by.

    A type that binds one value differently each time, as an encrypting one does, can be compared in no other way.
    """
    kind = stored_type(ordering.expression.type, dialect)
    if kind is type_on(ordering.expression.type, dialect):
        return ordering
    return attrs.evolve(ordering, expression=type_coerce(ordering.expression, kind))


def with_tie_breaker(given: Sequence[Any], entity: Any) -> list[Ordering]:
    """Return the order made total: rows that tie go by their primary key, ascending.

    Args:
        given: order expressions; none at all stays no order.
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
    if entity is mapper.class_:  # each concrete class has its keys in its own table
        found += map(Ordering, row_key(entity)[len(mapping.primary_key(mapper)) :])
    return found
