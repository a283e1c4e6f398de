"""Facts about drivers: whether loadplan uses their raw rows, and whether they can read nested rows.

For a driver that is not listed here, loadplan reads SQLAlchemy's rows and sends one statement for each level.
"""

import attrs
from sqlalchemy import Dialect

#: The names of the dialects of MariaDB and MySQL, which share SQLAlchemy's code.
MYSQL_FAMILY = frozenset({"mysql", "mariadb"})


@attrs.frozen
class Driver:
    """What a driver can do.

    Attributes:
        name: SQLAlchemy's name for the driver.
        raw: whether loadplan can use the driver's rows directly, without SQLAlchemy's ``Row``.
        nests: whether the driver can read ``array(select row(...))``.
        in_binary: whether it can read these only in its binary format, which loadplan must ask the cursor for.
        has_no_infinity: whether it reads an infinite date as the last or first date of Python, and sends that date as
            an infinite one.
    """

    name: str
    raw: bool = False
    nests: bool = False
    in_binary: bool = False
    has_no_infinity: bool = False


_KNOWN = {
    each.name: each
    for each in (
        Driver("asyncpg", raw=True, nests=True, has_no_infinity=True),
        Driver("psycopg", raw=True, nests=True, in_binary=True),
    )
}


def driver_of(dialect: Dialect) -> Driver:
    """Return the facts about a dialect's driver. For an unlisted driver, ``raw`` and ``nests`` are False."""
    return _KNOWN.get(dialect.driver) or Driver(dialect.driver)
