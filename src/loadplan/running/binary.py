"""Lets psycopg read nested rows in its binary format. In its text format, a nested row is one text.

``Connection.cursor(binary=True)`` uses the binary format. But SQLAlchemy makes cursors itself. So while the statement
runs, loadplan sets another ``cursor_factory`` on the connection, which psycopg documents. SQLAlchemy still handles
listeners, criteria, errors and lost connections as for every statement.
"""

import contextlib
import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection

from loadplan.mapped.decoding import NOT_IN_BINARY, Undecodable

#: Types for which the application may have registered its own reader. psycopg uses this reader only for text format.
_READ_IN_BINARY = (
    *("bool", "bytea", "bpchar", "cidr", "date", "daterange", "float4", "float8", "inet", "int2", "int4", "int4range"),
    *("int8", "int8range", "interval", "json", "jsonb", "numeric", "numrange", "text", "time", "timestamp"),
    *("timestamptz", "timetz", "tsrange", "tstzrange", "uuid", "varchar"),
)

#: The key under which :func:`in_binary` stores its check in the dictionary that SQLAlchemy keeps for each connection.
_NOTE = "loadplan_reads_in_binary"


@contextlib.contextmanager
def in_binary(connection: Connection) -> Iterator[None]:
    """Let psycopg's cursors on a connection read in binary while the block runs.

    Raises:
        Undecodable: the cursors of the application have no binary format, or it registered its own reader for a type
            in text format, which binary would ignore.
    """
    driver: Any = connection.connection.driver_connection
    if _NOTE not in connection.info:
        connection.info[_NOTE] = _reads_alike(driver)
    if not connection.info[_NOTE]:
        raise Undecodable
    plain = driver.cursor_factory
    driver.cursor_factory = _binary(plain)
    try:
        yield
    finally:
        driver.cursor_factory = plain


def _reads_alike(driver: Any) -> bool:
    """Tell whether a connection reads each type in the same way in text and in binary format.

    A cursor that puts the parameters into the text itself has no binary format.
    """
    import psycopg
    from psycopg.pq import Format

    if issubclass(driver.cursor_factory, psycopg.ClientCursor | psycopg.AsyncClientCursor):
        return False

    def is_own(oid: int, kind: Format) -> bool:
        return driver.adapters.get_loader(oid, kind) is not psycopg.adapters.get_loader(oid, kind)

    oids = [psycopg.adapters.types[name].oid for name in _READ_IN_BINARY]
    return all(is_own(oid, Format.TEXT) == is_own(oid, Format.BINARY) for oid in oids)


@lru_cache(maxsize=64)
def _binary(factory: Any) -> Any:
    """Return a class of cursors that read in binary, and refuse types without a reader."""
    import psycopg
    from psycopg.adapt import Loader
    from psycopg.pq import Format

    class Refusing(Loader):
        format = Format.BINARY

        def load(self, data: Any) -> Any:
            raise ValueError(NOT_IN_BINARY)

    class Short(Loader):
        format = Format.BINARY

        def load(self, data: Any) -> float:
            return _shortest(bytes(data))

    float4 = psycopg.adapters.types["float4"].oid
    plain = psycopg.adapters.get_loader(float4, Format.BINARY)

    class InBinary(factory):  # type: ignore[misc]
        def __init__(self, *args: Any, **kw: Any) -> None:
            super().__init__(*args, **kw)
            self.format = Format.BINARY
            self.adapters.register_loader(0, Refusing)  # psycopg uses this one for all types that it does not know
            if self.adapters.get_loader(float4, Format.BINARY) is plain:
                self.adapters.register_loader(float4, Short)

    return InBinary


def _shortest(data: bytes) -> float:
    """Return a 32-bit float as its text shows it: 1.1, although its bits mean 1.10000002384.

    9 digits are enough to tell all of these numbers apart, and 6 digits are always right.
    """
    (value,) = struct.unpack(">f", data)
    for digits in range(6, 9):
        short = float(f"{value:.{digits}g}")
        if struct.pack(">f", short) == data:
            return short
    return float(f"{value:.9g}")
