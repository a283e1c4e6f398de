"""Running a compiled plan on a session: rows to objects, objects to each other, everything sealed at the end."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, Generic, TypeVar

import attrs
from sqlalchemy import Dialect, inspect
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.collections import collection_adapter

from loadplan import mapping, problems
from loadplan.entities.seal import Sealer
from loadplan.entities.statements import FollowUp, Segment, branch_segment, follow_up, root_segment
from loadplan.errors import PlanError
from loadplan.garbage import uncollected
from loadplan.keys import Keys
from loadplan.linked import Narrowing, Parameters
from loadplan.resolve import all_edges
from loadplan.sqlalchemy_internals import copy_quietly, detach_all
from loadplan.strategy import by_keys_instead, goes_by_subquery, repeats_parents
from loadplan.tally import Tally
from loadplan.tree import Edge, Node, Strategy, Tree

T = TypeVar("T")

_NONE: frozenset[object] = frozenset({None})


# --- a plan, ready to run -------------------------------------------------------------------------------------------


@attrs.frozen(eq=False)
class Stop:
    """A node, ready to run: how its objects are sealed, and the ways on."""

    node: Node
    sealer: Sealer
    branches: "tuple[Branch, ...]"
    steps: "tuple[Step, ...]"


@attrs.frozen(eq=False)
class Step:
    """An edge, ready to run: with a statement of its own, or None where the parent's statement brings it."""

    edge: Edge
    follow_up: FollowUp | None
    target: Stop


@attrs.frozen(eq=False)
class Branch:
    """What a subclass adds at a node, ready to run: a statement for its objects, by their own keys."""

    segment: Segment
    keys: Keys
    attributes: tuple[str, ...]
    target: Stop


@attrs.frozen(eq=False)
class CompiledGraph(Generic[T]):
    """A plan of entities, ready to run on one dialect. Immutable; shared by all tasks.

    Attributes:
        tree: the resolved plan.
        dialect: that the statements are for.
        root: the statement that the graph starts with.
        start: the node of that statement, and the way on.
        later: the other statements by what they load, in the order they run.
        variants: the same graph narrowed in ways that are used again and again; its users bound it.
    """

    tree: Tree
    dialect: Dialect
    root: Segment
    start: Stop
    later: tuple[FollowUp | Branch, ...]
    variants: dict[str, Any] = attrs.field(factory=dict, init=False)

    @property
    def mapper(self) -> Mapper[Any]:
        """Of the entity that the graph starts at."""
        return self.root.node.mapper

    @property
    def repeats_roots(self) -> bool:
        """Whether a join may bring several rows for one root."""
        return self.root.unique

    @property
    def streamable(self) -> "CompiledGraph[T]":
        """The same plan for a walk over any number of roots."""
        return self

    @property
    def nests(self) -> bool:
        """Whether a statement packs rows into rows: none of entities does."""
        return False

    def without_nesting(self) -> None:
        """Do nothing: no row of entities is within another."""

    def bringing(self, roots: int | None) -> "CompiledGraph[T]":
        """Return the plan as it is run for that many roots: the statements are the same for any number."""
        return self

    @property
    def mappers(self) -> tuple[Mapper[Any], ...]:
        """The mapper that each statement selects."""
        return tuple(segment.node.mapper for segment in (self.root, *(each.segment for each in self.later)))

    def narrowed(self, narrow: Narrowing) -> "CompiledGraph[T]":
        """Return the graph for the roots that ``narrow`` leaves: conditions, order and limits of the root.

        Costs next to nothing, unless an edge goes by subquery: that one repeats the conditions of its parents.
        """
        root = attrs.evolve(self.root, statement=narrow(self.root.statement), bare=narrow(self.root.bare))
        if self._goes_by_subquery:
            return _compile_below(self.tree, root, self.dialect)
        return attrs.evolve(self, root=root)

    def run(
        self,
        session: Session,
        executions: Sequence[Parameters],
        tally: Tally,
        limit: int | None = None,
    ) -> list[T]:
        """Load the roots and their whole graphs.

        Args:
            session: private to this call; its objects are detached by closing it.
            executions: parameters of each execution of the root statement, with those of the plan's conditions.
            tally: counts what comes.
            limit: that the root statement has already; one that ``max_rows`` exceeds stays as it is.

        Returns:
            The roots in the order of their rows, each once, sealed. One statement for them, and one for each of
            ``later`` that has parents (more where keys go in chunks).

        Raises:
            TooManyRows: LP406.
        """
        run = Run(session, self.tree, executions, tally)
        is_bounded = tally.allows(limit)
        name = self.root.node.entity.__name__
        roots: list[T] = []
        for parameters in executions:
            roots += run.entities(self.root, parameters, name, is_bounded=is_bounded)
        run.complete(self.start, roots)
        return roots

    def run_beside(
        self,
        session: Session,
        executions: Sequence[Parameters],
        columns: Sequence[Any],
        tally: Tally,
        keep: int | None = None,
    ) -> tuple[list[T], list[tuple[Any, ...]]]:
        """Load roots with their graphs, and select columns of the roots beside.

        Args:
            session: private to this call.
            executions: parameters of each execution of the root statement.
            columns: of the root, selected beside it.
            tally: counts what comes.
            keep: load the graphs of so many roots; of all of them by default.

        Returns:
            The roots, and the values of ``columns`` for each, those of roots that were not kept too.
        """
        run = Run(session, self.tree, executions, tally)
        found: dict[int, Any] = {}
        for parameters in executions:
            tally.sent(self.root.node.entity.__name__)
            result = session.execute(self.root.statement.add_columns(*columns), parameters)
            for row in _all(result, self.root):
                found.setdefault(id(row[0]), row)
        rows = tally.counted(list(found.values()), self.root.node.entity.__name__)
        roots: list[T] = [row[0] for row in rows[:keep]]
        run.complete(self.start, roots)
        return roots, [tuple(row[1:]) for row in rows]

    def by_identity(self, session: Session, executions: Sequence[Parameters], tally: Tally) -> dict[tuple[Any, ...], T]:
        """Load roots with their graphs, by their primary keys."""
        return {mapping.identity_of(root): root for root in self.run(session, executions, tally)}

    def batches(self, parameters: Parameters, size: int, tally: Tally) -> "Batches[T]":
        """Return the roots and their graphs in batches, with the memory of one.

        Raises:
            PlanError: LP216, a collection is joined to the root: a cursor cuts rows, not roots.
        """
        joined = [edge for edge in self.root.node.edges if edge.strategy.joins and not edge.cardinality.to_one]
        if joined:
            raise PlanError([problems.joined_in_stream(self.tree.label, joined[0])])
        graph = self
        if self._goes_by_subquery:  # a subquery would bring the rows of all roots with each batch
            graph = _compile_below(by_keys_instead(self.tree, goes_by_subquery), self.root, self.dialect)
        return Batches(graph, parameters, size, tally)

    @property
    def lockable(self) -> "CompiledGraph[T]":
        """The same graph for ``for_update=``: nothing is joined where a database locks all rows of a statement."""
        if self.dialect.name not in {"mysql", "mariadb"}:
            return self
        found: CompiledGraph[T] | None = self.variants.get("lockable")
        if found is None:
            tree = by_keys_instead(self.tree, lambda edge: edge.strategy.joins)
            found = self.variants["lockable"] = _compile_below(tree, root_segment(tree.root), self.dialect)
        return found

    @property
    def countable(self) -> "CompiledGraph[T]":
        """The same graph for a bound on rows: nothing is joined that a LIMIT would count as roots."""
        if not any(map(repeats_parents, all_edges(self.tree.root))):
            return self
        found: CompiledGraph[T] | None = self.variants.get("countable")
        if found is None:
            tree = by_keys_instead(self.tree, repeats_parents)
            found = self.variants["countable"] = _compile_below(tree, root_segment(tree.root), self.dialect)
        return found

    @property
    def _goes_by_subquery(self) -> bool:
        return any(isinstance(each, FollowUp) and each.edge.strategy is Strategy.SUBQUERY for each in self.later)


class Batches(Generic[T]):
    """A walk over roots in batches.

    Args:
        graph: narrowed to the roots.
        parameters: that its statements bind.
        size: roots a batch.
        tally: counts what comes; each batch may bring its ``max_rows``.
    """

    def __init__(self, graph: CompiledGraph[T], parameters: Parameters, size: int, tally: Tally) -> None:
        self._graph = graph
        self._parameters = parameters
        self._size = size
        self._tally = tally
        self._parts: Iterator[Sequence[Any]] | None = None
        self._last: Any = None
        self._result: Any = None

    def close(self, session: Session) -> None:
        """End the walk, and with it the cursor."""
        if self._result is not None:
            self._result.close()

    def next_batch(self, session: Session) -> list[T]:
        """Return the next roots with their graphs, sealed and detached; nothing at the end."""
        if self._parts is None:
            most = self._tally.max_rows
            bound = self._size if most is None else min(self._size, most + 1)
            self._tally.sent(self._graph.root.node.entity.__name__)
            options = {"yield_per": bound}
            self._result = session.execute(self._graph.root.statement, self._parameters, execution_options=options)
            self._parts = iter(self._result.scalars().partitions())
        roots: list[T] = []
        while not roots:
            part = next(self._parts, None)
            if part is None:
                return []
            distinct = {_row_of(root): root for root in part}
            distinct.pop(self._last, None)  # a join that repeats a root may do so across two batches
            roots = list(distinct.values())
            self._last = _row_of(part[-1])
        self._tally.start_over()
        run = Run(session, self._graph.tree, [self._parameters], self._tally)
        run.complete(self._graph.start, self._tally.counted(roots, self._graph.root.node.entity.__name__))
        run.detach()
        return roots


def _row_of(entity: Any) -> Any:
    """Return what tells a row from all others: concrete classes may have equal keys in their own tables."""
    return inspect(entity).identity_key


def compile_graph(tree: Tree, dialect: Dialect) -> CompiledGraph[Any]:
    """Return a resolved plan of entities, ready to run on ``dialect``. Pure."""
    return _compile_below(tree, root_segment(tree.root), dialect)


def _compile_below(tree: Tree, root: Segment, dialect: Dialect) -> CompiledGraph[Any]:
    compiler = _Compiler(tree.label, dialect, any(edge.shape.partial for edge in all_edges(tree.root)))
    start = compiler.stop(tree.root, (), root)
    return CompiledGraph(tree, dialect, root, start, tuple(compiler.later))


@attrs.frozen
class _Compiler:
    """Walks a tree; the statements it makes go to ``later`` in the order that they will run."""

    label: str
    dialect: Dialect
    partial: bool
    later: list[FollowUp | Branch] = attrs.field(factory=list)

    def stop(self, node: Node, trail: tuple[Edge, ...], above: Segment, tree_edge: Edge | None = None) -> Stop:
        """Compile a node.

        Args:
            node: to compile.
            trail: the joined edges that lead to it from the start of ``above``.
            above: the statement that brings it.
            tree_edge: the relationship that runs through a whole tree of such nodes, if one does.
        """
        branches = tuple(self.branch(branch) for branch in node.branches)
        steps = tuple(self.step(edge, node, trail, above) for edge in node.edges)
        return Stop(node, Sealer(self.label, node, tree_edge, self.partial), branches, steps)

    def branch(self, node: Node) -> Branch:
        """Compile a branch for a subclass."""
        segment, keys = branch_segment(node, self.dialect)
        place = len(self.later)
        target = self.stop(node, (), segment)
        branch = Branch(segment, keys, mapping.primary_key(node.mapper), target)
        self.later.insert(place, branch)
        return branch

    def step(self, edge: Edge, node: Node, trail: tuple[Edge, ...], above: Segment) -> Step:
        """Compile an edge and what is below it."""
        if edge.strategy.joins:
            return Step(edge, None, self.stop(edge.target, (*trail, edge), above))
        follow = follow_up(edge, node, trail, above, self.dialect)
        self.later.append(follow)
        tree_edge = edge if edge.shape.depth == "all" else None
        return Step(edge, follow, self.stop(edge.target, (), follow.segment, tree_edge))


# --- one run --------------------------------------------------------------------------------------------------------


class Run:
    """One run of a compiled graph: what it may still bring, and what was found where.

    Args:
        session: private; all objects are in it until it is closed.
        tree: of the plan, for errors.
        executions: parameters of each execution that brings roots, with those of the caller.
        tally: counts what comes.
    """

    def __init__(self, session: Session, tree: Tree, executions: Sequence[Parameters], tally: Tally) -> None:
        self._session = session
        self._tree = tree
        self._executions_of_roots = executions
        self._parameters = executions[0]
        self._tally = tally
        self._visits: list[tuple[Stop, Sequence[object]]] = []

    def complete(self, start: Stop, roots: Sequence[Any]) -> None:
        """Load everything below ``roots``, and seal all that was found. The outermost place has the say."""
        self._load_below(start, roots, self._executions_of_roots)
        with uncollected():
            for stop, objects in reversed(self._visits):
                stop.sealer.seal(objects)

    def detach(self) -> None:
        """Take all that was found out of a session that goes on: ``expunge_all`` would end the walk that it is in."""
        detach_all(self._session, (each for _, objects in self._visits for each in objects))

    def entities(self, segment: Segment, parameters: Parameters, name: str, *, is_bounded: bool = False) -> list[Any]:
        """Execute a statement and return its entities, each once where a join repeats them."""
        statement = segment.statement if is_bounded else self._tally.bounded(segment.statement)
        self._tally.sent(name)
        result = self._session.execute(statement, parameters).scalars()
        return self._tally.counted(_all(result, segment), name)

    def _load_below(self, stop: Stop, objects: Sequence[Any], executions: Sequence[Parameters]) -> None:
        """Load every edge and branch below ``stop`` for ``objects``, which are distinct.

        Args:
            stop: the node that the objects stand at.
            objects: found there.
            executions: parameters of the executions that brought the objects, for subqueries of the same statement.
        """
        if not objects:
            return
        self._visits.append((stop, objects))
        for branch in stop.branches:
            self._run_branch(branch, objects)
        for step in stop.steps:
            if step.follow_up is None:
                children = _tie_joined(step.edge, objects)
                below = executions
            else:
                children, below = self._run_follow_up(step.follow_up, objects, executions)
            self._load_below(step.target, children, below)

    def _run_branch(self, branch: Branch, objects: Iterable[Any]) -> None:
        """Load what a subclass adds into those objects that are of it; SQLAlchemy fills what they lack."""
        entity = branch.segment.node.entity
        members = [each for each in objects if isinstance(each, entity)]
        key_of = itemgetter(*branch.attributes)
        executions = [
            {**self._parameters, **keys} for keys in branch.keys.bind([key_of(each.__dict__) for each in members])
        ]
        for parameters in executions if members else ():
            self.entities(branch.segment, parameters, branch.segment.node.path[-1])
        self._load_below(branch.target, members, executions)

    def _run_follow_up(
        self, follow: FollowUp, parents: Sequence[Any], executions: Sequence[Parameters]
    ) -> tuple[list[Any], list[Parameters]]:
        """Load the targets of ``parents`` and set them there.

        Every parent is asked for, one that has the attribute through another path too: this path may load more of
        the targets. A value that is there already stays, so that one row remains one object in one collection.
        """
        key_of = itemgetter(*follow.attributes)
        waiting: dict[Any, dict[int, Any]] = {}
        groups: dict[Any, list[Any]] = {}
        found: dict[int, Any] = {}
        below: list[Parameters] = []
        whole_tree = follow.edge.shape.depth == "all"
        fresh = _enlist(parents, key_of, waiting, follow)
        while fresh:
            for parameters in self._executions(follow, fresh, executions):
                below.append(parameters)
                for key, child in self._rows_of(follow, parameters):
                    groups.setdefault(key, []).append(child)
                    found[id(child)] = child
            fresh = _enlist(found.values(), key_of, waiting, follow) if whole_tree else []
            if not follow.level_by_level:
                break
        with uncollected():
            for key, owners in waiting.items():
                children = groups.get(key, ())
                if (follow.repeats or len(below) > 1) and len(children) > 1:
                    children = list({id(child): child for child in children}.values())
                for parent in owners.values():
                    _tie(follow.edge, parent, children)
        return list(found.values()), below

    def _executions(self, follow: FollowUp, keys: Sequence[Any], above: Sequence[Parameters]) -> Iterator[Parameters]:
        if follow.keys is None:
            yield from above
            return
        for bound in follow.keys.bind(keys):
            yield {**self._parameters, **bound}

    def _rows_of(self, follow: FollowUp, parameters: Parameters) -> Iterator[tuple[Any, Any]]:
        """Yield (parent's key, target) of one execution."""
        name = follow.edge.name
        if follow.in_target is not None:
            key_of = itemgetter(*follow.in_target)
            for child in self.entities(follow.segment, parameters, name):
                yield key_of(child.__dict__), child
            return
        self._tally.sent(name)
        result = self._session.execute(self._tally.bounded(follow.segment.statement), parameters)
        single = len(follow.attributes) == 1
        for child, *key in self._tally.counted(_all(result, follow.segment), name):
            yield (key[0] if single else tuple(key)), child


def _all(result: Any, segment: Segment) -> list[Any]:
    """Return what the rows of a result stand for, each once where a join repeats them."""
    with contextlib.nullcontext() if segment.waits else uncollected():
        return list(result.unique() if segment.unique else result)


def _enlist(
    parents: Iterable[Any], key_of: Callable[[Any], Any], waiting: dict[Any, dict[int, Any]], follow: FollowUp
) -> list[Any]:
    """Note parents by the key that their targets will come with; return the keys that are new and not NULL."""
    fresh: list[Any] = []
    single = len(follow.attributes) == 1
    for parent in parents:
        key = key_of(parent.__dict__)
        owners = waiting.get(key)
        if owners is None:
            owners = waiting[key] = {}
            if key is not None if single else _NONE.isdisjoint(key):
                fresh.append(key)
        owners[id(parent)] = parent
    return fresh


def _tie_joined(edge: Edge, parents: Iterable[Any]) -> list[Any]:
    """Return the distinct targets that came with their parents, each pointing back where the mapping says so."""
    key, back, to_one = edge.key, edge.back_reference, edge.cardinality.to_one
    found: dict[int, Any] = {}
    for parent in parents:
        value = parent.__dict__.get(key)
        if value is None:
            continue
        if not to_one:
            copy_quietly(value)
        for child in (value,) if to_one else collection_adapter(value):
            found[id(child)] = child
            if back is not None:
                child.__dict__.setdefault(back, parent)
    return list(found.values())


def _tie(edge: Edge, parent: Any, children: Sequence[Any]) -> None:
    if edge.key not in parent.__dict__:
        to_one = edge.cardinality.to_one
        value = (children[0] if children else None) if to_one else children
        set_committed_value(parent, edge.key, value)
        if not to_one:
            copy_quietly(parent.__dict__[edge.key])
    if edge.back_reference is not None:
        for child in children:
            child.__dict__.setdefault(edge.back_reference, parent)
