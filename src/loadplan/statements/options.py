"""Plan -> SQLAlchemy loader options, for ``plan.options()`` and ``plan.select()``."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import defaultload, joinedload, load_only, raiseload, selectinload, subqueryload
from sqlalchemy.sql.base import ExecutableOption

from loadplan.declared.spec import Plan
from loadplan.errors import PlanError, Problem
from loadplan.mapped import mapping
from loadplan.resolved import problems
from loadplan.resolved.entities import parameters_in, resolve_graph
from loadplan.resolved.nodes import Edge, Node, Strategy
from loadplan.sqlalchemy_internals import AbstractLoad
from loadplan.statements.option_strategy import choose_strategies

_LOADERS = {
    Strategy.SELECTIN: selectinload,
    Strategy.SUBQUERY: subqueryload,
}


def _node_options(node: Node) -> tuple[ExecutableOption, ...]:
    """Return the options that load all that stands below a node.

    One wildcard at the root refuses every relationship that is not named, at every level: SQLAlchemy ignores a
    wildcard below the root in some spellings (sqlalchemy/sqlalchemy#9548).
    """
    refused = [raiseload(attribute) for attribute in mapping.subclass_eager_relationships(node.mapper)]
    return (raiseload("*"), *refused, *_loads(node, node.entity))


def _loads(node: Node, entity: Any) -> list[AbstractLoad]:
    options: list[AbstractLoad] = []
    if node.restricted:
        columns = [getattr(entity, key) for key in sorted(node.columns)]
        options.append(load_only(*columns, raiseload=True))
    for edge in node.edges:
        target = mapping.target_entity(node.mapper, edge.key)
        options.append(_edge_load(edge, entity).options(*_loads(edge.target, target)))
        for refused in mapping.subclass_eager_relationships(edge.target.mapper):
            of_sub = getattr(entity, edge.key).of_type(refused.class_)
            options.append(defaultload(of_sub).raiseload(refused))
    return options


def _edge_load(edge: Edge, entity: Any) -> AbstractLoad:
    attribute = getattr(entity, edge.key)
    if edge.shape.where:
        attribute = attribute.and_(*edge.shape.where)
    if edge.strategy is Strategy.INNER:
        # below a LEFT JOIN it stays a LEFT JOIN: SQLAlchemy nests an inner join in the wrong one of two aliases
        return joinedload(attribute, innerjoin="unnested")
    if edge.strategy is Strategy.JOINED:
        return joinedload(attribute, innerjoin=False)  # LEFT OUTER, whatever the mapping says
    return _LOADERS[edge.strategy](attribute)


def plan_options(plan: Plan[Any]) -> tuple[ExecutableOption, ...]:
    """Return the options of a whole plan; see :meth:`loadplan.LoadPlan.options`."""
    if plan.into is not None:
        raise PlanError([problems.view_beyond_options(plan.label)])
    root = choose_strategies(resolve_graph(plan)).root
    if found := list(_beyond_options(root, plan.label)):
        raise PlanError(found)
    return _node_options(root)


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
            words.insert(0, "where")  # SQLAlchemy does not pass parameters to the statements that follow
        if words:
            yield problems.beyond_options(label, edge, words)
        yield from _beyond_options(edge.target, label)


def plan_select(plan: Plan[Any]) -> Select[Any]:
    """Return the statement of a whole plan; see :meth:`loadplan.LoadPlan.select`."""
    return select(plan.entity).options(*plan_options(plan))
