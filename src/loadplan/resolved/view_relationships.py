"""Resolves fields that read relationships: their edges, the rows of each edge, and the objects made from these rows."""

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, get_origin

import attrs
from sqlalchemy.orm import Mapper, QueryableAttribute, RelationshipProperty

from loadplan.declared.sources import Aggregate
from loadplan.declared.spec import Load, comparable, load
from loadplan.mapped import mapping
from loadplan.mapped.cardinality import Cardinality
from loadplan.resolved import problems as plan_problems
from loadplan.resolved import source_problems, view_load_problems
from loadplan.resolved import view_problems as problems
from loadplan.resolved.conditions import conditions_on, order_problems, shape_problems
from loadplan.resolved.fitting import spelled, why_empty
from loadplan.resolved.form import MOST_LEVELS
from loadplan.resolved.meant_paths import column_that_fits, values_of_rows
from loadplan.resolved.parts import key_of
from loadplan.resolved.tree import Edge, Many, One, Place, Recipe, Shape, Total
from loadplan.resolved.view_loads import At, Loads, Spot, Trail, belongs
from loadplan.resolved.view_values import ValueResolver
from loadplan.sqlalchemy_internals import criteria_of, keyed_by, subtype_of
from loadplan.view_classes.annotations import Container, annotation_source, members_with_branches, read_annotation
from loadplan.view_classes.classes import is_view_class, read_class
from loadplan.view_classes.fields import Unreadable, is_subclass


@attrs.frozen
class RelationshipResolver(ValueResolver, abc.ABC):
    """Resolves fields that read relationships, and adds each problem to ``found``."""

    @abc.abstractmethod
    def object(self, annotation: Any, place: Place, loads: Loads, field: str, at: At, trail: Trail) -> Recipe | None:
        """Return the recipe for the object of a row. The annotation is one class or a union of classes."""

    def path(
        self, steps: list[Any], spot: Spot, place: Place, loads: Loads, trail: Trail, *, shared: bool
    ) -> Recipe | None:
        """Resolve ``source(...)``: a path of relationships with a value at its end."""
        if not steps:
            self.found.append(source_problems.empty_source(spot.name, spot.at, spot.written))
            return None
        step, rest = steps[0], steps[1:]
        if isinstance(step, Aggregate) and not rest:
            return self.aggregate(step, spot, place)
        key = step.key if isinstance(step, QueryableAttribute) else None
        prop = mapping.relationship(place.mapper, key) if key is not None else None
        if not rest and (prop is None or not belongs(step, place.mapper)):
            if isinstance(step, QueryableAttribute) and not belongs(step, place.mapper):
                self.found.append(
                    source_problems.wrong_step(spot.name, step, place.mapper, spot.at, written=spot.written)
                )
                return None
            return self.value(step, spot, place)
        prop = self.step(step, spot, place.mapper)
        if prop is None or not isinstance(step, QueryableAttribute):
            return None
        if not rest:
            if not (criteria_of(step) or subtype_of(step)):
                return self.relationship(prop, spot, place, loads, trail, shared=shared)
            said = Loads([load(step), *loads.loads])
            return self.relationship(prop, spot, place, said, trail, shared=False, used=loads)
        carried = self.carried(step, prop, spot)
        if carried is None:
            return None
        if prop.uselist:
            return self.collected(step, rest, spot, place, loads, carried)
        shape = Shape(where=carried)
        at = (*spot.at, spot.field.name)
        self.found.extend((*shape_problems(place.mapper, prop, shape, None, at), *order_problems(prop, shape, at)))
        below = attrs.evolve(trail, whole={}, levels={}, ends={})
        return self.to_one(prop, shape, None, spot, place, lambda target: self.onward(step, rest, spot, target, below))

    def onward(self, step: Any, rest: list[Any], spot: Spot, target: Place, trail: Trail) -> Recipe | None:
        """Resolve the rest of a path from the end of a step, or from the subclass of its ``of_type()``."""
        sub = mapping.mapper_of(subtype_of(step))
        if sub is None or sub is target.mapper:
            return self.path(rest, spot, target, Loads(()), trail, shared=False)
        required = spot.name if spot.needs_value else None
        return self.added(
            sub, spot.name, target, lambda place: self.path(rest, spot, place, Loads(()), trail, shared=False), required
        )

    def added(
        self,
        sub: Mapper[Any],
        field: str,
        place: Place,
        resolve_end: Callable[[Place], Recipe | None],
        required: str | None,
    ) -> Recipe | None:
        """Resolve a value that only rows of a subclass have. Their own columns are joined to the row."""
        name = str(sub.class_.__name__)
        target = Place(sub, sub.class_, (*place.path, name))
        self.apart[target] = self.apart.get(place, frozenset()) - {sub}
        recipe = resolve_end(target)
        if recipe is None:
            return None
        edge = Edge(name, field, place, None, Cardinality.ONE_TO_ONE, target, single=True)
        edge.outputs.append(recipe)
        place.edges.append(edge)
        return One(edge, 0, required)

    def collected(
        self, step: Any, rest: list[Any], spot: Spot, place: Place, loads: Loads, carried: tuple[Any, ...]
    ) -> Recipe | None:
        """Resolve a collection of values: a path that continues after a relationship to many."""
        prop = mapping.relationship(place.mapper, step.key)
        assert prop is not None  # noqa: S101 - the caller found it
        name = f"{place.mapper.class_.__name__}.{prop.key}"
        last = rest[-1]
        if spot.type.container is None and isinstance(last, Aggregate) and last.kind in _TOTALS:
            counts = attrs.evolve(spot.type, container=Container.LIST, optional=True)
            parts = self.collected(step, rest, spot.of(counts), place, loads, carried)
            return Total(parts, _TOTALS[last.kind]) if isinstance(parts, Many) else None
        if spot.type.container is None:
            shown = annotation_source(spot.type.given)
            self.found.append(source_problems.collection_in_path(spot.name, name, shown, rest, spot.at, spot.written))
            return None
        item = read_annotation(spot.type.item, {})
        target = self.place_below(place, prop)
        shape, given, _ = self.shape(prop, place, loads.of(prop.key, (), shared=False), spot)
        shape = attrs.evolve(shape, where=(*carried, *shape.where))
        at = (*spot.at, spot.field.name)
        carried_only = Shape(where=carried)
        self.found.extend(
            (*shape_problems(place.mapper, prop, carried_only, None, at), *order_problems(prop, shape, at))
        )
        flat = item.container is None and any(map(_is_to_many, rest)) and spot.type.container is not Container.DICT
        if flat:  # the result has the items of all collections on the path, one after the other
            item = attrs.evolve(spot.type, container=Container.LIST, optional=True)
        recipe = self.onward(step, rest, spot.of(item), target, Trail())
        if recipe is None:
            return None
        edge = self.edge(place, prop, target, spot, shape, given)
        edge.outputs.append(recipe)
        place.edges.append(edge)
        many = self.many(edge, spot)
        return attrs.evolve(many, flat=flat) if isinstance(many, Many) else None

    def many(self, edge: Edge, spot: Spot) -> Recipe | None:
        """Return the collection at the end of an edge, in the container that the field asks for."""
        container, prop = spot.type.container, edge.prop
        assert container is not None  # noqa: S101 - the callers asked
        assert prop is not None  # noqa: S101
        if container is not Container.DICT:
            return Many(edge, container)
        names = keyed_by(prop)
        columns = mapping.columns_behind(prop.mapper, names[0]) if names and len(names) == 1 else None
        if columns is None or len(columns) != 1:  # a composite has several
            shown = annotation_source(spot.type.item)
            self.found.append(problems.no_dictionary_key(spot.name, shown, prop, spot.at))
            return None
        column = self.column(edge.target, columns[0])  # for a synonym, the attribute that it names
        self.fits_key(column, spot, f"'{prop.mapper.class_.__name__}.{columns[0]}'")
        return Many(edge, container, column)

    def relationship(
        self,
        prop: RelationshipProperty[Any],
        spot: Spot,
        place: Place,
        loads: Loads,
        trail: Trail,
        *,
        shared: bool,
        used: Loads | None = None,
    ) -> Recipe | None:
        """Resolve a field that holds one or many objects at the end of a relationship."""
        kind, name = spot.type, f"{place.mapper.class_.__name__}.{prop.key}"
        said = [each for each in loads.loads if key_of(each) == prop.key]
        is_first = (
            prop.uselist and kind.container is None and any(each.limit == 1 and each.depth is None for each in said)
        )
        if prop.uselist and kind.container is None and not is_first:
            self.not_many(prop, spot, name)
            return None
        if not prop.uselist and kind.container is not None:
            empty = why_empty(prop, Shape()) is not None
            right = f"'{spelled(kind.item, optional=empty)}'"
            if kind.item is Any or kind.container is Container.DICT:
                right = f"with a class that has fields of '{prop.mapper.class_.__name__}'"
            self.found.append(problems.not_to_many(spot.name, annotation_source(kind.given), right, name, spot.at))
            return None
        members = [member for member, _ in members_with_branches(kind.item)]
        open_item = kind.item is Any or kind.item is object or isinstance(kind.item, TypeVar)
        level = trail.levels.get(prop.key)
        named = [level] if level is not None else []
        items = [each.into for each in said if each.into is not None] if open_item else members
        # the load(...) of the field gives the depth of its tree; each level inside has the rest of the depth
        named += (loads if used is None or level is None else used).of(prop.key, items, shared=shared)
        if used is not None:
            used.of(prop.key, items, shared=shared)
        item = kind.item
        into = next((each.into for each in named if each.into is not None), None)
        if into is not None and (open_item or len(members) == 1):
            item, members = into, [into]
        at = (*spot.at, spot.field.name)
        if any(mapping.mapper_of(each) is not None for each in members):
            self.found.append(problems.mapped_class(annotation_source(item), at))
            return None
        if not all(map(is_view_class, members)):
            self.not_a_view(members, spot, prop, at)
            return None
        around = (item, prop.mapper) in trail.containers
        if around and prop.key in trail.whole:
            edge = trail.whole[prop.key]
            return self.many(edge, spot) if prop.uselist else One(edge, 0, self.required(edge, spot))
        if around and prop.key in trail.ends:
            if not spot.field.has_default:
                self.found.append(problems.no_default_at_depth(spot.name, trail.ends[prop.key], spot.at))
            return None
        shape, load, below = self.shape(prop, place, named, spot)
        self.found.extend(order_problems(prop, shape, at))
        begins_again = shape.depth is None or (item, prop.mapper) in trail.trees
        if around and begins_again and level is None:
            several = self.leads_back_twice(trail.containers[-1][0], item)
            self.found.append(
                problems.contains_itself(spot.name, annotation_source(item), prop, spot.at, several=several)
            )
            return None
        return self.objects(prop, item, shape, load, below, spot, place, trail, at)

    def leads_back_twice(self, view: Any, item: Any) -> bool:
        """Tell whether several fields of a class hold the class again.

        A depth for one field does not end the others.
        """
        return sum(1 for each in read_class(view).fields if item in (each.type.item, each.type.given)) > 1

    def not_many(self, prop: RelationshipProperty[Any], spot: Spot, name: str) -> None:
        """Report a field that holds one value of a relationship to many."""
        given = spot.type.given
        shown = annotation_source(given)
        if given is Any or given is object:
            self.found.append(problems.unsaid_items(spot.name, prop, spot.at))
        elif is_subclass(given, "pydantic", "RootModel"):
            self.not_a_view([given], spot, prop, (*spot.at, spot.field.name))
        elif get_origin(given) is tuple:
            self.found.append(problems.one_tuple(spot.name, shown, name, spot.at))
        else:
            hint = None
            if isinstance(given, type) and _is_plain_value(given):
                hint = values_of_rows(given, shown, spot.written.path_to(prop), prop.mapper)
            self.found.append(problems.not_a_collection(spot.name, shown, name, spot.at, hint))

    def not_a_view(self, members: Sequence[Any], spot: Spot, prop: RelationshipProperty[Any], at: At) -> None:
        """Report an item that is not a class with fields."""
        wrong = next((each for each in members if not is_view_class(each)), members[0])
        if wrong is Any or wrong is object:
            self.found.append(problems.unsaid_items(spot.name, prop, spot.at))
            return
        try:
            read_class(wrong)
        except Unreadable as error:
            if isinstance(wrong, type) and _is_plain_value(wrong):
                shown = spelled(spot.type.given, optional=spot.type.optional)
                column = column_that_fits(prop.mapper, wrong)
                way = spot.written.path_to(prop)
                self.found.append(problems.not_an_item(spot.name, shown, prop, column, way, spot.at))
            else:
                self.found.append(problems.unreadable_class(error, at))

    def objects(
        self,
        prop: RelationshipProperty[Any],
        item: Any,
        shape: Shape,
        load: Load[Any] | None,
        below: list[Any],
        spot: Spot,
        place: Place,
        trail: Trail,
        at: At,
    ) -> Recipe | None:
        """Resolve the objects at the end of a relationship, and its edge."""
        depth = shape.depth
        inside = attrs.evolve(trail, whole={}, levels={}, ends={})
        if depth is not None:
            inside = attrs.evolve(inside, trees=(*trail.trees, (item, prop.mapper)))
        if isinstance(depth, int) and load is not None:
            left = attrs.evolve(load, depth=depth - 1)
            if 1 < depth <= MOST_LEVELS:
                inside = attrs.evolve(inside, levels={prop.key: left})
            else:
                level = sum(1 for each in place.path if each.endswith(f".{prop.key}")) + 1
                inside = attrs.evolve(inside, ends={prop.key: level})
            shape = attrs.evolve(shape, depth=None)

        def resolve_item(target: Place, within: Trail = inside) -> Recipe | None:
            return self.object(item, target, Loads(below), spot.name, at, within)

        whole = depth == "all"
        if not prop.uselist and not whole:
            return self.to_one(prop, shape, load, spot, place, resolve_item)
        target = self.place_below(place, prop)
        edge = self.edge(place, prop, target, spot, shape, load)
        is_first = prop.uselist and spot.type.container is None
        if is_first:  # a statement, or an array, of the first row of each parent
            edge.cardinality, edge.single = Cardinality.ONE_TO_ONE, False
        place.edges.append(edge)
        within = attrs.evolve(inside, whole={prop.key: edge}) if whole else inside
        recipe = resolve_item(target, within)
        if recipe is None:
            return None
        edge.outputs.append(recipe)
        if spot.type.container in {Container.SET, Container.FROZENSET}:
            self.hashable(item, spot)
        return One(edge, 0, self.required(edge, spot)) if is_first or not prop.uselist else self.many(edge, spot)

    def hashable(self, item: Any, spot: Spot) -> None:
        """Check that a set can hold the items."""
        for member, _ in members_with_branches(item):
            if getattr(member, "__hash__", None) is None and spot.type.container is not None:
                name = annotation_source(member)
                self.found.append(problems.unhashable(spot.name, name, spot.type.container.value, spot.at))

    def to_one(
        self,
        prop: RelationshipProperty[Any],
        shape: Shape,
        load: Load[Any] | None,
        spot: Spot,
        place: Place,
        resolve_end: Any,
    ) -> Recipe | None:
        """Resolve the end of a to-one relationship. Fields that read the same row share one edge."""
        asked = None if load is None else load.strategy
        edge = next((each for each in place.edges if _is_same_way(each, prop, shape, asked)), None)
        is_new = edge is None
        if edge is None:
            edge = self.edge(place, prop, self.place_below(place, prop), spot, shape, load)
            place.edges.append(edge)
        recipe = resolve_end(edge.target)
        if recipe is None:
            if is_new and not edge.outputs:
                place.edges.remove(edge)
            return None
        edge.outputs.append(recipe)
        return One(edge, len(edge.outputs) - 1, self.required(edge, spot))

    def required(self, edge: Edge, spot: Spot) -> str | None:
        """Return the name of the field if it does not allow None. Report the field if the mapping allows NULL."""
        if not spot.needs_value:
            return None
        assert edge.prop is not None  # noqa: S101 - subclasses' parts are not asked about
        reason = why_empty(edge.prop, edge.shape)
        if reason is not None:
            shown = spelled(spot.type.given, optional=False)
            what = f"'{edge.name}'"
            self.found.append(problems.required_but_nullable(spot.name, what, reason, shown, spot.at))
        return spot.name

    def shape(
        self, prop: RelationshipProperty[Any], place: Place, named: Sequence[Load[Any]], spot: Spot
    ) -> tuple[Shape, Load[Any] | None, list[Any]]:
        """Return (shape, load, nested loads) of a relationship, from its loads."""
        name = f"{place.mapper.class_.__name__}.{prop.key}"
        at = (*spot.at, spot.field.name)
        for each in named:
            for word in ("only", "defer"):
                if getattr(each, word) is not None:
                    self.found.append(view_load_problems.columns_of_view(word, annotation_source(spot.type.item), at))
            if each.strategy == "subquery" or (each.strategy == "inner" and prop.uselist):
                self.found.append(view_load_problems.strategy_of_view(each.strategy, name, at))
            if not belongs(each.relationship, place.mapper):
                owner = None if isinstance(each.relationship, str) else each.relationship.parent.mapper
                self.found.append(plan_problems.no_relationship(place.mapper, key_of(each), owner, at))
        words = ("where", "order_by", "limit", "depth", "strategy")
        if any(
            comparable(getattr(named[0], word)) != comparable(getattr(each, word)) for each in named for word in words
        ):
            self.found.append(view_load_problems.disagreeing_loads(spot.name, at))
        below = [item for each in named for item in each.loads]
        if not named:
            return Shape(), None, below
        first = named[0]
        shape = Shape(conditions_on(prop, first.where or ()), first.order_by, first.limit, first.depth)
        self.found.extend(shape_problems(place.mapper, prop, shape, None, at))
        return shape, first, below


#: The function that combines the values of many rows into one, by the kind of the aggregate.
_TOTALS: Mapping[str, Any] = {"count": sum, "exists": any}


def _is_to_many(step: Any) -> bool:
    """Tell whether a step of a path leads to many rows."""
    prop = getattr(step, "property", None) if isinstance(step, QueryableAttribute) else None
    return isinstance(prop, RelationshipProperty) and bool(prop.uselist)


def _is_same_way(edge: Edge, prop: RelationshipProperty[Any], shape: Shape, asked: object) -> bool:
    return (
        edge.prop is prop
        and edge.aggregation is None
        and edge.asked == asked
        and edge.shape.depth is None
        and shape.depth is None
        and comparable(edge.shape.where) == comparable(shape.where)
    )


def _is_plain_value(kind: Any) -> bool:
    """Tell whether a class is a class of plain values, such as ``str``."""
    return kind in {str, int, float, bool, bytes} or kind.__module__ in {"datetime", "decimal", "uuid"}
