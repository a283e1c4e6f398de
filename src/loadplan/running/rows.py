"""The rows of a statement, directly from the driver if loadplan knows the driver."""

from collections.abc import Sequence
from typing import Any

import attrs
from sqlalchemy import CursorResult, Dialect

from loadplan.mapped.drivers import driver_of
from loadplan.sqlalchemy_internals import driver_rows


@attrs.frozen(eq=False)
class Rows:
    """The rows of a statement.

    Attributes:
        rows: the rows.
        raw: whether the rows come directly from the driver.
        dialect: the dialect of the engine that returned the rows.
    """

    rows: Sequence[Any]
    raw: bool
    dialect: Dialect


def rows_of(result: Any, dialect: Dialect) -> Rows:
    """Return the rows of a result, directly from the driver if loadplan knows the driver."""
    if isinstance(result, CursorResult):
        dialect = result.dialect  # a listener may have chosen another database
        if driver_of(dialect).raw:
            return Rows(driver_rows(result), True, dialect)
    return Rows(result.all(), False, dialect)
