"""Makes and reads page cursors: the values of an order at one row, as signed or encrypted text."""

import base64
import datetime
import decimal
import enum
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeAlias

from loadplan.errors import CursorError, Problem

_MAC_BYTES = 12


class CursorCipher(Protocol):
    """Encrypts cursors. ``Fernet`` and ``MultiFernet`` of the library ``cryptography`` are examples.

    ``decrypt`` must raise an error for every text that ``encrypt`` did not make.
    """

    def encrypt(self, data: bytes, /) -> bytes:
        """Return the encrypted data."""
        ...

    def decrypt(self, token: bytes, /) -> bytes:
        """Return the decrypted data."""
        ...


CursorKey: TypeAlias = bytes | CursorCipher
"""The key of cursors: a secret that signs cursors, or a cipher that encrypts them."""

#: An encrypted cursor is padded to a multiple of this number of bytes, so that its length says little about the values.
_FILL = 64

#: Stands for a value that is not in the cursor. The database reads it from the row of the cursor.
KEPT: Final = object()

_ENCODERS: tuple[tuple[type, str, Callable[[Any], Any]], ...] = (
    (bool, "bool", bool),
    (int, "int", str),
    (str, "str", str),
    (float, "float", repr),
    (decimal.Decimal, "decimal", str),
    (datetime.datetime, "datetime", datetime.datetime.isoformat),
    (datetime.date, "date", datetime.date.isoformat),
    (datetime.time, "time", datetime.time.isoformat),
    (datetime.timedelta, "interval", lambda value: [value.days, value.seconds, value.microseconds]),
    (uuid.UUID, "uuid", str),
    (bytes, "bytes", bytes.hex),
)
_DECODERS: dict[str, Callable[[Any], Any]] = {
    "bool": bool,
    "int": int,
    "str": str,
    "float": float,
    "decimal": decimal.Decimal,
    "datetime": datetime.datetime.fromisoformat,
    "date": datetime.date.fromisoformat,
    "time": datetime.time.fromisoformat,
    "interval": lambda parts: datetime.timedelta(*parts),
    "uuid": uuid.UUID,
    "bytes": bytes.fromhex,
}


def encode_cursor(values: Sequence[Any], order: str, key: CursorKey) -> str:
    """Return the cursor of a row.

    Args:
        values: the values of the order's expressions in this row.
        order: the text of the order. It is signed but not sent, so that a cursor of another order does not fit.
        key: the secret that signs the cursor, or the cipher that encrypts it.

    Raises:
        TypeError: a cursor cannot hold a value of this type.
    """
    payload = json.dumps([_encoded(value) for value in values], separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )
    if isinstance(key, bytes):
        return _as_text(_mac(payload, order, key) + payload)
    hidden = _mac(payload, order, b"") + payload
    return _as_text(key.encrypt(hidden + b" " * (-len(hidden) % _FILL)))


def decode_cursor(cursor: object, order: str, key: CursorKey, label: str, enums: Sequence[type | None]) -> list[Any]:
    """Return the values in a cursor.

    Args:
        cursor: the cursor, which may be any value from a request.
        order: the text of the order that the cursor must have been made for.
        key: the key that the cursor must have been made with.
        label: the label of the plan, for errors.
        enums: the enum class of each expression, if it has one.

    Raises:
        CursorError: LP407, the cursor was changed, cut short, or made for another order or with another key.
    """
    if not issubclass(type(cursor), str):
        raise CursorError(_not_text(cursor, label))
    try:
        if not isinstance(cursor, str) or not cursor.isascii():
            raise refused_cursor(label)
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        if _as_text(raw) != cursor:
            raise refused_cursor(label)
        if isinstance(key, bytes):
            secret = key
        else:
            secret, raw = b"", key.decrypt(raw).rstrip(b" ")
        mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, _mac(payload, order, secret)):
            raise refused_cursor(label)
        values = json.loads(payload.decode("utf-8", "surrogatepass"))
        return [_decoded(value, kind) for value, kind in zip(values, enums, strict=True)]
    except Exception:  # the decoders may raise any error for a text from a request
        raise refused_cursor(label) from None


def _as_text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _encoded(value: Any) -> Any:
    if value is None:
        return None
    if value is KEPT:
        return ["kept", None]
    if isinstance(value, enum.Enum):
        return ["enum", value.name]
    for kind, tag, encode in _ENCODERS:
        if isinstance(value, kind):
            return [tag, encode(value)]
    raise TypeError(type(value).__name__)


def _decoded(value: Any, enum_class: Any) -> Any:
    if value is None:
        return None
    tag, encoded = value
    if tag == "kept":
        return KEPT
    return enum_class[encoded] if tag == "enum" else _DECODERS[tag](encoded)


def _mac(payload: bytes, order: str, key: bytes) -> bytes:
    secret = hashlib.blake2b(key, digest_size=32).digest()
    order_digest = hashlib.blake2b(order.encode()).digest()
    return hashlib.blake2b(order_digest + payload, key=secret, digest_size=_MAC_BYTES).digest()


def _not_text(given: object, label: str) -> Problem:
    return Problem(
        "LP407",
        f"a cursor is text, but got an object of '{type(given).__name__}'",
        (label,),
        hint="pass Page.next as after= or Page.previous as before=. For the first page, leave both out.",
    )


def refused_cursor(label: str) -> CursorError:
    """Return the error for a cursor that does not fit the list."""
    return CursorError(
        Problem(
            "LP407",
            "the cursor does not belong to this listing",
            (label,),
            detail="it was changed or cut short, or made for another order or with another cursor_key.",
            hint="pass Page.next as after= or Page.previous as before=, with the same order_by=, or start at page one.",
        )
    )


def row_is_gone(label: str, *, is_of_own_type: bool, is_shown: bool) -> CursorError:
    """Return the error for a cursor whose row was deleted, if the page must read values from this row."""
    if is_of_own_type:
        detail, hint = "the listing is ordered by a column with your own type, and cursors do not hold its values.", ""
    elif is_shown:
        detail, hint = "the listing is ordered by a value that this cursor does not hold.", ""
    else:
        detail = "the listing is ordered by a value that the page does not show, so the cursor does not hold it."
        hint = " If readers may see the value, load it in the plan; or pass a cipher as cursor_key=."
    return CursorError(
        Problem(
            "LP407",
            "the row of the cursor is gone",
            (label,),
            detail=detail,
            hint=f"start at page one.{hint}",
        )
    )
