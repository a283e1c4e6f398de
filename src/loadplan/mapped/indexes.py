"""Indexes as a database has them, and the ones that loaders learned of, for each engine."""

from collections.abc import Mapping, Sequence
from weakref import WeakKeyDictionary

import attrs
from sqlalchemy import Dialect, Table


@attrs.frozen
class DatabaseIndex:
    """An index, or a key that has one.

    Attributes:
        name: in the database; None where it has none.
        columns: that it starts with, as far as they are plain columns.
        whole: whether it finds all rows: those where its first column is NULL may be missing.
        ordered: whether it can be walked in order.
        unique: whether it keeps two rows from being equal.
        partial: whether a condition leaves rows out.
    """

    name: str | None
    columns: tuple[str, ...]
    whole: bool = True
    ordered: bool = True
    unique: bool = False
    partial: bool = False

    def finds(self, keys: Sequence[str]) -> bool:
        """Tell whether it finds the rows of a key."""
        return self.whole and set(self.columns[: len(keys)]) == set(keys)

    def walks(self, keys: Sequence[str], order: Sequence[str]) -> bool:
        """Tell whether it hands out the rows of a key in an order."""
        start = self.columns[: len(keys)]
        rest = self.columns[len(keys) : len(keys) + len(order)]
        return self.whole and self.ordered and set(start) == set(keys) and rest == tuple(order)


@attrs.frozen
class LearnedIndex:
    """An index that the database has and the mapping does not; ``learn_indexes`` returns it.

    Attributes:
        table: the name of the table, with its schema.
        name: the name of the index.
        columns: the columns that it starts with.
    """

    table: str
    name: str | None
    columns: tuple[str, ...]

    def __str__(self) -> str:
        named = f" by {self.name}" if self.name else ""
        return f"{self.table} ({', '.join(self.columns)}){named}"


@attrs.frozen(cache_hash=True)
class LearnedIndexes:
    """The indexes of some tables that one database has and the mapping does not. An immutable value.

    Attributes:
        of_tables: each table that has any, with its indexes.
    """

    of_tables: frozenset[tuple[Table, tuple[DatabaseIndex, ...]]] = frozenset()
    _by_table: Mapping[Table, tuple[DatabaseIndex, ...]] = attrs.field(
        init=False, eq=False, default=attrs.Factory(lambda self: dict(self.of_tables), takes_self=True)
    )

    def __bool__(self) -> bool:
        return bool(self.of_tables)

    def serve(self, table: Table, keys: Sequence[str], order: Sequence[str]) -> bool:
        """Tell whether one of them finds the rows of a key, and hands them out in an order if there is one."""
        found = self._by_table.get(table, ())
        return any(each.walks(keys, order) if order else each.finds(keys) for each in found)

    def but(self, found: Mapping[Table, Sequence[DatabaseIndex]]) -> "LearnedIndexes":
        """Return the same with other indexes of some tables."""
        given = {**self._by_table, **{table: tuple(indexes) for table, indexes in found.items()}}
        return LearnedIndexes(frozenset((table, indexes) for table, indexes in given.items() if indexes))


NOTHING_LEARNED = LearnedIndexes()

#: The learned indexes of each engine's database, by its dialect. Each engine has its own dialect object, and shares it
#: with engines that were made from it by ``execution_options``.
_learned: WeakKeyDictionary[Dialect, LearnedIndexes] = WeakKeyDictionary()


def learned_of(dialect: Dialect) -> LearnedIndexes:
    """Return what loaders learned of the database of an engine, by its dialect object."""
    return _learned.get(dialect, NOTHING_LEARNED) if _learned else NOTHING_LEARNED


def remember(dialect: Dialect, found: Mapping[Table, Sequence[DatabaseIndex]]) -> None:
    """Remember the indexes of some tables of an engine's database, instead of what was known of these tables."""
    _learned[dialect] = learned_of(dialect).but(found)
