"""Compares the indexes that plans need with the indexes of a database and of the mapping."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set

import attrs
from sqlalchemy import Connection, Table

from loadplan.mapped.drivers import MYSQL_FAMILY
from loadplan.mapped.indexes import DatabaseIndex
from loadplan.mapped.ordering import Ordering
from loadplan.tools.audit.findings import Severity
from loadplan.tools.findings import CheckFinding
from loadplan.tools.needs import NeededIndex
from loadplan.tools.schema import DatabaseTable, mapped_indexes
from loadplan.tools.statements import PlanStatement
from loadplan.tools.targets import FoundPlan


@attrs.frozen(eq=False)
class IndexComparison:
    """Reports on the indexes of some plans.

    Attributes:
        connection: a connection to the database.
        tables: the mapped tables of the plans, by name.
        actual: by the name of a table, what the database has; None if it does not have the table.
        small: names of tables for which no index is needed.
        needed: the indexes that the plans need.
        explained: the statements that the database explained, with the tables that each reads whole.
    """

    connection: Connection
    tables: Mapping[str, Table]
    actual: Mapping[str, DatabaseTable | None]
    small: Collection[str]
    needed: Sequence[tuple[FoundPlan, NeededIndex]]
    explained: Sequence[tuple[FoundPlan, PlanStatement, frozenset[str]]]

    def findings(self) -> Iterator[CheckFinding]:
        """Yield findings of three kinds: indexes that edges lack, tables read whole, indexes that only one side has."""
        lacking: set[tuple[str, tuple[str, ...]]] = set()
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
            lacking.add((name, (*keys, *order)))
            yield self._lacking(needs)
        yield from self._unused()
        yield from self._differences(lacking)

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

    def _differences(self, lacking: Set[tuple[str, tuple[str, ...]]]) -> Iterator[CheckFinding]:
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
                if (name, index.columns) in lacking or not set(index.columns) <= set(there.columns):
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
