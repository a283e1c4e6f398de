"""Running a compiled plan on a session: rows to objects, objects to each other, and everything sealed at the end."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, Generic, TypeAlias, TypeVar

import attrs
from sqlalchemy import Dialect
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.collections import collection_adapter

from loadplan.entities.seal import Sealer
from loadplan.entities.statements import AnySelect, FollowUp, Segment, follow_up, root_segment
from loadplan.resolve import resolve_plan
from loadplan.spec import LoadPlan
from loadplan.tree import Edge, Node, Strategy, Tree

T = TypeVar("T")

Parameters = dict[str, Any]

#: Adds conditions, order and limits to a statement of roots, with options or bare.
Narrowing: TypeAlias = Callable[[AnySelect], AnySelect]

_NONE: frozenset[object] = frozenset({None})


@attrs.frozen(eq=False)
class Stop:
    """A node, ready to run: how its objects are sealed, and the edges that lead on."""

    node: Node
    sealer: Sealer
    steps: "tuple[Step, ...]"


@attrs.frozen(eq=False)
class Step:
    """An edge, ready to run: with a statement of its own, or None where the parent's statement brings it."""

    edge: Edge
    follow_up: FollowUp | None
    target: Stop


@attrs.frozen(eq=False)
class CompiledGraph(Generic[T]):
    """A plan of entities, ready to run on one dialect. Immutable; shared by all tasks.

    Attributes:
        tree: the resolved plan.
        dialect: that the statements are for.
        root: the statement that the graph starts with.
        start: the node of that statement, and the way on.
        follow_ups: the other statements, in the order they run.
        variants: the same graph narrowed in ways that are used again and again; grows, and is bounded by its users.
    """

    tree: Tree
    dialect: Dialect
    root: Segment
    start: Stop
    follow_ups: tuple[FollowUp, ...]
    variants: dict[str, Any] = attrs.field(factory=dict, init=False)

    @property
    def mappers(self) -> tuple[Mapper[Any], ...]:
        """The mapper that each statement selects."""
        segments = (self.root, *(follow.segment for follow in self.follow_ups))
        return tuple(segment.node.mapper for segment in segments)

    def narrowed(self, narrow: Narrowing) -> "CompiledGraph[T]":
        """Return the graph for the roots that ``narrow`` leaves: conditions, order and limits of the root.

        Costs next to nothing, unless an edge goes by subquery: that one repeats the conditions of its parents.
        """
        root = attrs.evolve(self.root, statement=narrow(self.root.statement), bare=narrow(self.root.bare))
        if any(follow.edge.strategy is Strategy.SUBQUERY for follow in self.follow_ups):
            return _compile_below(self.tree, root, self.dialect)
        return attrs.evolve(self, root=root)

    def run(self, session: Session, parameters: Parameters) -> list[T]:
        """Load the roots and their whole graphs.

        Args:
            session: private to this call; its objects are detached by closing it.
            parameters: that the root statement binds.

        Returns:
            The roots in the order of their rows, each once, sealed. One statement for them, and one for each
            follow-up that has parents (more where keys go in chunks).
        """
        result = session.execute(self.root.statement, parameters).scalars()
        roots: list[T] = list(result.unique() if self.root.unique else result)
        visits: list[tuple[Stop, Sequence[object]]] = []
        _load_below(session, self.start, roots, [parameters], visits)
        for stop, objects in reversed(visits):
            stop.sealer.seal(objects)
        return roots


def compile_graph(plan: LoadPlan[T], dialect: Dialect) -> CompiledGraph[T]:
    """Return the plan ready to run on ``dialect``. Done once for each, then remembered in the plan.

    Raises:
        PlanError: the plan does not resolve.
    """
    compiled: CompiledGraph[T] | None = plan._derived.get(dialect.name)
    if compiled is None:
        tree = resolve_plan(plan)
        compiled = plan._derived[dialect.name] = _compile_below(tree, root_segment(tree.root), dialect)
    return compiled


def _compile_below(tree: Tree, root: Segment, dialect: Dialect) -> CompiledGraph[Any]:
    follow_ups: list[FollowUp] = []
    start = _compile_node(tree.label, tree.root, (), root, dialect, follow_ups)
    return CompiledGraph(tree, dialect, root, start, tuple(follow_ups))


def _compile_node(
    label: str,
    node: Node,
    trail: tuple[Edge, ...],
    segment: Segment,
    dialect: Dialect,
    follow_ups: list[FollowUp],
) -> Stop:
    steps: list[Step] = []
    for edge in node.edges:
        if edge.strategy.joins:
            target = _compile_node(label, edge.target, (*trail, edge), segment, dialect, follow_ups)
            steps.append(Step(edge, None, target))
        else:
            follow = follow_up(edge, node, trail, segment, dialect)
            follow_ups.append(follow)
            target = _compile_node(label, edge.target, (), follow.segment, dialect, follow_ups)
            steps.append(Step(edge, follow, target))
    return Stop(node, Sealer(label, node), tuple(steps))


def _load_below(
    session: Session,
    stop: Stop,
    objects: Sequence[Any],
    executions: Sequence[Parameters],
    visits: list[tuple[Stop, Sequence[object]]],
) -> None:
    """Load every edge below ``stop`` for ``objects``, which are distinct.

    Args:
        session: to load in.
        stop: the node that the objects stand at.
        objects: found there.
        executions: parameters of the executions that brought the objects, for subqueries of the same statement.
        visits: what was found where, for sealing; grows.
    """
    if not objects:
        return
    visits.append((stop, objects))
    for step in stop.steps:
        if step.follow_up is None:
            children = _tie_joined(step.edge, objects)
            below = executions
        else:
            children, below = _run_follow_up(session, step.follow_up, objects, executions)
        _load_below(session, step.target, children, below, visits)


def _tie_joined(edge: Edge, parents: Iterable[Any]) -> list[Any]:
    """Return the distinct targets that came with their parents, each pointing back where the mapping says so."""
    key, back = edge.key, edge.back_reference
    found: dict[int, Any] = {}
    for parent in parents:
        value = parent.__dict__.get(key)
        if value is None:
            continue
        for child in (value,) if edge.cardinality.to_one else collection_adapter(value):
            found[id(child)] = child
            if back is not None:
                child.__dict__.setdefault(back, parent)
    return list(found.values())


def _run_follow_up(
    session: Session, follow: FollowUp, parents: Sequence[Any], executions: Sequence[Parameters]
) -> tuple[list[Any], list[Parameters]]:
    """Load the targets of ``parents`` and set them there.

    Every parent is asked for, one that has the attribute through another path too: this path may load more of the
    targets. A value that is there already stays, so that one row remains one object in one collection.
    """
    key_of = _key_getter(follow.attributes)
    waiting: dict[Any, list[Any]] = {}
    for parent in parents:
        waiting.setdefault(key_of(parent.__dict__), []).append(parent)
    keys = [key for key in waiting if not _is_null(key, follow)]
    below: list[Parameters] = []
    if keys:
        below = list(executions) if follow.keys is None else list(follow.keys.bind(keys))
    groups: dict[Any, list[Any]] = {}
    found: dict[int, Any] = {}
    for parameters in below:
        for key, child in _rows(session, follow, parameters):
            groups.setdefault(key, []).append(child)
            found[id(child)] = child
    for key, owners in waiting.items():
        children = groups.get(key, ())
        if follow.repeats and len(children) > 1:
            children = list({id(child): child for child in children}.values())
        for parent in owners:
            _tie(follow.edge, parent, children)
    return list(found.values()), below


def _rows(session: Session, follow: FollowUp, parameters: Parameters) -> Iterator[tuple[Any, Any]]:
    """Yield (parent's key, target) of one execution."""
    result = session.execute(follow.segment.statement, parameters)
    if follow.in_target is not None:
        key_of = _key_getter(follow.in_target)
        entities = result.scalars()
        for child in entities.unique() if follow.segment.unique else entities:
            yield key_of(child.__dict__), child
        return
    single = len(follow.attributes) == 1
    for child, *key in result.unique() if follow.segment.unique else result:
        yield (key[0] if single else tuple(key)), child


def _key_getter(names: Sequence[str]) -> "itemgetter[Any]":
    """Return a getter of the key in an object's ``__dict__``: a scalar for one name, a tuple for more."""
    return itemgetter(*names)


def _is_null(key: Any, follow: FollowUp) -> bool:
    return key is None if len(follow.attributes) == 1 else not _NONE.isdisjoint(key)


def _tie(edge: Edge, parent: Any, children: Sequence[Any]) -> None:
    if edge.key not in parent.__dict__:
        value = (children[0] if children else None) if edge.cardinality.to_one else children
        set_committed_value(parent, edge.key, value)
    if edge.back_reference is not None:
        for child in children:
            child.__dict__.setdefault(edge.back_reference, parent)
