"""Declarative classes for a generated schema: with all its settings for loadplan, and plain for the oracle.

The classes live in this module while they are in use, under their own names, so that their objects pickle.
"""

import contextlib
import inspect
import itertools
import sys
import warnings
from collections.abc import Callable, Iterator
from operator import attrgetter
from types import new_class
from typing import Any

import attrs
from generated_schemas import OWN_COLLECTIONS, Association, End, Entity, Reference, Schema
from generated_types import KINDS
from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    and_,
    func,
)
from sqlalchemy.exc import SAWarning
from sqlalchemy.orm import (
    DeclarativeBase,
    DynamicMapped,
    Mapped,
    MappedAsDataclass,
    Query,
    RelationshipProperty,
    WriteOnlyMapped,
    attribute_keyed_dict,
    backref,
    column_keyed_dict,
    column_property,
    foreign,
    keyfunc_mapping,
    mapped_column,
    relationship,
    remote,
)

_numbers = itertools.count()


class OwnList(list[Any]):
    """A list of the application's own."""


class OwnComparator(RelationshipProperty.Comparator[Any]):
    """What compares a relationship, of the application's own."""


class OwnQuery(Query[Any]):
    """What a dynamic relationship hands out."""


@attrs.frozen
class Mapping:
    """The classes of a schema by name, and its association tables by name."""

    schema: Schema
    classes: dict[str, type[Any]]
    secondary: dict[str, Table]
    metadata: MetaData

    def key(self, name: str) -> list[Any]:
        """Return the key attributes of an entity."""
        return [getattr(self.classes[name], key) for key in self.schema.entity(name).key_names]

    def identity(self, entity: object) -> tuple[str, tuple[Any, ...]]:
        """Return the root of an object's class and its key: what tells one row from another."""
        name = type(entity).__name__
        return self.schema.root(name), tuple(getattr(entity, key) for key in self.schema.entity(name).key_names)


@contextlib.contextmanager
def mapped(schema: Schema) -> Iterator[tuple[Mapping, Mapping]]:
    """Map a schema twice for the block: as it says, and with the same tables in the plainest way SQLAlchemy has.

    The first of the two owns the tables. Afterwards no mapper is left.
    """
    prefix = f"properties_{next(_numbers)}"
    real, plain = Builder(schema, prefix, plain=False), Builder(schema, prefix, plain=True)
    module = sys.modules[__name__]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "relationship .* will copy column")
            warnings.filterwarnings("ignore", ".*noload")
            warnings.simplefilter("ignore", SAWarning)  # of relationships that overlap, and arguments that do nothing
            warnings.filterwarnings("ignore", "Invoking and_\\(\\) without arguments")  # SQLAlchemy's own, on 2.1
            mappings = real.build(), plain.build()
            for builder in (real, plain):
                builder.base.registry.configure()
        for name, mapped_class in real.classes.items():
            setattr(module, name, mapped_class)
        yield mappings
    finally:
        for name in real.classes:
            vars(module).pop(name, None)
        for builder in (real, plain):
            builder.base.registry.dispose()


def _base(*, dataclasses: bool) -> type[DeclarativeBase]:
    if dataclasses:
        return new_class("Base", (MappedAsDataclass, DeclarativeBase), {"kw_only": True, "eq": False, "repr": False})
    return type("Base", (DeclarativeBase,), {})


@attrs.frozen
class Builder:
    schema: Schema
    prefix: str
    plain: bool
    base: type[DeclarativeBase] = attrs.field(
        default=attrs.Factory(lambda self: _base(dataclasses=self.has_fields), takes_self=True)
    )
    classes: dict[str, type[Any]] = attrs.field(factory=dict)
    secondary: dict[str, Table] = attrs.field(factory=dict)

    @property
    def has_fields(self) -> bool:
        """Whether the classes are dataclasses."""
        return self.schema.dataclasses and not self.plain

    def build(self) -> Mapping:
        metadata = self.base.metadata
        for association in self.schema.associations:
            self.secondary[association.name] = self.association_table(association, metadata)
        for entity in self.schema.entities:
            above = entity.parent or entity.concrete_of
            bases = (self.classes[above],) if above else (self.base,)
            self.classes[entity.name] = type(entity.name, bases, self.attributes(entity))
        for reference in self.schema.references:
            self.constrain(reference)
        for association in self.schema.associations:
            if association.constrained:
                for side, name in (("source", association.source), ("target", association.target)):
                    table = self.secondary[association.name]
                    columns = [table.c[f"{side}_{key}"] for key in self.schema.entity(name).key_names]
                    self.refer(table, columns, name, f"{association.name}_{side}")
        return Mapping(self.schema, self.classes, self.secondary, metadata)

    def attributes(self, entity: Entity) -> dict[str, Any]:
        found: dict[str, Any] = {"__module__": __name__}
        own_table = entity.parent is None or entity.inheritance == "joined"
        if own_table:
            found["__tablename__"] = f"{self.prefix}_{entity.name.lower()}"
            for name, kind in zip(entity.key_names, entity.key, strict=True):
                found[name] = mapped_column(KINDS[kind].make(), primary_key=True, autoincrement=False)
        if entity.inheritance:
            found["__mapper_args__"] = (
                {"polymorphic_abstract": True} if entity.abstract else {"polymorphic_identity": entity.name}
            )
            if entity.parent is None:
                found["kind"] = mapped_column(String)
                found["__mapper_args__"]["polymorphic_on"] = "kind"
            elif own_table:
                parent = self.classes[entity.parent].__table__
                keys = [parent.c[name] for name in entity.key_names]
                found["__table_args__"] = (ForeignKeyConstraint(entity.key_names, keys),)
                if "condition" in entity.arguments:
                    mine = [found[name].column for name in entity.key_names]
                    found["__mapper_args__"] |= {
                        "inherit_condition": and_(*(one == key for one, key in zip(mine, keys, strict=True))),
                        "inherit_foreign_keys": mine,
                    }
        for column in entity.columns:
            deferred = column.deferred and not self.plain
            if column.kind == "computed":
                rank = next(value for name, value in found.items() if name.endswith("rank"))
                found[column.name] = column_property(rank + 100, deferred=deferred)
            else:
                default = {"default": 7} if column.name.endswith("rank") and self.has_fields else {}
                found[column.name] = mapped_column(
                    KINDS[column.kind].make(), nullable=True, deferred=deferred, **default
                )
        for reference in self.schema.references:
            if reference.source == entity.name:
                for name, kind in zip(reference.columns, reference.kinds, strict=True):
                    if name in reference.own_columns:
                        deferred = reference.deferred and not self.plain
                        found[name] = mapped_column(KINDS[kind].make(), nullable=True, deferred=deferred)
        self.further_mapping(entity, found)
        for end in self.schema.all_ends():
            if end.owner == entity.name and (self.plain or not self.schema.is_made(end)):
                found[end.name] = self.relationship(end)
        if self.has_fields:
            found["__annotations__"] = {
                name: self.annotation(value)
                for name, value in found.items()
                if name.endswith("rank") or isinstance(value, RelationshipProperty)
            }
        return found

    def annotation(self, value: Any) -> Any:
        """Return the annotation that makes an attribute a field of a dataclass."""
        if not isinstance(value, RelationshipProperty) or not value.uselist:
            return Mapped[Any]
        handles: dict[Any, Any] = {"dynamic": DynamicMapped[Any], "write_only": WriteOnlyMapped[Any]}
        kinds: dict[Any, Any] = {set: Mapped[set[Any]], OwnList: Mapped[OwnList]}
        if callable(value.collection_class) and not isinstance(value.collection_class, type):
            kinds[value.collection_class] = Mapped[dict[Any, Any]]
        return handles.get(value.lazy, kinds.get(value.collection_class, Mapped[list[Any]]))

    def further_mapping(self, entity: Entity, found: dict[str, Any]) -> None:
        """Add the arguments of the mapper: to both mappings where they say what is mapped, else to ours alone."""
        mapper_arguments = found.setdefault("__mapper_args__", {})
        if entity.concrete_of:
            mapper_arguments["concrete"] = True
        given = set(entity.arguments)
        if {"version", "own_version"} & given:
            found["version"] = mapper_arguments["version_id_col"] = mapped_column(Integer, nullable=False)
        if "own_version" in given:
            mapper_arguments["version_id_generator"] = False
        if "expression" in given:
            mapper_arguments["polymorphic_on"] = func.coalesce(found["kind"], "none")
        if "exclude" in given or "include" in given:
            names = [name for name in found if not name.startswith("__")]
            found["__table_args__"] = (Column("spare", Integer),)
            mapper_arguments |= (
                {"exclude_properties": ["spare"]} if "exclude" in given else {"include_properties": names}
            )
        if self.plain:
            return
        if "primary_key" in given:
            mapper_arguments["primary_key"] = [found[name] for name in entity.key_names]
        mapper_arguments |= {
            name: value
            for word, name, value in (
                ("eager_defaults", "eager_defaults", True),
                ("partial", "allow_partial_pks", False),
                ("batch", "batch", False),
                ("refresh", "always_refresh", True),
                ("passive_keys", "passive_updates", False),
                ("passive_rows", "passive_deletes", True),
                ("unconfirmed", "confirm_deleted_rows", False),
                ("orphan", "legacy_is_orphan", True),
                ("star", "with_polymorphic", "*"),
                ("inline", "polymorphic_load", "inline"),
                ("selectin", "polymorphic_load", "selectin"),
            )
            if word in given
        }

    def relationship(self, end: End) -> Any:
        return relationship(**self.arguments_of(end))

    def arguments_of(self, end: End) -> dict[str, Any]:
        """Return the arguments of ``relationship()`` for an end."""
        joins = self.joins_of(end) | self.form_of(end)
        if self.plain:
            return joins | {"viewonly": True}
        joins["back_populates"] = end.opposite
        if "backref" in end.arguments and end.opposite and not self.schema.is_made(end):
            joins.pop("back_populates")
            made = {"post_update": False, "passive_updates": True, "sync_backref": None}
            joins["backref"] = backref(end.opposite, **made | self.form_of(self.schema.end(end.opposite)))
        if "by_name" in end.arguments:
            joins["argument"] = end.target
        return joins | (self.field_arguments(end) if self.has_fields else {})

    def joins_of(self, end: End) -> dict[str, Any]:
        """Return the arguments that say which rows an end leads to."""
        joins: dict[str, Any]
        if end.kind == "many-to-many":
            association = next(each for each in self.schema.associations if end in (each.forward, each.backward))
            sides = [("source", association.source), ("target", association.target)]
            near, far = sides if end == association.forward else reversed(sides)
            table = self.secondary[association.name]
            joins = {"secondary": table, "primaryjoin": self.pairing(*near, table)}
            joins["primaryjoin"] = self.with_constant_here(end, joins["primaryjoin"])
            joins["secondaryjoin"] = self.with_constant(end, self.pairing(*far, table), table)
        else:
            reference, forward = self.schema.reference_of(end), end.kind == "many-to-one"
            joins = self.sides(end, reference, forward=forward)
            join = self.reference_join(reference, forward=forward, annotated=not joins)
            joins["primaryjoin"] = self.with_constant_here(end, self.with_constant(end, join))
        return joins | {"argument": lambda: self.classes[end.target]}

    def form_of(self, end: End) -> dict[str, Any]:
        """Return the arguments that say in what form the rows come, and those that say nothing about loading."""
        found: dict[str, Any] = {"uselist": not end.to_one}
        if end.ordered:
            found["order_by"] = lambda: [
                getattr(self.classes[end.target], self.rank_of(end.target)).desc(),
                *(getattr(self.classes[end.target], key) for key in self.schema.entity(end.target).key_names),
            ]
        if end.as_set:
            found["collection_class"] = set
        if not self.plain:
            found |= self.further_arguments(end) | {"lazy": end.lazy, "viewonly": end.viewonly}
        return found

    def field_arguments(self, end: End) -> dict[str, Any]:
        """Return the arguments that say how the field of a dataclass behaves."""
        there: dict[str, Any] = {"default": None} if end.to_one else {"init": False}
        if not end.to_one and not end.as_set and not {*OWN_COLLECTIONS} & {*end.arguments}:
            there = {"default_factory": list, "init": True}
        if end.lazy in {"dynamic", "write_only"}:
            there = {"init": False}
        there |= {"repr": False, "compare": False, "hash": False, "kw_only": True}
        if "dataclass_metadata" in inspect.signature(relationship).parameters:  # since 2.0.42
            there["dataclass_metadata"] = {"why": end.name}
        return there

    def further_arguments(self, end: End) -> dict[str, Any]:
        """Return the arguments that change nothing about which rows a relationship leads to."""
        found: dict[str, Any] = {}
        writes = not end.viewonly
        for each in end.arguments:
            match each:
                case "innerjoin" | "load_on_pending":
                    found[each] = True
                case "passive_deletes":
                    found[each] = writes and end.kind != "many-to-one"
                case "post_update" | "active_history" | "single_parent" if writes:
                    found[each] = True
                case "passive_updates" if writes:
                    found[each] = False
                case "unchecked" if writes:
                    found["enable_typechecks"] = False
                case "cascade" if writes:
                    found.setdefault("cascade", "save-update, merge, expunge")
                case "delete_orphan" if writes:
                    found |= {"cascade": "all, delete-orphan", "single_parent": True}
                case "info":
                    found |= {"info": {"why": end.name}, "doc": "says nothing"}
                case "overlaps":
                    found[each] = ",".join(other.name for other in self.schema.all_ends())
                case "join_depth":
                    found[each] = 2
                case "own_comparator":
                    found["comparator_factory"] = OwnComparator
                case "own_query":
                    found["query_class"] = OwnQuery
                case "distinct":
                    found["distinct_target_key"] = True
                case "whole_join":
                    found["omit_join"] = False
                case "ordered_to_one":
                    found["order_by"] = lambda: getattr(self.classes[end.target], self.rank_of(end.target))
                case "own_list":
                    found["collection_class"] = OwnList
                case "keyed" | "keyed_by_column" | "keyed_by_function" if len(self.schema.entity(end.target).key) == 1:
                    found["collection_class"] = self.keyed(end, each)
        if end.viewonly and end.opposite:
            found["sync_backref"] = False
        return found

    def keyed(self, end: End, word: str) -> Any:
        """Return a class of dictionaries by primary key."""
        if word == "keyed_by_column":
            root = self.schema.root(end.target)  # whose class may be mapped later
            return lambda: column_keyed_dict(self.classes[root].__table__.c.id)()
        return attribute_keyed_dict("id") if word == "keyed" else keyfunc_mapping(attrgetter("id"))  # which pickles

    def sides(self, end: End, reference: Reference, *, forward: bool) -> dict[str, Any]:
        """Return ``foreign_keys`` and ``remote_side``, where they say it in place of annotations."""
        same_tables = self.schema.root(reference.source) == self.schema.root(reference.target)
        # SQLAlchemy refuses the arguments beside an annotation, which a constant has
        if "sides_by_argument" not in end.arguments or "constant" in end.arguments or same_tables:
            return {}

        def holders() -> list[Any]:
            return [getattr(self.classes[reference.source], name) for name in reference.columns]

        def keys() -> list[Any]:
            target = self.schema.entity(reference.target)
            return [getattr(self.classes[target.name], name) for name in target.key_names]

        return {"foreign_keys": holders, "remote_side": keys if forward else holders}

    def with_constant(self, end: End, join: Callable[[], Any], table: Table | None = None) -> Callable[[], Any]:
        """Return a join that asks for a rank of the target, or a note in the association, beside the keys."""
        if "constant_there" in end.arguments and table is not None:
            found, join = join, lambda: and_(found(), table.c.note == "x")
        if "constant" not in end.arguments:
            return join
        before = join
        return lambda: and_(before(), remote(getattr(self.classes[end.target], self.rank_of(end.target))) == 1)

    def with_constant_here(self, end: End, join: Callable[[], Any]) -> Callable[[], Any]:
        """Return a join that asks for a rank of the owner as well, if the relationship is such a one."""
        if "constant_here" not in end.arguments:
            return join
        return lambda: and_(join(), getattr(self.classes[end.owner], self.rank_of(end.owner)) == 1)

    def rank_of(self, name: str) -> str:
        """Return the first column of an entity's own, which may be NULL and has ties."""
        return self.schema.entity(name).columns[0].name

    def pairing(self, side: str, name: str, table: Table) -> Callable[[], Any]:
        keys = self.schema.entity(name).key_names
        return lambda: and_(*(getattr(self.classes[name], key) == table.c[f"{side}_{key}"] for key in keys))

    def reference_join(self, reference: Reference, *, forward: bool, annotated: bool) -> Callable[[], Any]:
        keys = self.schema.entity(reference.target).key_names

        def join() -> Any:
            source, target = self.classes[reference.source], self.classes[reference.target]
            pairs = [(getattr(source, a), getattr(target, b)) for a, b in zip(reference.columns, keys, strict=True)]
            if not annotated:
                return and_(*(holder == key for holder, key in pairs))
            if forward:
                return and_(*(foreign(holder) == remote(key) for holder, key in pairs))
            return and_(*(remote(foreign(holder)) == key for holder, key in pairs))

        return join

    def association_table(self, association: Association, metadata: MetaData) -> Table:
        columns = [
            Column(f"{side}_{name}", KINDS[kind].make(), nullable=False)
            for side, entity, kinds in (
                ("source", association.source, association.source_kinds),
                ("target", association.target, association.target_kinds),
            )
            for name, kind in zip(self.schema.entity(entity).key_names, kinds, strict=True)
        ]
        more = Column("note", String, nullable=True)
        table = Table(f"{self.prefix}_{association.name}", metadata, *columns, more)
        if association.unique:
            table.append_constraint(PrimaryKeyConstraint(*columns))
        return table

    def constrain(self, reference: Reference) -> None:
        """Add the constraints of a reference, once all tables are there."""
        table = self.classes[reference.source].__table__
        columns = [table.c[name] for name in reference.columns]
        if reference.promised:
            table.append_constraint(UniqueConstraint(*columns, name=f"{table.name}_{reference.name}_unique"))
        if reference.constrained:
            self.refer(table, columns, reference.target, reference.name)

    def refer(self, table: Table, columns: list[Any], target: str, name: str) -> None:
        referred = self.classes[target].__table__
        keys = [referred.c[key] for key in self.schema.entity(target).key_names]
        table.append_constraint(
            ForeignKeyConstraint(
                columns,
                keys,
                name=f"{table.name}_{name}_exists",
                use_alter=True,
                deferrable=True,
                initially="DEFERRED",
            )
        )
