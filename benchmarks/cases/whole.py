"""SQL by hand that brings what entities bring: whole rows, in objects with a field for each column.

Other SQL by hand reads only the columns that a job names. A mapped object has all columns of its row, so the time of
entities has two parts: the columns that nobody reads, and the making of mapped objects. These ways tell the two apart.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import attrs
from sqlalchemy import inspect

from benchmarks.view_cases.case import Rows


class Whole:
    """The columns of a mapped class as they are by default, and a class of attrs for its rows.

    Args:
        entity: the mapped class.
        below: fields after those of the columns, for what hangs below a row.
    """

    def __init__(self, entity: type[Any], *below: str) -> None:
        found = [each for each in inspect(entity).column_attrs if not each.deferred]
        self.width = len(found)
        self._columns = [each.columns[0].name for each in found]
        fields = [*(each.key for each in found), *below]
        self.make: Callable[..., Any] = attrs.make_class(f"Whole{entity.__name__}", fields, frozen=True, slots=True)

    def columns(self, alias: str) -> str:
        """Return the columns of a table under a name, as they stand in a statement."""
        return ", ".join(f"{alias}.{each}" for each in self._columns)


def grouped(rows: Rows, key: int, make: Callable[..., Any]) -> defaultdict[Any, list[Any]]:
    """Return objects of rows in lists, by the value of a column.

    Args:
        rows: of one statement.
        key: the place of the column in a row.
        make: makes an object of all values of a row.
    """
    found: defaultdict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        found[row[key]].append(make(*row))
    return found
