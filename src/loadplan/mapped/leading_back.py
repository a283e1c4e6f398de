"""Finds keys whose values in Python might not lead back to their rows: a statement binds them in another form."""

import contextlib
from typing import Any

from sqlalchemy import Dialect

from loadplan.mapped.decoding import processor
from loadplan.mapped.stored import stored_value
from loadplan.mapped.telling import binds_anew, reads_by_itself, undecorated
from loadplan.mapped.values import type_on


def other_form(key: Any, value: Any, dialect: Dialect, *, is_loaded: bool) -> list[Any]:
    """Return the value that a statement binds for a key, if a row with this key may store it in another form.

    An application's own type usually binds each value as the database has it. So a value that the caller made up counts
    only if this type reads another value from what it binds.

    Args:
        key: the key column.
        value: its value in Python.
        dialect: the dialect of the database.
        is_loaded: whether the value was loaded from a row.

    Returns:
        the bound value in a list, or an empty list.
    """
    outer, kind = type_on(key.type, dialect), undecorated(key.type, dialect)
    changes = stored_value(key, kind, dialect) is not None
    if not changes and not (reads_by_itself(outer) or reads_by_itself(kind) or binds_anew(outer, dialect)):
        return []
    with contextlib.suppress(Exception):  # the code of an application's own type may raise any error
        bind: Any = outer.dialect_impl(dialect).bind_processor(dialect)
        bound = value if bind is None else bind(value)
        if changes or is_loaded:
            return [bound]
        read = processor(outer, dialect)
        if (bound if read is None else read(bound)) != value:
            return [bound]
    return []
