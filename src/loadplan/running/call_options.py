"""Checks the execution options of one call, and passes them to every statement of its session."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy.orm import Session

from loadplan.errors import LoaderError, Problem
from loadplan.running.own_connection import Opened


def check_options(options: object) -> None:
    """Check execution options of one call.

    Raises:
        LoaderError: LP408, the options are not a mapping by name, or one of them cannot be set for a fetch.
    """
    if options is None:
        return
    if not isinstance(options, Mapping) or not all(isinstance(name, str) for name in options):
        message = f"execution_options= takes a mapping of names to values, not {type(options).__name__}"
        raise LoaderError(Problem("LP408", message, hint="pass execution_options={'name': value}."))
    refused = sorted(set(options) & set(_NOT_FOR_ONE_CALL))
    if refused:
        name = refused[0]
        message = f"execution_options= of a fetch cannot set '{name}'"
        raise LoaderError(Problem("LP408", message, hint=_NOT_FOR_ONE_CALL[name]))


_OF_THE_ENGINE = "set it on the engine: create_engine(...) or engine.execution_options(...)."
_OF_THE_STREAM = "loadplan sets it itself. Use stream(batch_size=...) to read in batches."
_NOT_FOR_ONE_CALL = {
    "isolation_level": _OF_THE_ENGINE,
    "postgresql_readonly": _OF_THE_ENGINE,
    "postgresql_deferrable": _OF_THE_ENGINE,
    "max_row_buffer": _OF_THE_STREAM,
    "stream_results": _OF_THE_STREAM,
    "yield_per": _OF_THE_STREAM,
    "populate_existing": "leave it out: each fetch reads into a separate session, so all values are fresh.",
}


def with_options(session: Opened, options: Mapping[str, Any] | None) -> Opened:
    """Return the session, which now runs every statement with execution options. Its listeners see the options."""
    if options:
        kind: Any = type(session)
        session.__class__ = _class_with_options(kind)
        session._loadplan_options = dict(options)
    return session


@lru_cache(maxsize=256)
def _class_with_options(session_class: Any) -> type[Session]:
    """Return a subclass of a session class. An instance runs all its statements with its own execution options.

    ``Session.execution_options`` exists only since SQLAlchemy 2.1. ``changes_statements`` notices that ``execute`` is
    overridden, so every statement goes through it.
    """

    def execute(self: Any, statement: Any, params: Any = None, *, execution_options: Any = None, **kw: Any) -> Any:
        options = {**self._loadplan_options, **(execution_options or {})}
        return session_class.execute(self, statement, params, execution_options=options, **kw)

    return type(session_class.__name__, (session_class,), {"execute": execute, "__module__": __name__})
