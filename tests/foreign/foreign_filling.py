"""Random rows for the tables of an application: keys hold, values repeat, and much is NULL."""

import datetime
import random
import uuid
from collections import defaultdict
from decimal import Decimal
from typing import Any, TypeAlias

import attrs
import sqlalchemy as sa
from foreign_building import Application, kind_of, unique_of
from sqlalchemy import orm

Values: TypeAlias = dict[str, Any]

_DAY = datetime.datetime(2024, 2, 29, 12, 30, 15, 250000)


@attrs.define(eq=False)
class Entity:
    """One object of a class, or one row of a table without a class: a row in each of ``tables``."""

    tables: tuple[str, ...]
    rows: dict[str, Values] = attrs.field(factory=dict)
    fixed: dict[tuple[str, str], Any] = attrs.field(factory=dict)
    targets: "dict[tuple[str, int], Entity | None]" = attrs.field(factory=dict)


@attrs.define
class Filler:
    """Draws the rows of one application."""

    application: Application
    random: random.Random
    most: int = 6
    entities: list[Entity] = attrs.field(factory=list)
    by_table: dict[str, list[Entity]] = attrs.field(factory=lambda: defaultdict(list))
    columns: dict[tuple[str, str], dict[str, Any]] = attrs.field(factory=dict)
    soft: dict[tuple[str, str], tuple[str, str]] = attrs.field(factory=dict)

    def rows(self) -> dict[str, list[Values]]:
        """Return the rows of every table. Primary keys, unique keys, foreign keys and NOT NULL hold."""
        tables = self.application.description["tables"]
        self.columns = {(table, each["name"]): each for table, given in tables.items() for each in given["columns"]}
        self.make_entities()
        for entity in self.entities:
            for table in entity.tables:
                entity.rows[table] = {}
        for entity in self.entities:
            for table in entity.tables:
                for each in tables[table]["columns"]:
                    self.value(entity, table, each["name"], ())
        self.prune()
        return {table: [entity.rows[table] for entity in self.by_table[table]] for table in tables}

    def make_entities(self) -> None:
        """Draw which objects there are: of each hierarchy some, and some rows of each table without a class."""
        left = set(self.application.description["tables"])
        for mapper in self.application.mappers:
            if mapper.inherits is not None and not mapper.concrete:
                continue
            descendants = sorted(mapper.self_and_descendants, key=lambda each: each.class_.__name__)
            family = [each for each in descendants if not each.concrete or each is mapper]
            choice = [each for each in family if each.polymorphic_identity is not None] if len(family) > 1 else [mapper]
            for _ in range(self.random.choice((self.most, self.most, self.most // 2, 1))):
                self.make_entity(self.random.choice(choice or [mapper]))
            left -= {table.name for each in family for table in each.tables if isinstance(table, sa.Table)}
        for table in sorted(left):
            for _ in range(self.most * 2):
                self.entities.append(Entity((table,)))
        for entity in self.entities:
            for table in entity.tables:
                self.by_table[table].append(entity)

    def make_entity(self, mapper: orm.Mapper[Any]) -> None:
        lineage = list(reversed(list(mapper.iterate_to_root())))
        names = tuple(dict.fromkeys(each.local_table.name for each in lineage))
        if mapper.concrete:
            names = (mapper.local_table.name,)
        entity = Entity(names)
        on = mapper.polymorphic_on
        if isinstance(on, sa.Column) and mapper.polymorphic_identity is not None:
            entity.fixed[on.table.name, on.name] = mapper.polymorphic_identity
        self.entities.append(entity)

    def links(self, table: str) -> list[dict[str, Any]]:
        return list(self.application.description["tables"][table].get("foreign_keys", []))

    def value(self, entity: Entity, table: str, name: str, above: tuple[Any, ...]) -> Any:
        """Return the value of a column, and that of whatever it refers to first."""
        row = entity.rows[table]
        if name in row:
            return row[name]
        here = (entity, table, name)
        if here in above:
            return None
        row[name] = self.draw(entity, table, name, (*above, here))
        return row[name]

    def draw(self, entity: Entity, table: str, name: str, above: tuple[Any, ...]) -> Any:
        column = self.columns[table, name]
        if (table, name) in entity.fixed:
            return entity.fixed[table, name]
        first = entity.tables.index(table) == 0
        same = [
            above_it for above_it in entity.tables[: entity.tables.index(table)] if (above_it, name) in self.columns
        ]
        if same and not column.get("primary_key"):  # one attribute has both columns: an application writes both
            return self.value(entity, same[0], name, above)
        for number, link in enumerate(self.links(table)):
            if name not in link["columns"] or link["table"] not in self.by_table:
                continue
            wanted = link["to"][link["columns"].index(name)]
            own = not first and link["table"] in entity.tables[: entity.tables.index(table)]
            if own and column.get("primary_key"):  # the key of a joined subclass
                return self.value(entity, link["table"], wanted, above)
            if (table, number) not in entity.targets:
                may_be_null = self.nullable(column) and all(
                    self.nullable(self.columns[table, c]) for c in link["columns"]
                )
                nothing = may_be_null and self.random.random() < 0.25
                there = self.by_table[link["table"]]
                entity.targets[table, number] = None if nothing or not there else self.random.choice(there)
            target = entity.targets[table, number]
            return None if target is None else self.value(target, link["table"], wanted, above)
        if not first and column.get("primary_key"):
            return self.value(entity, entity.tables[0], name, above)
        if self.nullable(column) and self.random.random() < 0.3:
            return None
        soft = self.soft_link(table, name)
        if soft is not None and self.by_table[soft[0]] and self.random.random() < 0.7:
            found = self.value(self.random.choice(self.by_table[soft[0]]), *soft, above)
            if found is not None:
                return found
        keyed = column.get("primary_key") or any(name in each for each in unique_of(self.described(table)))
        return self.plain(column["type"], keyed=bool(keyed))

    def described(self, table: str) -> dict[str, Any]:
        found: dict[str, Any] = self.application.description["tables"][table]
        return found

    def nullable(self, column: dict[str, Any]) -> bool:
        return bool(column.get("nullable", True) and not column.get("primary_key"))

    def soft_link(self, table: str, name: str) -> tuple[str, str] | None:
        """Return the column that a join compares this one with, where no foreign key says so."""
        if not self.soft:
            self.soft = {
                near: far
                for each in self.application.description["classes"]
                for relationship in each.get("relationships", [])
                for word in ("primaryjoin", "secondaryjoin")
                for near, far in _pairs(relationship.get(word))
            }
        return self.soft.get((table, name))

    def plain(self, described: dict[str, Any], *, keyed: bool) -> Any:
        """Return a value of a type: of many for a key, of few for anything else, so that sorts have ties."""
        kind, draw = kind_of(described), self.random
        while described["kind"] == "decorated" and kind not in {"uuid", "json"}:
            described = described["of"]
        number = draw.randrange(100_000) if keyed else draw.randrange(3)
        if kind in {"string", "char", "text"}:
            text = f"{draw.choice('aAbé')}{number}" if keyed else draw.choice(("", "a", "A", "b c", "é"))
            return text[: described.get("length") or 100]
        if kind == "enum":
            return draw.choice(described["values"]) if described["values"] else None
        if kind == "array":
            return [self.plain(described["of"], keyed=False) for _ in range(draw.randrange(3))]
        return {
            "boolean": lambda: draw.random() < 0.5,
            "integer": lambda: number,
            "big integer": lambda: number + (2**40 if keyed else 0),
            "float": lambda: number + 0.5,
            "numeric": lambda: Decimal(number),
            "uuid": lambda: uuid.UUID(int=draw.getrandbits(128)),
            "datetime": lambda: self.moment(described, number),
            "date": lambda: (_DAY + datetime.timedelta(days=number)).date(),
            "time": lambda: (_DAY + datetime.timedelta(minutes=number)).time(),
            "interval": lambda: datetime.timedelta(minutes=number),
            "json": lambda: {"n": number, "more": [None, "x"]},
            "binary": lambda: bytes([number % 250, 0, 255]),
        }[kind]()

    def moment(self, described: dict[str, Any], number: int) -> datetime.datetime:
        moment = _DAY + datetime.timedelta(minutes=number)
        postgresql = described.get("timezone") and self.application.registry.metadata.info.get("timezones")
        return moment.replace(tzinfo=datetime.UTC) if postgresql else moment

    def prune(self) -> None:
        """Drop what breaks a key, and what refers to it, until everything holds."""
        while True:
            broken = self.broken()
            if not broken:
                return
            for table in self.by_table:
                self.by_table[table] = [each for each in self.by_table[table] if each not in broken]

    def broken(self) -> set[Entity]:
        found: set[Entity] = set()
        for table, entities in self.by_table.items():
            given = self.described(table)
            key = [each["name"] for each in given["columns"] if each.get("primary_key")]
            for names in (key, *unique_of(given)):
                seen: set[str] = set()
                for entity in entities:
                    values = [entity.rows[table][name] for name in names]
                    if None not in values and names:
                        if repr(values) in seen:
                            found.add(entity)
                        seen.add(repr(values))
            for entity in entities:
                row = entity.rows[table]
                if any(row[each["name"]] is None and not self.nullable(each) for each in given["columns"]):
                    found.add(entity)
            for link in self.links(table):
                if link["table"] not in self.by_table:
                    continue
                there = {
                    repr([each.rows[link["table"]][c] for c in link["to"]]) for each in self.by_table[link["table"]]
                }
                for entity in entities:
                    row = entity.rows[table]
                    values = [row[name] for name in link["columns"]]
                    if None in values or repr(values) in there:
                        continue
                    free = [name for name in link["columns"] if self.nullable(self.columns[table, name])]
                    if free:
                        row[free[0]] = None
                    else:
                        found.add(entity)
        return found


def _pairs(given: Any) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    """Return the comparisons of two columns in a described join: the foreign one first."""
    if not isinstance(given, list):
        return []
    if given[0] == "eq" and given[1][0] == given[2][0] == "column":
        sides = [given[1], given[2]] if "foreign" in given[1] else [given[2], given[1]]
        return [((sides[0][1], sides[0][2]), (sides[1][1], sides[1][2]))]
    return [pair for each in given[1:] for pair in _pairs(each)]


def insert_all(connection: sa.Connection, application: Application, rows: dict[str, list[Values]]) -> None:
    """Insert rows in any order: foreign keys are checked at the commit."""
    for name, values in rows.items():
        if values:
            connection.execute(sa.insert(application.tables[name]), values)
