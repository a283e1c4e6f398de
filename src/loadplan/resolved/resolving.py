"""Resolves plans of every kind: checks the form, configures the mappers, and lets equal plans share one tree."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapper

from loadplan.declared.spec import Plan
from loadplan.errors import PlanError, Problem
from loadplan.mapped import mapping, readiness
from loadplan.resolved import problems
from loadplan.resolved.form import form_problems
from loadplan.resolved.sharing import made_of_equal, share
from loadplan.resolved.tree import Tree, places_from
from loadplan.sqlalchemy_internals import mappers_in


def resolve_once(plan: Plan[Any], resolve: Callable[[Plan[Any], Mapper[Any], list[Problem]], Tree | None]) -> Tree:
    """Check the form of a plan, configure the mappers, and return the result of ``resolve``.

    The result is kept with the plan. If the mapping has changed since, the plan is resolved again.

    Args:
        plan: the plan to resolve.
        resolve: takes the plan, the mapper of its entity, and a list for the problems that it finds.

    Raises:
        PlanError: the plan has problems. The error lists all of them.
    """
    derived = plan._derived
    if not _holds(derived):
        mapper = mapper_to_use(plan.entity, plan.label)
        shared = None if mapper is None else made_of_equal(plan, mapper)
        if shared is None or not _holds(shared):
            shared = _made(plan, mapper, resolve)
        derived = shared
        object.__setattr__(plan, "_derived", derived)  # a plan is frozen, but this is not a part of its value
    tree: Tree = derived["tree"]
    return tree


def _holds(made: Mapping[str, Any]) -> bool:
    """Tell whether a plan was resolved and the mapping has not changed since."""
    return "tree" in made and readiness.is_mapped_still(made["mapped"])


def _made(
    plan: Plan[Any],
    mapper: Mapper[Any] | None,
    resolve: Callable[[Plan[Any], Mapper[Any], list[Problem]], Tree | None],
) -> dict[str, Any]:
    """Resolve a plan, and return the result that this plan and all equal plans use from now on.

    Raises:
        PlanError: the plan has problems. The error lists all of them.
    """
    if mapper is not None:
        configure_around(mapper, (plan.label,))  # before the form is checked: hints name relationships and columns
    found = list(form_problems(plan))
    tree: Tree | None = None
    if mapper is None and mapping.still_to_be_mapped(plan.entity):
        found.append(problems.not_mapped(plan.entity, () if plan.name is None else (plan.name,)))
    if mapper is not None:
        tree = resolve(plan, mapper, found)
    if mapper is None or found or tree is None:
        raise PlanError(found)
    mappers = (place.mapper for place in places_from(tree.root))
    made = {"mapped": readiness.as_mapped(mappers), "tree": tree}
    share(plan, mapper, made)
    return made


def mapper_to_use(entity: Any, label: str) -> Mapper[Any] | None:
    """Return the mapper of a class, or None. If needed, configure the classes around it.

    ``AbstractConcreteBase`` makes its mapper only when these classes are configured.

    Raises:
        PlanError: LP208, the mappers cannot be configured.
    """
    mapper = mapping.mapper_of(entity)
    if mapper is None and mapping.still_to_be_mapped(entity):
        for beside in mappers_in(entity.registry)[:1]:
            configure_around(beside, (label,))
        mapper = mapping.mapper_of(entity)
    return mapper


def configure_around(mapper: Mapper[Any], at: tuple[str, ...]) -> None:
    """Configure the mappers around a class, unless they are configured already. ``at`` is the place for errors.

    Raises:
        PlanError: LP208, the mappers cannot be configured.
    """
    if missing := readiness.missing_targets(mapper):
        # if SQLAlchemy tried to configure them now and failed, the mappers could never be used again
        raise PlanError([problems.mapping_incomplete(mapper, missing, at)])
    try:
        mapper.registry.configure(cascade=True)
    except SQLAlchemyError as error:
        raise PlanError([problems.mapping_broken(mapper, error, at)]) from error
