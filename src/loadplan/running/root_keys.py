"""The primary keys of roots: their columns, and what tells their rows apart if Python cannot compare the values."""

from collections.abc import Sequence
from typing import Any

import attrs
from sqlalchemy import Dialect

from loadplan.mapped import mapping
from loadplan.mapped.telling import may_be_nan, same_number, teller


@attrs.frozen(eq=False)
class RootKeys:
    """The primary key of a class on a database.

    Attributes:
        columns: the attributes of the key.
        told: what tells its rows apart: the same columns, or the expressions that stand for them.
        numbers: for each column, whether its values may be NaN.
    """

    columns: tuple[Any, ...]
    told: tuple[Any, ...]
    numbers: tuple[bool, ...]

    @property
    def by_value(self) -> bool:
        """Whether the values of the columns tell all rows apart."""
        return all(one is other for one, other in zip(self.columns, self.told, strict=True))

    @property
    def selected(self) -> tuple[Any, ...]:
        """All columns to select: of the key, and of what tells rows apart if that is something else."""
        return self.columns if self.by_value else (*self.columns, *self.told)

    def mark(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Return the values of ``told`` in a row, as Python can compare them."""
        if not any(self.numbers):
            return tuple(values)
        return tuple(
            same_number(each) if is_number else each for each, is_number in zip(values, self.numbers, strict=True)
        )

    def mark_of(self, row: Sequence[Any]) -> tuple[Any, ...]:
        """Return what tells a row apart that holds the values of ``selected``."""
        return self.mark(row if self.by_value else row[len(self.columns) :])


def root_keys(entity: Any, mapper: Any, dialect: Dialect) -> RootKeys:
    """Return the primary key of a class on a database.

    Args:
        entity: the class, or an alias of it.
        mapper: of the class.
        dialect: of the database.
    """
    columns = tuple(getattr(entity, name) for name in mapping.primary_key(mapper))
    tellers = [teller(each, dialect) for each in columns]
    told = tuple(key if told is None else told for key, told in zip(columns, tellers, strict=True))
    return RootKeys(columns, told, tuple(may_be_nan(each.type, dialect) for each in told))


def has_hash(value: object) -> bool:
    """Tell whether a value has a hash."""
    try:
        hash(value)
    except Exception:  # a value from outside may raise any error
        return False
    return True
