"""Keyset pages: roots found by the values of their order, not by counting rows."""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import attrs
from sqlalchemy import (
    ColumnElement,
    Dialect,
    Double,
    Enum,
    Float,
    Integer,
    TypeCoerce,
    and_,
    false,
    literal,
    literal_column,
    or_,
    tuple_,
    type_coerce,
    types,
)

from loadplan.errors import CursorError, PlanError, Problem
from loadplan.mapped import mapping
from loadplan.mapped.ordering import Ordering, as_stored
from loadplan.mapped.values import refusal
from loadplan.resolved import problems
from loadplan.resolved.form import MOST
from loadplan.running.cursors import CursorKey, decode_cursor, encode_cursor, refused_cursor
from loadplan.running.own_connection import Opened
from loadplan.running.response import response_schema
from loadplan.running.roots import RootQuery, is_count, narrowing
from loadplan.running.tally import Tally

T = TypeVar("T")

#: Marks the order of a cursor whose own row belongs to the page: it leads back from a page that was empty.
_INCLUSIVE = " (inclusive)"


@attrs.frozen
class Page(Generic[T]):
    """One page of a listing.

    Attributes:
        items: the roots, in order.
        next: cursor for ``after=``; None at the end.
        previous: cursor for ``before=``; None at the beginning.
        total: number of the roots of all pages; None unless ``fetch_page`` was asked for it.
    """

    items: list[T]
    next: str | None
    previous: str | None
    total: int | None = None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Tell pydantic, which calls this and nobody else, how a page is read, written and described."""
        return response_schema(source, handler)


@attrs.frozen(eq=False)
class PageQuery:
    """One page, ready to run.

    Attributes:
        query: the roots that are paged through.
        order: total, in the direction that rows are read: backwards for ``before=``.
        total: the same order forwards, which cursors are signed with.
        conditions: that keep the rows beyond the cursor.
        size: roots a page.
        cursor: that the page starts at, as it was given.
        values: that it was made of.
        backwards: whether it goes towards the beginning.
        key: that cursors are signed or encrypted with.
    """

    query: RootQuery
    order: Sequence[Ordering]
    conditions: Sequence[Any]
    size: int
    cursor: str | None
    backwards: bool
    key: CursorKey
    total: Sequence[Ordering]
    values: Sequence[Any] = ()

    def run(self, session: Opened, parameters: Mapping[str, Any], tally: Tally) -> Page[Any]:
        """Load the page and, to know whether there is another one, the key of one root more."""
        return self.page(*self.read(session, parameters, tally))

    def read(
        self, session: Opened, parameters: Mapping[str, Any], tally: Tally
    ) -> tuple[list[Any], list[tuple[Any, ...]]]:
        """Return the roots of the page, and the values of their order with those of one root more."""
        compiled = self.query.compiled
        where = (*self.query.where, *self.conditions)
        most = tally.max_rows
        rows_wanted = self.size + 1 if most is None else min(self.size, most) + 1
        graph = compiled.narrowed(narrowing(compiled, where, self.order, rows_wanted, None))
        prefix = mapping.free_prefix(compiled.mapper)
        values = [
            exact_value(each.expression, compiled.dialect).label(f"{prefix}order_{index}")
            for index, each in enumerate(self.order)
        ]
        return graph.run_beside(session, [parameters], values, tally, keep=self.size)

    def page(self, roots: list[Any], found: list[tuple[Any, ...]]) -> Page[Any]:
        """Return the page of what was read."""
        more = len(found) > self.size
        found = found[: self.size]
        cursors = [self._cursor_of(row) for row in (found[:1] + found[-1:])]
        return self._page(roots, cursors, more)

    def _page(self, roots: list[Any], cursors: list[str], more: bool) -> Page[Any]:
        if not roots:
            if self.cursor is None:
                return Page([], None, None)
            here = encode_cursor(self.values, _order_text(self.total) + _INCLUSIVE, self.key)
            return Page([], here if self.backwards else None, None if self.backwards else here)
        first, last = cursors
        if self.backwards:
            return Page(roots[::-1], first, last if more else None)
        return Page(roots, last if more else None, first if self.cursor is not None else None)

    def _cursor_of(self, row: Sequence[Any]) -> str:
        try:
            return encode_cursor(row, _order_text(self.total), self.key)
        except TypeError as error:
            label = self.query.compiled.tree.label
            raise PlanError([problems.not_pageable(str(error), (label,))]) from None


def page_of(query: RootQuery, size: int, after: str | None, before: str | None, key: CursorKey) -> PageQuery:
    """Return a page, ready to run. Pure.

    Raises:
        PlanError: LP107, a size that counts nothing; LP110, an order whose values have no place in a cursor.
        CursorError: LP407.
    """
    label = query.compiled.tree.label
    if not is_count(size, least=1):
        raise PlanError([problems.bad_number("size", size, (label,))])
    if size > MOST:
        raise PlanError([problems.too_large_count("size", size, (label,))])
    if after is not None and before is not None:
        hint = "pass Page.next as after= to go forward, or Page.previous as before= to go back."
        raise CursorError(Problem("LP407", "after= and before= cannot be used together", (label,), hint=hint))
    dialect = query.compiled.dialect
    stored = [as_stored(each, dialect) for each in query.total_order]
    unfit = [each for each in stored if not _has_place_in_cursor(each)]
    if unfit:
        raise PlanError([problems.not_pageable(type(each.expression.type).__name__, (label,)) for each in unfit])
    order = [_comparable(each, dialect) for each in stored]
    backwards = before is not None
    cursor = before if backwards else after
    read = [_reversed(each, each.puts_nulls_first(dialect)) for each in order] if backwards else order
    if cursor is None:
        return PageQuery(query, read, (), size, None, backwards, key, order)
    enums = [getattr(each.expression.type, "enum_class", None) for each in order]
    inclusive = False
    try:
        values = decode_cursor(cursor, _order_text(order), key, label, enums)
    except CursorError:
        inclusive = True
        values = decode_cursor(cursor, _order_text(order) + _INCLUSIVE, key, label, enums)
    for each, value in zip(order, values, strict=True):
        wrong = refusal(value, each.expression.type, dialect) if value is not None else not _is_nullable(each)
        if wrong:
            raise refused_cursor(label)
    nulls_first = [each.puts_nulls_first(dialect) for each in read]
    beyond = _beyond(read, nulls_first, values)
    if inclusive:
        beyond = or_(beyond, and_(*(_equals(each, value) for each, value in zip(read, values, strict=True))))
    return PageQuery(query, read, (beyond,), size, cursor, backwards, key, order, values)


#: Databases that sort an ENUM by its number and compare it as text, and that round a FLOAT when they show it.
_SHOW_OTHERWISE = frozenset({"mysql", "mariadb"})


def _comparable(ordering: Ordering, dialect: Dialect) -> Ordering:
    """Return an order whose expression may be compared as it is sorted, and whose NULLs are where the page wants them.

    If nobody knows which way a database sorts NULLs by itself, the statement says it.
    """
    kind = ordering.expression.type
    if dialect.name in _SHOW_OTHERWISE and isinstance(kind, Enum) and kind.native_enum:
        number = type_coerce(ordering.expression, Integer) + literal_column("0", Integer)
        ordering = Ordering(number, ordering.descending, ordering.nulls_first)
    if ordering.nulls_first is None and not ordering.knows_nulls(dialect) and _is_nullable(ordering):
        return Ordering(ordering.expression, ordering.descending, ordering.puts_nulls_first(dialect))
    return ordering


def exact_value(expression: ColumnElement[Any], dialect: Dialect) -> ColumnElement[Any]:
    """Return an expression whose value compares equal to itself when it comes back in a cursor."""
    if dialect.name in _SHOW_OTHERWISE and isinstance(expression.type, Float):
        return type_coerce(expression + literal_column("0e0", Double), expression.type)
    return expression


def _has_place_in_cursor(ordering: Ordering) -> bool:
    """Tell whether a cursor can hold the values: JSON has two kinds of null, and composed values have no one order."""
    return not isinstance(ordering.expression.type, types.JSON | types.ARRAY | types.PickleType | types.TupleType)


def _reversed(ordering: Ordering, nulls_first: bool) -> Ordering:
    """Return the opposite order; NULLs are placed by name, as the other direction may default them elsewhere."""
    placed = None if ordering.nulls_first is None else not nulls_first
    return Ordering(ordering.expression, not ordering.descending, placed)


def _order_text(order: Sequence[Ordering]) -> str:
    compiled = [each.clause.compile() for each in order]
    return ", ".join(f"{each} {sorted(each.params.items())!r}" for each in compiled)


def _beyond(order: Sequence[Ordering], nulls_first: Sequence[bool], values: Sequence[Any]) -> ColumnElement[bool]:
    """Return the condition that a row comes after the one with these values."""
    bound = [
        None if value is None else literal(value, each.expression.type)
        for each, value in zip(order, values, strict=True)
    ]
    if len({each.descending for each in order}) == 1 and not any(map(_is_nullable, order)):
        row = tuple_(*(each.expression for each in order))
        edge = tuple_(*(value for value in bound if value is not None))
        if len(order) == 1:
            return _past(order[0], False, bound[0])
        return row < edge if order[0].descending else row > edge
    steps = []
    for index, (each, first, value) in enumerate(zip(order, nulls_first, bound, strict=True)):
        same = [_equals(order[before], bound[before]) for before in range(index)]
        steps.append(and_(*same, _past(each, first, value)))
    return or_(*steps)


def _equals(ordering: Ordering, value: Any) -> ColumnElement[bool]:
    return ordering.expression.is_(None) if value is None else ordering.expression == value


def _past(ordering: Ordering, nulls_first: bool, value: Any) -> ColumnElement[bool]:
    """Return the condition that an expression comes after a value, wherever NULLs go."""
    expression = ordering.expression
    if value is None:
        return expression.is_not(None) if nulls_first else false()
    past: ColumnElement[bool] = expression < value if ordering.descending else expression > value
    return or_(past, expression.is_(None)) if _is_nullable(ordering) and not nulls_first else past


def _is_nullable(ordering: Ordering) -> bool:
    element = ordering.expression
    column = element.__clause_element__() if hasattr(element, "__clause_element__") else element
    while isinstance(column, TypeCoerce):
        column = column.clause
    return bool(getattr(column, "nullable", True))
