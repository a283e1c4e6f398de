"""Plan plus mapping -> tree, with every problem found on the way."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import attrs
from sqlalchemy import Select, and_, exists, literal_column, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapper, QueryableAttribute, RelationshipProperty
from sqlalchemy.sql.elements import BindParameter
from sqlalchemy.sql.visitors import iterate

from loadplan.declared.spec import Below, Load, On, Plan, StrategyName, comparable
from loadplan.errors import PlanError, Problem
from loadplan.mapped import links, mapping, readiness
from loadplan.resolved import problems
from loadplan.resolved.form import MOST_LEVELS, form_problems, is_expression, is_reference, spelled_out
from loadplan.resolved.nodes import Edge, Node, Parameter, Shape, Tree
from loadplan.resolved.sharing import made_of_equal, share

R = TypeVar("R")


def resolve_graph(plan: Plan[Any]) -> Tree:
    """Return what a plan of entities means against the mapping, strategies chosen. Done once a plan, then remembered.

    Raises:
        PlanError: with every problem of the plan.
    """
    return resolved(plan, _graph)


def resolved(plan: Plan[Any], resolve: Callable[[Plan[Any], Mapper[Any], list[Problem]], R | None]) -> R:
    """Return what ``resolve`` makes of a plan, having checked its form and configured the mappers.

    Done once a plan, and again where the mapping has changed since.

    Args:
        plan: to resolve.
        resolve: takes the plan, the mapper of its entity, and a list for the problems that it finds.

    Raises:
        PlanError: with every problem of the plan.
    """
    derived = plan._derived
    if not _holds(derived):
        mapper = mapping.mapper_of(plan.entity)
        shared = None if mapper is None else made_of_equal(plan, mapper)
        if shared is None or not _holds(shared):
            shared = _made(plan, mapper, resolve)
        derived = shared
        object.__setattr__(plan, "_derived", derived)  # a plan is frozen, but this is not a part of its value
    tree: R = derived["tree"]
    return tree


def _holds(made: Mapping[str, Any]) -> bool:
    """Tell whether a plan was resolved, and the mapping is still as it was then."""
    return "tree" in made and readiness.is_mapped_still(made["mapped"])


def _made(
    plan: Plan[Any],
    mapper: Mapper[Any] | None,
    resolve: Callable[[Plan[Any], Mapper[Any], list[Problem]], R | None],
) -> dict[str, Any]:
    """Return what is made of a plan from now on: by this one and by all that equal it.

    Raises:
        PlanError: with every problem of the plan.
    """
    found = list(form_problems(plan))
    tree: R | None = None
    if mapper is not None:
        configure_around(mapper, plan.label)
        tree = resolve(plan, mapper, found)
    if mapper is None or found or tree is None:
        raise PlanError(found)
    made = {"mapped": readiness.as_mapped(_mappers(tree)), "tree": tree}
    share(plan, mapper, made)
    return made


def _mappers(tree: Any) -> Iterator[Mapper[Any]]:
    """Yield the mapper of every place of a tree, of entities or of views; some more than once."""
    waiting, seen = [tree.root], set[int]()
    while waiting:
        place = waiting.pop()
        if id(place) not in seen:
            seen.add(id(place))
            yield place.mapper
            waiting += [edge.target for edge in place.edges]
            waiting += getattr(place, "branches", ())


def _graph(plan: Plan[Any], mapper: Mapper[Any], found: list[Problem]) -> Tree | None:
    root = _Resolver(plan.label, found).node(mapper, [_root_part(plan)], path=(), at=(plan.label,))
    if not found:
        found.extend(_conflicts(root, plan.label))
    if found:
        return None
    root = _without_filtered_back_references(root, _filtered_to_ones(root))
    return Tree(plan.label, root, tuple(_parameters(root)))


def configure_around(mapper: Mapper[Any], label: str) -> None:
    """Configure the mappers around a class, if that has not happened yet.

    Raises:
        PlanError: LP208, they cannot be.
    """
    if missing := readiness.missing_targets(mapper):
        # trying would leave mappers that never work again
        raise PlanError([problems.mapping_incomplete(mapper, missing, (label,))])
    try:
        mapper.registry.configure(cascade=True)
    except SQLAlchemyError as error:
        raise PlanError([problems.mapping_broken(mapper, error, (label,))]) from error


# --- meaning: against the mapping -----------------------------------------------------------------------------------


@attrs.frozen
class _Part:
    """One declaration's say about a node: nothing about its columns, all of them, or a subset."""

    loads: tuple[Below, ...]
    only: tuple[QueryableAttribute[Any], ...] | None
    defer: tuple[QueryableAttribute[Any], ...] | None
    says_columns: bool

    @property
    def subset(self) -> str | None:
        """The word that leaves columns out: ``only=[]`` leaves out all, ``defer=[]`` none."""
        return "only" if self.only is not None else "defer" if self.defer else None


@attrs.frozen
class _Again:
    """The loads of a relationship that a subclass maps again, in its own way."""

    mapper: Mapper[Any]
    loads: tuple[Load[Any], ...]


def _root_part(plan: Plan[Any]) -> _Part:
    return _Part(plan.loads, plan.only, plan.defer, says_columns=True)


def _load_part(item: Load[Any]) -> _Part:
    """``load(Post.author, AUTHOR_PLAN)`` leaves the columns to the plan; any other load means all of them."""
    nests_plan = any(isinstance(below, Plan) for below in item.loads)
    says = item.only is not None or item.defer is not None or not nests_plan
    return _Part(item.loads, item.only, item.defer, says)


def _branch_part(item: On[Any]) -> _Part:
    return _Part(item.loads, item.only, item.defer, says_columns=True)


@attrs.frozen
class _Resolver:
    """Walks a plan against the mappers; what is wrong goes to ``found``, and the walk goes on."""

    label: str
    found: list[Problem]

    def node(
        self,
        mapper: Mapper[Any],
        parts: list[_Part],
        path: tuple[str, ...],
        at: tuple[str, ...],
        branch_of: Node | None = None,
        keys: frozenset[str] = frozenset(),
    ) -> Node:
        """Resolve one place of the graph from all that is declared about it.

        Args:
            mapper: of the class there.
            parts: what is declared about the place.
            path: the edges that lead there, for the tree.
            at: the names that lead there, for errors.
            branch_of: the place that this one branches off; a branch loads what its subclass adds to it.
            keys: columns that loading goes by, whatever is declared.
        """
        for part in parts:  # grows while nested plans for the same place are met
            nested = [item for item in part.loads if isinstance(item, Plan)]
            parts.extend(_root_part(item) for item in nested if self.fits(mapper, item, at))
        edges: list[Edge] = []
        again: list[_Again] = []
        for key, items in self.by_relationship(mapper, parts, at).items():
            prop = mapper.relationships[key]
            again += (_Again(sub, tuple(items)) for sub in mapping.mapped_again(mapper, key))
            keys |= links.key_columns(prop, mapper)
            edges.append(self.edge(mapper, prop, items, path, (*at, key)))
        default = mapping.default_columns(mapper)
        if branch_of is not None:
            default -= {prop.key for prop in mapping.column_attributes(branch_of.mapper)}
        columns = self.columns(mapper, parts, default, at) | mapping.required_columns(mapper) | keys
        loadable = {prop.key for prop in mapping.column_attributes(mapper)}
        columns &= loadable
        node = Node(
            mapper=mapper,
            path=path,
            columns=columns,
            restricted=not columns == loadable == mapping.default_columns(mapper),
            subset=next((part.subset for part in parts if part.subset), None),
            edges=tuple(edges),
        )
        branches = [*self.branches(node, parts, again, at)]
        if branch_of is None and node.subset is None:
            branches += self.branches_by_mapping(node, {branch.mapper for branch in branches}, at)
        return attrs.evolve(node, branches=tuple(branches))

    def branches_by_mapping(self, node: Node, declared: set[Mapper[Any]], at: tuple[str, ...]) -> Iterator[Node]:
        """Yield a branch for each subclass that the mapping loads with its base, and the plan does not speak of."""
        for sub in mapping.polymorphic_loads(node.mapper):
            if sub not in declared:
                name = f"on({sub.class_.__name__})"
                parts = [_Part((), None, None, says_columns=False)]
                branch = self.node(sub, parts, (*node.path, name), (*at, name), branch_of=node)
                yield attrs.evolve(branch, by_mapping=True)

    def branches(
        self, node: Node, parts: Sequence[_Part], again: Sequence[_Again], at: tuple[str, ...]
    ) -> Iterator[Node]:
        """Resolve what is declared for subclasses at a place, each subclass once.

        Args:
            node: the place.
            parts: what is declared about it.
            again: relationships that subclasses map in another way.
            at: the names that lead there.
        """
        groups: dict[Mapper[Any], list[_Part]] = {}
        for part in parts:
            for item in part.loads:
                if isinstance(item, On):
                    sub = mapping.mapper_of(item.entity)
                    if sub is not None and sub is not node.mapper and sub.isa(node.mapper):
                        groups.setdefault(sub, []).append(_branch_part(item))
                    elif sub is not None:
                        self.found.append(problems.not_a_subclass(node.mapper, sub, at))
        for each in again:
            own = groups.setdefault(each.mapper, [])
            key = each.loads[0].relationship
            key = key if isinstance(key, str) else key.key
            if key not in self.by_relationship(each.mapper, own, at):
                own.append(_Part(each.loads, (), None, says_columns=True))
        for sub, branch_parts in groups.items():
            name = f"on({sub.class_.__name__})"
            yield self.node(sub, branch_parts, (*node.path, name), (*at, name), branch_of=node)

    def fits(self, mapper: Mapper[Any], plan: Plan[Any], at: tuple[str, ...]) -> bool:
        """Tell whether a nested plan speaks of the class at this place."""
        other = mapping.mapper_of(plan.entity)
        if other is not None and mapper.isa(other):
            return True
        self.found.append(problems.wrong_plan(mapper, plan, at))
        return False

    def by_relationship(
        self, mapper: Mapper[Any], parts: Sequence[_Part], at: tuple[str, ...]
    ) -> dict[str, list[Load[Any]]]:
        """Group what is declared below a place by relationship, in the order of first mention."""
        groups: dict[str, list[Load[Any]]] = {}
        for part in parts:
            for item in part.loads:
                if isinstance(item, Load) and is_reference(item):
                    prop = self.relationship(mapper, item.relationship, at)
                    if prop is not None:
                        groups.setdefault(prop.key, []).append(spelled_out(item))
        return groups

    def relationship(
        self, mapper: Mapper[Any], named: QueryableAttribute[Any] | str, at: tuple[str, ...]
    ) -> RelationshipProperty[Any] | None:
        """Find the relationship that a load names on the class at this place."""
        key = named if isinstance(named, str) else named.key
        prop = mapping.relationship(mapper, key)
        owner = None if isinstance(named, str) else named.parent.mapper
        if prop is not None and (owner is None or mapper.isa(owner)):
            if prop.lazy in mapping.UNLOADABLE_LAZY:
                self.found.append(problems.unloadable(mapper, prop, at))
                return None
            if links.asks_parent_further(prop):
                self.found.append(problems.asks_parent_further(mapper, prop, at))
                return None
            return prop
        self.found.append(problems.no_relationship(mapper, key, owner, at))
        return None

    def edge(
        self,
        mapper: Mapper[Any],
        prop: RelationshipProperty[Any],
        items: list[Load[Any]],
        path: tuple[str, ...],
        at: tuple[str, ...],
    ) -> Edge:
        """Resolve one relationship from every load that names it."""
        name = f"{mapper.class_.__name__}.{prop.key}"
        parts = [_load_part(item) for item in items]
        disagreed = [word for word in ("strategy", "where", "order_by", "limit", "depth") if not _agree(items, word)]
        self.found.extend(problems.loads_disagree(name, word, items, at) for word in disagreed)
        first = items[0]
        where = conditions_on(prop, first.where or ())
        shape = Shape(where, first.order_by, first.limit, first.depth)
        self.found.extend(shape_problems(mapper, prop, shape, first.strategy, at))
        target_path = (*path, name)
        depth = first.depth if isinstance(first.depth, int) and "depth" not in disagreed else 1
        if 1 < depth <= MOST_LEVELS and prop.mapper.isa(prop.parent):
            below = tuple(attrs.evolve(item, depth=depth - 1) for item in items)
            parts.append(_Part(below, None, None, says_columns=False))
        keys = links.collection_key_columns(prop) | links.far_key_columns(prop)
        if first.depth == "all":
            keys |= links.key_columns(prop, prop.mapper)
        target = self.node(prop.mapper, parts, target_path, at, keys=keys)
        if first.depth == 1:
            target = attrs.evolve(target, frontier={prop.key: _run_length(target_path)})
        return Edge(
            key=prop.key,
            owner=mapper.class_,
            cardinality=mapping.cardinality(prop),
            target=target,
            single=links.is_single(prop),
            to_alias=prop.entity.is_aliased_class,
            why_not_joined=mapping.why_not_joined(mapper),
            back_reference=links.back_reference(prop),
            shape=attrs.evolve(shape, depth="all" if shape.depth == "all" else None),
            asked=next((item.strategy for item in items if item.strategy is not None), None),
        )

    def columns(
        self, mapper: Mapper[Any], parts: Iterable[_Part], default: frozenset[str], at: tuple[str, ...]
    ) -> frozenset[str]:
        """Return the columns that all declarations about a place ask for together."""
        asked: frozenset[str] = frozenset()
        said = False
        for part in parts:
            only = self.column_keys(mapper, part.only, at)
            defer = self.column_keys(mapper, part.defer, at)
            if part.says_columns:
                said = True
                asked |= (only if part.only is not None else default) - defer
        return asked if said else default

    def column_keys(self, mapper: Mapper[Any], columns: Iterable[object] | None, at: tuple[str, ...]) -> frozenset[str]:
        """Return the names of the column attributes that ``only=`` or ``defer=`` speaks of."""
        found: set[str] = set()
        for column in columns or ():
            if isinstance(column, QueryableAttribute):
                owner = getattr(column.parent, "mapper", None)
                belongs = owner is not None and mapper.isa(owner)
                keys = mapping.columns_behind(mapper, column.key) if belongs else None
                if keys is None:
                    self.found.append(problems.no_column(mapper, column.key, owner, at))
                found.update(keys or ())
        return frozenset(found)


def _agree(items: Sequence[Load[Any]], word: str) -> bool:
    """Tell whether loads of one relationship can hold together in one respect. A strategy may be left to the other."""
    given = [item for item in items if word != "strategy" or item.strategy is not None]
    return all(_same(word, given[0], item) for item in given[1:])


def _same(word: str, one: Load[Any], other: Load[Any]) -> bool:
    return comparable(getattr(one, word)) == comparable(getattr(other, word))


def _run_length(path: tuple[str, ...]) -> int:
    """Return how often the last edge stands at the end of a path: the depth that a tree ends at."""
    count = 0
    for name in reversed(path):
        if name != path[-1]:
            break
        count += 1
    return count


def _conflicts(root: Node, label: str) -> Iterator[Problem]:
    """Yield a problem for each collection that two paths want different rows of: an object has one value for it."""
    seen: dict[RelationshipProperty[Any], Edge] = {}
    for edge in all_edges(root):
        prop = mapping.property_of(edge.owner, edge.key)
        other = seen.setdefault(prop, edge)
        if not _same_rows(edge.shape, other.shape):
            yield problems.paths_disagree(label, other, edge)


def _filtered_to_ones(root: Node) -> set[Any]:
    """Return the to-one relationships that the plan loads with a condition."""
    return {
        mapping.property_of(edge.owner, edge.key)
        for edge in all_edges(root)
        if edge.cardinality.to_one and edge.shape.where
    }


def _without_filtered_back_references(node: Node, filtered: set[Any]) -> Node:
    """Return the node without back references that a condition elsewhere in the plan may contradict."""
    if not filtered:
        return node

    def settled(edge: Edge) -> Edge:
        back = edge.back_reference
        if back is not None and edge.target.mapper.relationships[back] in filtered:
            back = None
        return attrs.evolve(edge, back_reference=back, target=_without_filtered_back_references(edge.target, filtered))

    return attrs.evolve(
        node,
        edges=tuple(map(settled, node.edges)),
        branches=tuple(_without_filtered_back_references(branch, filtered) for branch in node.branches),
    )


def _same_rows(one: Shape, other: Shape) -> bool:
    words = ("where", "order_by", "limit")
    return all(comparable(getattr(one, word)) == comparable(getattr(other, word)) for word in words)


# --- shape: which rows ----------------------------------------------------------------------------------------------


def shape_problems(
    mapper: Mapper[Any],
    prop: RelationshipProperty[Any],
    shape: Shape,
    strategy: StrategyName | None,
    at: tuple[str, ...],
) -> Iterator[Problem]:
    """Yield what is wrong with the rows that a declaration takes of a relationship: LP211 to LP215."""
    if not prop.uselist:
        for word in ("order_by", "limit"):
            if getattr(shape, word) is not None:
                yield problems.to_one_in_order(prop, word, at)
    elif shape.limit is not None and shape.order_by is None and not prop.order_by:
        yield problems.limit_without_order(prop, at)
    if shape.depth is not None and not (prop.mapper.isa(prop.parent) and mapper.isa(prop.parent)):
        yield problems.not_a_tree(prop, at)
    for word in _NEEDS_OWN_STATEMENT.get(strategy or "", ()):
        given = getattr(shape, word)
        if given is not None and not (word == "depth" and given != "all"):
            yield problems.strategy_cannot(prop, str(strategy), word, at)
    for word in ("where", "order_by"):
        known = mapping.tables_at(prop.entity.entity)
        if prop.secondary is not None and strategy not in {"joined", "inner"}:
            known |= {prop.secondary}
        given = getattr(shape, word) or ()
        if not prop.entity.is_aliased_class:
            of_order = word == "order_by"
            given = tuple(mapping.as_seen_from(prop.mapper, each, subclasses=of_order) for each in given)
        tables = foreign_tables(known, given)
        if tables:
            name = f"{prop.parent.class_.__name__}.{prop.key}"
            to_alias = prop.entity.is_aliased_class
            yield problems.speaks_of_others(name, prop.mapper, word, tables, given, at, to_alias=to_alias, of_load=True)


#: Arguments that a strategy does not support: a join has only the order of its parent, and cannot count rows a parent.
_NEEDS_OWN_STATEMENT = {
    "joined": ("order_by", "limit", "depth"),
    "inner": ("order_by", "limit", "depth"),
    "subquery": ("limit", "depth"),
}


def foreign_tables(known: set[Any], expressions: Sequence[Any]) -> list[str]:
    """Return the names of tables that expressions speak of outside of subqueries and that are not ``known``."""
    return sorted(map(_table_name, _foreign(known, expressions)))


def _foreign(known: set[Any], expressions: Sequence[Any]) -> set[Any]:
    usable: list[Any] = [each for each in expressions if is_expression("where", each)]
    froms = select(*usable).get_final_froms() if usable else []
    return {table for each in froms for table in (mapping.tables_in(each) if each not in known else ())} - known


def conditions_on(prop: RelationshipProperty[Any], conditions: Sequence[Any]) -> tuple[Any, ...]:
    """Return conditions on the rows of a relationship, those on columns of joined subclasses as subqueries.

    A row has the subclass's columns if it is of that class, and NULL in their place if it is not. A LEFT OUTER JOIN
    of the subclass's table gives the same. The subquery makes that join, so that no statement has to.
    """
    return tuple(conditions) if prop.entity.is_aliased_class else conditions_of(prop.mapper, conditions)


def conditions_of(mapper: Mapper[Any], conditions: Sequence[Any]) -> tuple[Any, ...]:
    """Return conditions on the rows of a class, those on columns of its base classes and joined subclasses too."""
    found = tuple(mapping.as_seen_from(mapper, each) for each in conditions)
    if all(each.local_table is mapper.local_table for each in mapper.self_and_descendants):
        return found
    return tuple(_on_subclasses(mapper, each) for each in found)


def _on_subclasses(mapper: Mapper[Any], condition: Any) -> Any:
    tables = {
        each.local_table: each
        for each in mapper.self_and_descendants
        if not each.concrete and each.local_table is not mapper.local_table
    }
    foreign = _foreign(mapping.tables_at(mapper.class_), [condition])
    key = [getattr(mapper.class_, name) for name in mapping.primary_key(mapper)]
    if not foreign or foreign - tables.keys() or any(len(each.primary_key) != len(key) for each in foreign):
        return condition
    one = select(literal_column("1").label("one")).subquery()
    rows: Any = one
    for table in sorted(foreign, key=str):
        met = and_(*(theirs == ours for theirs, ours in zip(table.primary_key, key, strict=True)))
        rows = rows.outerjoin(table, met)
    found: Select[Any] = select(literal_column("1")).select_from(rows).where(condition)
    return exists(found.correlate_except(one, *foreign))


def _table_name(table: Any) -> str:
    """Return what a table, an alias or a subquery is called; SQLAlchemy names some when it writes the statement."""
    name = str(getattr(table, "name", "another query"))
    if "%(" not in name:
        return name
    return f"an alias of {_table_name(table.element)}" if hasattr(table.element, "name") else "another query"


def all_edges(node: Node) -> Iterator[Edge]:
    """Yield every edge below a node and below its branches."""
    for edge in node.edges:
        yield edge
        yield from all_edges(edge.target)
    for branch in node.branches:
        yield from all_edges(branch)


def _parameters(root: Node) -> Iterator[Parameter]:
    seen: set[str] = set()
    for edge in all_edges(root):
        for expression in (*edge.shape.where, *(edge.shape.order_by or ())):
            for parameter in parameters_in(expression):
                if parameter.name not in seen:
                    seen.add(parameter.name)
                    yield parameter


def parameters_in(expression: Any) -> Iterator[Parameter]:
    """Yield the parameters of an expression that were named by whoever wrote it; literals are not among them."""
    element = expression.__clause_element__() if hasattr(expression, "__clause_element__") else expression
    for each in iterate(element):
        if isinstance(each, BindParameter) and not each.unique:
            yield Parameter(each.key, each.type, each.required, each.expanding)
