"""Reads pages by key: a cursor holds the values of the order at the edge of a page, not the number of a row."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import attrs
from sqlalchemy import (
    ColumnElement,
    Dialect,
    and_,
    false,
    literal,
    literal_column,
    or_,
    select,
    type_coerce,
    types,
)
from sqlalchemy.dialects.postgresql import HSTORE

from loadplan.declared.mistaken import with_hints
from loadplan.errors import CursorError, PlanError, Problem
from loadplan.mapped import mapping
from loadplan.mapped.drivers import MYSQL_FAMILY
from loadplan.mapped.ordering import Ordering, as_stored, orderings
from loadplan.mapped.repeats import row_key
from loadplan.mapped.telling import teller
from loadplan.mapped.values import binds_by_itself, stored_type, type_on
from loadplan.resolved import number_problems
from loadplan.resolved.form import MOST
from loadplan.running import call_problems
from loadplan.running.cursors import KEPT, CursorKey, decode_cursor, encode_cursor, refused_cursor, row_is_gone
from loadplan.running.exact import comparable, exact_value, may_be_infinite, refusal_of_cursor, type_of_value
from loadplan.running.graph import load_roots_beside
from loadplan.running.own_connection import Opened
from loadplan.running.response import response_schema
from loadplan.running.roots import Beyond, RootQuery, is_count, narrowing
from loadplan.running.tally import Tally
from loadplan.statements.keys import row_of
from loadplan.statements.linked import Narrowing

T = TypeVar("T")

#: Marks a cursor whose own row belongs to the page: it leads back from an empty page.
_INCLUSIVE = " (inclusive)"


@with_hints("Page")
@attrs.frozen
class Page(Generic[T]):
    """One page of a list.

    Attributes:
        items: the roots, in order.
        next: the cursor for ``after=``; None on the last page.
        previous: the cursor for ``before=``; None on the first page.
        total: the number of roots of all pages; None if you did not pass ``total=``.
    """

    items: list[T]
    next: str | None
    previous: str | None
    total: int | None = None

    def __bool__(self) -> bool:
        return True  # Python would otherwise ask for the length

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Return the schema with which pydantic validates and serializes a page. Only pydantic calls this."""
        return response_schema(source, handler)


@attrs.frozen(eq=False)
class PageQuery:
    """The query of one page, ready to run.

    Attributes:
        query: the roots that the pages show.
        order: the order with the primary key, in the direction in which rows are read: backwards for ``before=``.
        total: the order with the primary key, forwards.
        text: the SQL of ``total``. Cursors are signed with it.
        beyond: makes the condition for the rows beyond the cursor; None without a cursor.
        size: the number of roots on a page.
        cursor: the cursor at which the page starts.
        values: the values in the cursor.
        kept: by index of an order in ``total``, the reader of a value that cursors do not hold.
        read_there: by index of an order in ``total``, the reader of a value that the given cursor does not hold.
        backwards: whether the page goes towards the beginning.
        key: the key that signs or encrypts cursors.
        of_key: by index of an order in ``total``, whether it is a part of the row's key.
    """

    query: RootQuery
    order: Sequence[Ordering]
    beyond: Beyond | None
    size: int
    cursor: str | None
    backwards: bool
    key: CursorKey
    total: Sequence[Ordering]
    text: str
    of_key: Sequence[bool]
    values: Sequence[Any] = ()
    kept: "Mapping[int, KeptValue]" = attrs.field(factory=dict)
    read_there: "Mapping[int, KeptValue]" = attrs.field(factory=dict)

    def run(self, session: Opened, parameters: Mapping[str, Any], tally: Tally) -> Page[Any]:
        """Load the page. Also read the key of one more root, to know whether another page follows."""
        return self.page(*self.read(session, parameters, tally))

    def read(
        self, session: Opened, parameters: Mapping[str, Any], tally: Tally
    ) -> tuple[list[Any], list[tuple[Any, ...]]]:
        """Return the roots of the page, and the values of their order, also for one more root."""
        compiled = self.query.compiled
        most = tally.max_rows
        rows_wanted = self.size + 1 if most is None else min(self.size, most) + 1

        order, joins = self.query.in_joins(self.order, counts=True)

        def narrow(limit: int) -> Narrowing:
            where, beyond = self.query.where, self.beyond
            return narrowing(compiled, where, order, limit, None, joins=joins, forward=self.total, beyond=beyond)

        # the root after the page is not shown, so the subqueries of strategy="subquery" leave it out
        graph = compiled.narrowed(narrow(rows_wanted), narrow(self.size))
        prefix = mapping.free_prefix(compiled.mapper)
        values = [
            (
                each.expression.is_not(None) if index in self.kept else exact_value(each.expression, compiled.dialect)
            ).label(f"{prefix}order_{index}")
            for index, each in enumerate(order)
        ]
        roots, found = load_roots_beside(graph, session, [parameters], values, tally, keep=self.size)
        if not roots:
            self._check_kept(session, parameters, tally)
        return roots, found

    def page(self, roots: list[Any], found: list[tuple[Any, ...]]) -> Page[Any]:
        """Return the page for the rows that were read."""
        more = len(found) > self.size
        found = found[: self.size]
        cursors = [self._cursor_of(row) for row in (found[:1] + found[-1:])]
        return self._page(roots, cursors, more)

    def _page(self, roots: list[Any], cursors: list[str], more: bool) -> Page[Any]:
        if not roots:
            if self.cursor is None:
                return Page([], None, None)
            here = encode_cursor(self.values, self.text + _INCLUSIVE, self.key)
            return Page([], here if self.backwards else None, None if self.backwards else here)
        first, last = cursors
        if self.backwards:
            return Page(roots[::-1], first, last if more else None)
        return Page(roots, last if more else None, first if self.cursor is not None else None)

    def _check_kept(self, session: Opened, parameters: Mapping[str, Any], tally: Tally) -> None:
        """Check that the row of the cursor exists, if values are read from it.

        Raises:
            CursorError: LP407, the row is gone, so the start of the page is unknown.
        """
        label = self.query.compiled.tree.label
        for kept in self.read_there.values():
            tally.sent(label)
            if session.execute(kept.there(self.values), parameters).first() is None:
                raise row_is_gone(label, is_of_own_type=kept.is_of_own_type, is_shown=self.query.shows(kept.index))

    def _cursor_of(self, row: Sequence[Any]) -> str:
        dialect = self.query.compiled.dialect
        row = [
            (self.kept[index].mark if value else None)
            if index in self.kept
            else KEPT
            if may_be_infinite(value, dialect) and not self.of_key[index]
            else value
            for index, value in enumerate(row)
        ]
        try:
            return encode_cursor(row, self.text, self.key)
        except TypeError as error:
            label = self.query.compiled.tree.label
            raise PlanError([call_problems.not_pageable(str(error), (label,))]) from None


def page_of(query: RootQuery, size: int, after: str | None, before: str | None, key: CursorKey) -> PageQuery:
    """Return the query of a page. Pure.

    Raises:
        PlanError: LP107, ``size`` is not a number of 1 or more; LP110, a cursor cannot hold the values of an order.
        CursorError: LP407, the cursor does not fit, or both ``after`` and ``before`` are given.
    """
    label = query.compiled.tree.label
    if not is_count(size, least=1):
        raise PlanError([number_problems.bad_number("size", size, (label,))])
    if size > MOST:
        raise PlanError([number_problems.too_large_count("size", size, (label,))])
    if after is not None and before is not None:
        hint = "pass Page.next as after= to go forward, or Page.previous as before= to go back."
        raise CursorError(Problem("LP407", "after= and before= cannot be used together", (label,), hint=hint))
    dialect = query.compiled.dialect
    given = query.total_order
    stored = [_as_stored(each, dialect, is_tie=query.breaks_ties(index)) for index, each in enumerate(given)]
    unfit = [each for each in stored if not _has_place_in_cursor(type_on(each.expression.type, dialect))]
    if unfit:
        raise PlanError([call_problems.not_pageable(type(each.expression.type).__name__, (label,)) for each in unfit])
    order = [comparable(each, dialect) for each in stored]
    keys = [each.expression for each in orderings(row_key(query.compiled.mapper.class_))]
    of_key = [_is_one_of(keys, each) for each in given]
    kept = {
        index: KeptValue(query, index, order, of_key, is_of_own_type)
        for index, each in enumerate(given)
        for is_of_own_type in (stays_in_database(each.expression.type, dialect),)
        if not of_key[index] and (is_of_own_type or (isinstance(key, bytes) and not query.shows(index)))
    }
    backwards = before is not None
    cursor = before if backwards else after
    read = [_reversed(each, each.puts_nulls_first(dialect)) for each in order] if backwards else order
    text = _order_text(order)
    if cursor is None:
        return PageQuery(query, read, None, size, None, backwards, key, order, text, of_key, (), kept)
    enums = [getattr(type_on(each.expression.type, dialect), "enum_class", None) for each in order]
    values, inclusive = _values_in(cursor, text, key, label, enums)
    for index, (each, value) in enumerate(zip(order, values, strict=True)):
        wrong: Any = each.never_null and value is None
        if index in kept and value is kept[index].mark:
            values[index] = KEPT
        elif value is KEPT:  # the page that made the cursor did not show the value, but this page does
            wrong = of_key[index]
        elif value is not None:
            wrong = index in kept or refusal_of_cursor(value, type_of_value(value, each), dialect)
        if wrong:
            raise refused_cursor(label)
    read_there = {
        index: kept.get(index) or KeptValue(query, index, order, of_key, is_of_own_type=False)
        for index, value in enumerate(values)
        if value is KEPT
    }
    edge = [read_there[index].read(values) if index in read_there else value for index, value in enumerate(values)]
    nulls_first = [each.puts_nulls_first(dialect) for each in read]
    bound = [
        value if value is None or isinstance(value, ColumnElement) else literal(value, type_of_value(value, each))
        for each, value in zip(read, edge, strict=True)
    ]

    def beyond(on: Sequence[Ordering]) -> ColumnElement[bool]:
        past = _beyond(on, nulls_first, bound, dialect, inclusive=inclusive)
        # if the row of the cursor is gone, its value reads as NULL: the page must be empty, not start after NULL
        return and_(past, *(edge[index].is_not(None) for index in read_there))

    return PageQuery(query, read, beyond, size, cursor, backwards, key, order, text, of_key, values, kept, read_there)


def _values_in(
    cursor: str, text: str, key: CursorKey, label: str, enums: Sequence[type | None]
) -> tuple[list[Any], bool]:
    """Return the values in a cursor, and whether the row of the cursor itself belongs to the page."""
    try:
        return decode_cursor(cursor, text, key, label, enums), False
    except CursorError:
        return decode_cursor(cursor, text + _INCLUSIVE, key, label, enums), True


@attrs.frozen(eq=False)
class KeptValue:
    """Reads a value of an order that is not in the cursor. The cursor names its row, and the database reads the value.

    A cursor that is not encrypted does not hold a value that the page does not show. No cursor holds a value of a type
    that may hide what it stores, or a date that the driver may send as an infinite one.

    Attributes:
        query: the roots that the pages show.
        index: the index of the expression in the order.
        order: the order that cursors are made for.
        of_key: the indexes of the expressions in the order that are the key of the row.
        is_of_own_type: True if the type may hide the value; False if the page does not show the value.
    """

    query: RootQuery
    index: int
    order: Sequence[Ordering]
    of_key: Sequence[bool]
    is_of_own_type: bool

    @property
    def mark(self) -> object:
        """The mark that stands for the value in a cursor."""
        return True if self.is_of_own_type else KEPT

    def _at(self, values: Sequence[Any], column: Any) -> Any:
        key = [
            _equals(each, None if value is None else literal(value, type_of_value(value, each)))
            for each, value, is_key in zip(self.order, values, self.of_key, strict=True)
            if is_key
        ]
        # a class with a joined base has columns in several tables, and no other part of this names all of them
        statement = select(column).select_from(self.query.compiled.tree.root.entity).where(*key)
        if self.query.compiled.root.identity:  # a root has several rows: take the row that the page counted
            statement = statement.where(*self.query.where).order_by(*(each.clause for each in self.order))
        return statement.limit(1).correlate(None)

    def read(self, values: Sequence[Any]) -> ColumnElement[Any]:
        """Return the value at the row of a cursor, as a SQL expression."""
        column = self.order[self.index].expression
        found = self._at(values, column.label("value"))
        if self.query.compiled.dialect.name in _HAVE_MORE_DIGITS:
            found = select(found.subquery().c.value)
        return type_coerce(found.scalar_subquery(), column.type)

    def there(self, values: Sequence[Any]) -> Any:
        """Return a statement that selects a row if the row of a cursor exists and has a value."""
        column = self.order[self.index].expression
        return self._at(values, literal_column("1")).where(column.is_not(None))


#: Databases that compare a quotient in a subquery with more digits than it has elsewhere. A second subquery around the
#: first one rounds it.
_HAVE_MORE_DIGITS = MYSQL_FAMILY

#: Databases that use an index to find the rows after a row value. MariaDB compares row values, but without an index.
_COMPARES_ROWS = frozenset({"postgresql", "sqlite"})


def _as_stored(ordering: Ordering, dialect: Dialect, *, is_tie: bool) -> Ordering:
    """Return an order by the stored values. For a key that only breaks ties, order by its teller."""
    told = teller(ordering.expression, dialect) if is_tie else None
    return as_stored(ordering, dialect) if told is None else attrs.evolve(ordering, expression=told)


def _has_place_in_cursor(kind: types.TypeEngine[Any]) -> bool:
    """Tell whether pages can be ordered by values of a type.

    This is False for JSON, which has two kinds of null, and for composed values, which have no single order. It is also
    False for hstore, which PostgreSQL sorts but cannot compare.
    """
    return not isinstance(kind, types.JSON | types.ARRAY | types.PickleType | types.TupleType | HSTORE)


def _is_one_of(keys: Sequence[ColumnElement[Any]], ordering: Ordering) -> bool:
    return any(ordering.expression.compare(key) for key in keys)


def stays_in_database(kind: types.TypeEngine[Any], dialect: Dialect) -> bool:
    """Tell whether cursors must not contain the values of a type. This is so for custom types that store text or bytes.

    A custom type may hide its values, for example by encrypting them.
    """
    return binds_by_itself(type_on(kind, dialect)) and isinstance(
        stored_type(kind, dialect), types.String | types.LargeBinary
    )


def _reversed(ordering: Ordering, nulls_first: bool) -> Ordering:
    """Return the opposite order. It names the place of NULLs, because the default place may differ."""
    placed = None if ordering.nulls_first is None else not nulls_first
    return attrs.evolve(ordering, descending=not ordering.descending, nulls_first=placed)


def _order_text(order: Sequence[Ordering]) -> str:
    compiled = [each.clause.compile() for each in order]
    return ", ".join(f"{each} {sorted(each.params.items())!r}" for each in compiled)


def _beyond(
    order: Sequence[Ordering], nulls_first: Sequence[bool], bound: Sequence[Any], dialect: Dialect, *, inclusive: bool
) -> ColumnElement[bool]:
    """Return the condition that a row comes after the one with these values, or that it is this row if ``inclusive``.

    Databases do not use an index for OR. So the first column is also compared alone, where its place among NULLs allows
    that.
    """
    first = order[0]
    one_way = len({each.descending for each in order}) == 1 and all(each.never_null for each in order)
    if one_way and (len(order) == 1 or dialect.name in _COMPARES_ROWS):
        row = row_of([each.expression for each in order])
        return _compared(row, row_of(bound), descending=first.descending, inclusive=inclusive)
    steps = []
    for index, (each, nulls, value) in enumerate(zip(order, nulls_first, bound, strict=True)):
        same = [_equals(order[before], bound[before]) for before in range(index)]
        steps.append(and_(*same, _past(each, nulls, value)))
    if inclusive:
        steps.append(and_(*(_equals(each, value) for each, value in zip(order, bound, strict=True))))
    if bound[0] is None or not (first.never_null or nulls_first[0]):
        return or_(*steps)
    return and_(_compared(first.expression, bound[0], descending=first.descending, inclusive=True), or_(*steps))


def _compared(expression: Any, value: Any, *, descending: bool, inclusive: bool) -> ColumnElement[bool]:
    """Return the condition that an expression comes after a value, or is equal to it if ``inclusive``."""
    compare = (operator.le if inclusive else operator.lt) if descending else (operator.ge if inclusive else operator.gt)
    condition: ColumnElement[bool] = compare(expression, value)
    return condition


def _equals(ordering: Ordering, value: Any) -> ColumnElement[bool]:
    return ordering.expression.is_(None) if value is None else ordering.expression == value


def _past(ordering: Ordering, nulls_first: bool, value: Any) -> ColumnElement[bool]:
    """Return the condition that an expression comes after a value, for any place of NULLs."""
    expression = ordering.expression
    if value is None:
        return expression.is_not(None) if nulls_first else false()
    past = _compared(expression, value, descending=ordering.descending, inclusive=False)
    return or_(past, expression.is_(None)) if not (ordering.never_null or nulls_first) else past
