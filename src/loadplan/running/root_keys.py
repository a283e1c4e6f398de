"""The primary keys of roots, and the expressions by which Python compares rows if it cannot compare these keys."""

from collections.abc import Sequence
from typing import Any

import attrs
from sqlalchemy import Dialect

from loadplan.mapped import mapping
from loadplan.mapped.telling import asked_by, is_bindable, may_be_nan, same_number, teller


@attrs.frozen(eq=False)
class RootKeys:
    """The columns that identify the rows of a class on a database.

    Attributes:
        columns: the columns of the key.
        told: the expressions by which Python compares rows: the same columns, or replacements for them.
        numbers: for each column, whether its values may be NaN.
        selected: all columns to select: the columns of the key, and the replacements in ``told``.
    """

    columns: tuple[Any, ...]
    told: tuple[Any, ...]
    numbers: tuple[bool, ...]
    selected: tuple[Any, ...]

    @property
    def asked(self) -> tuple[Any, ...]:
        """The columns with the types that bind the values of :meth:`bound_of`."""
        if self.by_value:
            return self.columns
        return tuple(asked_by(told, key) for told, key in zip(self.told, self.columns, strict=True))

    def bound_of(self, row: Sequence[Any]) -> tuple[Any, ...]:
        """Return the values by which a statement finds a row again, from its values of ``selected``."""
        width = len(self.columns)
        if self.by_value:
            return tuple(row)
        told = [each is not key and is_bindable(each) for each, key in zip(self.told, self.columns, strict=True)]
        return tuple(row[width + at] if is_told else row[at] for at, is_told in enumerate(told))

    @property
    def by_value(self) -> bool:
        """True if Python can compare the values of the columns themselves."""
        return len(self.selected) == len(self.columns)

    def mark(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Return the mark of a row, from its values of ``told``. Python can compare marks."""
        if not any(self.numbers):
            return values if isinstance(values, tuple) else tuple(values)
        return tuple(
            same_number(each) if is_number else each for each, is_number in zip(values, self.numbers, strict=True)
        )

    def mark_of(self, row: Sequence[Any]) -> tuple[Any, ...]:
        """Return the mark of a row with the values of ``selected``. Rows of different roots have different marks."""
        return self.mark(row if self.by_value else row[len(self.columns) :])


def root_keys(entity: Any, mapper: Any, dialect: Dialect) -> RootKeys:
    """Return the primary key of a class on a database.

    Args:
        entity: the class, or an alias of it.
        mapper: the mapper of the class.
        dialect: the dialect of the database.
    """
    return told_keys([getattr(entity, name) for name in mapping.primary_key(mapper)], dialect)


def told_keys(key: Sequence[Any], dialect: Dialect) -> RootKeys:
    """Return columns that identify a row, with the expressions by which Python compares them on a database."""
    columns = tuple(key)
    tellers = [teller(each, dialect) for each in columns]
    labelled = [None if each is None else each.label(f"loadplan_key_{index}") for index, each in enumerate(tellers)]
    told = tuple(key if each is None else each for key, each in zip(columns, labelled, strict=True))
    selected = columns if all(each is None for each in labelled) else (*columns, *told)
    return RootKeys(columns, told, tuple(may_be_nan(each.type, dialect) for each in told), selected)
