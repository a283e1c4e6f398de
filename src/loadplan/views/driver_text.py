"""Statements as text for the driver: compiled once, then sent as they are.

SQLAlchemy's ``execute`` finds the compiled form of a statement by hashing all of it, each time, and ties the columns of
the result to those of the statement. Where rows go into objects as the driver made them, nothing of it is asked for;
``exec_driver_sql`` sends a text with its parameters, through the same connection, pool and events.
"""

from collections.abc import Callable, Mapping, MutableMapping
from functools import partial
from typing import Any

import attrs
from sqlalchemy import Dialect
from sqlalchemy.sql.compiler import SQLCompiler

from loadplan.linked import AnySelect, Parameters


@attrs.frozen(eq=False)
class DriverText:
    """A statement as one driver takes it.

    Attributes:
        sql: with the driver's own placeholders.
        names: of the parameters, in the order of the placeholders.
        processors: what the type of a parameter does to its value, by name.
        parameters: values by name, with those that stand in the statement itself, out of those that a fetch gives.
    """

    sql: str
    names: tuple[str, ...]
    processors: Mapping[str, Callable[[Any], Any]]
    parameters: Callable[[Parameters], MutableMapping[str, Any]]

    def bind(self, given: Parameters) -> tuple[Any, ...]:
        """Return the parameters as the driver takes them."""
        values = self.parameters(given)
        for name, process in self.processors.items():
            values[name] = process(values[name])
        return tuple([values[name] for name in self.names])


def driver_text(select: AnySelect, dialect: Dialect) -> DriverText | None:
    """Return a statement as text, or None where its text depends on the values of its parameters.

    Args:
        select: with everything in it.
        dialect: of the engine at hand, whose types may be configured for it.
    """
    compiled = select.compile(dialect=dialect)
    if not isinstance(compiled, SQLCompiler) or any(
        each.expanding or each.literal_execute for each in compiled.binds.values()
    ):
        return None
    names = tuple(compiled.positiontup or ())
    found = {name: compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect) for name in names}
    return DriverText(
        str(compiled),
        names,
        {name: process for name, process in found.items() if process is not None},
        partial(compiled.construct_params, escape_names=False),
    )


#: Engines that a statement remembers its text for. An application has one, or one a database.
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
        if dialect in self._found or dialect.driver != "asyncpg":  # of others loadplan takes SQLAlchemy's rows
            return self._found.get(dialect)
        if dialect not in self._seen:
            if len(self._seen) >= _DIALECTS:
                self._seen.clear()
                self._found.clear()
            self._seen.add(dialect)
            return None
        found = self._found[dialect] = driver_text(self.select, dialect)
        return found
