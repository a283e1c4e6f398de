"""Resolves view classes against the mapping into a tree, and finds every problem."""

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
from sqlalchemy.ext.hybrid import HybridExtensionType
from sqlalchemy.orm import (
    Mapper,
    QueryableAttribute,
)

from loadplan.declared.sources import Aggregate, KeepDefault, Source
from loadplan.declared.spec import Load, On, Plan
from loadplan.errors import Problem
from loadplan.mapped import mapping
from loadplan.resolved import problems as plan_problems
from loadplan.resolved import source_problems
from loadplan.resolved import view_load_problems as load_problems
from loadplan.resolved import view_problems as problems
from loadplan.resolved.conditions import parameters_once
from loadplan.resolved.form import OfType
from loadplan.resolved.form import load_problems as form_problems_of
from loadplan.resolved.meant_paths import Written
from loadplan.resolved.parts import key_of
from loadplan.resolved.resolving import resolve_once
from loadplan.resolved.tree import (
    Choose,
    Make,
    Place,
    Recipe,
    Tree,
    edges_below,
    places_from,
)
from loadplan.resolved.view_loads import At, Loads, Spot, Trail, belongs
from loadplan.resolved.view_relationships import RelationshipResolver
from loadplan.resolved.view_values import expression_column
from loadplan.view_classes.annotations import (
    annotation_source,
    literal_values,
    members_with_branches,
)
from loadplan.view_classes.classes import is_view_class, read_class
from loadplan.view_classes.fields import Field, Unreadable, ViewClass, reads_a_part


def resolve_view(plan: Plan[Any]) -> Tree:
    """Resolve a plan with ``into=`` against the mapping, and return its tree. This happens once for each plan.

    Raises:
        PlanError: the plan has problems. The error lists all of them.
    """
    return resolve_once(plan, _view)


def _view(plan: Plan[Any], mapper: Mapper[Any], found: list[Problem]) -> Tree | None:
    at = (plan.label,)
    given = (word for word in ("only", "defer") if getattr(plan, word) is not None)
    found.extend(load_problems.columns_of_view(word, plan.label, at) for word in given)
    root = Place(mapper, plan.entity, ())
    resolver = _Resolver(found)
    recipe = resolver.object(plan.into, root, Loads(plan.loads), annotation_source(plan.into), at, Trail())
    if recipe is None:
        return None
    return Tree(plan.label, root, recipe, parameters_once(_expressions(root)))


@attrs.frozen
class _Resolver(RelationshipResolver):
    """Walks through view classes and mappers. It adds each problem to ``found`` and goes on."""

    # --- objects --------------------------------------------------------------------------------------------------

    def object(self, annotation: Any, place: Place, loads: Loads, field: str, at: At, trail: Trail) -> Recipe | None:
        """Return the recipe for the object of a row. The annotation is one class or a union of classes."""
        members = list(members_with_branches(annotation))
        if len(members) == 1 and members[0][1] is None:
            return self.make(members[0][0], place, loads, at, trail)
        trail = attrs.evolve(trail, containers=(*trail.containers, (annotation, place.mapper)))
        return self.choose(members, place, loads, field, at, trail)

    def make(self, annotation: Any, place: Place, loads: Loads, at: At, trail: Trail) -> Make | None:
        """Return the recipe for an object of one class."""
        if mapping.mapper_of(annotation) is not None:
            self.found.append(problems.mapped_class(annotation.__name__, at))
            return None
        try:
            view = read_class(annotation)
        except Unreadable as error:
            self.found.append(problems.unreadable_class(error, at))
            return None
        self.check_plans(loads, annotation, place, at)
        inside = attrs.evolve(trail, containers=(*trail.containers, (annotation, place.mapper)))
        spots = [Spot(each, f"{view.name}.{each.name}", at, _written(each, place)) for each in view.fields]
        readers = [self.relationship_of(spot, place) for spot in spots]
        fields: list[tuple[str, Recipe]] = []
        for spot, reader in zip(spots, readers, strict=True):
            shared = reader is not None and readers.count(reader) > 1
            recipe = self.field(view, spot, place, loads, inside, shared=shared)
            if recipe is not None:
                fields.append((spot.field.name, recipe))
        known = {key for key in readers if key is not None}
        for item in loads.unread():
            if isinstance(item, OfType):
                entity = mapping.mapper_of(item.entity) or place.mapper
                self.found.append(load_problems.unread_type(view.name, entity, place.mapper, at))
            elif isinstance(item, On):
                self.found.append(load_problems.unread_branch(view.name, item.entity.__name__, at))
            elif mapping.relationship(place.mapper, key_of(item)) is None:
                owner = None if isinstance(item.relationship, str) else item.relationship.parent.mapper
                self.found.append(plan_problems.no_relationship(place.mapper, key_of(item), owner, at))
            elif item.into is not None and key_of(item) in known:
                items = [
                    annotation_source(spot.type.item)
                    for spot, key in zip(spots, readers, strict=True)
                    if key == key_of(item)
                ]
                into = annotation_source(item.into)
                self.found.append(load_problems.unread_into(view.name, key_of(item), into, items, at))
            else:
                self.found.append(load_problems.unread_load(view.name, key_of(item), known, at))
        return Make(view, place, tuple(fields))

    def check_plans(self, loads: Loads, annotation: Any, place: Place, at: At) -> None:
        """Check the plans that are nested at a place: their entity, and their view class."""
        for plan in loads.plans:
            entity = mapping.mapper_of(plan.entity)
            if entity is None or not place.mapper.isa(entity):
                self.found.append(plan_problems.wrong_plan(place.mapper, plan, at))
            elif plan.into is not None and plan.into != annotation:
                item = annotation_source(annotation)
                self.found.append(load_problems.nested_into(plan.label, annotation_source(plan.into), item, at))
            given = (word for word in ("only", "defer") if getattr(plan, word) is not None)
            self.found.extend(load_problems.columns_of_view(word, annotation_source(annotation), at) for word in given)

    def choose(
        self,
        members: Sequence[tuple[Any, On[Any] | None]],
        place: Place,
        loads: Loads,
        field: str,
        at: At,
        trail: Trail,
    ) -> Choose | None:
        """Resolve a union: find the subclass for each member, and the fields that are read from its rows."""
        mapper = place.mapper
        if mapper.polymorphic_on is None:
            self.found.append(problems.not_polymorphic(field, mapper, at))
            return None
        chosen: dict[Mapper[Any], Any] = {}
        for member, branch in members:
            sub = self.subclass_of(member, branch or loads.branch_of(member), mapper)
            if sub is None:
                self.found.append(problems.no_branch(field, annotation_source(member), mapper, at))
            else:
                chosen[sub] = member
        if len(chosen) < len(members):
            return None
        rows: dict[Mapper[Any], list[Any]] = {sub: [] for sub in chosen}
        missing: list[str] = []
        for identity, each in mapper.polymorphic_map.items():
            if each.isa(mapper):
                owner = next((above for above in each.iterate_to_root() if above in chosen), None)
                if owner is None:
                    missing.append(each.class_.__name__)
                else:
                    rows[owner].append(identity)
        if missing:
            self.found.append(problems.uncovered(field, sorted(missing), mapper, at))
        discriminator = mapper.polymorphic_on
        name = mapping.attribute_of(mapper, discriminator)
        is_attribute = any(each.key == name for each in mapping.column_attributes(mapper))  # it is not a ConcreteBase
        column = self.column(place, name or "") if is_attribute else expression_column(place, "type", discriminator)
        recipes = []
        self.apart[place] = self.apart.get(place, frozenset()) | (chosen.keys() - {mapper})
        for sub, member in chosen.items():
            recipe = self.member(member, sub, place, loads, (*at, annotation_source(member)), trail)
            if recipe is not None:
                recipes.append((tuple(rows[sub]), recipe))
        return Choose(column, tuple(recipes), field)

    def member(self, member: Any, sub: Mapper[Any], place: Place, loads: Loads, at: At, trail: Trail) -> Recipe | None:
        """Return the recipe for the rows of one subclass. Its own columns are joined to the row."""
        nested = Loads([*loads.loads, *loads.branch_for(sub.class_)], read=loads.loads)
        if sub is place.mapper:
            return self.make(member, place, nested, at, trail)
        shown = annotation_source(member)
        return self.added(sub, shown, place, lambda target: self.make(member, target, nested, at, trail), shown)

    def subclass_of(self, member: Any, branch: On[Any] | None, mapper: Mapper[Any]) -> Mapper[Any] | None:
        """Return the subclass for a member of a union. ``on(...)`` or a Literal of the discriminator names it."""
        if branch is not None:
            sub = mapping.mapper_of(branch.entity)
            return sub if sub is not None and sub.isa(mapper) else None
        if not is_view_class(member):
            return None
        name = mapping.attribute_of(mapper, mapper.polymorphic_on) if mapper.polymorphic_on is not None else None
        try:
            fields = read_class(member).fields
        except Unreadable:
            return None
        read = ((each, {each.name, *(path[0] for path in each.aliases)}) for each in fields)
        values = next((literal_values(each.type.given) for each, names in read if name in names), ())
        subs = [mapper.polymorphic_map[value] for value in values if value in mapper.polymorphic_map]
        return next((sub for sub in subs if all(each.isa(sub) for each in subs)), None)

    # --- fields ---------------------------------------------------------------------------------------------------

    def relationship_of(self, spot: Spot, place: Place) -> str | None:
        """Return the name of the first relationship that a field reads, or None."""
        marker = next(iter(spot.type.markers), None)
        step: Any = spot.key(place.mapper)
        if isinstance(marker, Load):
            step = marker.relationship
        elif isinstance(marker, Source) and marker.path:
            step = marker.path[0]
        elif marker is not None:
            return None
        key = step.key if isinstance(step, QueryableAttribute) else step
        prop = mapping.relationship(place.mapper, key) if isinstance(key, str) else None
        return None if prop is None else prop.key

    def field(
        self, view: ViewClass, spot: Spot, place: Place, loads: Loads, trail: Trail, *, shared: bool
    ) -> Recipe | None:
        """Return the recipe for a field, and check that its annotation fits the value that it reads."""
        markers = spot.type.markers
        if spot.type.strays:
            code = spot.written.meant()
            self.found.extend(problems.stray_annotation(spot.name, each, spot.at, code) for each in spot.type.strays)
            return None
        if len(markers) > 1:
            self.found.append(problems.several_sources(spot.name, markers, spot.at))
            return None
        marker = markers[0] if markers else None
        if isinstance(marker, KeepDefault):
            if not spot.field.has_default:
                self.found.append(problems.no_default(spot.name, spot.at))
            return None
        if isinstance(marker, Aggregate):
            return self.aggregate(marker, spot, place)
        if isinstance(marker, Source) and marker.modifiers:
            self.found.append(problems.stray_annotation(spot.name, marker, spot.at))
            return None
        if isinstance(marker, Source):
            return self.path(list(marker.path), spot, place, loads, trail, shared=shared)
        if isinstance(marker, Load):
            wrong = list(form_problems_of(marker, spot.at))
            if wrong:
                self.found.extend(wrong)
                return None
            prop = mapping.relationship(place.mapper, key_of(marker))
            if prop is None or not belongs(marker.relationship, place.mapper):
                self.found.append(source_problems.wrong_step(spot.name, marker.relationship, place.mapper, spot.at))
                return None
            return self.relationship(prop, spot, place, Loads([marker, *loads.loads]), trail, shared=False, used=loads)
        if len(spot.path(place.mapper)) > 1:
            self.found.append(problems.unreadable_class(reads_a_part(spot.field.name), spot.at))
            return None
        return self.attribute(view, spot, place, loads, trail, shared=shared)

    def attribute(
        self, view: ViewClass, spot: Spot, place: Place, loads: Loads, trail: Trail, *, shared: bool
    ) -> Recipe | None:
        """Return the recipe for a field that reads the attribute with its name or alias."""
        name = spot.key(place.mapper)
        prop = mapping.relationship(place.mapper, name)
        if prop is not None:
            return self.relationship(prop, spot, place, loads, trail, shared=shared)
        descriptor = place.mapper.all_orm_descriptors.get(name)
        if descriptor is not None and descriptor.extension_type is HybridExtensionType.HYBRID_METHOD:
            self.found.append(problems.method_of_entity(spot.name, place.mapper.class_.__name__, name, spot.at))
            return None
        if descriptor is None:
            self.found.append(problems.unknown_field(view, spot.field, place.mapper, spot.at))
            return None
        step = getattr(place.entity, name)
        path = _proxied(step, place)
        if path is not None:
            return self.path(path, spot, place, Loads(()), Trail(), shared=False)
        return self.value(step, spot, place)


def _written(field: Field, place: Place) -> Written:
    """Return the source of a field as it is written: its own, or one that stands beside its type by mistake."""
    kind = field.type
    return Written(place.mapper, next(iter((*kind.markers, *kind.strays)), None), kind)


def _expressions(root: Place) -> Iterator[Any]:
    """Yield the selected expressions of a tree, then its conditions, orders and aggregates."""
    for place in places_from(root):
        yield from (column.expression for column in place.columns)
    for edge in edges_below(root):
        yield from (*edge.shape.where, *(edge.shape.order_by or ()))
        if edge.aggregation is not None and edge.aggregation.expression is not None:
            yield edge.aggregation.expression


def _proxied(step: Any, place: Place) -> list[Any] | None:
    """Return the path that an association proxy stands for; None if the step is not a proxy."""
    if getattr(step, "target_collection", None) is None:
        return None
    collection = getattr(place.entity, step.target_collection)
    return [collection, getattr(collection.property.mapper.class_, step.value_attr)]
