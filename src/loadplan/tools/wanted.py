"""The attributes of a graph that code has read, as a tree of places, and the plan that loads them."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeAlias, TypeVar

import attrs
from sqlalchemy.orm import Mapper

from loadplan.declared.spec import Below, Load, On, load, on, tuple_or_none
from loadplan.mapped import mapping
from loadplan.plan import LoadPlan

T = TypeVar("T")

Step: TypeAlias = tuple[type[Any], str]
"""A relationship: the class that maps it, and its name."""


@attrs.define(eq=False)
class Wanted:
    """A place of a graph, and the attributes that code has read there.

    Attributes:
        mapper: the mapper of the class at the place.
        edges: the relationships that code has read.
        columns: the columns that code has read, each with the class that maps it.
    """

    mapper: Mapper[Any]
    edges: "dict[Step, Wanted]" = attrs.field(factory=dict)
    columns: dict[Step, None] = attrs.field(factory=dict)

    def edge(self, step: Step) -> "Wanted":
        """Return the place behind a relationship. Note the relationship as read."""
        entity, key = step
        found = self.edges.get(step)
        if found is None:
            found = self.edges[step] = Wanted(mapping.property_of(entity, key).mapper)
        return found

    def at(self, path: Iterable[Step]) -> "Wanted":
        """Return the place at the end of a path. Note all relationships of the path as read."""
        place = self
        for step in path:
            place = place.edge(step)
        return place

    def loads(self, *, columns: bool) -> list[Load[Any] | On[Any]]:
        """Return the loads, and the branches for subclasses, that cover all attributes read below the place.

        Args:
            columns: whether to load only the columns that code has read.
        """
        found: list[Load[Any] | On[Any]] = []
        by_subclass: dict[type[Any], list[Load[Any]]] = {}
        of_subclass: dict[type[Any], list[Any]] = {}
        for (entity, key), below in self.edges.items():
            made: Load[Any] = load(
                getattr(entity, key), *below.loads(columns=columns), only=below.only(columns=columns)
            )
            if self._has(entity):
                found.append(made)
            else:
                by_subclass.setdefault(entity, []).append(made)
        for entity, key in self.columns:
            if not self._has(entity):
                of_subclass.setdefault(entity, []).append(getattr(entity, key))
        for entity in dict.fromkeys([*by_subclass, *of_subclass]):
            only = of_subclass.get(entity) if columns else None
            found.append(on(entity, *by_subclass.get(entity, ()), only=only))
        return found

    def only(self, *, columns: bool) -> list[Any] | None:
        """Return the columns for ``only=`` at the place; None if the plan does not need to name columns.

        With ``columns``, these are the columns that code has read, or the primary key if code has read none. A deferred
        column loads only if the plan names it. If code has read one, the plan therefore names all its columns.
        """
        keys = [key for entity, key in self.columns if self._has(entity)]
        if not columns:
            return _with_deferred(self.mapper, keys)
        named = [getattr(self.mapper.class_, key) for key in keys]
        return named or [getattr(self.mapper.class_, key) for key in mapping.primary_key(self.mapper)]

    def _has(self, entity: type[Any]) -> bool:
        return issubclass(self.mapper.class_, entity)

    def added_to(self, plan: LoadPlan[T]) -> LoadPlan[T]:
        """Return a plan with all loads of the given plan, and with all attributes that code has read."""
        only, defer = _columns(plan, self)
        return LoadPlan(
            plan.entity, *_merged(plan.loads, self), only=only, defer=defer, name=plan.name, budget=plan.budget
        )


def _merged(loads: Sequence[Below], wanted: Wanted) -> list[Below]:
    """Return the loads of a place, and loads for the further relationships that code has read."""
    found = list(loads)
    lacking = Wanted(wanted.mapper)
    for (entity, key), below in wanted.edges.items():
        for index, each in enumerate(found):
            if isinstance(each, Load) and _names(each, entity, key):
                only, defer = _columns(each, below)
                found[index] = attrs.evolve(
                    each,
                    loads=tuple(_merged(each.loads, below)),
                    only=tuple_or_none(only),
                    defer=tuple_or_none(defer),
                )
                break
        else:
            lacking.edges[entity, key] = below
    lacking.columns = {step: None for step in wanted.columns if not issubclass(wanted.mapper.class_, step[0])}
    return [*found, *lacking.loads(columns=bool(lacking.columns))] if lacking.edges or lacking.columns else found


def _names(item: Load[Any], entity: type[Any], key: str) -> bool:
    named: Any = item.relationship
    if isinstance(named, str):
        return named == key
    return bool(named.key == key and (issubclass(named.class_, entity) or issubclass(entity, named.class_)))


def _columns(part: Load[Any] | LoadPlan[Any], wanted: Wanted) -> tuple[Sequence[Any] | None, Sequence[Any] | None]:
    """Return (``only``, ``defer``) for a place, extended by the columns that code has read there."""
    entity = wanted.mapper.class_
    keys = [key for owner, key in wanted.columns if issubclass(entity, owner)]
    if part.only is not None:
        names = {each.key for each in part.only}
        return (*part.only, *(getattr(entity, key) for key in keys if key not in names)), None
    deferred = [each for each in part.defer or () if each.key not in keys]
    only = _with_deferred(wanted.mapper, keys, {each.key for each in deferred})
    return only, None if only is not None else tuple(deferred) or None


def _with_deferred(mapper: Mapper[Any], keys: Sequence[str], without: Collection[str] = ()) -> list[Any] | None:
    """Return the columns that load by default and the columns in ``keys``; None if no column in ``keys`` is deferred.

    Args:
        mapper: the mapper of the class.
        keys: the columns that code has read.
        without: columns that the plan leaves out.
    """
    loaded = mapping.default_columns(mapper)
    if loaded.issuperset(keys):
        return None
    names = [each.key for each in mapping.column_attributes(mapper) if each.key in loaded and each.key not in without]
    return [getattr(mapper.class_, key) for key in (*names, *(key for key in keys if key not in loaded))]


def step_named(mapper: Mapper[Any], name: str) -> Step:
    """Return the relationship that a place's path calls ``"Post.comments"``, of a class or of a subclass of it.

    Raises:
        KeyError: no relationship has this name.
    """
    owner, _, key = name.rpartition(".")
    for each in mapper.self_and_descendants:
        if key in each.relationships and owner in {one.class_.__name__ for one in each.iterate_to_root()}:
            return each.relationships[key].parent.class_, key
    raise KeyError(name)
