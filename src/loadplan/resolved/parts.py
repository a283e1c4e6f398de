"""Collects the declarations of a plan of entities about one place.

A place may be declared in several parts of a plan. This module compares them with the mapping, and returns the columns
and relationships that the plan loads at the place.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs
from sqlalchemy.orm import Mapper, class_mapper

from loadplan.declared.spec import Below, Load, On, Plan
from loadplan.mapped import links, mapping
from loadplan.sqlalchemy_internals import subtype_of


def key_of(item: Load[Any]) -> str:
    """Return the name of the relationship of a load."""
    return item.relationship if isinstance(item.relationship, str) else item.relationship.key


def target_of_load(mapper: Mapper[Any], key: str, item: Load[Any]) -> Mapper[Any]:
    """Return the class that a load leads to: the subclass, if its relationship has ``of_type``."""
    subtype = None if isinstance(item.relationship, str) else subtype_of(item.relationship)
    return mapper.relationships[key].mapper if subtype is None else class_mapper(subtype)


@attrs.frozen(eq=False)
class DeclaredPlace:
    """A class at one place of a plan, with all declarations about the place.

    Attributes:
        mapper: the mapper of the class.
        parts: the plans, loads or branches for the place.
    """

    mapper: Mapper[Any]
    parts: Sequence[Below]

    def loads(self) -> dict[str, list[Load[Any]]]:
        """Return the loads by relationship, in the order of first mention."""
        found: dict[str, list[Load[Any]]] = {}
        for item in self._items():
            if isinstance(item, Load):
                name = key_of(item)
                prop = mapping.relationship(self.mapper, name)
                found.setdefault(name if prop is None else prop.key, []).append(item)
        return found

    def branches(self) -> "list[DeclaredPlace]":
        """Return the declarations for subclasses, each subclass once."""
        found: dict[Mapper[Any], list[Below]] = {}
        for item in self._items():
            if isinstance(item, On):
                found.setdefault(class_mapper(item.entity), []).append(item)
        return [DeclaredPlace(mapper, parts) for mapper, parts in found.items()]

    def columns(self) -> set[str]:
        """Return the declared columns: the mapping's default columns, restricted by ``only=`` and ``defer=``."""
        found: set[str] = set()
        default = mapping.default_columns(self.mapper)
        for part in _flat(self.parts):
            nests = isinstance(part, Load) and any(isinstance(below, Plan) for below in part.loads)
            if part.only is not None:
                found |= self._named(part.only)
            elif part.defer is not None:
                found |= default - self._named(part.defer)
            elif not nests:
                found |= default
        return found

    def loaded_columns(self) -> set[str]:
        """Return the columns that a fetch loads: the declared columns, and the keys that loading needs."""
        keys = {key for name in self.loads() for key in links.key_columns(self.mapper.relationships[name], self.mapper)}
        return self.columns() | mapping.required_columns(self.mapper) | keys

    def below(self, key: str) -> "DeclaredPlace":
        """Return the place at the end of a loaded relationship. All levels of a tree are one place."""
        items = self.loads()[key]
        target = target_of_load(self.mapper, key, items[0])
        parts: list[Below] = list(items)
        depth = items[0].depth
        if depth == "all" or (isinstance(depth, int) and depth > 1):
            deeper = depth if depth == "all" else depth - 1
            parts.append(On(target.class_, (attrs.evolve(items[0], depth=deeper),), ()))
        return DeclaredPlace(target, parts)

    def _items(self) -> Iterator[Below]:
        return (item for part in _flat(self.parts) for item in part.loads)

    def _named(self, columns: Iterable[Any]) -> set[str]:
        return {name for column in columns for name in mapping.columns_behind(self.mapper, column.key) or ()}


def _flat(parts: Iterable[Below]) -> Iterator[Below]:
    """Yield the declarations of a plan and its nested plans about a place."""
    for part in parts:
        yield part
        yield from _flat(item for item in part.loads if isinstance(item, Plan))
