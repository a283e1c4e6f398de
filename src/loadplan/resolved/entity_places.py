"""Resolved plan of entities -> the tree of places that statements are built for: an entity is a view of its class."""

from typing import Any

import attrs
from sqlalchemy.orm import Mapper

from loadplan.mapped import mapping
from loadplan.mapped.cardinality import Cardinality
from loadplan.mapped.repeats import other_keys
from loadplan.resolved.nodes import Edge as DeclaredEdge
from loadplan.resolved.nodes import Node, Tree
from loadplan.resolved.places import Column, Edge, Instance, Part, Place, ViewTree


def places_of(tree: Tree) -> ViewTree:
    """Return the places of a resolved plan of entities, with what is made of their rows. Pure."""
    root = Place(tree.root.mapper, tree.root.entity, ())
    return ViewTree(tree.label, root, instance(root, tree.root), tree.parameters)


def instance(place: Place, node: Node, whole: DeclaredEdge | None = None) -> Instance:
    """Fill a place with what a plan declares there, and return what is made of its rows.

    Args:
        place: empty.
        node: what is declared.
        whole: the relationship that leads here and on through a whole tree, if one does.
    """
    fill(place, node)
    parts = tuple(part(place, branch) for branch in node.branches)
    return Instance(place, node, discriminator(place), parts, keys=union_keys(place))


def union_keys(place: Place) -> tuple[Column, ...]:
    """Return the columns of a union that are the keys of parts whose keys have other names, selected at a place."""
    found = tuple(Column(name, each, each.type) for name, each in other_keys(place.mapper).items())
    place.columns += found
    return found


def fill(place: Place, node: Node) -> None:
    """Have the columns and relationships of a node selected at a place."""
    own = {column.name for column in place.columns}
    for prop in mapping.column_attributes(node.mapper):
        if prop.key in node.columns and prop.key not in own:
            attribute = getattr(place.entity, prop.key)
            place.columns.append(Column(prop.key, attribute, attribute.expression.type))
    for prop in mapping.default_expressions(node.mapper):
        place.columns.append(Column(prop.key, getattr(place.entity, prop.key), prop.columns[0].type))
    for each in node.edges:
        place.edges.append(edge(place, each))


def discriminator(place: Place) -> Column | None:
    """Return the column of a place that tells the class of a row, having it selected if it is not yet."""
    mapper = place.mapper
    if mapper.polymorphic_on is None or not mapper.polymorphic_map:
        return None
    name = mapping.attribute_of(mapper, mapper.polymorphic_on)
    for column in place.columns:
        if column.name == name:
            return column
    column = Column("loadplan_type", mapper.polymorphic_on, mapper.polymorphic_on.type)
    place.columns.append(column)
    return column


def part(place: Place, branch: Node) -> Part:
    """Return what a branch for a subclass adds to the rows of a place."""
    sub: Mapper[Any] = branch.mapper
    columns = mapping.columns_in_row(sub, place.mapper, branch.columns)
    in_row = columns is not None and place.entity is place.mapper.class_
    target = Place(sub, sub.class_, branch.path)
    if columns is not None and in_row:  # not as attributes of the subclass, which would hide the other rows
        for key, column in columns.items():
            target.columns.append(Column(key, column, column.type, is_attribute=True))
    way = Edge(
        name=branch.path[-1],
        field=branch.path[-1],
        owner=place,
        prop=None,
        cardinality=Cardinality.ONE_TO_ONE,
        target=target,
        single=True,
        in_row=in_row,
    )
    fill(target, branch)
    place.edges.append(way)
    return Part(way, tuple(part(target, each) for each in branch.branches))


def edge(place: Place, declared: DeclaredEdge) -> Edge:
    """Return a relationship of a place and all that hangs below it."""
    prop = place.mapper.relationships[declared.key]
    target = Place(prop.mapper, mapping.target_entity(place.mapper, declared.key), declared.target.path)
    way = Edge(
        name=declared.name,
        field=declared.name,
        owner=place,
        prop=prop,
        cardinality=declared.cardinality,
        target=target,
        shape=declared.shape,
        single=declared.single,
        asked=declared.asked,
        back=declared.back_reference,
    )
    made = instance(target, declared.target)
    if declared.shape.depth == "all":
        made = attrs.evolve(made, whole=way)
    way.outputs.append(made)
    return way
