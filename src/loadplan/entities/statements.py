"""Tree -> the statements that load it: one for the root with all it joins, one for each edge that does not join.

A statement is built once a plan and dialect, and its text is the same for any number of keys where the database has
arrays. Where it has none the keys are an expanding IN, in chunks as SQLAlchemy's own selectinload sends them.
"""

from collections.abc import Sequence
from typing import Any

import attrs
from sqlalchemy import ColumnElement, Dialect, select
from sqlalchemy.orm import aliased

from loadplan import mapping
from loadplan.entities.first_rows import first_rows
from loadplan.entities.options import node_options
from loadplan.keys import Keys, among, keys_of
from loadplan.linked import AnySelect, collection_order, linked
from loadplan.links import Link, LinkKind
from loadplan.tree import Edge, Node, Strategy
from loadplan.whole_tree import in_whole_tree


@attrs.frozen(eq=False)
class Segment:
    """One statement: a node and everything that is joined to it.

    Attributes:
        node: where it starts.
        entity: what it selects: the node's class, or the alias that the mapping relates to.
        statement: with loader options; what it selects first is the node's entity.
        bare: the same rows without options, to take keys from in a subquery.
        unique: whether a join may repeat the rows of the node.
        waits: whether SQLAlchemy sends statements of its own as it makes objects of the rows.
    """

    node: Node
    entity: Any
    statement: AnySelect
    bare: AnySelect
    unique: bool
    waits: bool


@attrs.frozen(eq=False)
class FollowUp:
    """The statement of an edge that does not join, and how its rows find their parents.

    Attributes:
        edge: that it loads.
        segment: the statement; it selects the target, then the link's columns unless the target holds them.
        attributes: the parent's attributes that hold its key.
        in_target: the target's attributes that hold the parent's key; None where columns beside it do.
        keys: how parents' keys are bound; None where a subquery brings them.
        repeats: whether one target may come twice for one parent.
        level_by_level: whether a whole tree takes the statement again for each of its levels.
        how: what the statement does beyond keys, as a sentence for ``explain``; empty if nothing.
    """

    edge: Edge
    segment: Segment
    attributes: tuple[str, ...]
    in_target: tuple[str, ...] | None
    keys: Keys | None
    repeats: bool
    level_by_level: bool = False
    how: str = ""


def root_segment(node: Node) -> Segment:
    """Return the statement that a plan starts with, without a condition yet."""
    bare = select(node.entity)
    return _segment(node, node.entity, bare)


def branch_segment(branch: Node, dialect: Dialect) -> tuple[Segment, Keys]:
    """Return the statement that loads what a subclass adds, and the keys of its objects."""
    keys = keys_of([getattr(branch.entity, name) for name in mapping.primary_key(branch.mapper)], dialect)
    bare = select(branch.entity).where(keys.condition)
    return _segment(branch, branch.entity, bare), keys


def _segment(node: Node, entity: Any, bare: AnySelect) -> Segment:
    """Return a statement of a node with what is joined to it.

    Args:
        node: where it starts.
        entity: what it selects: the node's class, or an alias.
        bare: the statement, without options.
    """
    options = node_options(node, whole=False, entity=entity)
    return Segment(node, entity, bare.options(*options), bare, _repeats_rows(node), _waits(node))


def follow_up(edge: Edge, parent: Node, trail: Sequence[Edge], above: Segment, dialect: Dialect) -> FollowUp:
    """Return the statement of an edge.

    Args:
        edge: select-in or subquery.
        parent: the node whose edge it is.
        trail: the joined edges that lead from the start of ``above`` to ``parent``.
        above: the statement that brings the parents.
        dialect: of the database, which decides how keys are bound.
    """
    prop = parent.mapper.relationships[edge.key]
    ties = linked(prop, parent.mapper, dialect)
    link, target, columns = ties.link, ties.target, ties.columns
    order = collection_order(prop, edge.shape, target)
    in_target = _held_by_target(link, prop, edge.target)
    beside = () if in_target is not None else columns
    keys = None if edge.strategy is Strategy.SUBQUERY else keys_of(columns, dialect)
    among = _among_parents(columns, link, trail, above, dialect) if keys is None else keys.condition
    how, level_by_level, entity = "", False, target
    if keys is not None and edge.shape.limit is not None:
        rows = ties.statement.where(*edge.shape.where)
        level_by_level = edge.shape.depth == "all"
        first = first_rows(rows, edge, link, keys, target, order, dialect)
        statement, entity, how = first.statement, first.entity, first.how
        if in_target is not None:
            statement = statement.with_only_columns(entity, maintain_column_froms=True)
    else:
        if keys is not None and edge.shape.depth == "all":
            level_by_level = link.kind is LinkKind.PARENT
            if not level_by_level:
                among = in_whole_tree(ties.statement.where(*edge.shape.where), link, keys, target)
                how = "one recursive statement for the whole tree"
        statement = ties.statement.with_only_columns(target, *beside).where(among, *edge.shape.where)
        statement = statement.order_by(*(each.clause for each in order))
    if level_by_level:
        how = f"{how + '; ' if how else ''}the statement again for each level of the tree"
    return FollowUp(
        edge,
        _segment(edge.target, entity, statement),
        link.attributes,
        in_target,
        keys,
        repeats=link.repeats or edge.shape.depth == "all",  # chunks of keys may reach the same part of a tree
        level_by_level=level_by_level,
        how=how,
    )


def _held_by_target(link: Link, prop: Any, target: Node) -> tuple[str, ...] | None:
    """Return the target's attributes for the link's columns, if they are loaded anyway."""
    if link.kind is not LinkKind.TARGET:
        return None
    names = [mapping.attribute_of(prop.mapper, column) for column in link.columns]
    held = tuple(name for name in names if name is not None and name in target.columns)
    return held if len(held) == len(names) else None


def _among_parents(
    columns: Sequence[ColumnElement[Any]], link: Link, trail: Sequence[Edge], above: Segment, dialect: Dialect
) -> ColumnElement[bool]:
    """Return the condition that ``columns`` are keys of parents, by the statement that brings those as a subquery."""
    root = above.entity
    if not trail:
        parents = above.bare.with_only_columns(*(getattr(root, name) for name in link.attributes))
    else:
        root_keys = [getattr(root, name) for name in mapping.primary_key(above.node.mapper)]
        here = among(root_keys, above.bare.with_only_columns(*root_keys), dialect)
        entity, joined = root, []
        for edge in trail:
            mapped = mapping.target_entity(mapping.mapper_behind(entity), edge.key)
            below = mapped if edge.to_alias else aliased(mapped)
            joined.append(getattr(entity, edge.key).of_type(below))
            entity = below
        parents = select(*(getattr(entity, name) for name in link.attributes)).select_from(root).where(here)
        for each in joined:
            parents = parents.join(each)
    return among(columns, parents, dialect)  # its tables are its own, though the targets may be of the same


def _repeats_rows(node: Node) -> bool:
    """Tell whether a join of the node's statement may bring several rows for one of its objects.

    A collection does, and so does a one-to-one that no constraint keeps from having two.
    """
    return any(not edge.single or _repeats_rows(edge.target) for edge in node.edges if edge.strategy.joins)


def _waits(node: Node) -> bool:
    """Tell whether rows of the node, or of what is joined to it, may have SQLAlchemy send more statements."""
    below = (edge.target for edge in node.edges if edge.strategy.joins)
    return bool(mapping.polymorphic_statements(node.mapper)) or any(map(_waits, below))
