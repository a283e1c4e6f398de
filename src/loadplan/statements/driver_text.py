"""Compiles a statement to text for the driver once, and then sends the text.

SQLAlchemy's ``execute`` hashes the whole statement each time to find its compiled form. It also matches the columns of
the result with the columns of the statement. loadplan does not need this if it makes objects from the driver's own
rows. ``exec_driver_sql`` sends a text with its parameters, through the same connection, pool and events.
"""

from collections.abc import Callable
from typing import Any

import attrs
from sqlalchemy import Dialect
from sqlalchemy.sql.compiler import SQLCompiler

from loadplan.mapped.drivers import driver_of
from loadplan.statements.linked import AnySelect, Parameters


@attrs.frozen(eq=False)
class DriverText:
    """The text of a statement for one driver, with its parameters.

    Attributes:
        sql: the text, with the driver's placeholders.
        own: for each placeholder, (name of its parameter, value that the statement itself gives the parameter).
        processors: by position, the function of the parameter's type that converts its value.
        placeholders: the names of the placeholders; None if the driver takes them by position.
    """

    sql: str
    own: tuple[tuple[str, Any], ...]
    processors: tuple[tuple[int, Callable[[Any], Any]], ...]
    placeholders: tuple[str, ...] | None = None

    def bind(self, given: Parameters) -> tuple[Any, ...] | dict[str, Any]:
        """Return the parameters in the form that the driver takes: a tuple, or a dictionary by name."""
        values = [given.get(name, value) for name, value in self.own]
        for position, process in self.processors:
            values[position] = process(values[position])
        return tuple(values) if self.placeholders is None else dict(zip(self.placeholders, values, strict=True))


def driver_text(select: AnySelect, dialect: Dialect) -> DriverText | None:
    """Return a statement as text, or None if the text or its own values change with each execution.

    Args:
        select: the complete statement.
        dialect: the dialect of the engine. Its types may be configured for this engine.
    """
    compiled = select.compile(dialect=dialect)
    if not isinstance(compiled, SQLCompiler) or any(
        each.expanding or each.literal_execute or each.callable is not None for each in compiled.binds.values()
    ):
        return None
    names = tuple((compiled.positiontup or ()) if compiled.positional else compiled.binds)
    found = [compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect) for name in names]
    return DriverText(
        str(compiled),
        tuple((name, compiled.binds[name].value) for name in names),
        tuple((position, process) for position, process in enumerate(found) if process is not None),
        None if compiled.positional else tuple(compiled.escaped_bind_names.get(name, name) for name in names),
    )


#: The number of engines for which a statement keeps its text. An application has one for each database.
_DIALECTS = 64


@attrs.frozen(eq=False)
class Texts:
    """The texts of one statement, by engine. A text is made at the second fetch, as many statements are used only once.

    Attributes:
        select: the statement.
    """

    select: AnySelect
    _found: dict[Dialect, DriverText | None] = attrs.field(init=False, factory=dict)
    _seen: set[Dialect] = attrs.field(init=False, factory=set)

    def on(self, dialect: Dialect) -> DriverText | None:
        """Return the text for an engine; None at the first call, and if the statement cannot become a text."""
        if dialect in self._found or not driver_of(dialect).raw:  # for other drivers, loadplan uses SQLAlchemy's rows
            return self._found.get(dialect)
        if dialect not in self._seen:
            if len(self._seen) >= _DIALECTS:
                self._seen.clear()
                self._found.clear()
            self._seen.add(dialect)
            return None
        found = self._found[dialect] = driver_text(self.select, dialect)
        return found
