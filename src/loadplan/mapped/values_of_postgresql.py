"""Checks values for types that only PostgreSQL has. A driver refuses a wrong value, and its error ends the transaction.

An application may teach its driver further classes, so only Python's own classes are refused.
"""

import datetime
import decimal
import enum
import ipaddress
import re
import uuid
from collections.abc import Callable
from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql

_NUMBERS = (int, float, complex, decimal.Decimal)
_MOMENTS = (datetime.date, datetime.time, datetime.timedelta)
_BYTES = (bytes, bytearray, memoryview)
_ADDRESSES = (ipaddress.IPv4Address, ipaddress.IPv6Address)
_NETWORKS = (ipaddress.IPv4Network, ipaddress.IPv6Network)

#: Classes of Python whose values PostgreSQL cannot compare with most of these types.
_KNOWN = (
    *(*_NUMBERS, *_MOMENTS, *_BYTES, *_ADDRESSES, *_NETWORKS),
    *(uuid.UUID, enum.Enum, postgresql.Range, list, tuple, set, frozenset, dict),
)

Check = Callable[[Any, Any, Dialect], str | None]


def _takes(wanted: str, accepted: tuple[type, ...], is_text: Callable[[str], object]) -> Check:
    """Return a check that takes some classes of Python, and texts in the right form."""

    def check(value: Any, _kind: Any, _dialect: Dialect) -> str | None:
        if isinstance(value, str):
            return None if is_text(value) else f"it takes {wanted}, and this text is not one"
        if isinstance(value, accepted) or not isinstance(value, _KNOWN):
            return None
        return f"it takes {wanted}, not {type(value).__name__}"

    return check


def _parsed_by(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def is_text(value: str) -> bool:
        try:
            parse(value)
        except ValueError:
            return False
        return True

    return is_text


def _hexadecimals(text: str) -> str:
    return re.sub(r"[:.\-\s]", "", text)


def _is_range(text: str) -> bool:
    return text.strip()[:1] in {"[", "(", "{"} or text.strip() == "empty"


def _oid(value: Any, _kind: Any, _dialect: Dialect) -> str | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return f"it takes int, not {type(value).__name__}"
    return None if 0 <= value < 1 << 32 else "it does not fit 32 bits"


#: The checks of types, as in :mod:`loadplan.mapped.values`.
CHECKS: tuple[tuple[Any, Check], ...] = (
    (postgresql.INET, _takes("an IP address", (*_ADDRESSES, *_NETWORKS), _parsed_by(ipaddress.ip_interface))),
    (postgresql.CIDR, _takes("an IP network", (*_ADDRESSES, *_NETWORKS), _parsed_by(ipaddress.ip_network))),
    (
        (postgresql.MACADDR, postgresql.MACADDR8),
        _takes("a MAC address", (), lambda text: re.fullmatch("([0-9a-fA-F]{4}){3,4}", _hexadecimals(text))),
    ),
    (postgresql.BIT, _takes("a text of bits", (), lambda text: re.fullmatch("[01]*", text))),
    (postgresql.OID, _oid),
    (postgresql.ranges.AbstractMultiRange, _takes("a list of ranges", (list, tuple), _is_range)),
    (postgresql.ranges.AbstractRange, _takes("a range", (postgresql.Range,), _is_range)),
)
