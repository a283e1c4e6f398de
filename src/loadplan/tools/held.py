"""Compares plans with a database: does every statement fit the tables, and does every edge have an index?

The database may be empty, as after the migrations of a test run. No statement of a plan is executed: PostgreSQL
prepares it and shows its generic plan, MariaDB and SQLite explain it.
"""

import datetime
import decimal
import json
import re
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import attrs
from sqlalchemy import BindParameter, Connection, Dialect, Table
from sqlalchemy.exc import DBAPIError

from loadplan.errors import did_you_mean
from loadplan.explained.dialects import dialect_of
from loadplan.running.plans import Compiled
from loadplan.tools.audit.findings import Severity
from loadplan.tools.findings import CheckFinding, sorted_findings
from loadplan.tools.held_indexes import IndexComparison
from loadplan.tools.needs import NeededIndex, needed_indexes, tables_of_plan
from loadplan.tools.schema import (
    DatabaseTable,
    has_rows,
    read_table,
    tables_there,
    type_differences,
)
from loadplan.tools.statements import PlanStatement, compiled_uses, plan_statements
from loadplan.tools.targets import FoundPlan

#: The first PostgreSQL that can plan a prepared statement without its values.
_GENERIC_PLANS = 12


@attrs.frozen
class Held:
    """The result of comparing plans with a database.

    Attributes:
        database: the kind and version of the database.
        plans: how many plans were compared with the database.
        statements: how many statements were explained.
        small: tables for which no index is needed.
        findings: the findings, the worst first.
    """

    database: str
    plans: int
    statements: int
    small: tuple[str, ...]
    findings: tuple[CheckFinding, ...]


def hold_plans(
    plans: Sequence[FoundPlan], connection: Connection, *, small: Collection[str] = (), rows: int | None = None
) -> Held:
    """Compare plans that resolve with a database.

    Args:
        plans: the plans.
        connection: a connection to the database. loadplan writes nothing; roll the transaction back afterwards.
        small: names of tables that need no index.
        rows: a table with fewer rows than this needs no index. An empty table does, because it may grow.
    """
    holder = _Holder(connection, _planning_dialect(connection))
    for plan in plans:
        holder.hold(plan)
    holder.leave_out(small, rows)
    findings = sorted_findings([*holder.statement_findings(), *holder.type_findings(), *holder.indexes.findings()])
    return Held(_version(connection), len(plans), holder.number, tuple(sorted(holder.small)), tuple(findings))


def _planning_dialect(connection: Connection) -> Dialect:
    """Return the dialect to compile statements for. asyncpg's numbers the parameters, as PostgreSQL's PREPARE does."""
    return dialect_of("postgresql") if connection.dialect.name == "postgresql" else connection.dialect


def _version(connection: Connection) -> str:
    dialect: Any = connection.dialect
    name = "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name
    number = dialect.server_version_info
    return f"{name} {'.'.join(str(part) for part in number if isinstance(part, int))}" if number else str(name)


@attrs.frozen(eq=False)
class _Failure:
    statement: PlanStatement
    state: str | None
    message: str


@attrs.define(eq=False)
class _Holder:
    """Goes through plans, then reports its findings."""

    connection: Connection
    dialect: Dialect
    number: int = 0
    small: set[str] = attrs.field(factory=set)
    tables: dict[str, Table] = attrs.field(factory=dict)
    actual: dict[str, DatabaseTable | None] = attrs.field(factory=dict)
    needed: list[tuple[FoundPlan, NeededIndex]] = attrs.field(factory=list)
    explained: list[tuple[FoundPlan, PlanStatement, frozenset[str]]] = attrs.field(factory=list)
    failures: list[tuple[FoundPlan, _Failure]] = attrs.field(factory=list)

    def hold(self, plan: FoundPlan) -> None:
        """Have the database explain every statement of a plan, and note the tables and indexes that the plan needs."""
        compiled = {id(each): each for _, each in compiled_uses(plan.plan, self.dialect)}
        first: Compiled[Any] = next(iter(compiled.values()))
        for table in tables_of_plan(first):
            if table.fullname not in self.tables:
                self.tables[table.fullname] = table
                self.actual[table.fullname] = read_table(self.connection, table)
        self.needed += [(plan, each) for each in needed_indexes(first)]
        for statement in plan_statements(plan.plan, self.dialect):
            self.number += 1
            scanned = self._explain(statement)
            if isinstance(scanned, _Failure):
                self.failures.append((plan, scanned))
            else:
                self.explained.append((plan, statement, scanned))

    @property
    def indexes(self) -> IndexComparison:
        """The comparison of indexes, once all plans were held."""
        return IndexComparison(self.connection, self.tables, self.actual, self.small, self.needed, self.explained)

    def leave_out(self, small: Collection[str], rows: int | None) -> None:
        """Note the tables that need no index."""
        for name, table in self.tables.items():
            if {name, table.name} & set(small) or (
                rows is not None and self.actual[name] is not None and has_rows(self.connection, table, rows) is False
            ):
                self.small.add(name)

    # --- explaining ---

    def _explain(self, statement: PlanStatement) -> frozenset[str] | _Failure:
        """Have the database explain a statement. Return the tables that it reads whole, or how it failed."""
        savepoint = self.connection.begin_nested()
        try:
            if self.connection.dialect.name == "postgresql":
                return self._generic_plan(statement)
            self._explain_with_samples(statement)
            return frozenset()
        except DBAPIError as error:
            state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
            return _Failure(statement, state, _words(error))
        finally:
            savepoint.rollback()

    def _generic_plan(self, statement: PlanStatement) -> frozenset[str]:
        """Return the tables that PostgreSQL's generic plan reads whole, although sequential scans are turned off.

        PostgreSQL would simplify a plan for a bound NULL. So this method prepares the statement on the server, which
        plans it for any values. PostgreSQL makes the same plan when a connection has run the statement a few times.
        """
        name = f"loadplan_check_{self.number}"
        self._run(f"PREPARE {name} AS {statement.text}")
        try:
            version: Any = self.connection.dialect.server_version_info
            if version is None or version[0] < _GENERIC_PLANS:
                return frozenset()
            self._run("SET LOCAL plan_cache_mode = force_generic_plan")
            self._run("SET LOCAL enable_seqscan = off")
            values = ", ".join(["NULL"] * len(statement.names))
            answer = self._run(f"EXPLAIN (FORMAT JSON, VERBOSE) EXECUTE {name}{f'({values})' if values else ''}")
            plan = answer.scalar_one()
            plans = json.loads(plan) if isinstance(plan, str) else plan
            return frozenset(name for each in plans for name in _read_whole(each["Plan"]))
        finally:
            self._run(f"DEALLOCATE {name}")

    def _explain_with_samples(self, statement: PlanStatement) -> None:
        word = "EXPLAIN QUERY PLAN" if self.connection.dialect.name == "sqlite" else "EXPLAIN"
        samples = {name: _sample(each) for name, each in statement.parameters.items()}
        positional = self.dialect.positional
        values: Any = tuple(samples[name] for name in statement.names) if positional else samples
        self.connection.exec_driver_sql(f"{word} {statement.text}", values)

    def _run(self, sql: str) -> Any:
        return self.connection.execution_options(no_parameters=True).exec_driver_sql(sql)

    # --- what does not fit ---

    def statement_findings(self) -> Iterator[CheckFinding]:
        """Yield a finding for each table and column that is missing, and for each other error of a statement."""
        told: set[int] = set()
        for name, table in self.tables.items():
            there = self.actual[name]
            known = None if there is None else set(there.columns)
            gone = [None] if known is None else [each.name for each in table.columns if each.name not in known]
            for column in gone:
                failed = [
                    (plan, each) for plan, each in self.failures if _speaks_of(each.statement.text, table, column)
                ]
                if failed:
                    told |= {id(each) for _, each in failed}
                    yield self._missing(table, column, there, _places(failed))
        by_message: dict[str, list[tuple[FoundPlan, _Failure]]] = {}
        for plan, failure in self.failures:
            if id(failure) not in told:
                by_message.setdefault(failure.message, []).append((plan, failure))
        for message, failed in by_message.items():
            yield CheckFinding(
                Severity.RISK,
                "statement",
                f"'{failed[0][1].statement.edge}'",
                f"the database refuses a statement: {message}",
                "every fetch that sends it fails.",
                (_mend_of(failed[0][1].state),),
                _places(failed),
            )

    def _missing(
        self, table: Table, column: str | None, there: DatabaseTable | None, plans: tuple[str, ...]
    ) -> CheckFinding:
        if column is None or there is None:
            names = tables_there(self.connection, table.schema)
            found, subject = f"the database has no table '{table.fullname}'", table.fullname
            hint = did_you_mean(table.name, names[:50], "Tables")
        else:
            found, subject = f"the database has no column '{table.fullname}.{column}'", f"{table.fullname}.{column}"
            hint = did_you_mean(column, there.columns, f"Columns of {table.fullname}")
        return CheckFinding(
            Severity.RISK,
            "statement",
            subject,
            found,
            "every fetch of the plan fails.",
            ("migrate the database, or correct the mapping.", hint),
            plans,
        )

    def type_findings(self) -> Iterator[CheckFinding]:
        """Yield a finding for each column whose type in the database is not the mapped type."""
        for name, table in self.tables.items():
            if self.actual[name] is None:
                continue
            for each in type_differences(self.connection, table, table.columns):
                subject = f"{name}.{each.column}"
                yield CheckFinding(
                    Severity.NOTE if each.fits else Severity.RISK,
                    "type",
                    subject,
                    f"it is {each.actual} in the database and {each.mapped} in the mapping",
                    "values may be rounded, cut or padded."
                    if each.fits
                    else "comparing it fails, or its values have another type than the mapping says.",
                    ("migrate the column, or correct the mapping.",),
                    self._plans_with(table),
                )

    def _plans_with(self, table: Table) -> tuple[str, ...]:
        every = [*((plan, each) for plan, each, _ in self.explained), *((p, f.statement) for p, f in self.failures)]
        return tuple(sorted({plan.where for plan, each in every if _speaks_of(each.text, table, None)}))


def _places(failed: Iterable[tuple[FoundPlan, _Failure]]) -> tuple[str, ...]:
    return tuple(sorted({f"{plan.where} at {each.statement.edge}" for plan, each in failed}))


def _speaks_of(sql: str, table: Table, column: str | None) -> bool:
    """Tell whether the text of a statement contains the name of a table and the name of a column."""
    return _names(sql, table.name) and (column is None or _names(sql, column))


def _names(sql: str, name: str) -> bool:
    return re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", sql) is not None


def _words(error: DBAPIError) -> str:
    """Return the database's own message, without the texts that the driver and SQLAlchemy add."""
    orig: Any = error.orig
    diagnosis = getattr(getattr(orig, "diag", None), "message_primary", None)
    if diagnosis:
        return str(diagnosis)
    arguments: tuple[Any, ...] = getattr(orig, "args", ())
    said = str(arguments[1]) if len(arguments) == 2 and isinstance(arguments[0], int) else str(orig)
    return re.sub(r"^<class '[^']+'>: ", "", said).splitlines()[0]


_MENDS = {
    "42883": "the types of the two sides do not fit: migrate the column, or correct the mapping.",
    "42804": "the types of the two sides do not fit: migrate the column, or correct the mapping.",
    "42704": "the database lacks a type that the mapping names: migrate the database.",
    "42501": "grant SELECT to this role, or check with the role of the application.",
}


def _mend_of(state: str | None) -> str:
    return _MENDS.get(state or "", "migrate the database, or correct the mapping.")


def _read_whole(node: dict[str, Any]) -> Iterator[str]:
    """Yield the tables that PostgreSQL's query plan filters row by row."""
    if node["Node Type"] == "Seq Scan" and ("Filter" in node or node.get("Parent Relationship") == "Inner"):
        yield node["Relation Name"]
    for below in node.get("Plans", ()):
        yield from _read_whole(below)


_SAMPLES: dict[Any, Any] = {
    bool: True,
    int: 1,
    float: 1.0,
    decimal.Decimal: decimal.Decimal(1),
    str: "1",
    bytes: b"1",
    datetime.date: datetime.date(2000, 1, 1),
    datetime.datetime: datetime.datetime(2000, 1, 1),
    datetime.time: datetime.time(),
    uuid.UUID: "00000000000000000000000000000001",
}


def _sample(parameter: BindParameter[Any]) -> Any:
    """Return any value for a parameter, of a type that every driver takes."""
    try:
        kind = parameter.type.python_type
    except NotImplementedError:
        return "1"
    return str(_SAMPLES[kind]) if kind is decimal.Decimal else _SAMPLES.get(kind, "1")
