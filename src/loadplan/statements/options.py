"""Turns a plan into SQLAlchemy loader options, for ``plan.options()`` and ``plan.select()``."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import defaultload, joinedload, load_only, raiseload, selectinload, subqueryload
from sqlalchemy.sql.base import ExecutableOption

from loadplan.declared.spec import Plan
from loadplan.errors import PlanError, Problem
from loadplan.mapped import mapping
from loadplan.resolved.conditions import parameters_in
from loadplan.resolved.entities import resolve_entities
from loadplan.resolved.strategy import Choice, Way
from loadplan.resolved.strategy_of_options import choose_for_options
from loadplan.resolved.tree import Edge, Instance, instance_at
from loadplan.sqlalchemy_internals import AbstractLoad
from loadplan.statements import option_problems as problems


def _root_options(root: Instance, chosen: Mapping[Edge, Choice]) -> tuple[ExecutableOption, ...]:
    """Return the options that load everything below a root.

    One wildcard at the root refuses, at every level, the relationships that the options do not name. SQLAlchemy ignores
    some spellings of a wildcard below the root (sqlalchemy/sqlalchemy#9548).
    """
    refused = [raiseload(attribute) for attribute in mapping.subclass_eager_relationships(root.place.mapper)]
    return (raiseload("*"), *refused, *_loads(root, chosen))


def _loads(made: Instance, chosen: Mapping[Edge, Choice]) -> list[AbstractLoad]:
    options: list[AbstractLoad] = []
    entity = made.place.entity
    if not _is_as_mapped(made):
        columns = [getattr(entity, key) for key in sorted(made.columns)]
        options.append(load_only(*columns, raiseload=True))
    for edge in made.place.relationships:
        options.append(_load(edge, chosen[edge].way).options(*_loads(instance_at(edge), chosen)))
        for refused in mapping.subclass_eager_relationships(edge.target.mapper):
            of_sub = getattr(entity, edge.key).of_type(refused.class_)
            options.append(defaultload(of_sub).raiseload(refused))
    return options


def _is_as_mapped(made: Instance) -> bool:
    """Tell whether a plan loads the columns that SQLAlchemy loads by default: all columns that are not deferred."""
    mapper = made.place.mapper
    loadable = {prop.key for prop in mapping.column_attributes(mapper)}
    return made.columns == loadable == mapping.default_columns(mapper)


def _load(edge: Edge, way: Way) -> AbstractLoad:
    attribute = getattr(edge.owner.entity, edge.key)
    if edge.shape.where:
        where = edge.shape.where
        if edge.prop is not None and not edge.prop.entity.is_aliased_class:
            where = tuple(mapping.as_seen_from(edge.prop.mapper, each, bases=True) for each in where)
        attribute = attribute.and_(*where)
    if way is Way.INNER:
        # below a LEFT JOIN, ``unnested`` makes it a LEFT JOIN, too: SQLAlchemy nests an inner join in the wrong alias
        return joinedload(attribute, innerjoin="unnested")
    if way is Way.JOIN:
        return joinedload(attribute, innerjoin=False)  # LEFT OUTER, whatever the mapping says
    return subqueryload(attribute) if way is Way.PARENTS or _is_of_union(edge) else selectinload(attribute)


def _is_of_union(edge: Edge) -> bool:
    """Tell whether the rows of an edge come from a union of concrete classes.

    SQLAlchemy 2.0's ``selectinload`` reads the keys of their parents from the table of the base class alone, and gives
    all rows of the other classes to one parent. ``subqueryload`` reads them from the union.
    """
    mapper = edge.target.mapper
    return mapping.is_read_elsewhere(mapper) and any(sub.concrete for sub in mapper.self_and_descendants)


def plan_options(plan: Plan[Any]) -> tuple[ExecutableOption, ...]:
    """Return the options of a whole plan; see :meth:`loadplan.LoadPlan.options`."""
    if plan.into is not None:
        raise PlanError([problems.view_beyond_options(plan.label)])
    tree = resolve_entities(plan)
    assert isinstance(tree.recipe, Instance)  # noqa: S101 - of a plan of entities
    chosen = choose_for_options(tree)
    if found := list(_beyond_options(tree.recipe, chosen, plan.label)):
        raise PlanError(found)
    return _root_options(tree.recipe, chosen)


def _beyond_options(made: Instance, chosen: Mapping[Edge, Choice], label: str) -> Iterator[Problem]:
    """Yield a problem for each part of a plan that loader options cannot express."""
    for part in made.parts:
        if not part.by_mapping:
            yield problems.branch_beyond_options(label, " > ".join(part.place.path))
    for edge in made.place.relationships:
        shape = edge.shape
        words = [word for word in ("order_by", "limit", "depth") if getattr(shape, word) is not None]
        if not chosen[edge].way.joins and any(any(parameters_in(each)) for each in shape.where):
            words.insert(0, "where")  # SQLAlchemy does not pass parameters to the statements that follow
        if words:
            yield problems.beyond_options(label, edge, words)
        elif not chosen[edge].way.joins and _lacks_order(edge):
            yield problems.order_beyond_options(label, edge, chosen[edge].reason)
        yield from _beyond_options(instance_at(edge), chosen, label)


def _lacks_order(edge: Edge) -> bool:
    """Tell whether SQLAlchemy would order a to-one by a table that its separate statement does not have."""
    return edge.cardinality.to_one and edge.prop is not None and mapping.ordered_by_another_table(edge.prop)


def plan_select(plan: Plan[Any]) -> Select[Any]:
    """Return the statement of a whole plan; see :meth:`loadplan.LoadPlan.select`."""
    return select(plan.entity).options(*plan_options(plan))
