"""The databases and drivers that cases run on."""

from collections.abc import Mapping

import attrs

POSTGRESQL, MARIADB = "postgresql", "mariadb"

DRIVERS: Mapping[str, tuple[str, ...]] = {POSTGRESQL: ("asyncpg", "psycopg"), MARIADB: ("aiomysql", "asyncmy")}
"""Drivers of each database; the first one is the default."""


@attrs.frozen
class Target:
    """Where a run takes place.

    Attributes:
        database: "postgresql" or "mariadb".
        driver: the package that SQLAlchemy and the SQL by hand use.
    """

    database: str = POSTGRESQL
    driver: str = "asyncpg"

    @classmethod
    def of(cls, database: str | None, driver: str | None) -> "Target":
        """Return the target that the command line asks for; what it leaves out is the default.

        Raises:
            ValueError: there is no such database, or it has no such driver; the message names those that there are.
        """
        if database is None:
            database = next((each for each, drivers in DRIVERS.items() if driver in drivers), POSTGRESQL)
        if database not in DRIVERS:
            raise ValueError(f"no database is called {database!r}; there are: {', '.join(DRIVERS)}")
        drivers = DRIVERS[database]
        if driver is not None and driver not in drivers:
            raise ValueError(f"{database} has no driver {driver!r} here; there are: {', '.join(drivers)}")
        return cls(database, driver or drivers[0])

    @property
    def drivername(self) -> str:
        """The first part of SQLAlchemy's URL."""
        return f"{self.database}+{self.driver}"

    @property
    def suffix(self) -> str:
        """What the names of result files end with: nothing for the default, so that its files are as ever."""
        return "" if self == DEFAULT else f"-{self.database}-{self.driver}"


DEFAULT = Target()
"""PostgreSQL through asyncpg."""
