"""Finds an expression by which Python can compare the keys of rows: the key itself, or its stored value (a *teller*).

An application's own type may make objects without ``__eq__`` or ``__hash__``, or equal objects for two rows. A value
may also change when SQLAlchemy reads it and binds it again. For a key of this type, the statement also selects the
stored value: without the decorators of the type, or as text.
"""

import decimal
import math
from collections.abc import Callable
from typing import Any

from sqlalchemy import Cast, ColumnElement, Dialect, Label, Text, cast, type_coerce, types
from sqlalchemy.dialects import mysql, postgresql

from loadplan.mapped.drivers import MYSQL_FAMILY
from loadplan.mapped.stored import INTERVALS, AsStored, stored_value
from loadplan.mapped.values import are_of_sqlalchemy, binds_by_itself, made_by_decorators, type_on

#: Types whose values are equal in SQL if and only if they are equal in Python, apart from collations.
EXACT_TYPES = (
    types.Integer,
    types.String,
    types.Uuid,
    types.Date,
    types.DateTime,
    types.Time,
    types.Boolean,
    types.Numeric,
    types.Float,
    types.LargeBinary,
)

#: Further types whose values have a hash and that Python can compare.
_TELLING = (
    *EXACT_TYPES,
    types.Interval,
    types.NullType,
    postgresql.INTERVAL,
    postgresql.INET,
    postgresql.CIDR,
    postgresql.MACADDR,
    postgresql.MACADDR8,
    postgresql.MONEY,
    postgresql.BIT,
    postgresql.OID,
    postgresql.REGCLASS,
    postgresql.REGCONFIG,
    postgresql.TSVECTOR,
)

#: Databases without NaN, the number that is not equal to itself.
_WITHOUT_NAN = frozenset({"sqlite", "mysql", "mariadb"})


_NAN = decimal.Decimal("NaN")


def reads_by_itself(kind: types.TypeEngine[Any]) -> bool:
    """Tell whether a type makes values with its own code or its own SQL, and not with SQLAlchemy's."""
    own: Any = type(kind)
    code = [own.result_processor, own.column_expression]
    if isinstance(kind, types.TypeDecorator):
        code.append(own.process_result_value)
    return not are_of_sqlalchemy(code)


def is_exact(kind: types.TypeEngine[Any]) -> bool:
    """Tell whether a type is one of :data:`EXACT_TYPES`, and only SQLAlchemy's code binds and reads its values."""
    return isinstance(kind, EXACT_TYPES) and not (reads_by_itself(kind) or binds_by_itself(kind))


def tells_rows_apart(kind: types.TypeEngine[Any], dialect: Dialect) -> bool:
    """Tell whether Python can compare values of a type: each has a hash, and the values of two rows differ."""
    kind = type_on(kind, dialect)
    while isinstance(kind, types.TypeDecorator) and not isinstance(kind, types.Interval):
        if reads_by_itself(kind) or isinstance(kind, types.PickleType):
            return False
        kind = type_on(kind.load_dialect_impl(dialect), dialect)
    return isinstance(kind, _TELLING) and not isinstance(kind, mysql.SET) and not reads_by_itself(kind)


def undecorated(kind: types.TypeEngine[Any], dialect: Dialect) -> types.TypeEngine[Any]:
    """Return the type below all decorators. ``Interval`` stays, because it is SQLAlchemy's own decorator."""
    kind = type_on(kind, dialect)
    while isinstance(kind, types.TypeDecorator) and not isinstance(kind, types.Interval):
        kind = type_on(kind.load_dialect_impl(dialect), dialect)
    return kind


def binds_anew(kind: types.TypeEngine[Any], dialect: Dialect) -> bool:
    """Tell whether a type, or a type that it decorates, changes the values that it binds with its own code or SQL."""
    own: Any = type(kind)
    code = [own.bind_processor, own.bind_expression]
    if isinstance(kind, types.TypeDecorator):
        code.append(own.process_bind_param)
    if not are_of_sqlalchemy(code):
        return True
    return isinstance(kind, types.TypeDecorator) and binds_anew(
        type_on(kind.load_dialect_impl(dialect), dialect), dialect
    )


def binds_with_sql(kind: types.TypeEngine[Any], dialect: Dialect) -> bool:
    """Tell whether a type, or a type that it decorates, binds values with its own SQL."""
    kind = type_on(kind, dialect)
    own: Any = type(kind)
    if not are_of_sqlalchemy([own.bind_expression]):
        return True
    return isinstance(kind, types.TypeDecorator) and binds_with_sql(kind.load_dialect_impl(dialect), dialect)


def reads_only_null_as_none(kind: types.TypeEngine[Any], dialect: Dialect) -> bool:
    """Tell whether a value of a type is None in Python only if it is NULL in the database.

    Other types may read a stored value as None. JSON reads its ``null`` so, and an application's own type may do it.
    Drivers of MariaDB read the date ``0000-00-00`` as None.
    """
    kind = type_on(kind, dialect)
    is_zero_none = dialect.name in MYSQL_FAMILY and isinstance(kind, types.Date | types.DateTime)
    return not is_zero_none and not isinstance(kind, types.TypeDecorator) and tells_rows_apart(kind, dialect)


def teller(expression: Any, dialect: Dialect, *, everywhere: bool = False) -> ColumnElement[Any] | None:
    """Return the expression by which Python compares rows instead of a key; None if it can compare the key itself.

    The expression is the stored value with a type of SQLAlchemy, or its text.

    Args:
        expression: the key.
        dialect: the dialect of the database that has it.
        everywhere: whether keys of other databases are compared with it. They may store equal values in other forms.
    """
    kind = undecorated(expression.type, dialect)
    if reads_by_itself(kind) or binds_anew(kind, dialect):
        known = next(each for each in type(kind).__mro__ if each.__module__.startswith("sqlalchemy."))
        kind = kind.adapt(known) if issubclass(known, EXACT_TYPES) else kind
    stored = None if everywhere else stored_value(expression, kind, dialect)
    if stored is not None:
        return stored
    if tells_rows_apart(expression.type, dialect) and (
        everywhere or not binds_anew(type_on(expression.type, dialect), dialect)
    ):
        return None
    if is_exact(kind):
        return type_coerce(expression, kind)
    if dialect.name == "postgresql":
        return cast(expression, Text)
    return type_coerce(expression, types.NullType())


def is_bindable(told: ColumnElement[Any]) -> bool:
    """Tell whether a statement can bind the values of a teller as keys."""
    element = told.element if isinstance(told, Label) else told
    if isinstance(element, Cast) and isinstance(element.type, Text):  # the text of any other type
        return False
    return isinstance(told.type, (AsStored, *INTERVALS)) or is_exact(told.type)


def asked_by(told: ColumnElement[Any] | None, key: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a key column with the type that binds the values of its teller, or unchanged."""
    return key if told is None or not is_bindable(told) else type_coerce(key, told.type)


def may_be_nan(kind: types.TypeEngine[Any], dialect: Dialect) -> bool:
    """Tell whether a value of a type may be NaN, which is equal to itself in the database and not in Python."""
    return isinstance(kind, types.Numeric | types.Float) and dialect.name not in _WITHOUT_NAN


def same_number(value: Any) -> Any:
    """Return a number unchanged. For every NaN of a type, return the same object, which is then equal to itself."""
    if value == value:
        return value
    return math.nan if isinstance(value, float) else _NAN


def marker(kind: types.TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    """Return a function that turns a value into one that Python can compare; None if it can compare the value itself.

    This is for values of objects that were loaded before. The function calls the type's own conversion for parameters.
    """
    if tells_rows_apart(kind, dialect):
        return same_number if may_be_nan(kind, dialect) else None
    bind: Any = kind.dialect_impl(dialect).bind_processor(dialect)

    def mark(value: Any) -> Any:
        bound = made_by_decorators(value, kind, dialect)  # a driver may wrap what its own types bind
        if bound is None:
            bound = value if bind is None else bind(value)
        if isinstance(bound, float | decimal.Decimal):
            return same_number(bound)
        return bound if has_hash(bound) else repr(bound)

    return mark


def is_equal(one: Any, other: Any) -> bool:
    """Tell whether two values are equal. If comparing them raises an error, they count as different."""
    try:
        return one is other or bool(one == other)
    except Exception:  # the methods of the values' classes may raise any error
        return False


def has_hash(value: object) -> bool:
    """Tell whether a value has a hash."""
    try:
        hash(value)
    except Exception:  # the methods of the value's class may raise any error
        return False
    return True
