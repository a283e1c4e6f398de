"""Tree -> the statements that load it: one for the root with all it joins, one for each edge that does not join.

A statement is built once a plan and dialect, and its text is the same for any number of keys where the database has
arrays. Where it has none the keys are an expanding IN, in chunks as SQLAlchemy's own selectinload sends them.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import attrs
from sqlalchemy import ARRAY, ColumnElement, Dialect, any_, bindparam, func, select, tuple_, types
from sqlalchemy.orm import aliased

from loadplan import mapping
from loadplan.entities.options import node_options
from loadplan.mapping import Link, LinkKind
from loadplan.tree import Edge, Node, Strategy

#: Keys in one expanding IN. SQLAlchemy's selectinload sends as many; SQLite takes 32,766 parameters at most.
CHUNK = 500

#: A select of any columns. SQLAlchemy 2.0 and 2.1 spell that type differently.
AnySelect: TypeAlias = Any

_KEYS = "loadplan_keys"

#: Databases whose text comparison is exact, so that Python may tie text keys to each other.
_EXACT_TEXT = frozenset({"postgresql", "sqlite"})

_ARRAY_ITEMS = (
    types.Integer,
    types.String,
    types.Uuid,
    types.Date,
    types.DateTime,
    types.Time,
    types.Boolean,
    types.Numeric,
    types.LargeBinary,
)


@attrs.frozen(eq=False)
class Keys:
    """A condition "these columns are among these keys", and how the keys are bound to it.

    Attributes:
        condition: for a WHERE.
        width: columns of a key.
        as_arrays: one array parameter a column, any number of keys; else an expanding IN.
    """

    condition: ColumnElement[bool]
    width: int
    as_arrays: bool

    def bind(self, keys: Sequence[Any]) -> Iterator[dict[str, Any]]:
        """Yield the parameters of each execution that it takes to ask for ``keys``.

        Args:
            keys: distinct; scalars where ``width`` is 1, else tuples of that length.
        """
        if self.as_arrays:
            columns = [keys] if self.width == 1 else zip(*keys, strict=True)
            yield {f"{_KEYS}_{index}": list(column) for index, column in enumerate(columns)}
            return
        for start in range(0, len(keys), CHUNK):
            yield {_KEYS: list(keys[start : start + CHUNK])}


def among_keys(columns: Sequence[ColumnElement[Any]], dialect: Dialect) -> Keys:
    """Return the condition that ``columns`` are among keys bound later."""
    as_arrays = dialect.name == "postgresql" and all(isinstance(each.type, _ARRAY_ITEMS) for each in columns)
    if not as_arrays:
        left = columns[0] if len(columns) == 1 else tuple_(*columns)
        return Keys(left.in_(bindparam(_KEYS, expanding=True)), len(columns), as_arrays=False)
    arrays = [bindparam(f"{_KEYS}_{index}", type_=ARRAY(each.type)) for index, each in enumerate(columns)]
    if len(columns) == 1:
        return Keys(columns[0] == any_(arrays[0]), 1, as_arrays=True)
    names = [f"key_{index}" for index in range(len(columns))]
    rows = func.unnest(*arrays).table_valued(*names, name=_KEYS)
    return Keys(tuple_(*columns).in_(select(*(rows.c[name] for name in names))), len(columns), as_arrays=True)


@attrs.frozen(eq=False)
class Segment:
    """One statement: a node and everything that is joined to it.

    Attributes:
        node: where it starts.
        statement: with loader options; what it selects first is the node's entity.
        bare: the same rows without options, to take keys from in a subquery.
        unique: whether a join may repeat the rows of the node.
    """

    node: Node
    statement: AnySelect
    bare: AnySelect
    unique: bool


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
    """

    edge: Edge
    segment: Segment
    attributes: tuple[str, ...]
    in_target: tuple[str, ...] | None
    keys: Keys | None
    repeats: bool


def root_segment(node: Node) -> Segment:
    """Return the statement that a plan starts with, without a condition yet."""
    bare = select(node.entity)
    return Segment(node, bare.options(*node_options(node, whole=False)), bare, _repeats_rows(node))


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
    link = mapping.link(prop, parent.mapper)
    if link.compares_text and dialect.name not in _EXACT_TEXT:
        link = mapping.link_by_join(parent.mapper)
    target = mapping.target_entity(parent.mapper, edge.key)
    columns, statement = _linked(link, prop, parent, target, edge.key)
    in_target = _held_by_target(link, prop, edge.target)
    if in_target is not None:
        statement = statement.with_only_columns(target)
    if edge.strategy is Strategy.SUBQUERY:
        keys = None
        among = _among_parents(columns, link, trail, above)
    else:
        keys = among_keys(columns, dialect)
        among = keys.condition
    statement = statement.where(among)
    if prop.order_by:
        statement = statement.order_by(*prop.order_by)
    options = node_options(edge.target, whole=False, entity=target)
    segment = Segment(edge.target, statement.options(*options), statement, _repeats_rows(edge.target))
    return FollowUp(edge, segment, link.attributes, in_target, keys, repeats=link.kind is not LinkKind.TARGET)


def _held_by_target(link: Link, prop: Any, target: Node) -> tuple[str, ...] | None:
    """Return the target's attributes for the link's columns, if they are loaded anyway."""
    if link.kind is not LinkKind.TARGET:
        return None
    names = [mapping.attribute_of(prop.mapper, column) for column in link.columns]
    held = tuple(name for name in names if name is not None and name in target.columns)
    return held if len(held) == len(names) else None


def _linked(
    link: Link, prop: Any, parent: Node, target: Any, key: str
) -> tuple[tuple[ColumnElement[Any], ...], AnySelect]:
    """Return the columns that hold the parents' keys, and a statement of target and those columns.

    The target is selected as itself, never through an alias: ``with_loader_criteria`` passes aliases by.
    """
    if link.kind is LinkKind.TARGET:
        columns = tuple(_mapped(prop.mapper, column) for column in link.columns)
        return columns, select(target, *columns)
    if link.kind is LinkKind.SECONDARY:
        columns = link.columns
        return columns, select(target, *columns).select_from(prop.secondary).join(target, prop.secondaryjoin)
    alias = aliased(parent.entity)
    columns = tuple(getattr(alias, name) for name in link.attributes)
    through = getattr(alias, key)
    statement = select(target, *columns).select_from(alias)
    return columns, statement.join(through.of_type(target) if prop.entity.is_aliased_class else through)


def _mapped(mapper: Any, column: ColumnElement[Any]) -> ColumnElement[Any]:
    name = mapping.attribute_of(mapper, column)
    attribute: ColumnElement[Any] = column if name is None else getattr(mapper.class_, name)
    return attribute


def _among_parents(
    columns: Sequence[ColumnElement[Any]], link: Link, trail: Sequence[Edge], above: Segment
) -> ColumnElement[bool]:
    """Return the condition that ``columns`` are keys of parents, as a subquery of the statement that brings those."""
    root = above.node.entity
    if not trail:
        wanted = [getattr(root, name) for name in link.attributes]
        parents = above.bare.with_only_columns(*wanted)
    else:
        root_keys = [getattr(root, name) for name in mapping.primary_key(above.node.mapper)]
        here = _row_of(root_keys).in_(above.bare.with_only_columns(*root_keys))
        entity, joined = root, []
        for edge in trail:
            below = aliased(edge.target.entity)
            joined.append(getattr(entity, edge.key).of_type(below))
            entity = below
        parents = select(*(getattr(entity, name) for name in link.attributes)).select_from(root).where(here)
        for each in joined:
            parents = parents.join(each)
    return _row_of(columns).in_(parents)


def _row_of(columns: Sequence[ColumnElement[Any]]) -> ColumnElement[Any]:
    return columns[0] if len(columns) == 1 else tuple_(*columns)


def _repeats_rows(node: Node) -> bool:
    """Tell whether a join of the node's statement may bring several rows for one of its objects.

    A collection does, and so does a one-to-one that no constraint keeps from having two.
    """
    return any(not edge.single or _repeats_rows(edge.target) for edge in node.edges if edge.strategy.joins)
