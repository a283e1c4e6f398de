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
        selected: all columns to select: of the key, and of what tells its rows apart if that is something else.
    """

    columns: tuple[Any, ...]
    told: tuple[Any, ...]
    numbers: tuple[bool, ...]
    selected: tuple[Any, ...]

    @property
    def by_value(self) -> bool:
        """Whether the values of the columns tell all rows apart."""
        return len(self.selected) == len(self.columns)

    def mark(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Return the values of ``told`` in a row, as Python can compare them."""
        if not any(self.numbers):
            return values if isinstance(values, tuple) else tuple(values)
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
    labelled = [None if each is None else each.label(f"loadplan_key_{index}") for index, each in enumerate(tellers)]
    told = tuple(key if each is None else each for key, each in zip(columns, labelled, strict=True))
    selected = columns if all(each is None for each in labelled) else (*columns, *told)
    return RootKeys(columns, told, tuple(may_be_nan(each.type, dialect) for each in told), selected)
