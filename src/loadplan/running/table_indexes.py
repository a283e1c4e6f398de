"""Reads the indexes of a table from its database."""

import warnings
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, inspect, text
from sqlalchemy.exc import NoSuchTableError, SAWarning

from loadplan.mapped.indexes import DatabaseIndex
from loadplan.mapped.links import indexed_columns

#: Kinds of PostgreSQL indexes that find rows by equality. PostgreSQL can also read a B-tree in order.
_BY_EQUALITY = frozenset({None, "btree", "hash"})

#: Returns, for each index of a table, whether PostgreSQL can find rows with it, and whether it can sort with it. If
#: CREATE INDEX CONCURRENTLY fails, it leaves an invalid index. An index compares differently if its collation is not
#: the column's, or if its operator class is not the default of the type.
_USABLE = """
SELECT c.relname,
       i.indisvalid AND NOT EXISTS (
           SELECT 1 FROM unnest(CAST(i.indkey AS int2[]), CAST(i.indcollation AS oid[])) AS k(number, collation_id)
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
           WHERE k.collation_id <> a.attcollation),
       NOT EXISTS (
           SELECT 1 FROM unnest(CAST(i.indclass AS oid[])) AS k(class_id)
           JOIN pg_opclass o ON o.oid = k.class_id WHERE NOT o.opcdefault)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = to_regclass(:name)
"""


def read_indexes(connection: Connection, table: Table, schema: str | None) -> tuple[DatabaseIndex, ...]:
    """Return the indexes of a table in the database, with the indexes of its keys. Empty if the table does not exist.

    Args:
        connection: a connection to the database. Only its catalogs are read.
        table: the mapped table.
        schema: the schema of the table.
    """
    inspector = inspect(connection)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # SQLAlchemy warns of expressions in indexes, which are not needed
        try:
            primary = inspector.get_pk_constraint(table.name, schema=schema)
            constraints = inspector.get_unique_constraints(table.name, schema=schema)
            found = inspector.get_indexes(table.name, schema=schema)
        except NoSuchTableError:
            return ()
    indexes: list[DatabaseIndex] = []
    if primary and primary["constrained_columns"]:
        indexes.append(DatabaseIndex(primary.get("name"), tuple(primary["constrained_columns"]), unique=True))
    told_twice = {each.get("name") for each in found} - {None}
    indexes += [
        DatabaseIndex(each.get("name"), tuple(each["column_names"]), unique=True)
        for each in constraints
        if each.get("name") not in told_twice
    ]
    usable = _usable(connection, table.name, schema)
    for each in found:
        finds, walks = usable.get(str(each.get("name")), (True, True))
        indexes.append(_index(dict(each), finds=finds, walks=walks))
    return tuple(indexes)


def _index(found: dict[str, Any], *, finds: bool, walks: bool) -> DatabaseIndex:
    names: list[str] = []
    for name in found["column_names"]:
        if name is None:  # an expression
            break
        names.append(name)
    options = found.get("dialect_options") or {}
    where = next((str(value) for key, value in options.items() if key.endswith("_where")), None)
    kind = options.get("postgresql_using")
    not_null = where is None or (
        bool(names) and where.strip("()").replace('"', "").lower() == f"{names[0].lower()} is not null"
    )
    has_kind = any(key.endswith("_prefix") for key in options)  # FULLTEXT or SPATIAL, in MySQL
    is_cut = any(key.endswith("_length") for key in options)  # only the first letters, in MySQL
    return DatabaseIndex(
        found.get("name"),
        tuple(names),
        whole=finds and not_null and kind in _BY_EQUALITY and not has_kind,
        ordered=walks and kind in {None, "btree"} and not is_cut,
        unique=bool(found.get("unique")) and where is None,
        partial=where is not None,
    )


def _usable(connection: Connection, name: str, schema: str | None) -> dict[str, tuple[bool, bool]]:
    """Return, by name of an index, (whether PostgreSQL can find rows with it, whether it can sort with it)."""
    if connection.dialect.name != "postgresql":
        return {}
    quote = connection.dialect.identifier_preparer.quote
    full = ".".join(quote(part) for part in (schema, name) if part)
    return {row[0]: (row[1], row[2]) for row in connection.execute(text(_USABLE), {"name": full})}


def unmapped_indexes(connection: Connection, table: Table, schema: str | None) -> Sequence[DatabaseIndex]:
    """Return the indexes over all rows of a table that the database has and the mapping does not.

    An index with a name in the mapping counts as mapped, even if loadplan does not know what the index is for.
    """
    mapped, names = indexed_columns(table), {each.name for each in table.indexes}
    return [
        each
        for each in read_indexes(connection, table, schema)
        if each.whole
        and not each.partial
        and each.columns
        and each.name not in names
        and not any(tuple(columns[: len(each.columns)]) == each.columns for columns in mapped)
    ]
