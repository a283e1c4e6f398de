"""``LoadPlan.for_schema``: makes a plan of entities that loads the attributes that a response model reads."""

import functools
from collections.abc import Iterable, Iterator, Sequence
from types import CodeType, FunctionType
from typing import Any

import attrs
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapper, RelationshipProperty

from loadplan.declared.sources import Aggregate, Source
from loadplan.declared.spec import Load, load, on
from loadplan.errors import PlanError, Problem, did_you_mean
from loadplan.mapped import mapping
from loadplan.resolved import view_problems
from loadplan.resolved.form import spelled_out
from loadplan.resolved.parts import key_of
from loadplan.resolved.resolving import configure_around, mapper_to_use
from loadplan.view_classes.annotations import FieldType, annotation_source, members_with_branches
from loadplan.view_classes.classes import is_view_class, read_schema
from loadplan.view_classes.fields import SchemaField, Unreadable

At = tuple[str, ...]


def loads_for_schema(
    entity: type[Any], schema: Any, loads: Iterable[Load[Any]], label: str
) -> tuple[list[Any], list[Any] | None]:
    """Return the loads and the columns of the entities that a model reads; see :meth:`loadplan.LoadPlan.for_schema`.

    Raises:
        PlanError: the entity cannot fill some fields. The error lists all of them.
    """
    mapper = mapper_to_use(entity, label)
    if mapper is None and mapping.mapper_of(schema) is not None:
        hint = f"pass the mapped class first: LoadPlan.for_schema({schema.__name__}, {annotation_source(entity)})."
        raise PlanError([Problem("LP200", f"'{annotation_source(entity)}' is not a mapped class", (label,), hint=hint)])
    if mapper is None:
        return [], None  # the plan itself reports that the class is not mapped
    if mapping.mapper_of(schema) is not None and not is_view_class(schema):
        raise PlanError([view_problems.mapped_class(schema.__name__, (label,))])
    configure_around(mapper, (label,))
    reader = _Reader([], f"LoadPlan({entity.__name__}, into={annotation_source(schema)})")
    given = list(loads)
    need = reader.objects(mapper, [member for member, _ in members_with_branches(schema)], given, (label,), ())
    if reader.found:
        raise PlanError(reader.found)
    return [*need.loads(), *need.unread(given)], need.only()


@attrs.define(eq=False)
class _Need:
    """The attributes that a model reads from the objects at one place.

    Attributes:
        mapper: the mapper of the objects' class.
        columns: names of the columns; None for all columns, because loadplan cannot see which ones some code reads.
        relationships: by name of a relationship, the attributes that are read at its end.
        branches: by subclass, the attributes that are read from its objects.
    """

    mapper: Mapper[Any]
    columns: set[str] | None = attrs.field(factory=set)
    relationships: "dict[str, tuple[_Need, Load[Any] | None]]" = attrs.field(factory=dict)
    branches: "dict[Mapper[Any], _Need]" = attrs.field(factory=dict)

    def only(self) -> list[Any] | None:
        """Return the columns for ``only=``. If the model reads no column, return the primary key."""
        if self.columns is None:
            return None
        names = sorted(self.columns) or list(mapping.primary_key(self.mapper))
        return [getattr(self.mapper.class_, name) for name in names]

    def loads(self, without: str | None = None) -> list[Any]:
        """Return the loads of this place. A level of a tree leaves out the relationship of the tree (``without``)."""
        found: list[Any] = [
            load(
                getattr(self.mapper.class_, key),
                *below.loads(key if below is self else None),
                *(() if shape is None else below.unread(shape.loads)),
                only=below.only(),
                **_shape(shape),
            )
            for key, (below, shape) in self.relationships.items()
            if key != without
        ]
        found += [on(sub.class_, *need.loads(), only=need.only()) for sub, need in self.branches.items()]
        return found

    def unread(self, given: Iterable[Any]) -> list[Any]:
        """Return the caller's loads for relationships that the model does not read. The plan loads them, too."""
        return [each for each in given if not (isinstance(each, Load) and key_of(each) in self.relationships)]

    def everything(self) -> None:
        """Note that all columns are read."""
        self.columns = None

    def column(self, names: Iterable[str]) -> None:
        """Note that some columns are read."""
        if self.columns is not None:
            self.columns.update(names)


def _shape(given: Load[Any] | None) -> dict[str, Any]:
    if given is None:
        return {}
    words = ("where", "order_by", "limit", "depth", "strategy")
    return {word: getattr(given, word) for word in words if getattr(given, word) is not None}


@attrs.frozen
class _Reader:
    """Walks through response models and mappers, and adds each problem to ``found``.

    Attributes:
        found: the problems.
        as_view: the code of the plan that builds the model itself.
    """

    found: list[Problem]
    as_view: str

    def objects(
        self,
        mapper: Mapper[Any],
        members: Sequence[Any],
        given: Sequence[Any],
        at: At,
        around: tuple[tuple[Any, Mapper[Any]], ...],
    ) -> _Need:
        """Return the attributes that models read from objects of a class or of its subclasses."""
        need = _Need(mapper)
        for member in members:
            try:
                fields = read_schema(member)
            except Unreadable as error:
                self.found.append(view_problems.unreadable_class(error, at))
                continue
            inside = (*around, (member, mapper))
            for field in fields:
                self.field(need, f"{annotation_source(member)}.{field.name}", field, given, (*at, field.name), inside)
        return need

    def field(
        self, need: _Need, name: str, field: SchemaField, given: Sequence[Any], at: At, around: tuple[Any, ...]
    ) -> None:
        """Add the attributes that a field may read: of its paths, up to the first that surely leads to a value."""
        if field.type.strays:
            self.found.extend(view_problems.stray_annotation(name, each, at) for each in field.type.strays)
            return
        if field.type.keeps_default:
            return
        marker = next(iter(field.type.markers), None)
        if isinstance(marker, Load) and key_of(marker) == field.paths[0][0]:
            given = [marker, *given]
        elif marker is not None and not _reads_its_own(marker, field.paths):
            entity = need.mapper.class_.__name__
            self.found.append(view_problems.beyond_entity(name, entity, self.as_view, marker, at))
            return
        found = False
        for path in field.paths:
            read = [
                self.attribute(place, name, path, field.type, given, at, around) for place in self.places(need, path[0])
            ]
            found = found or any(read)
            if found and len(path) == 1:  # a longer path may lead to nothing, and pydantic then reads the next one
                return
        if not found and not field.has_default:
            self.found.append(self.missing(need.mapper, name, field, at))

    def missing(self, mapper: Mapper[Any], name: str, field: SchemaField, at: At) -> Problem:
        """Return the problem of a field that no attribute of the entity fills."""
        entity, path = mapper.class_.__name__, ".".join(field.paths[0])
        known = [str(key) for key in mapper.all_orm_descriptors.keys()]  # noqa: SIM118 - no dictionary
        known = [key for key in known if not key.startswith("_")]
        hint = did_you_mean(field.paths[0][0], known, f"Attributes of {entity}")
        if hasattr(mapper.class_, field.name) and field.name != path:
            hint = f"pydantic reads objects by the alias '{path}'; set populate_by_name=True in the model_config."
        return Problem("LP303", f"'{entity}' has no '{path}' for '{name}'", at, hint=hint)

    def places(self, need: _Need, key: str) -> Iterator[_Need]:
        """Yield each place whose class has an attribute: this place, or the places of subclasses."""
        if hasattr(need.mapper.class_, key):
            yield need
            return
        for sub in need.mapper.self_and_descendants:
            if hasattr(sub.class_, key):
                above = (each for each in sub.iterate_to_root() if each in need.branches)
                owner = next(above, None)
                yield need.branches[owner] if owner else need.branches.setdefault(sub, _Need(sub))
                return

    def attribute(
        self,
        need: _Need,
        name: str,
        path: tuple[str, ...],
        kind: FieldType,
        given: Sequence[Any],
        at: At,
        around: tuple[Any, ...],
    ) -> bool:
        """Add the columns and relationships that one attribute reads; return False if the path leads to no attribute.

        In a path, an index or a key follows the name of a collection.
        """
        mapper, key = need.mapper, path[0]
        prop = mapping.relationship(mapper, key)
        if prop is not None:
            return self.relationship(need, prop, name, path[2 if prop.uselist else 1 :], kind, given, at, around)
        columns = mapping.columns_behind(mapper, key)
        if columns is not None:
            need.column(columns)
            return True
        proxy = getattr(mapper.class_, key)
        if getattr(proxy, "target_collection", None) is not None:
            through = mapper.relationships[proxy.target_collection]
            rest = (proxy.value_attr, *path[2 if through.uselist else 1 :])
            return self.relationship(need, through, name, rest, kind, given, at, around)
        self.code(need, _code_of(mapper, key), given, set())
        return True

    def relationship(
        self,
        need: _Need,
        prop: RelationshipProperty[Any],
        name: str,
        rest: tuple[str, ...],
        kind: FieldType,
        given: Sequence[Any],
        at: At,
        around: tuple[Any, ...],
    ) -> bool:
        """Add the attributes that a field reads at the end of a relationship; return False if there is none."""
        shapes = [spelled_out(each) for each in given if isinstance(each, Load) and key_of(each) == prop.key]
        shape = shapes[0] if shapes else None
        below = shape.loads if shape is not None else ()
        if rest:
            read = _Need(prop.mapper)
            found = [self.attribute(each, name, rest, kind, below, at, around) for each in self.places(read, rest[0])]
            self.end(need, prop, shape, read)
            return any(found)
        members = [member for member, _ in members_with_branches(kind.item) if is_view_class(member)]
        inner = [member for member in members if (member, prop.mapper) in around]
        is_tree = prop.mapper.isa(prop.parent) and around[-1][0] in inner
        if inner and not is_tree:
            shown = annotation_source(inner[0])
            self.found.append(view_problems.contains_itself(name, shown, prop, at))
            return True
        if inner:
            asked = shape if shape is not None else load(_attribute(prop))
            need.relationships[prop.key] = (need, asked if asked.depth else attrs.evolve(asked, depth="all"))
            return True
        read = self.objects(prop.mapper, members, below, at, around)
        if not members:  # the model takes the object unchanged
            read.everything()
        self.end(need, prop, shape, read)
        return True

    def end(
        self, need: _Need, prop: RelationshipProperty[Any], shape: Load[Any] | None, read: _Need | None = None
    ) -> _Need:
        """Return the place at the end of a relationship. Other fields may read the same place."""
        before, asked = need.relationships.get(prop.key, (None, None))
        merged = before or read or _Need(prop.mapper)
        if before is not None and read is not None:
            _merge(before, read)
        need.relationships[prop.key] = (merged, asked or shape)
        return merged

    def code(self, need: _Need, code: CodeType | None, given: Sequence[Any], seen: set[Any]) -> None:
        """Add the attributes that a property may read: all attributes that its code names."""
        need.everything()
        names = set(_names_in(code))
        mapper = need.mapper
        for key in sorted(names):
            prop = mapping.relationship(mapper, key)
            if prop is not None and (mapper, key) not in seen:
                shape = next(
                    (spelled_out(each) for each in given if isinstance(each, Load) and key_of(each) == key), None
                )
                end = self.end(need, prop, shape)
                end.everything()
                inside = {*seen, (mapper, key)}
                for deeper in sorted(names):
                    again = mapping.relationship(prop.mapper, deeper)
                    if again is not None and (prop.mapper, deeper) not in inside and again.mapper is not mapper:
                        self.end(end, again, None).everything()
            elif prop is None and (inner := _code_of(mapper, key)) is not None and inner not in seen:
                self.code(need, inner, given, {*seen, inner})


def _reads_its_own(marker: Any, paths: Sequence[tuple[str, ...]]) -> bool:
    """Tell whether a source names the same attribute that the model reads without it."""
    path = marker.path if isinstance(marker, Source) else ()
    return len(path) == 1 and (getattr(path[0], "key", None),) == paths[0] and not isinstance(path[0], Aggregate)


def _attribute(prop: RelationshipProperty[Any]) -> Any:
    return getattr(prop.parent.class_, prop.key)


def _merge(one: _Need, other: _Need) -> None:
    """Add all attributes of one need to another."""
    if other.columns is None:
        one.everything()
    else:
        one.column(other.columns)
    for key, (below, shape) in other.relationships.items():
        if key in one.relationships:
            _merge(one.relationships[key][0], below)
        else:
            one.relationships[key] = (below, shape)
    for sub, branch in other.branches.items():
        if sub in one.branches:
            _merge(one.branches[sub], branch)
        else:
            one.branches[sub] = branch


def _code_of(mapper: Mapper[Any], key: str) -> CodeType | None:
    """Return the code behind a property, hybrid or method of a class."""
    for owner in mapper.class_.__mro__:
        found = vars(owner).get(key)
        if found is None:
            continue
        if isinstance(found, hybrid_property | property):
            found = found.fget
        elif isinstance(found, functools.cached_property):
            found = found.func
        return found.__code__ if isinstance(found, FunctionType) else None
    return None


def _names_in(code: CodeType | None) -> Iterator[str]:
    """Yield every name that a piece of code and the functions within it use."""
    if code is None:
        return
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)
