"""Resolves fields with one value: a column, a composite, a hybrid, an expression, or an aggregate of a relationship."""

from typing import Any, get_origin

import attrs
from sqlalchemy import Boolean, ClauseElement, ColumnElement, Integer, SelectBase
from sqlalchemy.orm import CompositeProperty, Mapper, QueryableAttribute, RelationshipDirection, RelationshipProperty
from sqlalchemy.sql import functions
from sqlalchemy.types import NullType

from loadplan.declared.code import source as code_of
from loadplan.declared.sources import Aggregate
from loadplan.declared.spec import Load
from loadplan.errors import Problem
from loadplan.mapped import links, mapping
from loadplan.mapped.elements import element_of, has_aggregate
from loadplan.resolved import source_problems, unloadable
from loadplan.resolved import view_problems as problems
from loadplan.resolved.conditions import conditions_on, foreign_tables, shape_problems
from loadplan.resolved.fitting import misfit, null_without_rows, python_type, spelled
from loadplan.resolved.form import condition_problems
from loadplan.resolved.meant import has_direction
from loadplan.resolved.tree import UNKNOWN, Aggregation, Column, Compose, Computed, Edge, Place, Read, Recipe, Shape
from loadplan.resolved.view_loads import Spot, belongs
from loadplan.sqlalchemy_internals import attribute_behind, criteria_of, subtype_of
from loadplan.view_classes.annotations import annotation_source


@attrs.frozen
class ValueResolver:
    """Resolves fields that hold one value, and adds each problem to ``found``.

    Attributes:
        found: the problems.
        apart: by place, the subclasses whose rows become another view class.
    """

    found: list[Problem]
    apart: dict[Place, frozenset[Mapper[Any]]] = attrs.field(factory=dict)

    def value(self, step: Any, spot: Spot, place: Place) -> Recipe | None:
        """Resolve a field that reads one value of the class at a place: a column, composite, hybrid or expression."""
        mapper = place.mapper
        key = step.key if isinstance(step, QueryableAttribute) else None
        if key is not None and key in mapper.attrs and belongs(step, mapper):
            composite = mapper.attrs[key]
            if isinstance(composite, CompositeProperty):
                self.fits_composite(composite, spot, f"'{mapper.class_.__name__}.{key}'")
                return self.composite(composite, spot, place)
            behind = mapping.columns_behind(mapper, key)
            if behind is None and mapping.has_default_expression(composite):
                return self.derived(getattr(place.entity, key), spot, place)
            if behind is None:
                what = mapping.describe_attribute(mapper, key)
                self.found.append(problems.not_readable(spot.name, f"'{code_of(step)}' is {what}", spot.at))
                return None
            column = self.column(place, behind[0])
            name = f"{mapper.class_.__name__}.{key}"
            if spot.needs_value and mapping.may_be_null(mapper, behind[0]):
                shown = spelled(spot.type.given, optional=False)
                reason = f"column {mapping.column_name(mapper, behind[0])} is nullable"
                self.found.append(problems.required_but_nullable(spot.name, f"'{name}'", reason, shown, spot.at))
            self.fits(column, spot, f"'{name}'")
            return Read(column)
        return self.derived(step, spot, place)

    def derived(self, step: Any, spot: Spot, place: Place) -> Recipe | None:
        """Resolve a value that is not a mapped attribute: a hybrid or an expression."""
        if isinstance(step, SelectBase):
            self.found.append(source_problems.select_as_value(spot.name, step, spot.at))
            return None
        if not isinstance(step, ColumnElement | QueryableAttribute):
            self.found.append(source_problems.not_a_value(spot.name, step, place.mapper, spot.at, spot.written))
            return None
        if has_direction(step) or has_aggregate(step):
            self.found.append(source_problems.not_of_one_row(spot.name, step, spot.at, spot.written))
            return None
        read = step
        if place.entity is place.mapper.class_:
            read = mapping.as_seen_from(place.mapper, step, subclasses=True)
        tables = foreign_tables(mapping.tables_at(place.entity), [read])
        if tables:
            through = None if place.entity is place.mapper.class_ else place.path[-1]
            wrong = source_problems.speaks_of_others(
                spot.name, step, place.mapper, tables, spot.at, spot.written, through=through
            )
            self.found.append(wrong)
            return None
        column = expression_column(place, spot.field.name, read)
        self.fits(column, spot, step)
        return Read(column)

    def fits_composite(self, prop: CompositeProperty[Any], spot: Spot, what: str) -> None:
        """Check that the class of a composite fits an annotation."""
        held, wanted = prop.composite_class, get_origin(spot.type.given) or spot.type.given
        if spot.field.converts or wanted is Any or not (isinstance(held, type) and isinstance(wanted, type)):
            return
        if not (issubclass(held, wanted) or issubclass(wanted, held)):
            shown, right = annotation_source(spot.type.given), spelled(held, optional=spot.type.optional)
            reason = f"it is a composite of class {held.__name__}"
            self.found.append(problems.wrong_type(spot.name, shown, what, reason, right, spot.at))

    def composite(self, prop: CompositeProperty[Any], spot: Spot, place: Place) -> Recipe:
        """Resolve a field that reads a composite."""
        return Compose(tuple(self.column(place, part.key) for part in prop.props), mapping.composite_maker(prop))

    def column(self, place: Place, name: str) -> Column:
        """Return the column of a place by its attribute. All fields that read it share one selected column."""
        for each in place.columns:
            if each.name == name and isinstance(each.expression, QueryableAttribute):
                return each
        attribute = getattr(place.entity, name)
        column = Column(name, attribute, attribute.expression.type, not mapping.may_be_null(place.mapper, name))
        place.columns.append(column)
        return column

    def fits(self, column: Column, spot: Spot, what: Any) -> None:
        """Check that a column fits an annotation.

        ``what`` is the name or the declaration of the column, for the error message.
        """
        if spot.field.converts:
            return
        reason = misfit(column.type, spot.type.given, lenient=spot.field.lenient)
        if reason is None:
            return
        held = python_type(column.type)
        right = None if held is None else spelled(held, optional=spot.type.optional)
        shown, named = annotation_source(spot.type.given), what if isinstance(what, str) else code_of(what)
        self.found.append(problems.wrong_type(spot.name, shown, named, reason, right, spot.at))

    def fits_key(self, column: Column, spot: Spot, what: str) -> None:
        """Check the column that gives the keys of a dictionary."""
        key = spot.type.key
        reason = misfit(column.type, key, lenient=spot.field.lenient)
        held = python_type(column.type)
        if reason is not None and held is not None and not spot.field.converts:
            right = f"dict[{spelled(held, optional=False)}, {annotation_source(spot.type.item)}]"
            self.found.append(problems.wrong_key(spot.name, annotation_source(key), what, reason, right, spot.at))

    def aggregate(self, given: Aggregate, spot: Spot, place: Place) -> Recipe | None:
        """Resolve a count, an existence or an aggregate over a relationship."""
        prop = self.step(given.relationship, spot, place.mapper, given.kind)
        if prop is None:
            return None
        wrong = list(condition_problems("where", given.where, spot.at, prop.mapper.class_))
        if wrong:
            self.found.extend(wrong)
            return None
        carried = self.carried(given.relationship, prop, spot)
        if carried is None:
            return None
        is_first = not prop.uselist and prop.direction is not RelationshipDirection.MANYTOONE
        if given.kind != "exists" and is_first and not links.is_single(prop):
            self.found.append(problems.aggregate_of_first(spot.name, given, prop, spot.at))
            return None
        shape = Shape(where=(*carried, *conditions_on(prop, given.where)))
        self.found.extend(shape_problems(place.mapper, prop, shape, None, (*spot.at, prop.key)))
        target = self.place_below(place, prop)
        kind, expression = aggregation(given), given.expression
        if given.expression is not None:
            if target.entity is prop.mapper.class_:
                expression = mapping.as_seen_from(prop.mapper, given.expression, subclasses=True)
                kind = attrs.evolve(kind, expression=expression)
            tables = foreign_tables(mapping.tables_at(target.entity), [expression])
            if tables:
                step, mapper = given.expression, prop.mapper
                through = None if target.entity is mapper.class_ else target.path[-1]
                found = source_problems.speaks_of_others(
                    spot.name, step, mapper, tables, spot.at, spot.written, through=through
                )
                self.found.append(found)
                return None
            if not isinstance(given.expression, ClauseElement) or attribute_behind(given.expression) is not None:
                self.found.append(source_problems.not_an_aggregate(spot.name, given.expression, spot.at, spot.written))
                return None
            if spot.needs_value and null_without_rows(given.expression):
                shown = spelled(spot.type.given, optional=False)
                reason = f"{code_of(given.expression)} is NULL if there is no row"
                what = code_of(given)
                self.found.append(problems.required_but_nullable(spot.name, what, reason, shown, spot.at))
        column = Column(spot.field.name, given.expression, kind.type)
        self.fits(column, spot, given)
        edge = self.edge(place, prop, target, spot, shape, ordered=False)
        edge.aggregation = kind
        place.edges.append(edge)
        return Computed(edge)

    def step(
        self, step: Any, spot: Spot, mapper: Mapper[Any], word: str = "source"
    ) -> RelationshipProperty[Any] | None:
        """Return the relationship that a step of a path names."""
        prop = None
        if isinstance(step, QueryableAttribute) and belongs(step, mapper):
            prop = mapping.relationship(mapper, step.key)
        if prop is None:
            self.found.append(source_problems.wrong_step(spot.name, step, mapper, spot.at, word, spot.written))
            return None
        wrong = list(condition_problems("where", criteria_of(step), spot.at, prop.mapper.class_))
        self.found.extend(wrong)
        return None if wrong else prop

    def carried(
        self, step: QueryableAttribute[Any], prop: RelationshipProperty[Any], spot: Spot
    ) -> tuple[Any, ...] | None:
        """Return the conditions of an attribute: from ``.and_()``, and a condition for the class in ``.of_type()``."""
        subtype, criteria = subtype_of(step), conditions_on(prop, criteria_of(step))
        if subtype is None:
            return criteria
        sub, mapper = mapping.mapper_of(subtype), prop.mapper
        if sub is None or not sub.isa(mapper) or prop.entity.is_aliased_class or mapper.polymorphic_on is None:
            self.found.append(source_problems.type_of_step(spot.name, step, spot.at))
            return None
        if sub is mapper:
            return criteria
        identities = [identity for identity, each in mapper.polymorphic_map.items() if each.isa(sub)]
        return (mapper.polymorphic_on.in_(identities), *criteria)

    def place_below(self, place: Place, prop: RelationshipProperty[Any]) -> Place:
        """Return a new place at the end of a relationship."""
        name = f"{place.mapper.class_.__name__}.{prop.key}"
        return Place(prop.mapper, mapping.target_entity(place.mapper, prop.key), (*place.path, name))

    def edge(
        self,
        place: Place,
        prop: RelationshipProperty[Any],
        target: Place,
        spot: Spot,
        shape: Shape,
        load: Load[Any] | None = None,
        *,
        ordered: bool = True,
    ) -> Edge:
        """Return a new edge. ``ordered`` is True if the order of the rows matters."""
        self.found.extend(unloadable.problems_of(place.mapper, prop, spot.at))
        apart = self.apart.get(place, frozenset())
        ordered = ordered and not links.is_single(prop) and shape.order_by is None
        found = mapping.mapped_again(place.mapper, prop.key, ordered=ordered)
        again = [sub for sub in found if not any(map(sub.isa, apart))]
        if again:
            self.found.append(problems.mapped_again(spot.name, place.mapper, prop.key, again, spot.at))
        return Edge(
            name=f"{place.mapper.class_.__name__}.{prop.key}",
            field=spot.name,
            owner=place,
            prop=prop,
            cardinality=mapping.cardinality(prop),
            target=target,
            shape=shape,
            single=links.is_single(prop),
            asked=None if load is None else load.strategy,
        )


def aggregation(given: Aggregate) -> Aggregation:
    """Return the aggregation that an annotation declares, with its value for no rows."""
    if given.kind == "count":
        return Aggregation("count", None, Integer(), 0)
    if given.kind == "exists":
        return Aggregation("exists", None, Boolean(), False)
    element: Any = given.expression
    element = element_of(element)
    empty = 0 if isinstance(element, functions.count) else None if null_without_rows(element) else UNKNOWN
    return Aggregation("aggregate", element, getattr(element, "type", None) or NullType(), empty)


def expression_column(place: Place, name: str, expression: Any) -> Column:
    """Return the column of a place for an expression, which its statement selects."""
    element = element_of(expression)
    column = Column(name, expression, element.type)
    place.columns.append(column)
    return column
