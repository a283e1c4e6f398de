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
from loadplan.mapped.drivers import MYSQL_FAMILY
from loadplan.mapped.indexes import DatabaseIndex
from loadplan.mapped.ordering import Ordering
from loadplan.running.plans import Compiled
from loadplan.tools.audit.findings import Severity
from loadplan.tools.findings import CheckFinding, sorted_findings
from loadplan.tools.needs import NeededIndex, needed_indexes, tables_of_plan
from loadplan.tools.schema import (
    DatabaseTable,
    has_rows,
    mapped_indexes,
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
    findings = sorted_findings(
        [*holder.statement_findings(), *holder.type_findings(), *holder.index_findings(), *holder.differences()]
    )
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
    lacking: set[tuple[str, tuple[str, ...]]] = attrs.field(factory=set)

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

    # --- indexes ---

    def index_findings(self) -> Iterator[CheckFinding]:
        """Yield a finding for each index that an edge looks for and the database does not have."""
        wanted: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[tuple[FoundPlan, NeededIndex]]] = {}
        for plan, need in self.needed:
            there = self.actual[need.table.fullname]
            if need.table.fullname in self.small or there is None:
                continue
            keys = tuple(column.name for column in need.keys)
            order = tuple(column.name for column in need.order_columns)
            if not {*keys, *order} <= set(there.columns):
                continue  # the statement cannot run at all, which another finding reports
            served = (
                any(each.walks(keys, order) for each in there.indexes)
                if order
                else any(each.finds(keys) for each in there.indexes)
            )
            if not served:
                wanted.setdefault((need.table.fullname, keys, order), []).append((plan, need))
        for (name, keys, order), needs in wanted.items():
            self.lacking.add((name, (*keys, *order)))
            yield self._lacking(needs)
        yield from self._unused()

    def _lacking(self, needs: Sequence[tuple[FoundPlan, NeededIndex]]) -> CheckFinding:
        need = needs[0][1]
        edges = ", ".join(dict.fromkeys(each.edge for _, each in needs))
        keys = [column.name for column in need.keys]
        if need.order:
            found = f"no index of the database has {_listed(keys)}, then {_listed(_directed(need.order, apart=False))}"
            effect = f"the limit of {edges} reads and sorts all rows of each parent."
        else:
            found = f"no index of the database starts with {_listed(keys)}"
            effect = f"{edges} reads the whole table for the rows of a few parents."
        if need.known:
            effect += " The mapping has that index: a migration is missing."
        subject = f"{need.table.fullname} ({', '.join(keys + [c.name for c in need.order_columns])})"
        places = tuple(sorted({f"{plan.where} at {each.edge}" for plan, each in needs}))
        rule = "order" if need.order else "index"
        return CheckFinding(Severity.COST, rule, subject, found, effect, self._index_code(need), places)

    def _index_code(self, need: NeededIndex) -> tuple[str, str]:
        """Return two codes that make an index: a SQL statement, and a line of an Alembic migration."""
        quote = self.connection.dialect.identifier_preparer
        names = [column.name for column in (*need.keys, *need.order_columns)]
        name = f"ix_{need.table.name}_{'_'.join(names)}"[:60]
        apart = len({(each.descending, each.nulls_first) for each in need.order}) > 1
        nulls = any(each.nulls_first is not None for each in need.order)
        ends = _directed(need.order, apart=apart or nulls)
        columns = [quote.quote(column.name) for column in need.keys]
        columns += [
            quote.quote(column.name) + end[len(column.name) :]
            for column, end in zip(need.order_columns, ends, strict=True)
        ]
        where = ", ".join(columns)
        sql = f"CREATE INDEX {quote.quote(name)} ON {quote.format_table(need.table)} ({where});"
        arguments = [f'"{column.name}"' for column in need.keys]
        arguments += [f'"{end}"' if " " not in end else f'sa.text("{end}")' for end in ends]
        schema = f', schema="{need.table.schema}"' if need.table.schema else ""
        alembic = f'op.create_index("{name}", "{need.table.name}", [{", ".join(arguments)}]{schema})'
        return sql, f"Alembic: {alembic}"

    def _unused(self) -> Iterator[CheckFinding]:
        """Yield a finding for each table that PostgreSQL reads whole although an index should serve."""
        lacking = {
            need.table.name
            for _, need in self.needed
            if (there := self.actual[need.table.fullname]) is not None
            and not any(each.finds([column.name for column in need.keys]) for each in there.indexes)
        }
        by_table: dict[str, list[tuple[FoundPlan, PlanStatement]]] = {}
        for plan, statement, scanned in self.explained:
            for name in scanned - lacking:
                if statement.use != "as a list" or statement.edge != _root_of(plan):
                    by_table.setdefault(name, []).append((plan, statement))
        small = {self.tables[name].name for name in self.small}
        for name, uses in by_table.items():
            if name not in small and any(table.name == name for table in self.tables.values()):
                yield CheckFinding(
                    Severity.COST,
                    "index",
                    name,
                    "PostgreSQL finds no index that it can use",
                    "the statement reads the whole table; the types or collations at the two ends may differ.",
                    ("compare the types of the key and of the column that it refers to.",),
                    tuple(sorted({f"{plan.where} at {each.edge}" for plan, each in uses})),
                )

    def differences(self) -> Iterator[CheckFinding]:
        """Yield a finding for each index that only the mapping has, or only the database."""
        for name, table in self.tables.items():
            there = self.actual[name]
            if there is None:
                continue
            ours = mapped_indexes(table)
            own_keys = {tuple(key.column_keys) for key in table.foreign_key_constraints}
            for index in _only_in(there.indexes, ours):
                edges = [
                    (plan, need)
                    for plan, need in self.needed
                    if need.table is table and need.order and not need.known and _walks(index, need)
                ]
                if not edges and self.connection.dialect.name in MYSQL_FAMILY and index.columns in own_keys:
                    continue  # the database makes these indexes itself
                yield _in_database_alone(table, index, edges)
            for index in _only_in(ours, there.indexes):
                if (name, index.columns) in self.lacking or not set(index.columns) <= set(there.columns):
                    continue
                yield CheckFinding(
                    Severity.NOTE,
                    "differs",
                    f"{name} ({', '.join(index.columns)})",
                    "the mapping has this index, and the database does not",
                    "loadplan relies on this index when it chooses how to load the first rows of each parent.",
                    ("make it in a migration, or take it out of the mapping.",),
                    (),
                )


def _in_database_alone(
    table: Table, index: DatabaseIndex, edges: Sequence[tuple[FoundPlan, NeededIndex]]
) -> CheckFinding:
    columns = ", ".join(f'"{name}"' for name in index.columns)
    effect = "loadplan uses the index after learn_indexes()."
    mends = [f"add Index(\"{index.name or 'ix_' + table.name}\", {columns}) to the mapping of '{table.fullname}'."]
    if edges:
        names = ", ".join(dict.fromkeys(need.edge for _, need in edges))
        effect = f"loadplan does not know the index, and numbers all rows of each parent for the limit of {names}."
        mends.append("or call loader.learn_indexes(...) when the application starts.")
    return CheckFinding(
        Severity.COST if edges else Severity.NOTE,
        "differs",
        f"{table.fullname} ({', '.join(index.columns)})",
        "the database has this index, and the mapping does not",
        effect,
        tuple(mends),
        tuple(sorted({f"{plan.where} at {need.edge}" for plan, need in edges})),
    )


def _walks(index: DatabaseIndex, need: NeededIndex) -> bool:
    return index.walks([column.name for column in need.keys], [column.name for column in need.order_columns])


def _only_in(these: Iterable[DatabaseIndex], those: Iterable[DatabaseIndex]) -> Iterator[DatabaseIndex]:
    known = {each.columns for each in those}
    seen: set[tuple[str, ...]] = set()
    for each in these:
        if each.columns and each.columns not in known and each.columns not in seen:
            seen.add(each.columns)
            yield each


def _directed(order: Sequence[Ordering], *, apart: bool) -> list[str]:
    """Return the columns of an order. Add a direction if the index must have this direction."""
    found = []
    for each in order:
        name = str(getattr(each.expression, "key", each.expression))
        nulls = "" if each.nulls_first is None else f" NULLS {'FIRST' if each.nulls_first else 'LAST'}"
        found.append(f"{name}{' DESC' if each.descending else ''}{nulls}" if apart else name)
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _root_of(plan: FoundPlan) -> str:
    return str(plan.plan.entity.__name__)


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
