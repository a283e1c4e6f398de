"""What loadplan knows of each driver: whether it takes its rows as they come, and whether it reads rows within rows.

A driver that is not listed here is served through SQLAlchemy's own rows, with one statement a level.
"""

import attrs
from sqlalchemy import Dialect


@attrs.frozen
class Driver:
    """What a driver can do.

    Attributes:
        name: as SQLAlchemy calls it.
        raw: whether loadplan knows the values in its rows, so that they need not pass through SQLAlchemy's.
        nests: whether it reads ``array(select row(...))``.
        in_binary: whether it does so in its binary format alone, which a cursor has to be asked for.
    """

    name: str
    raw: bool = False
    nests: bool = False
    in_binary: bool = False


_KNOWN = {
    each.name: each
    for each in (
        Driver("asyncpg", raw=True, nests=True),
        Driver("psycopg", raw=True, nests=True, in_binary=True),
    )
}


def driver_of(dialect: Dialect) -> Driver:
    """Return what is known of a dialect's driver: nothing of one that is not listed."""
    return _KNOWN.get(dialect.driver) or Driver(dialect.driver)
