"""Reads the tables, columns, types and indexes of a database."""

from collections.abc import Iterable
from typing import Any

import attrs
from sqlalchemy import Column, Connection, PrimaryKeyConstraint, Table, UniqueConstraint, inspect, text
from sqlalchemy.exc import CompileError, SQLAlchemyError

from loadplan.mapped.indexes import DatabaseIndex
from loadplan.running.table_indexes import read_indexes
from loadplan.tools.audit.keys import plain_start


@attrs.frozen
class TypeDifference:
    """A column whose type in the database differs from the mapped type.

    Attributes:
        column: the name of the column.
        mapped: the type that the mapping gives it.
        actual: the type in the database.
        fits: whether a value of one type is also a value of the other.
    """

    column: str
    mapped: str
    actual: str
    fits: bool


@attrs.frozen
class DatabaseTable:
    """A table as it is in the database.

    Attributes:
        name: the name of the table with its schema, as ``Table.fullname`` has it.
        columns: the names of the columns.
        indexes: the indexes, and the indexes of primary keys and unique constraints.
    """

    name: str
    columns: tuple[str, ...]
    indexes: tuple[DatabaseIndex, ...]


def read_table(connection: Connection, table: Table) -> DatabaseTable | None:
    """Return a table of the database, or None if it does not exist."""
    inspector = inspect(connection)
    schema = table.schema
    if not inspector.has_table(table.name, schema=schema):
        return None
    columns = tuple(each["name"] for each in inspector.get_columns(table.name, schema=schema))
    return DatabaseTable(table.fullname, columns, read_indexes(connection, table, schema))


def tables_there(connection: Connection, schema: str | None) -> list[str]:
    """Return the names of the tables that a schema of the database has, for hints."""
    return inspect(connection).get_table_names(schema=schema)


def mapped_indexes(table: Table) -> list[DatabaseIndex]:
    """Return the indexes of a mapped table, and the indexes of its primary key and unique constraints."""
    found: list[DatabaseIndex] = []
    for constraint in table.constraints:
        if isinstance(constraint, PrimaryKeyConstraint | UniqueConstraint) and len(constraint.columns):
            names = tuple(column.name for column in constraint.columns)
            found.append(DatabaseIndex(str(constraint.name) if constraint.name else None, names, unique=True))
    found += [DatabaseIndex(each.name, tuple(plain_start(each)), unique=bool(each.unique)) for each in table.indexes]
    return found


def has_rows(connection: Connection, table: Table, least: int) -> bool | None:
    """Tell whether a table has at least ``least`` rows; None if it is empty."""
    quoted = connection.dialect.identifier_preparer.format_table(table)
    counted = f"SELECT count(*) FROM (SELECT 1 AS one FROM {quoted} LIMIT {int(least)}) AS counted"  # noqa: S608 - quoted
    number = connection.execute(text(counted.replace(":", "\\:"))).scalar_one()
    return None if number == 0 else bool(number >= least)


# --- types, on PostgreSQL -------------------------------------------------------------------------------------------

#: Groups of types. A value of one type of a group is unchanged in another type of the group.
_SAME = ({"text", "character varying", "name"}, {"json", "jsonb"}, {"smallint", "integer", "bigint"})

_COLUMNS = """
SELECT a.attname, format_type(coalesce(b.oid, t.oid), NULL), CAST(coalesce(b.typcategory, t.typcategory) AS text),
       CAST(coalesce(b.oid, t.oid) AS bigint)
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type b ON b.oid = t.typbasetype
WHERE a.attrelid = to_regclass(:name) AND a.attnum > 0 AND NOT a.attisdropped
"""

_TYPES = """
SELECT n.number, format_type(t.oid, NULL), CAST(t.typcategory AS text), CAST(t.oid AS bigint)
FROM unnest(CAST(:names AS text[])) WITH ORDINALITY AS n(name, number) JOIN pg_type t ON t.oid = to_regtype(n.name)
"""


def type_differences(connection: Connection, table: Table, columns: Iterable[Column[Any]]) -> list[TypeDifference]:
    """Return the columns whose type differs between PostgreSQL and the mapping; none for other databases.

    PostgreSQL itself gives the name and the category of each type of the mapping. A domain counts as its base type.
    """
    if connection.dialect.name != "postgresql":
        return []
    mapped = [(column, name) for column in columns if (name := _type_name(connection, column)) is not None]
    known = {
        int(number): (name, category, oid)
        for number, name, category, oid in connection.execute(text(_TYPES), {"names": [name for _, name in mapped]})
    }
    quoted = connection.dialect.identifier_preparer.format_table(table)
    actual = {row[0]: tuple(row[1:]) for row in connection.execute(text(_COLUMNS), {"name": quoted})}
    found = []
    for number, (column, _) in enumerate(mapped, start=1):
        if number not in known or column.name not in actual:
            continue
        wanted, wanted_category, wanted_oid = known[number]
        there, category, oid = actual[column.name]
        if oid != wanted_oid and not any({wanted, there} <= same for same in _SAME):
            fits = category == wanted_category and category in {"N", "S"}
            found.append(TypeDifference(column.name, wanted, there, fits))
    return found


def _type_name(connection: Connection, column: Column[Any]) -> str | None:
    try:
        return str(column.type.compile(dialect=connection.dialect))
    except (CompileError, SQLAlchemyError, NotImplementedError):  # NullType, and types without a name in DDL
        return None
