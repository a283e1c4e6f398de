"""Finds foreign keys without an index."""

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Column, ForeignKeyConstraint, Index, PrimaryKeyConstraint, Table, UniqueConstraint
from sqlalchemy.sql.elements import UnaryExpression

from loadplan.tools.audit.findings import Finding, Severity

#: An index with these arguments still finds all rows of a key.
_HARMLESS = frozenset({"include", "concurrently", "ops", "with", "tablespace", "nulls_not_distinct", "clustered"})

#: Kinds of PostgreSQL indexes that find rows by equality.
_BY_EQUALITY = frozenset({"btree", "hash"})


def key_findings(tables: Iterable[Table]) -> Iterator[Finding]:
    """Yield a finding for every foreign key without an index that starts with its columns.

    It reads the metadata, and does not see an index that only a migration creates.
    """
    for table in tables:
        served = [columns for columns in _indexed(table) if columns]
        for key in table.foreign_key_constraints:
            columns = [column.name for column in key.columns]
            if not any(set(names[: len(columns)]) == set(columns) for names in served):
                yield _without_index(table, key, columns, served)


def _without_index(table: Table, key: ForeignKeyConstraint, columns: list[str], served: list[list[str]]) -> Finding:
    inside = next((names for names in served if set(columns) <= set(names)), None)
    found = "a foreign key without an index"
    if inside is not None:
        found = "a foreign key inside of an index that starts with another column"
    subject = f"{table.fullname}.{columns[0]}" if len(columns) == 1 else f"{table.fullname} ({', '.join(columns)})"
    return Finding(
        Severity.COST,
        "index",
        subject,
        found,
        "loading by it, and deleting a row that it refers to, reads the whole table. (MySQL makes this index itself.)",
        "index=True on the column, or an Index that starts with the key.",
    )


def _indexed(table: Table) -> Iterator[list[str]]:
    """Yield, for each index of a table, the names of the plain columns that the index starts with."""
    for constraint in table.constraints:
        if isinstance(constraint, PrimaryKeyConstraint | UniqueConstraint):
            yield [column.name for column in constraint.columns]
    for index in table.indexes:
        if _finds_all_rows(index):
            yield plain_start(index)


def _finds_all_rows(index: Index) -> bool:
    """Tell whether an index has all rows of a key. An index over only the rows whose key is not NULL has."""
    for name, value in index.dialect_kwargs.items():
        option = name.partition("_")[2]
        if option == "where" and value is not None:
            if not _is_not_null(value, index):
                return False
        elif option == "using" and value:
            if str(value).lower() not in _BY_EQUALITY:
                return False
        elif option not in _HARMLESS:
            return False
    return True


def _is_not_null(condition: Any, index: Index) -> bool:
    start = plain_start(index)
    return bool(start) and str(condition).replace('"', "").rpartition(".")[2].lower() == f"{start[0]} is not null"


def plain_start(index: Index) -> list[str]:
    """Return the names of the columns that an index starts with, up to its first expression."""
    names: list[str] = []
    for expression in index.expressions:
        element: Any = expression
        while isinstance(element, UnaryExpression):  # .desc(), .nulls_last()
            element = element.element
        if not isinstance(element, Column):
            break
        names.append(element.name)
    return names
