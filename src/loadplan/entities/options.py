"""Tree -> SQLAlchemy loader options: of the joined part that one statement brings, or of a whole plan."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import defaultload, joinedload, load_only, raiseload, selectinload, subqueryload
from sqlalchemy.sql.base import ExecutableOption

from loadplan import mapping, problems
from loadplan.errors import PlanError, Problem
from loadplan.resolve import parameters_in, resolve_graph
from loadplan.spec import LoadPlan
from loadplan.sqlalchemy_internals import AbstractLoad
from loadplan.tree import Edge, Node, Strategy

_LOADERS = {
    Strategy.SELECTIN: selectinload,
    Strategy.SUBQUERY: subqueryload,
}


def node_options(node: Node, *, whole: bool, entity: Any = None) -> tuple[ExecutableOption, ...]:
    """Return the options that load ``node`` in a statement that starts at it.

    One wildcard at the root refuses every relationship that is not named, at every level: SQLAlchemy ignores a
    wildcard below the root in some spellings (sqlalchemy/sqlalchemy#9548).

    Args:
        node: where the statement starts.
        whole: all edges below, each by an option of its strategy; otherwise only the joined ones, for a statement whose
            other edges have separate statements.
        entity: what is selected, if it is not the node's class itself.
    """
    refused = [raiseload(attribute) for attribute in mapping.subclass_eager_relationships(node.mapper)]
    return (raiseload("*"), *refused, *_loads(node, node.entity if entity is None else entity, whole=whole))


def _loads(node: Node, entity: Any, *, whole: bool) -> list[AbstractLoad]:
    options: list[AbstractLoad] = []
    if node.restricted:
        columns = [getattr(entity, key) for key in sorted(node.columns)]
        options.append(load_only(*columns, raiseload=True))
    for edge in node.edges:
        if whole or edge.strategy.joins:
            target = mapping.target_entity(node.mapper, edge.key)
            options.append(_edge_load(edge, entity).options(*_loads(edge.target, target, whole=whole)))
            for refused in mapping.subclass_eager_relationships(edge.target.mapper):
                of_sub = getattr(entity, edge.key).of_type(refused.class_)
                options.append(defaultload(of_sub).raiseload(refused))
    return options


def _edge_load(edge: Edge, entity: Any) -> AbstractLoad:
    attribute = getattr(entity, edge.key)
    if edge.shape.where:
        attribute = attribute.and_(*edge.shape.where)
    if edge.strategy is Strategy.INNER:
        # below a LEFT JOIN it stays one: of two aliases of a table SQLAlchemy nests an inner join in the wrong one
        return joinedload(attribute, innerjoin="unnested")
    if edge.strategy is Strategy.JOINED:
        return joinedload(attribute, innerjoin=False)  # LEFT OUTER, whatever the mapping says
    return _LOADERS[edge.strategy](attribute)


def plan_options(plan: LoadPlan[Any]) -> tuple[ExecutableOption, ...]:
    """Return the options of a whole plan; see :meth:`loadplan.LoadPlan.options`."""
    if plan.into is not None:
        raise PlanError([problems.view_beyond_options(plan.label)])
    root = resolve_graph(plan).root
    if found := list(_beyond_options(root, plan.label)):
        raise PlanError(found)
    return node_options(root, whole=True)


def _beyond_options(node: Node, label: str) -> Iterator[Problem]:
    """Yield a problem for all that loader options have no way to say."""
    for branch in node.branches:
        if branch.by_mapping:
            continue
        yield problems.branch_beyond_options(label, " > ".join(branch.path))
    for edge in node.edges:
        shape = edge.shape
        words = [word for word in ("order_by", "limit", "depth") if getattr(shape, word) is not None]
        if not edge.strategy.joins and any(any(parameters_in(each)) for each in shape.where):
            words.insert(0, "where")  # SQLAlchemy does not hand parameters on to the statements that follow
        if words:
            yield problems.beyond_options(label, edge, words)
        yield from _beyond_options(edge.target, label)


def plan_select(plan: LoadPlan[Any]) -> Select[Any]:
    """Return the statement of a whole plan; see :meth:`loadplan.LoadPlan.select`."""
    return select(plan.entity).options(*plan_options(plan))
