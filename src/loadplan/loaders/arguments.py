"""The arguments of calls: their types, and the checks of plans, ids and words before any SQL."""

from __future__ import annotations  # annotations of inner functions would be evaluated in every call

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypeVar, get_args

from sqlalchemy import Table
from sqlalchemy.orm import Mapper

from loadplan.errors import IdentityError, LoaderError, PlanError, Problem, one_of, shown
from loadplan.loaders.counting import plan_of_class
from loadplan.mapped.mapping import mapper_of, mappers_below, tables_in
from loadplan.plan import LoadPlan
from loadplan.resolved.number_problems import is_sql
from loadplan.resolved.problems import safely_described
from loadplan.resolved.tree import tables_read
from loadplan.running import call_problems
from loadplan.running.plans import resolve_plan

T = TypeVar("T")

ForUpdate: TypeAlias = bool | Mapping[str, Any]
"""True to lock the root rows, or the keyword arguments of ``with_for_update``; False to lock nothing."""

Params: TypeAlias = Mapping[str, Any] | None
"""The values of the plan's bindparams, by name."""

Options: TypeAlias = Mapping[str, Any] | None
"""The execution options for every statement of one call, by name."""

Call: TypeAlias = Literal["fetch", "count", "exists", "extend"]
"""The calls that ``explain`` can explain."""


def listed(plan: LoadPlan[Any], ids: Iterable[object]) -> list[object]:
    """Return the ids of an iterable.

    Raises:
        IdentityError: LP404, the value is not an iterable, or is text.
    """
    if issubclass(type(ids), str | bytes | bytearray | memoryview):
        message = f"{shown(ids)} is one value, not a list of ids"
        raise IdentityError(
            Problem("LP404", message, (plan.label,), hint="put it into a list: fetch_many(plan, [id]).")
        )
    try:
        return list(ids)
    except Exception as error:  # the iterable may be the caller's own class
        raise IdentityError(
            Problem(
                "LP404",
                f"{safely_described(ids)} is not a list of ids",
                (plan.label,),
                detail=None if is_sql(ids) else f"reading it raises {type(error).__name__}.",
                hint="for a condition, write fetch_all(plan, where=...)."
                if is_sql(ids)
                else "put the ids into a list: fetch_many(plan, [id]).",
            )
        ) from error


def check_plan(plan: object) -> None:
    """Check that a value is a plan.

    Raises:
        LoaderError: LP408, the value is not a plan. It may be a mapped class, for example.
    """
    if not issubclass(type(plan), LoadPlan):  # isinstance would read __class__ of the value, which may raise
        raise LoaderError(call_problems.not_a_plan(plan))


def plan_itself(given: LoadPlan[T] | type[T]) -> LoadPlan[T]:
    """Check that a value is a plan, and return it unchanged.

    Raises:
        LoaderError: LP408, the value is not a plan. It may be a mapped class, for example.
    """
    check_plan(given)
    plan: Any = given
    return plan  # type: ignore[no-any-return]


def plan_behind(given: LoadPlan[T] | type[T]) -> LoadPlan[T]:
    """Return a plan unchanged. For a mapped class, return a plan without loads.

    Raises:
        LoaderError: LP408, the value is neither a plan nor a mapped class.
    """
    what: Any = given
    if issubclass(type(what), type) and mapper_of(what) is not None:
        what = plan_of_class(what)
    check_plan(what)
    plan: LoadPlan[T] = what
    return plan


def locks(for_update: ForUpdate) -> bool:
    """Tell whether a fetch with this ``for_update=`` locks the root rows."""
    return for_update is not None and for_update is not False


def check_missing(missing: object, plan: LoadPlan[Any]) -> None:
    """Check the ``missing=`` of ``fetch_many``.

    Raises:
        LoaderError: LP408, the value is not ``"raise"`` or ``"skip"``.
    """
    if not isinstance(missing, str) or missing not in ("raise", "skip"):
        message = f"missing={shown(missing)} is not a way to answer for ids without a row"
        raise LoaderError(Problem("LP408", message, (plan.label,), hint='use missing="raise" or missing="skip".'))


def check_call(call: object) -> None:
    """Check the ``call=`` of ``explain``.

    Raises:
        LoaderError: LP408, the value does not name a call that can be explained.
    """
    if not isinstance(call, str) or call not in get_args(Call):
        hint = f"use {one_of(get_args(Call))}."
        raise LoaderError(Problem("LP408", f"call={shown(call)} is not a call to explain", hint=hint))


def check_plans(plans: Sequence[LoadPlan[Any]]) -> None:
    """Resolve plans now.

    Raises:
        PlanError: one or more plans do not resolve. The error lists the problems of all plans.
    """
    found: list[Problem] = []
    for plan in plans:
        check_plan(plan)
        try:
            resolve_plan(plan)
        except PlanError as error:
            found.extend(error.problems)
    if found:
        raise PlanError(found)


def tables_of(given: LoadPlan[Any] | type[Any]) -> Iterator[tuple[Mapper[Any], Table]]:
    """Yield (mapper, table) for each table of a plan, of a mapped class, or of all classes below a base.

    Raises:
        LoaderError: LP408, the value is not a plan, a mapped class or a base.
        PlanError: the plan does not resolve.
    """
    what: Any = given
    if issubclass(type(what), LoadPlan):
        yield from tables_read(resolve_plan(what))
        return
    is_class = issubclass(type(what), type)
    mapper = mapper_of(what) if is_class else None
    mappers = [mapper] if mapper is not None else list(mappers_below(what)) if is_class else []
    if not mappers:
        raise LoaderError(call_problems.not_a_plan(what))
    for each in mappers:
        yield from ((each, table) for table in each.tables if isinstance(table, Table))
        for prop in each.relationships:
            if prop.secondary is not None:
                yield from ((prop.mapper, table) for table in tables_in(prop.secondary) if isinstance(table, Table))
