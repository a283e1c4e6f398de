"""The indexes of a database, and the indexes that loaders have learned, for each engine."""

from collections.abc import Mapping, Sequence
from weakref import WeakKeyDictionary

import attrs
from sqlalchemy import Dialect, Table


@attrs.frozen
class DatabaseIndex:
    """An index of a database, or a key with its index.

    Attributes:
        name: the name in the database; None if the index has no name.
        columns: the plain columns that the index begins with.
        whole: whether the index has all rows, except perhaps those with NULL in the first column.
        ordered: whether the database can read the rows in the order of the index.
        unique: whether the index forbids two rows with equal values.
        partial: whether a condition of the index leaves rows out.
    """

    name: str | None
    columns: tuple[str, ...]
    whole: bool = True
    ordered: bool = True
    unique: bool = False
    partial: bool = False

    def finds(self, keys: Sequence[str]) -> bool:
        """Tell whether the index finds rows by these key columns."""
        return self.whole and set(self.columns[: len(keys)]) == set(keys)

    def walks(self, keys: Sequence[str], order: Sequence[str]) -> bool:
        """Tell whether the index finds rows by these key columns and gives them in this order."""
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
    """Indexes that one database has and the mapping lacks, by table. Immutable.

    Attributes:
        of_tables: the learned indexes of each table.
    """

    of_tables: frozenset[tuple[Table, tuple[DatabaseIndex, ...]]] = frozenset()
    _by_table: Mapping[Table, tuple[DatabaseIndex, ...]] = attrs.field(
        init=False, eq=False, default=attrs.Factory(lambda self: dict(self.of_tables), takes_self=True)
    )

    def __bool__(self) -> bool:
        return bool(self.of_tables)

    def serve(self, table: Table, keys: Sequence[str], order: Sequence[str]) -> bool:
        """Tell whether one of the indexes finds rows by these keys, and gives them in this order."""
        found = self._by_table.get(table, ())
        return any(each.walks(keys, order) if order else each.finds(keys) for each in found)

    def but(self, found: Mapping[Table, Sequence[DatabaseIndex]]) -> "LearnedIndexes":
        """Return a copy in which the indexes of some tables are replaced."""
        given = {**self._by_table, **{table: tuple(indexes) for table, indexes in found.items()}}
        return LearnedIndexes(frozenset((table, indexes) for table, indexes in given.items() if indexes))


NOTHING_LEARNED = LearnedIndexes()

#: The learned indexes of each engine's database, by its dialect. Each engine has its own dialect object, and shares it
#: with engines that were made from it by ``execution_options``.
_learned: WeakKeyDictionary[Dialect, LearnedIndexes] = WeakKeyDictionary()


def learned_of(dialect: Dialect) -> LearnedIndexes:
    """Return the indexes that loaders have learned about the database of an engine, by the engine's dialect object."""
    return _learned.get(dialect, NOTHING_LEARNED) if _learned else NOTHING_LEARNED


def remember(dialect: Dialect, found: Mapping[Table, Sequence[DatabaseIndex]]) -> None:
    """Store the indexes of some tables of an engine's database, in place of the indexes stored before."""
    _learned[dialect] = learned_of(dialect).but(found)
