"""Statements as text for the driver: compiled once, then sent as they are.

SQLAlchemy's ``execute`` finds the compiled form of a statement by hashing all of it, each time, and ties the columns of
the result to the columns of the statement. Rows that go into objects as the driver made them need none of this;
``exec_driver_sql`` sends a text with its parameters, through the same connection, pool and events.
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
    """A statement as one driver takes it.

    Attributes:
        sql: with the driver's own placeholders.
        own: for each placeholder its parameter's name, and the value that stands in the statement itself.
        processors: by position, the function of the parameter's type that converts its value.
        placeholders: the names that the driver knows the placeholders by; None where it counts them.
    """

    sql: str
    own: tuple[tuple[str, Any], ...]
    processors: tuple[tuple[int, Callable[[Any], Any]], ...]
    placeholders: tuple[str, ...] | None = None

    def bind(self, given: Parameters) -> tuple[Any, ...] | dict[str, Any]:
        """Return the parameters as the driver takes them."""
        values = [given.get(name, value) for name, value in self.own]
        for position, process in self.processors:
            values[position] = process(values[position])
        return tuple(values) if self.placeholders is None else dict(zip(self.placeholders, values, strict=True))


def driver_text(select: AnySelect, dialect: Dialect) -> DriverText | None:
    """Return a statement as text, or None if each execution makes another text or other values.

    Args:
        select: with everything in it.
        dialect: of the engine at hand, whose types may be configured for it.
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
    """The texts of one statement, made when it is asked for again: many a statement is narrowed for one fetch alone.

    Attributes:
        select: the statement.
    """

    select: AnySelect
    _found: dict[Dialect, DriverText | None] = attrs.field(init=False, factory=dict)
    _seen: set[Dialect] = attrs.field(init=False, factory=set)

    def on(self, dialect: Dialect) -> DriverText | None:
        """Return the text for an engine; None at first, and where there is none."""
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
