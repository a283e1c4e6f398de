"""Turns names from a request into a part of a declared plan.

Nothing is added to the declared plan. Its conditions, orders and limits stay, so a tenant's filter in ``where=`` always
applies.
"""

import inspect
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, TypeVar, cast

import attrs
from sqlalchemy.orm import Mapper, QueryableAttribute

from loadplan.declared.code import source
from loadplan.declared.spec import Below, Load, On, Plan, tuple_or_none
from loadplan.errors import PlanError, Problem, did_you_mean, shown
from loadplan.mapped import mapping
from loadplan.resolved import meant
from loadplan.resolved.parts import DeclaredPlace, key_of, target_of_load
from loadplan.resolved.resolving import configure_around, mapper_to_use
from loadplan.view_classes.annotations import FieldType, members_with_branches
from loadplan.view_classes.classes import is_view_class, read_class
from loadplan.view_classes.narrowed import narrowed_class, with_members

P = TypeVar("P", bound=Plan[Any])

#: The number of narrowed plans that are remembered. Without it, a client that requests every combination of names could
#: fill the memory.
MOST_PLANS = 512

#: The most names in one path. A path around a cycle could have any length.
MOST_NAMES = 32

#: The most wrong names that one error lists.
_MOST_PROBLEMS = 20


@attrs.frozen
class Wanted:
    """The names below one place. Equal names in any order give equal values.

    Attributes:
        names: the wanted columns, relationships or fields, each with the names below it.
        limit: the number of rows of each parent that the request wants; None for the limit of the plan.
    """

    names: "frozenset[tuple[str, Wanted]]" = frozenset()
    limit: int | None = None

    @property
    def below(self) -> "dict[str, Wanted]":
        """The names as a dictionary, sorted by name."""
        return dict(sorted(self.names, key=lambda each: each[0]))


def merged(one: Wanted, other: Wanted) -> Wanted:
    """Return the names of both values. Keep a limit only if it is the same in both."""
    names = one.below
    for name, below in other.names:
        names[name] = merged(names[name], below) if name in names else below
    return Wanted(frozenset(names.items()), one.limit if one.limit == other.limit else None)


def wanted_of(paths: Iterable[object], label: str) -> Wanted:
    """Return dotted names as a tree.

    Raises:
        PlanError: LP120, a value is not text, or a path has too many names.
    """
    tree: dict[str, Any] = {}
    several: object = paths
    given: Any = paths if isinstance(several, Iterable) and not isinstance(several, str) else (paths,)
    for path in given:
        names = path.split(".", MOST_NAMES) if isinstance(path, str) else ()
        if not names or len(names) > MOST_NAMES:
            raise PlanError([_not_a_path(path, label)])
        place = tree
        for name in names:
            place = place.setdefault(name, {})
    return _frozen(tree)


def _frozen(tree: dict[str, Any]) -> Wanted:
    return Wanted(frozenset((name, _frozen(below)) for name, below in tree.items()))


def plan_for_paths(entity: type[Any], paths: Iterable[str], allowed: P) -> P:
    """Return the part of a plan that loads the given names; see :meth:`loadplan.LoadPlan.for_paths`."""
    given: object = allowed
    if not isinstance(given, Plan):
        message = f"allowed= needs a LoadPlan, but got {meant.described(given)}"
        raise PlanError([Problem("LP120", message, hint=meant.instead_of_plan(given))])
    if entity is not allowed.entity:
        raise PlanError([_allowed_for_another(entity, allowed)])
    return narrowed_plan(allowed, wanted_of(paths, allowed.label))


def narrowed_plan(plan: P, wanted: Wanted) -> P:
    """Return the wanted part of a plan. Equal names get the same plan, which is compiled once.

    Raises:
        PlanError: LP120, the plan does not have some of the names. The error lists them.
    """
    return cast("P", _narrowed_plan(plan, wanted))


@lru_cache(maxsize=MOST_PLANS)
def _narrowed_plan(plan: Plan[Any], wanted: Wanted) -> Plan[Any]:
    mapper = mapper_to_use(plan.entity, plan.label)
    if mapper is None:
        return plan
    configure_around(mapper, (plan.label,))
    found: list[Problem] = []
    if plan.into is not None:
        view = _Views(found).annotation(plan.into, wanted, (plan.label,))
        shapes = _Views(found).loads(plan.loads, wanted)
        made = None if found else plan.like(*shapes, into=view)
    else:
        loads, only = _Entities(found).place(mapper, [plan], wanted, (plan.label,))
        made = None if found else plan.like(*loads, only=only)
    if made is None:
        raise PlanError(found[:_MOST_PROBLEMS])
    return made


def _limit(item: Load[Any], wanted: Wanted) -> int | None:
    """Return the limit for each parent: the limit of the request, but never more than the limit of the plan."""
    if wanted.limit is None:
        return item.limit
    asked = max(1, wanted.limit)
    return asked if item.limit is None else min(asked, item.limit)


def _not_a_path(given: object, label: str) -> Problem:
    hint = f'a path is text, as "posts.title", with {MOST_NAMES} names at most.'
    if issubclass(type(given), QueryableAttribute):
        attribute: Any = given
        return Problem(
            "LP120", f"{source(attribute)} is not a path of names", (label,), hint=f'write "{attribute.key}".'
        )
    return Problem("LP120", f"{shown(given)} is not a path of names", (label,), hint=hint)


def _not_allowed(name: str, known: Iterable[str], at: tuple[str, ...], mapper: Mapper[Any] | None = None) -> Problem:
    computed = None if mapper is None else _computed(mapper, name)
    if computed is not None:
        return Problem(
            "LP120",
            f"{shown(name)} is not allowed by plan '{at[0]}'",
            at,
            detail=f"it is {computed}, and a plan loads columns and relationships.",
            hint="name the attributes that it reads instead. In GraphQL, declare them once: "
            "selected_plan(info, plan, reads={'Type.field': ['first_name', 'last_name']}).",
        )
    there = "at the root" if len(at) == 1 else f"at {'.'.join(at[1:])}"
    return Problem(
        "LP120",
        f"{shown(name)} is not allowed by plan '{at[0]}'",
        at,
        hint=did_you_mean(name, known, f"Allowed {there}"),
    )


def _computed(mapper: Mapper[Any], name: str) -> str | None:
    """Return how a class computes an attribute in Python; None if it does not."""
    if name in mapper.all_orm_descriptors and name not in mapper.attrs:
        return mapping.describe_attribute(mapper, name)
    found = inspect.getattr_static(mapper.class_, name, None)  # a request may send the name, so do not run its property
    return "a Python property" if isinstance(found, property) else None


def _allowed_for_another(entity: Any, allowed: Plan[Any]) -> Problem:
    return Problem(
        "LP120",
        f"the plan '{allowed.label}' allows names of '{source(allowed.entity)}', not of '{source(entity)}'",
        hint=f"give allowed= a LoadPlan({source(entity)}, ...).",
    )


# --- entities -------------------------------------------------------------------------------------------------------


@attrs.frozen
class _Entities:
    """Walks through a plan of entities and the wanted names. It adds names that the plan does not have to ``found``."""

    found: list[Problem]

    def place(
        self, mapper: Mapper[Any], parts: Sequence[Below], wanted: Wanted, at: tuple[str, ...]
    ) -> tuple[tuple[Any, ...], list[Any] | None]:
        """Return (loads, columns) that are wanted at one place, from the declarations about it."""
        place = DeclaredPlace(mapper, parts)
        loads, columns = place.loads(), place.columns()
        kept: set[str] = set()
        made: list[Any] = []
        in_branches: dict[str, Wanted] = {}
        for name, below in wanted.below.items():
            behind = mapping.columns_behind(mapper, name)
            prop = mapping.relationship(mapper, name)
            if prop is not None and prop.key in loads:
                made.append(self.edge(mapper, prop.key, loads[prop.key], below, (*at, name)))
            elif behind is not None and columns.issuperset(behind) and not below.names:
                kept.update(behind)
            else:
                in_branches[name] = below
        known = {*loads, *columns}
        for branch in place.branches():
            sub = branch.mapper
            own = {*branch.loads(), *branch.columns()}
            known |= own
            mine = {name: in_branches.pop(name) for name in list(in_branches) if name in own}
            if mine or not (kept or in_branches):
                inner, only = self.place(
                    sub, branch.parts, Wanted(frozenset(mine.items())), (*at, f"on({sub.class_.__name__})")
                )
                made.append(On(sub.class_, inner, tuple_or_none(only)))
        self.found.extend(_not_allowed(name, known, at, mapper) for name in in_branches)
        names = sorted(kept or columns)
        if not kept and columns == mapping.default_columns(mapper):
            return tuple(made), None
        return tuple(made), [getattr(mapper.class_, name) for name in names]

    def edge(
        self, mapper: Mapper[Any], key: str, items: list[Load[Any]], wanted: Wanted, at: tuple[str, ...]
    ) -> Load[Any]:
        """Return the wanted part of a relationship. It keeps the conditions, order, depth and strategy of the plan."""
        first = items[0]
        target = target_of_load(mapper, key, first)
        if first.depth is not None:
            wanted = _folded(wanted, key)
        inner, only = self.place(target, items, wanted, at)
        ordered = first.order_by is not None or bool(mapper.relationships[key].order_by)
        limit = _limit(first, wanted) if ordered and mapper.relationships[key].uselist else first.limit
        strategy = next((each.strategy for each in items if each.strategy is not None), None)
        return attrs.evolve(first, loads=inner, only=tuple_or_none(only), defer=None, limit=limit, strategy=strategy)


def _folded(wanted: Wanted, key: str) -> Wanted:
    """Return the names wanted in a tree.

    All levels are one place: ``children.children.name`` means ``children.name``.
    """
    names: dict[str, Wanted] = {}
    waiting = [wanted]
    while waiting:
        for name, below in waiting.pop().names:
            if name == key:
                waiting.append(below)
            else:
                names[name] = merged(names[name], below) if name in names else below
    return Wanted(frozenset(names.items()), wanted.limit)


# --- views ----------------------------------------------------------------------------------------------------------


@attrs.frozen
class _Views:
    """Walks through view classes and the wanted names, and makes classes with only the wanted fields."""

    found: list[Problem]

    def annotation(self, annotation: Any, wanted: Wanted, at: tuple[str, ...]) -> Any:
        """Return a view class, or a union of view classes, with only the wanted fields."""
        if not wanted.names:
            return annotation
        members = [member for member, _ in members_with_branches(annotation)]
        views = {member: read_class(member) for member in members if is_view_class(member)}
        known = {field.name for view in views.values() for field in view.fields}
        self.found.extend(_not_allowed(name, known, at) for name in wanted.below.keys() - known)
        made: dict[Any, Any] = {}
        for member, view in views.items():
            fields: dict[str, Any] = {}
            for field in view.fields:
                below = wanted.below.get(field.name)
                if below is not None:
                    fields[field.name] = self.field(field.type, below, (*at, field.name))
            if len(views) > 1 and not fields:
                made[member] = member  # no field of this member is wanted, but its rows need a class
            elif fields:
                made[member] = narrowed_class(member, tuple(fields.items()))
        return with_members(annotation, made)

    def field(self, kind: FieldType, wanted: Wanted, at: tuple[str, ...]) -> Any:
        """Return the annotation of a field, with a narrowed class in place of its view class."""
        given = kind.given
        if wanted.names and not any(is_view_class(member) for member, _ in members_with_branches(kind.item)):
            self.found.extend(_not_allowed(name, (), at) for name in wanted.below)
        elif wanted.names:
            members = {member: self.annotation(member, wanted, at) for member, _ in members_with_branches(kind.item)}
            given = with_members(given, members)
        return kind, given

    def loads(self, loads: Iterable[Below], wanted: Wanted) -> list[Any]:
        """Return the loads next to a view that belong to wanted fields."""
        if not wanted.names:
            return list(loads)
        kept: list[Any] = []
        for item in loads:
            if not isinstance(item, Load):
                kept.append(item)
            elif key_of(item) in wanted.below:
                below = wanted.below[key_of(item)]
                limit = item.limit if item.order_by is None else _limit(item, below)
                kept.append(attrs.evolve(item, loads=tuple(self.loads(item.loads, below)), limit=limit))
        return kept
