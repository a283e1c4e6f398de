"""Names the databases and drivers that loadplan is tested on, and warns once about others."""

from sqlalchemy import Dialect

from loadplan.running.callers import warn_caller

#: Drivers by database, as SQLAlchemy names them. docs/databases.md has the versions.
TESTED = {
    "postgresql": frozenset({"asyncpg", "psycopg"}),
    "sqlite": frozenset({"aiosqlite", "pysqlite"}),
    "mariadb": frozenset({"aiomysql", "asyncmy", "pymysql"}),
    "mysql": frozenset({"aiomysql", "asyncmy", "pymysql"}),
}

_told: set[tuple[str, str]] = set()


def warn_if_untested(dialect: Dialect) -> None:
    """Warn about a database or a driver that is not tested, once in each process."""
    name, driver = dialect.name, dialect.driver
    if driver in TESTED.get(name, ()) or (name, driver) in _told:
        return
    _told.add((name, driver))
    known = ", ".join(f"{each}+{driver}" for each, drivers in TESTED.items() for driver in sorted(drivers))
    warn_caller(
        f"loadplan is not tested on {name}+{driver}; check your plans on it yourself. It is tested on: {known}.",
        UserWarning,
    )
