"""Resolves, checks and compiles plans of entities and of views."""

from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Dialect

from loadplan.declared.spec import Plan
from loadplan.errors import PlanError
from loadplan.mapped import readiness
from loadplan.mapped.indexes import learned_of
from loadplan.resolved.entities import resolve_entities
from loadplan.resolved.form import form_problems
from loadplan.resolved.protocols import check_typed
from loadplan.resolved.tree import Tree
from loadplan.resolved.views import resolve_view
from loadplan.running.compiled import CompiledPlan, compile_tree

T = TypeVar("T")

Compiled: TypeAlias = CompiledPlan[T]
"""A plan, ready to run on one dialect."""

#: The number of databases with learned indexes for which a compiled plan is kept.
MOST_LEARNED = 16


def resolve_plan(plan: Plan[Any]) -> Tree:
    """Return the resolved tree of a plan.

    Raises:
        PlanError: the plan has problems. The error lists all of them.
    """
    tree = resolve_entities(plan) if plan.into is None else resolve_view(plan)
    if "typed" not in plan._derived:
        check_typed(plan)
        plan._derived["typed"] = True
    return tree


def check_early(plan: Plan[Any]) -> None:
    """Check a new plan. If the mappers cannot be configured yet, check only its form.

    Raises:
        PlanError: the plan has problems. The error lists all problems that can be found now.
    """
    if not readiness.checks_early.get():
        return
    if readiness.can_configure(plan.entity):
        resolve_plan(plan)
    elif found := list(form_problems(plan)):
        raise PlanError(found)


def compile_plan(plan: Plan[T], dialect: Dialect) -> Compiled[T]:
    """Return a plan ready to run on a dialect. The plan keeps it until the mapping changes.

    Raises:
        PlanError: the plan does not resolve.
    """
    return compile_resolved(plan, resolve_plan(plan), dialect)


def compile_resolved(plan: Plan[T], tree: Tree, dialect: Dialect) -> Compiled[T]:
    """Return a plan that is already resolved, ready to run on a dialect."""
    name = f"{dialect.name}+{dialect.driver}"
    learned = learned_of(dialect)
    kept: dict[Any, Compiled[T]] = plan._derived.setdefault("learned", {}) if learned else plan._derived
    key: Any = (name, learned) if learned else name
    compiled = kept.get(key)
    if compiled is None:
        if learned and len(kept) >= MOST_LEARNED:
            kept.clear()
        compiled = kept[key] = compile_tree(tree, dialect, learned)
    return compiled
