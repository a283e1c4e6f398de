"""Measures a plan: each statement that ran, and the report of the database about it."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs
from sqlalchemy import Column, Connection, CursorResult, Table, event
from sqlalchemy.orm import Session

from loadplan.errors import counted
from loadplan.mapped import links
from loadplan.mapped.drivers import MYSQL_FAMILY
from loadplan.mapped.indexes import NOTHING_LEARNED
from loadplan.resolved.tree import edges_below
from loadplan.running.own_connection import AT_ONCE
from loadplan.running.plans import Compiled
from loadplan.running.tally import Tally

#: loadplan reports a sequential scan only if it reads at least this number of rows.
LARGE_TABLE = 10_000


@attrs.frozen
class SequentialScan:
    """A large table that was read from end to end.

    Attributes:
        table: the name of the table.
        rows: number of rows that were read, over all repetitions.
        index: the SQL statement that makes the missing index; None if no relationship of the plan finds rows of the
            table by key.
    """

    table: str
    rows: int
    index: str | None


@attrs.frozen
class AnalyzedStatement:
    """One statement as it ran.

    Attributes:
        edge: the relationship that it loaded; for the first statement, the name of the root's class.
        sql: the text of the statement, as the driver got it.
        rows: number of rows that it returned.
        bytes: size of its result on the wire; None if the database does not report it.
        milliseconds: time from sending it until all rows arrived.
        plan: the query plan. PostgreSQL gives the output of ``EXPLAIN (ANALYZE, FORMAT JSON)``, MariaDB the output of
            ``ANALYZE FORMAT=JSON``, other databases a list of lines.
        scans: large tables that the statement read from end to end.
    """

    edge: str
    sql: str
    rows: int
    bytes: int | None
    milliseconds: float
    plan: Any
    scans: tuple[SequentialScan, ...] = ()


@attrs.frozen
class Analysis:
    """The cost of a fetch, as the database reports it. Print it to read it.

    Attributes:
        plan: name of the plan.
        statements: the statements, in the order in which they ran.
    """

    plan: str
    statements: tuple[AnalyzedStatement, ...]

    @property
    def rows(self) -> int:
        """The number of rows that all statements returned."""
        return sum(each.rows for each in self.statements)

    @property
    def milliseconds(self) -> float:
        """The time that all statements took, in milliseconds."""
        return sum(each.milliseconds for each in self.statements)

    def __str__(self) -> str:
        count = counted(len(self.statements), "statement")
        head = f"{self.plan}: {count}, {self.rows} rows, {self.milliseconds:.1f} ms"
        lines = [head]
        for number, each in enumerate(self.statements, start=1):
            size = "" if each.bytes is None else f", {_size(each.bytes)}"
            lines.append(f"{number}. {each.edge}: {each.rows} rows{size}, {each.milliseconds:.1f} ms")
            for scan in each.scans:
                lines.append(f"   reads all of '{scan.table}' ({scan.rows:,} rows)")
                if scan.index is not None:
                    lines.append(f"   hint: {scan.index}")
        return "\n".join(lines)


def _size(number: int) -> str:
    return f"{number} bytes" if number < 10_000 else f"{number / 1024:,.0f} kB"


def analyze(session: Session, compiled: Compiled[Any], run: Callable[[Session, Tally], object]) -> Analysis:
    """Run a compiled plan, then have the database explain each statement that was sent, with the same parameters.

    Args:
        session: the private session. The database explains the text that ran, so the text has the session's criteria.
        compiled: the compiled plan. It has the names of the edges and their keys.
        run: the function that fetches with the session, and counts rows and statements.
    """
    tally = Tally(compiled.tree.label)
    connections = {session.connection(bind_arguments={"mapper": mapper}) for mapper in compiled.mappers}
    with contextlib.ExitStack() as stack:
        sent = [stack.enter_context(_listening(each, tally)) for each in connections]
        run(session, tally)
    indexes = list(_missing_indexes(compiled))
    executed = sorted((one for statements in sent for one in statements), key=lambda one: one.started)
    return Analysis(compiled.tree.label, tuple(_analyzed(one, indexes) for one in executed))


@attrs.define(eq=False)
class _Sent:
    connection: Connection
    edge: str
    sql: str
    parameters: Any
    started: float
    seconds: float = 0.0


@contextlib.contextmanager
def _listening(connection: Connection, tally: Tally) -> Iterator[list[_Sent]]:
    """Note each statement that goes through a connection while the block runs."""
    sent: list[_Sent] = []

    def before(_: Any, __: Any, sql: str, parameters: Any, *___: Any) -> None:
        sent.append(_Sent(connection, tally.current, sql, parameters, time.perf_counter()))

    def after(*_: Any) -> None:
        sent[-1].seconds = time.perf_counter() - sent[-1].started

    event.listen(connection, "before_cursor_execute", before)
    event.listen(connection, "after_cursor_execute", after)
    try:
        yield sent
    finally:
        event.remove(connection, "before_cursor_execute", before)
        event.remove(connection, "after_cursor_execute", after)


def _analyzed(sent: _Sent, indexes: Sequence[tuple[str, str]]) -> AnalyzedStatement:
    milliseconds = sent.seconds * 1000
    if sent.connection.dialect.name == "postgresql":
        options = "ANALYZE, VERBOSE, FORMAT JSON"
        version: Any = sent.connection.dialect.server_version_info
        if version is not None and version[0] >= 17:
            options += ", SERIALIZE BINARY"
        answer = _answer(sent, f"EXPLAIN ({options}) {sent.sql}").scalar_one()
        plan = answer[0]
        top = plan["Plan"]
        volume = plan.get("Serialization", {}).get("Output Volume")
        estimate = int(top["Actual Rows"] * top["Plan Width"])
        size = estimate if volume is None or volume <= 1 else int(volume * 1024)  # MariaDB reports whole kilobytes
        rows = int(top["Actual Rows"])
        return AnalyzedStatement(sent.edge, sent.sql, rows, size, milliseconds, plan, tuple(_scans(top, indexes)))
    rows = len(_answer(sent, sent.sql).all())
    return AnalyzedStatement(sent.edge, sent.sql, rows, None, milliseconds, _plan_in_words(sent))


def _plan_in_words(sent: _Sent) -> Any:
    """Return the query plan that MariaDB or SQLite reports."""
    dialect: Any = sent.connection.dialect
    if dialect.name == "sqlite":
        answer = _answer(sent, f"EXPLAIN QUERY PLAN {sent.sql}")
        return [str(row[-1]) for row in answer]
    if dialect.name not in MYSQL_FAMILY:
        return []
    if not dialect.is_mariadb:
        text: str = _answer(sent, f"EXPLAIN ANALYZE {sent.sql}").scalar_one()
        return text.splitlines()
    return json.loads(_answer(sent, f"ANALYZE FORMAT=JSON {sent.sql}").scalar_one())


def _answer(sent: _Sent, sql: str) -> CursorResult[Any]:
    """Execute a text with the parameters of a statement that ran."""
    return sent.connection.exec_driver_sql(sql, sent.parameters, execution_options=AT_ONCE)


def _scans(node: Mapping[str, Any], indexes: Sequence[tuple[str, str]]) -> Iterator[SequentialScan]:
    """Yield the large tables that a query plan of PostgreSQL reads from end to end, although it discards most rows."""
    if node["Node Type"] == "Seq Scan":
        loops = node.get("Actual Loops", 1)
        dropped = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Join Filter", 0)
        read = int((node.get("Actual Rows", 0) + dropped) * loops)
        if read >= LARGE_TABLE and dropped * loops * 2 > read:
            table = node["Relation Name"]
            yield SequentialScan(table, read, next((made for name, made in indexes if name == table), None))
    for below in node.get("Plans", ()):
        yield from _scans(below, indexes)


def _missing_indexes(compiled: Compiled[Any]) -> Iterator[tuple[str, str]]:
    """Yield (table, CREATE INDEX statement) for each index that a plan needs and that loadplan does not know."""
    learned = compiled.learned.get(compiled.dialect, NOTHING_LEARNED)
    for prop, parent in _relationships(compiled):
        columns: list[Any] = list(links.link(prop, parent).columns)
        tables = {column.table for column in columns if isinstance(column, Column)}
        if len(tables) != 1 or links.served_by(columns, (), learned) is not None:
            continue
        table = tables.pop()
        if isinstance(table, Table):
            quote = compiled.dialect.identifier_preparer
            names = ", ".join(quote.format_column(column) for column in columns)
            yield table.name, f"CREATE INDEX ON {quote.format_table(table)} ({names});"


def _relationships(compiled: Compiled[Any]) -> Iterator[tuple[Any, Any]]:
    for edge in edges_below(compiled.tree.root):
        if edge.prop is not None and not compiled.chosen[edge].way.joins:
            yield edge.prop, edge.owner.mapper
