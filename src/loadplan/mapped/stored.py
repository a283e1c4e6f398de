"""Finds the types whose values may change when SQLAlchemy reads them and binds them again, and their stored values.

A key that changes on this way does not find its rows again. Examples are a UUID that SQLite keeps with hyphens, a
``Numeric`` that SQLAlchemy rounds, or a text of a date that another program wrote. For these keys, a statement also
selects the stored value, and binds this value.
"""

from typing import Any

from sqlalchemy import ColumnElement, Dialect, Double, cast, extract, func, literal_column, type_coerce, types
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles

from loadplan.mapped.drivers import MYSQL_FAMILY

#: Types whose values SQLAlchemy makes of something else on SQLite.
CONVERTED_ON_SQLITE = (
    types.Numeric,
    types.Float,
    types.DateTime,
    types.Date,
    types.Time,
    types.Interval,
    types.Uuid,
)

INTERVALS = (types.Interval, postgresql.INTERVAL)


class AsStored(types.NullType):
    """Gives and takes values as the driver has them, without a conversion."""


class Characters(types.String):
    """PostgreSQL's type ``BPCHAR``: a ``CHAR`` of any length. A cast to it does not shorten a text."""


@compiles(Characters)
def _characters(_kind: Characters, _compiler: Any, **_options: Any) -> str:
    return "BPCHAR"


def is_uuid_of_text(kind: types.TypeEngine[Any], dialect: Dialect) -> bool:
    """Tell whether a UUID is stored as text on a database."""
    return isinstance(kind, types.Uuid) and not (kind.native_uuid and dialect.supports_native_uuid)


def stored_value(expression: Any, kind: types.TypeEngine[Any], dialect: Dialect) -> ColumnElement[Any] | None:
    """Return the stored value of a column; None if its value in Python leads back to the same stored value.

    Args:
        expression: the column.
        kind: its type on the database, without decorators.
        dialect: the dialect of the database and its driver.
    """
    if isinstance(kind, types.Enum):
        return type_coerce(expression, _names(kind)) if _has_aliases(kind) else None
    if dialect.name == "postgresql":
        return _on_postgresql(expression, kind, dialect)
    converts = isinstance(kind, types.Boolean) or is_uuid_of_text(kind, dialect)
    if dialect.name == "sqlite":
        keeps = isinstance(kind, types.Numeric | types.Float) and not kind.asdecimal
        converts = converts or (isinstance(kind, CONVERTED_ON_SQLITE) and not keeps)
    elif dialect.name in MYSQL_FAMILY:
        if isinstance(kind, types.Float):
            return type_coerce(exact_float(expression), Double())
        if isinstance(kind, types.Numeric) and not kind.asdecimal:
            return type_coerce(expression, types.Numeric())
        converts = converts or isinstance(kind, types.Time | types.Interval)
    return type_coerce(expression, AsStored()) if converts else None


def _on_postgresql(expression: Any, kind: types.TypeEngine[Any], dialect: Dialect) -> ColumnElement[Any] | None:
    if is_uuid_of_text(kind, dialect):
        return type_coerce(expression, Characters())
    if isinstance(kind, types.Float):  # a Numeric in SQLAlchemy 2.0, a separate type in 2.1
        if dialect.driver != "asyncpg":  # other drivers read a REAL from its text, which is rounded
            return cast(expression, Double)
        return type_coerce(expression, Double()) if kind.asdecimal else None
    if isinstance(kind, types.Numeric) and not kind.asdecimal:
        return type_coerce(expression, types.Numeric())
    if isinstance(kind, types.Time) and kind.timezone:  # Python compares only the moments of two times
        return cast(expression, types.Text)
    if isinstance(kind, INTERVALS):
        return type_coerce(without_months(expression), postgresql.INTERVAL())
    return None


def _has_aliases(kind: types.Enum) -> bool:
    """Tell whether several texts stand for one member of an enum."""
    return kind.enum_class is not None and len(set(kind.enum_class)) < len(kind.enums)


def _names(kind: types.Enum) -> types.TypeEngine[Any]:
    """Return the type that reads and binds the texts of an enum."""
    if not kind.native_enum:
        return types.String()
    return types.Enum(*kind.enums, name=kind.name, schema=kind.schema)


def exact_float(expression: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a number as MariaDB and MySQL compare it. They show a ``FLOAT`` with fewer digits."""
    return expression + literal_column("0e0", Double)


def without_months(interval: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return an interval of days that PostgreSQL takes for equal: each month is 30 days.

    Drivers read a year as 365 days. PostgreSQL compares it as 360 days.
    """
    months = extract("year", interval) * literal_column("12") + extract("month", interval)
    days = cast(months * literal_column("30"), types.Integer)
    zero: ColumnElement[int] = literal_column("0")
    return interval - func.date_trunc(literal_column("'month'"), interval) + func.make_interval(zero, zero, zero, days)


def unlimited(kind: Any) -> Any:
    """Return a type that binds the values of another type whatever their length and digits are.

    A mapping may give a column a shorter type than the database has. PostgreSQL shortens a text, and rounds a number,
    if a statement casts it to this type.
    """
    if isinstance(kind, types.CHAR):
        return kind if kind.collation else Characters()
    if isinstance(kind, types.String) and not isinstance(kind, types.Enum):
        return types.String() if kind.length and not kind.collation else kind
    if isinstance(kind, types.Float):
        return Double(asdecimal=True) if kind.asdecimal else Double()
    if isinstance(kind, types.Numeric):
        return types.Numeric() if kind.asdecimal else types.Numeric(asdecimal=False)
    if isinstance(kind, types.DateTime | types.Time) and getattr(kind, "precision", None) is not None:
        plain = types.DateTime if isinstance(kind, types.DateTime) else types.Time
        return plain(timezone=kind.timezone)
    return kind
