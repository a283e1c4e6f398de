"""Plan plus mapping -> tree, with every problem found on the way."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar, get_args

import attrs
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapper, QueryableAttribute, RelationshipProperty

from loadplan import mapping
from loadplan.errors import PlanError, Problem, did_you_mean, one_of
from loadplan.spec import Load, LoadPlan, StrategyName
from loadplan.strategy import choose_strategies
from loadplan.tree import Edge, Node, Tree

T = TypeVar("T")


def resolve_plan(plan: LoadPlan[Any]) -> Tree:
    """Return what the plan means against the mapping, strategies chosen. Done once a plan, then remembered.

    Configures the mappers if that has not happened yet, as any use of them would.

    Raises:
        PlanError: with every problem of the plan.
    """
    tree: Tree | None = plan._derived.get("tree")
    if tree is None:
        problems = list(_shape_problems(plan))
        root = None
        if mapper := mapping.mapper_of(plan.entity):
            _configure(mapper, plan)
            root = _Resolver(plan.label, problems).node(mapper, [_root_part(plan)], path=(), at=(plan.label,))
        if problems or root is None:
            raise PlanError(problems)
        tree = plan._derived["tree"] = choose_strategies(Tree(plan.label, root))
    return tree


def check_early(plan: LoadPlan[Any]) -> None:
    """Check a plan where it is written: wholly if the mappers can be configured by now, else its shape alone.

    Raises:
        PlanError: with every problem that can be known.
    """
    if mapping.can_configure(plan.entity):
        resolve_plan(plan)
    elif problems := list(_shape_problems(plan)):
        raise PlanError(problems)


def _configure(mapper: Mapper[Any], plan: LoadPlan[Any]) -> None:
    try:
        mapper.registry.configure(cascade=True)
    except SQLAlchemyError as error:
        raise PlanError(
            [
                Problem(
                    "LP208",
                    f"the mapping around '{mapper.class_.__name__}' cannot be configured",
                    (plan.label,),
                    detail=str(error).partition("\n")[0],
                    hint="mend the mapping, or import the module of the class it names before the plan is used.",
                )
            ]
        ) from error


# --- shape: what can be told without a mapper -----------------------------------------------------------------------


def _shape_problems(plan: LoadPlan[Any]) -> Iterator[Problem]:
    if mapping.mapper_of(plan.entity) is None:
        yield Problem(
            "LP200",
            f"{plan.entity!r} is not a mapped class",
            (plan.label,),
            hint="the first argument of LoadPlan is the class that the graph starts at.",
        )
    yield from _part_problems(plan, (plan.label,))


def _part_problems(part: Load[Any] | LoadPlan[Any], at: tuple[str, ...]) -> Iterator[Problem]:
    if part.only is not None and part.defer is not None:
        yield Problem("LP103", "only= and defer= are given together", at, hint="keep the one that says what you mean.")
    for word in ("only", "defer"):
        for column in getattr(part, word) or ():
            if not isinstance(column, QueryableAttribute):
                yield Problem(
                    "LP104",
                    f"{word}= holds {column!r}, which is not a mapped column",
                    at,
                    hint=f"name columns as attributes of the class, as {word}=[Post.id, Post.title].",
                )
    if isinstance(part, Load) and part.strategy is not None and part.strategy not in get_args(StrategyName):
        yield Problem(
            "LP105",
            f"strategy={part.strategy!r} is not a strategy",
            at,
            hint=f"use {one_of(get_args(StrategyName))}, or leave it out to have it chosen.",
        )
    items: tuple[object, ...] = part.loads
    for item in items:
        if isinstance(item, LoadPlan):
            yield from _part_problems(item, at)
        elif isinstance(item, Load):
            yield from _load_problems(item, at)
        else:
            relationship = _name_of(item, quote="") if isinstance(item, QueryableAttribute) else "..."
            yield Problem(
                "LP102",
                f"{_name_of(item)} stands where a load(...) belongs",
                at,
                hint=f"a relationship goes into load({relationship}), a column into only=[...].",
            )


def _load_problems(item: Load[Any], at: tuple[str, ...]) -> Iterator[Problem]:
    target = item.relationship
    if isinstance(target, str):
        yield from _part_problems(item, (*at, target))
    elif not isinstance(target, QueryableAttribute) or not hasattr(target.parent, "class_"):
        yield Problem(
            "LP101",
            f"load() is given {_name_of(target)}, which is not a relationship of a mapped class",
            at,
            hint="name it as an attribute of the class, as load(User.posts).",
        )
    elif target.parent.is_aliased_class:
        yield Problem(
            "LP101",
            f"load() is given '{target.key}' of an alias",
            at,
            hint=f"name it on the class itself, as load({target.parent.mapper.class_.__name__}.{target.key}).",
        )
    else:
        yield from _part_problems(item, (*at, target.key))


def _name_of(value: object, quote: str = "'") -> str:
    if isinstance(value, QueryableAttribute):
        return f"{quote}{value.class_.__name__}.{value.key}{quote}"
    return repr(value)


# --- meaning: against the mapping -----------------------------------------------------------------------------------


@attrs.frozen
class _Part:
    """One declaration's say about a node: nothing about its columns, all of them, or a subset."""

    loads: tuple[Load[Any] | LoadPlan[Any], ...]
    only: tuple[QueryableAttribute[Any], ...] | None
    defer: tuple[QueryableAttribute[Any], ...] | None
    says_columns: bool


def _root_part(plan: LoadPlan[Any]) -> _Part:
    return _Part(plan.loads, plan.only, plan.defer, says_columns=True)


def _load_part(item: Load[Any]) -> _Part:
    """``load(Post.author, AUTHOR_PLAN)`` leaves the columns to the plan; any other load means all of them."""
    nests_plan = any(isinstance(below, LoadPlan) for below in item.loads)
    says = item.only is not None or item.defer is not None or not nests_plan
    return _Part(item.loads, item.only, item.defer, says)


@attrs.frozen
class _Resolver:
    """Walks a plan against the mappers; what is wrong goes to ``problems``, and the walk goes on."""

    label: str
    problems: list[Problem]

    def node(self, mapper: Mapper[Any], parts: list[_Part], path: tuple[str, ...], at: tuple[str, ...]) -> Node:
        """Resolve one place of the graph from all that is declared about it."""
        for part in parts:  # grows while nested plans for the same place are met
            nested = [item for item in part.loads if isinstance(item, LoadPlan)]
            parts.extend(_root_part(item) for item in nested if self.fits(mapper, item, at))
        edges: list[Edge] = []
        keys: set[str] = set()
        for key, items in self.by_relationship(mapper, parts, at).items():
            prop = mapper.relationships[key]
            keys |= mapping.key_columns(prop, mapper)
            edges.append(self.edge(mapper, prop, items, path, (*at, key)))
        columns = self.columns(mapper, parts, at) | mapping.required_columns(mapper) | keys
        loadable = {prop.key for prop in mapping.column_attributes(mapper)}
        columns &= loadable
        restricted = columns != mapping.default_columns(mapper)
        subset = next((word for word in ("only", "defer") for part in parts if getattr(part, word)), None)
        return Node(mapper, path, columns, restricted, subset, tuple(edges))

    def fits(self, mapper: Mapper[Any], plan: LoadPlan[Any], at: tuple[str, ...]) -> bool:
        """Tell whether a nested plan speaks of the class at this place."""
        other = mapping.mapper_of(plan.entity)
        if other is not None and mapper.isa(other):
            return True
        here = mapper.class_.__name__
        name = getattr(plan.entity, "__name__", repr(plan.entity))
        self.problems.append(
            Problem(
                "LP204",
                f"plan '{plan.label}' is for '{name}', but here stands '{here}'",
                at,
                hint=f"nest a LoadPlan({here}, ...), or move this one to a relationship to '{name}'.",
            )
        )
        return False

    def by_relationship(
        self, mapper: Mapper[Any], parts: Sequence[_Part], at: tuple[str, ...]
    ) -> dict[str, list[Load[Any]]]:
        """Group what is declared below a place by relationship, in the order of first mention."""
        groups: dict[str, list[Load[Any]]] = {}
        for part in parts:
            for item in part.loads:
                if isinstance(item, Load) and _is_reference(item):
                    prop = self.relationship(mapper, item.relationship, at)
                    if prop is not None:
                        groups.setdefault(prop.key, []).append(item)
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
                self.problems.append(_unloadable(mapper, prop, at))
                return None
            return prop
        self.problems.append(_no_relationship(mapper, key, owner, at))
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
        asked: dict[StrategyName, None] = {item.strategy: None for item in items if item.strategy is not None}
        if len(asked) > 1:
            self.problems.append(
                Problem(
                    "LP106",
                    f"'{name}' is loaded twice, with different strategies",
                    at,
                    detail=f"they are {one_of([str(each) for each in asked])}.",
                    hint="keep one of them; a relationship named twice is loaded once.",
                )
            )
        return Edge(
            key=prop.key,
            owner=mapper.class_,
            cardinality=mapping.cardinality(prop),
            target=self.node(prop.mapper, [_load_part(item) for item in items], (*path, name), at),
            single=mapping.is_single(prop),
            back_reference=mapping.back_reference(prop),
            asked=next(iter(asked), None),
        )

    def columns(self, mapper: Mapper[Any], parts: Iterable[_Part], at: tuple[str, ...]) -> frozenset[str]:
        """Return the columns that all declarations about a place ask for together."""
        asked: frozenset[str] = frozenset()
        default = mapping.default_columns(mapper)
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
                    self.problems.append(_no_column(mapper, column.key, owner, at))
                found.update(keys or ())
        return frozenset(found)


def _is_reference(item: Load[Any]) -> bool:
    named = item.relationship
    return isinstance(named, str) or (
        isinstance(named, QueryableAttribute) and hasattr(named.parent, "mapper") and not named.parent.is_aliased_class
    )


def _unloadable(mapper: Mapper[Any], prop: RelationshipProperty[Any], at: tuple[str, ...]) -> Problem:
    return Problem(
        "LP205",
        f"'{mapper.class_.__name__}.{prop.key}' cannot be eagerly loaded",
        (*at, prop.key),
        detail=f'it is mapped lazy="{prop.lazy}", which does not support object population.',
        hint='map it lazy="raise" (or add a second, viewonly=True relationship that is), or leave it out of the plan.',
    )


def _no_relationship(mapper: Mapper[Any], key: str, owner: Mapper[Any] | None, at: tuple[str, ...]) -> Problem:
    here = mapper.class_.__name__
    at = (*at, key)
    if owner is not None and owner.isa(mapper) and owner is not mapper:
        sub = owner.class_.__name__
        return Problem(
            "LP209",
            f"'{sub}.{key}' exists on '{sub}' alone, but here stands any '{here}'",
            at,
            hint=f"start a plan at '{sub}', or load it through a relationship to '{sub}'.",
        )
    if owner is not None and not mapper.isa(owner):
        there = owner.class_.__name__
        routes = [prop.key for prop in mapper.relationships if prop.mapper.isa(owner)]
        route = f"load({here}.{routes[0]}, load({there}.{key}))" if routes else None
        known = mapper.relationships.keys()
        return Problem(
            "LP201",
            f"'{here}' has no relationship '{there}.{key}'",
            at,
            detail=f"it belongs to '{there}'.",
            hint=f"nest it: {route}." if route else did_you_mean(key, known, f"Relationships of {here}"),
        )
    if mapping.columns_behind(mapper, key) or key in mapper.all_orm_descriptors:
        return Problem(
            "LP202",
            f"'{here}.{key}' is {mapping.describe_attribute(mapper, key)}, not a relationship",
            at,
            hint="columns come by themselves; name a subset with only=[...].",
        )
    return Problem(
        "LP201",
        f"'{here}' has no relationship '{key}'",
        at,
        hint=did_you_mean(key, mapper.relationships.keys(), f"Relationships of {here}"),
    )


def _no_column(mapper: Mapper[Any], key: str, owner: Mapper[Any] | None, at: tuple[str, ...]) -> Problem:
    here = mapper.class_.__name__
    if owner is not None and mapper.isa(owner):
        what = mapping.describe_attribute(mapper, key)
        return Problem(
            "LP203",
            f"'{here}.{key}' is {what}, not a column",
            at,
            hint=f"load it with load({here}.{key})."
            if what == "a relationship"
            else "name the columns that it reads; it is computed from them.",
        )
    there = owner.class_.__name__ if owner is not None else "?"
    known = [prop.key for prop in mapping.column_attributes(mapper)]
    return Problem(
        "LP203",
        f"'{there}.{key}' is not a column of '{here}'",
        at,
        hint=did_you_mean(key, known, f"Columns of {here}"),
    )
