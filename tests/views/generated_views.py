"""Random plans of views over a generated schema: classes with fields for columns, relationships and aggregates.

The oracle is the same as for entities, a walk over plain lazy relationships, read into dictionaries.
"""

import itertools
from collections.abc import Sequence
from typing import Annotated, Any

import attrs
from generated_mappings import Mapping
from generated_rows import Rows, rows_of
from generated_schemas import End, Schema, schemas
from hypothesis import strategies as st
from lazy_walk import by_join
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from loadplan import Load, LoadPlan, aggregate, count, exists, load

#: Levels of relationships in a plan, and relationships in all.
DEPTH = 4
WIDTH = 8

_numbers = itertools.count(1)


@attrs.frozen
class Way:
    """A relationship that a field reads.

    Attributes:
        end: its name.
        node: what is made of each row.
        rank: of the rows that a ``where=`` leaves; None for no condition.
        descending: the direction of an order by rank; None for no order.
        limit: per parent; only with an order.
        strategy: that is asked for.
        container: of a collection.
    """

    end: str
    node: "Node"
    rank: int | None = None
    descending: bool | None = None
    limit: int | None = None
    strategy: str | None = None
    container: Any = list


@attrs.frozen
class Sum:
    """An aggregate over a relationship, over rows of a rank or over all."""

    end: str
    kind: str
    rank: int | None = None


@attrs.frozen
class Node:
    """A view class: the columns, relationships and aggregates that it has fields for."""

    entity: str
    columns: tuple[str, ...]
    ways: tuple[Way, ...] = ()
    sums: tuple[Sum, ...] = ()


@attrs.frozen
class ViewScenario:
    """Everything that one example is about."""

    schema: Schema
    rows: Rows
    nodes: tuple[Node, ...]

    def __repr__(self) -> str:
        nodes = "\n".join(map(repr, self.nodes))
        return f"<ViewScenario>\n{self.schema}\n\n{self.rows}\n\n{nodes}\n</ViewScenario>"


# --- drawing ----------------------------------------------------------------------------------------------------------


@attrs.define
class _Budget:
    left: int = WIDTH


@st.composite
def nodes(draw: st.DrawFn, schema: Schema, entity: str, depth: int = DEPTH, budget: _Budget | None = None) -> Node:
    """Draw a view class for an entity, with others nested in it."""
    budget = _Budget() if budget is None else budget
    names = sorted(schema.columns(entity))
    columns = draw(st.lists(st.sampled_from(names), unique=True, max_size=len(names)))
    ends = schema.ends(entity)
    populates = [end for end in ends if end.populates]
    ways: list[Way] = []
    if depth and populates:
        least = min(len(populates), draw(st.sampled_from((1, 2) if depth == DEPTH else (0, 1, 1))))
        for end in draw(st.lists(st.sampled_from(populates), min_size=least, max_size=3, unique=True)):
            if budget.left:
                budget.left -= 1
                ways.append(draw(_way(schema, end, depth - 1, budget)))
    sums: list[Sum] = []
    if populates and draw(st.sampled_from((False, False, True))):
        end = draw(st.sampled_from(populates))
        kinds = ("exists",) if end.to_one else ("count", "exists", "max", "max or zero", "distinct")
        sums.append(Sum(end.name, draw(st.sampled_from(kinds)), draw(st.sampled_from((None, 0, 1)))))
    return Node(entity, tuple(columns), tuple(ways), tuple(sums))


@st.composite
def _way(draw: st.DrawFn, schema: Schema, end: End, depth: int, budget: _Budget) -> Way:
    node = draw(nodes(schema, end.target, depth, budget))
    rank = draw(st.sampled_from((None, None, None, 0, 1)))
    strategy = draw(st.sampled_from((None, None, "joined", "selectin")))
    if end.to_one:
        return Way(end.name, node, rank, strategy=strategy)
    descending = draw(st.sampled_from((None, False, True)))
    limit = None if descending is None else draw(st.sampled_from((None, 1, 2)))
    return Way(end.name, node, rank, descending, limit, strategy, draw(st.sampled_from((list, tuple))))


@st.composite
def view_scenarios(draw: st.DrawFn) -> ViewScenario:
    """Draw a schema, rows, and up to three view classes."""
    schema = draw(schemas())
    rows = draw(rows_of(schema))
    names = [each.name for each in schema.entities]
    worth = [*[name for name in names if schema.ends(name) and rows.keys(schema, name)] * 4, *names]
    entities = draw(st.lists(st.sampled_from(worth), min_size=1, max_size=3))
    return ViewScenario(schema, rows, tuple(draw(nodes(schema, each)) for each in entities))


# --- writing ----------------------------------------------------------------------------------------------------------


def declare_view(mapping: Mapping, node: Node) -> LoadPlan[Any]:
    """Write the view classes of a node, and the plan."""
    view, beside = _view(mapping, node)
    return LoadPlan(mapping.classes[node.entity], *beside, into=view, name="random")


def _view(mapping: Mapping, node: Node) -> tuple[type[Any], list[Load[Any]]]:
    entity = mapping.classes[node.entity]
    fields = {name: attrs.field(type=Any) for name in node.columns}
    beside = []
    for way in node.ways:
        below, nested = _view(mapping, way.node)
        end, target = mapping.schema.end(way.end), mapping.classes[way.node.entity]
        annotation: Any = below | None
        if not end.to_one:
            annotation = list[below] if way.container is list else tuple[below, ...]  # type: ignore[valid-type]
        fields[way.end] = attrs.field(type=annotation)
        order = None if way.descending is None else target.rank.desc() if way.descending else target.rank
        item = load(
            getattr(entity, way.end),
            *nested,
            where=None if way.rank is None else target.rank == way.rank,
            order_by=order,
            limit=way.limit,
            strategy=way.strategy,  # type: ignore[arg-type]
        )
        beside.append(item)
    for number, each in enumerate(node.sums):
        fields[f"sum_{number}"] = attrs.field(type=_aggregate(mapping, entity, each))
    return attrs.make_class(f"View{next(_numbers)}", fields, frozen=True, eq=False), beside


def _aggregate(mapping: Mapping, entity: Any, given: Sum) -> Any:
    end = getattr(entity, given.end)
    target = mapping.classes[mapping.schema.end(given.end).target]
    where = None if given.rank is None else target.rank == given.rank
    match given.kind:
        case "count":
            return Annotated[int, count(end, where=where)]
        case "exists":
            return Annotated[bool, exists(end, where=where)]
        case "max":
            return Annotated[Any, aggregate(end, func.max(target.rank), where=where)]
        case "max or zero":
            return Annotated[int, aggregate(end, func.coalesce(func.max(target.rank), 0), where=where)]
        case _:
            return Annotated[int, aggregate(end, func.count(target.rank.distinct()), where=where)]


# --- the oracle -------------------------------------------------------------------------------------------------------


@attrs.frozen
class ViewWalk:
    """A walk over the plain mapping, in a synchronous session that loads lazily."""

    plain: Mapping
    session: Session
    _places: dict[tuple[str, bool], dict[Any, int]] = attrs.field(factory=dict)

    def roots(self, entity: str) -> list[Any]:
        """Return all objects of an entity, by rank and then by key."""
        return sorted(self.session.scalars(select(self.plain.classes[entity])), key=self._place(entity, False))

    def read(self, node: Node, given: Any) -> dict[str, Any]:
        """Return an object as the dictionary that its view must be."""
        found = {name: getattr(given, name) for name in node.columns}
        for way in node.ways:
            end = self.plain.schema.end(way.end)
            rows = self._rows(end, given, way.rank)
            if way.descending is not None:
                rows = sorted(rows, key=self._place(end.target, way.descending))[: way.limit]
            items = [self.read(way.node, each) for each in rows]
            if end.to_one:
                found[way.end] = items[0] if items else None
            else:
                found[way.end] = items if _is_ordered(end, way) else sorted(items, key=repr)
        for number, each in enumerate(node.sums):
            rows = self._rows(self.plain.schema.end(each.end), given, each.rank)
            found[f"sum_{number}"] = _summed(each.kind, [row.rank for row in rows])
        return found

    def _rows(self, end: End, parent: Any, rank: int | None) -> list[Any]:
        apart = self.plain.schema.compares_apart(end)
        value = by_join(self.plain, self.session, parent, end) if apart else getattr(parent, end.name)
        found = [each for each in ([value] if end.to_one else value) if each is not None]
        return [each for each in found if rank is None or each.rank == rank]

    def _place(self, entity: str, descending: bool) -> Any:
        """Return a key for sorting: the place of an object in the database's own order by rank and key."""
        known = self._places.get((entity, descending))
        if known is None:
            kind = self.plain.classes[entity]
            order = [kind.rank.desc() if descending else kind.rank, *self.plain.key(entity)]
            found = self.session.scalars(select(kind).order_by(*order)).all()
            known = self._places[entity, descending] = {each: place for place, each in enumerate(found)}
        return known.__getitem__


def _is_ordered(end: End, way: Way) -> bool:
    return end.ordered or way.descending is not None


def _summed(kind: str, ranks: Sequence[int | None]) -> Any:
    known = [each for each in ranks if each is not None]
    match kind:
        case "count":
            return len(ranks)
        case "exists":
            return bool(ranks)
        case "max":
            return max(known, default=None)
        case "max or zero":
            return max(known, default=0)
        case _:
            return len(set(known))


def read_view(schema: Schema, node: Node, view: Any) -> dict[str, Any]:
    """Return a view as the oracle's dictionary."""
    found = {name: getattr(view, name) for name in node.columns}
    for way in node.ways:
        end, value = schema.end(way.end), getattr(view, way.end)
        if end.to_one:
            found[way.end] = None if value is None else read_view(schema, way.node, value)
            continue
        assert type(value) is way.container
        items = [read_view(schema, way.node, each) for each in value]
        found[way.end] = items if _is_ordered(end, way) else sorted(items, key=repr)
    for number, _ in enumerate(node.sums):
        found[f"sum_{number}"] = getattr(view, f"sum_{number}")
    return found
