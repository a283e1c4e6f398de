"""Random rows for a generated schema: NULL and dangling references, cycles, shared parents, duplicate pairs."""

import contextlib
from collections.abc import AsyncIterator, Iterable
from collections.abc import Mapping as Dictionary
from typing import Any, TypeAlias

import attrs
from generated_mappings import Mapping
from generated_schemas import Entity, Reference, Schema
from generated_types import KINDS
from hypothesis import strategies as st
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

Key: TypeAlias = tuple[Any, ...]


@attrs.frozen
class Row:
    """A row, and the class that it is of."""

    entity: str
    key: Key
    values: Dictionary[str, Any]


@attrs.frozen
class Rows:
    """What is in the database: rows, and for each association the pairs of keys in it."""

    rows: tuple[Row, ...]
    pairs: Dictionary[str, tuple[tuple[Key, Key], ...]]

    def __str__(self) -> str:
        return "\n".join(map(repr, (*self.rows, self.pairs)))

    def keys(self, schema: Schema, name: str) -> list[Key]:
        """Return the keys of the rows that are of an entity, or of a subclass of it."""
        return [row.key for row in self.rows if schema.is_a(row.entity, name)]


def missing_key(entity: Entity) -> Key:
    """Return a key that no row has."""
    return tuple(KINDS[kind].nowhere for kind in entity.key)


@st.composite
def _bare_rows(draw: st.DrawFn, schema: Schema) -> list[Row]:
    """Draw rows without references; those that must refer to something have something to refer to."""
    rows: list[Row] = []
    for root in (each for each in schema.entities if each.parent is None):
        family = [each for each in schema.entities if schema.root(each.name) == root.name]
        classes = [each.name for each in family if not each.abstract]
        one_key = st.tuples(*(st.sampled_from(KINDS[kind].values) for kind in root.key))
        least = draw(st.sampled_from((3, 4, 2, 0)))
        for key in draw(st.lists(one_key, unique=True, min_size=least, max_size=6)):
            name = draw(st.sampled_from(classes))
            rows.append(Row(name, key, draw(_values(schema, name))))
    while hopeless := [row for row in rows if any(not _may_be(schema, row, each, rows) for each in schema.references)]:
        rows = [row for row in rows if row not in hopeless]
    return rows


@st.composite
def _values(draw: st.DrawFn, schema: Schema, name: str) -> dict[str, Any]:
    values: dict[str, Any] = {"kind": name} if schema.entity(name).inheritance else {}
    if {"version", "own_version"} & {*schema.entity(schema.root(name)).arguments}:
        values["version"] = 1
    for each in schema.lineage(name):
        for column in schema.entity(each).columns:
            if column.kind == "integer":
                values[column.name] = draw(st.sampled_from([None, 0, 1]))
            elif column.kind == "text":
                values[column.name] = draw(st.sampled_from([None, "", "x"]))
            elif column.kind != "computed":
                values[column.name] = draw(st.sampled_from((None, *KINDS[column.kind].values)))
    return values


def _candidates(schema: Schema, row: Row, reference: Reference, rows: Iterable[Row]) -> list[Key]:
    """Return the keys that a row may refer to."""
    wanted = schema.root(reference.target) if reference.loose else reference.target
    keys = [each.key for each in rows if schema.is_a(each.entity, wanted)]
    if reference.loose:
        keys.append(missing_key(schema.entity(reference.target)))
    if len(reference.own_columns) < len(reference.columns):  # the first part is the row's own
        keys = [(row.key[0], *key[1:]) for key in keys if reference.loose or key[0] == row.key[0]]
    return keys


def _may_be(schema: Schema, row: Row, reference: Reference, rows: Iterable[Row]) -> bool:
    free = reference.nullable or not schema.is_a(row.entity, reference.source)
    return free or bool(_candidates(schema, row, reference, rows))


@st.composite
def rows_of(draw: st.DrawFn, schema: Schema) -> Rows:
    """Draw the rows of a schema: none to six of each entity."""
    bare = draw(_bare_rows(schema))
    used: dict[str, set[Key]] = {}
    rows: list[Row] = []
    for row in bare:
        values = dict(row.values)
        for reference in schema.references:
            if schema.is_a(row.entity, reference.source):
                values |= draw(_referring(schema, row, reference, bare, used.setdefault(reference.name, set())))
        rows.append(attrs.evolve(row, values=values))
    pairs: dict[str, tuple[tuple[Key, Key], ...]] = {}
    for association in schema.associations:
        ends = [
            [row.key for row in rows if schema.is_a(row.entity, name)]
            for name in (association.source, association.target)
        ]
        possible = [(one, other) for one in ends[0] for other in ends[1]]
        least = 0 if not possible else draw(st.sampled_from((min(3, len(possible)), 0)))
        drawn = st.lists(st.sampled_from(possible), min_size=least, max_size=10, unique=association.unique)
        pairs[association.name] = tuple(draw(drawn)) if possible else ()
    return Rows(tuple(rows), pairs)


@st.composite
def _referring(draw: st.DrawFn, schema: Schema, row: Row, reference: Reference, rows: list[Row], used: set[Key]) -> Any:
    """Draw the values of a reference's own columns."""
    keys = [key for key in _candidates(schema, row, reference, rows) if not reference.unique or key not in used]
    nothing = (None,) * len(reference.columns)
    target = draw(st.sampled_from([*keys, nothing] if reference.nullable else keys))
    used.add(target)
    values = held_as(schema.entity(reference.target), reference.kinds, target)
    named = dict(zip(reference.columns, values, strict=True))
    return {name: named[name] for name in reference.own_columns}


def held_as(entity: Entity, kinds: tuple[str, ...], key: Key) -> Key:
    """Return the key of an entity as columns of some kinds hold it."""
    return tuple(KINDS[own].value_in(kind, value) for own, kind, value in zip(entity.key, kinds, key, strict=True))


async def insert_rows(connection: AsyncConnection, mapping: Mapping, rows: Rows) -> None:
    """Insert rows table by table; references are checked at the commit."""
    schema = mapping.schema
    for entity in schema.entities:
        table: Any = mapping.classes[entity.name].__table__
        if entity.parent and entity.inheritance == "single":
            continue
        for row in rows.rows:
            if schema.is_a(row.entity, entity.name):
                key = dict(zip(entity.key_names, row.key, strict=True))
                values = {name: value for name, value in row.values.items() if name in table.c}
                await connection.execute(insert(table).values(**key, **values))
    for association in schema.associations:
        table = mapping.secondary[association.name]
        for number, (one, other) in enumerate(rows.pairs[association.name]):
            near = held_as(schema.entity(association.source), association.source_kinds, one)
            far = held_as(schema.entity(association.target), association.target_kinds, other)
            await connection.execute(insert(table).values((*near, *far, (None, "x")[number % 2])))


@contextlib.asynccontextmanager
async def filled(engine: AsyncEngine, mapping: Mapping, rows: Rows) -> AsyncIterator[None]:
    """Create and fill the tables of a mapping for the block. They may refer to each other in circles."""
    async with engine.begin() as connection:
        await connection.run_sync(mapping.metadata.create_all)
    try:
        async with engine.begin() as connection:
            await insert_rows(connection, mapping, rows)
        yield
    finally:
        cascade = " CASCADE" if engine.dialect.name == "postgresql" else ""
        quoted = engine.dialect.identifier_preparer.quote_identifier
        async with engine.begin() as connection:
            if engine.dialect.name == "mariadb":
                await connection.execute(text("SET foreign_key_checks = 0"))
            for table in mapping.metadata.tables:
                await connection.execute(text(f"DROP TABLE {quoted(table)}{cascade}"))
            if engine.dialect.name == "mariadb":
                await connection.execute(text("SET foreign_key_checks = 1"))
