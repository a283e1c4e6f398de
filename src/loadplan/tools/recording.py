"""Recording the SQL of all engines, with the line of the caller's own code that each statement comes from."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from types import FrameType
from typing import Any

import attrs
from sqlalchemy import Engine, ExceptionContext, event
from sqlalchemy.exc import MissingGreenlet

from loadplan.declared.mistaken import with_hints
from loadplan.errors import counted
from loadplan.running.callers import frame_of_caller
from loadplan.tools.targets import relative_path

#: Statements that only mark a transaction. They do not count.
_MARKS = ("SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT")

#: A repeated statement with this number of parameters sends a list of keys in chunks. It is not N+1.
_CHUNK = 100


@attrs.frozen
class Statement:
    """One executed statement.

    Attributes:
        text: the SQL, as the driver got it.
        parameters: the parameters, as the driver got them; a list of parameters for ``executemany``.
        where: the line of your code that it came from: ``"shop/orders.py:42 in total"``. It is the nearest line outside
            of SQLAlchemy, loadplan and the standard library. It is ``"unknown"`` if a call of a loader is itself a
            task, as in ``asyncio.gather(loader.fetch(...), ...)``.
        failed: whether the database refused it.
    """

    text: str
    parameters: Any
    where: str
    failed: bool = False


@attrs.frozen
class Repetition:
    """A query that ran several times with other parameters: N+1.

    Attributes:
        text: the SQL.
        table: the table that it reads first.
        times: how often the query ran with new parameters.
        lines: the lines that it came from, the most frequent one first.
    """

    text: str
    table: str
    times: int
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.times} times from table '{self.table}' at {' and '.join(self.lines)}\n    {_short(self.text)}"


@with_hints("Statements")
class Statements:
    """The statements recorded so far. Savepoints are not counted."""

    def __init__(self) -> None:
        self._recorded: list[Statement] = []

    def __iter__(self) -> Iterator[Statement]:
        return iter(tuple(self._recorded))

    def __len__(self) -> int:
        return len(self._recorded)

    def __str__(self) -> str:
        if not self._recorded:
            return "no statements"
        lines = []
        for (text, where), times in Counter((each.text, each.where) for each in self._recorded).items():
            often = f"  {times} times" if times > 1 else ""
            lines.append(f"{_short(text)}\n    at {where}{often}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<{counted(self.count, 'statement')}>"

    @property
    def count(self) -> int:
        """The number of executed statements."""
        return len(self._recorded)

    @property
    def texts(self) -> list[str]:
        """The SQL of the statements, in the order in which they ended."""
        return [each.text for each in self._recorded]

    def add(self, statement: Statement) -> None:
        """Record a statement, unless it only begins or ends a transaction or a savepoint."""
        if not statement.text.lstrip().upper().startswith(_MARKS):
            self._recorded.append(statement)

    def clear(self) -> None:
        """Forget the statements recorded so far, for example the INSERTs at the start of a test."""
        self._recorded.clear()

    def n_plus_one(self, times: int = 3) -> list[Repetition]:
        """Return the queries that ran at least ``times`` times, each time with other parameters.

        A query with more than 100 keys is left out, because it is one query that was sent in chunks.
        """
        by_text: dict[str, list[Statement]] = {}
        for each in self._recorded:
            if _reads(each.text) and _width(each.parameters) <= _CHUNK:
                by_text.setdefault(each.text, []).append(each)
        found = []
        for text, executions in by_text.items():
            distinct = len({repr(each.parameters) for each in executions})
            if distinct >= times:
                lines = tuple(line for line, _ in Counter(each.where for each in executions).most_common())
                found.append(Repetition(text, table_of(text), distinct, lines))
        return found

    def assert_count(self, expected: int) -> None:
        """Raise ``AssertionError`` with a list of all statements if their number is not ``expected``."""
        __tracebackhide__ = True
        if self.count != expected:
            raise AssertionError(f"{counted(self.count, 'statement')} instead of {expected}:\n{self}")

    def assert_no_n_plus_one(self, times: int = 3) -> None:
        """Raise ``AssertionError`` if a query ran ``times`` times or more, each time with other parameters.

        The error names the query and the lines of code that it came from.
        """
        __tracebackhide__ = True
        if found := self.n_plus_one(times):
            raise AssertionError("\n".join(["the same query ran again and again:", *map(str, found)]))


@contextmanager
def record_statements() -> Iterator[Statements]:
    """Record the statements of all engines while the block runs, also of engines that were made before.

    It does not see statements that you send directly to a driver, without SQLAlchemy.
    """
    recorded = Statements()

    def after(_connection: Any, _cursor: Any, text: str, parameters: Any, *_: Any) -> None:
        recorded.add(Statement(text, parameters, nearest_line()))

    def on_error(context: ExceptionContext) -> None:
        reached = context.execution_context is not None and not isinstance(context.original_exception, MissingGreenlet)
        if context.statement is not None and reached:
            recorded.add(Statement(context.statement, context.parameters, nearest_line(), failed=True))

    event.listen(Engine, "after_cursor_execute", after)
    event.listen(Engine, "handle_error", on_error)
    try:
        yield recorded
    finally:
        event.remove(Engine, "after_cursor_execute", after)
        event.remove(Engine, "handle_error", on_error)


def nearest_line() -> str:
    """Return the nearest line of the caller's code on the stack: ``"shop/orders.py:42 in total"``."""
    frame = frame_of_caller()
    return "unknown" if frame is None else _line(frame)


def _line(frame: FrameType) -> str:
    return f"{relative_path(frame.f_code.co_filename)}:{frame.f_lineno} in {frame.f_code.co_name}"


def _reads(text: str) -> bool:
    return text.lstrip(" (\n").upper().startswith(("SELECT", "WITH"))


def _width(parameters: Any) -> int:
    return len(parameters) if isinstance(parameters, tuple | list | dict) else 0


def table_of(text: str) -> str:
    """Return the first table in the FROM of the query itself, not of its subqueries; ``"?"`` if there is none."""
    depth = 0
    words = text.replace("(", " ( ").replace(")", " ) ").split()
    for word, following in pairwise(words):
        depth += (word == "(") - (word == ")")
        if depth == 0 and word.upper() == "FROM":
            return following.strip('",`').replace('"."', ".") if following != "(" else "a subquery"
    return "?"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:197]}..."
