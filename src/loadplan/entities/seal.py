"""Sealing: what a plan did not name says so when it is touched, wherever the object has gone."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NoReturn

import attrs
from sqlalchemy.orm import InstanceState, PassiveFlag

from loadplan import mapping
from loadplan.errors import NotLoaded, Problem
from loadplan.sqlalchemy_internals import (
    NO_RESULT,
    guard_dynamic,
    install_loaders,
    installed_loaders,
    load_as_mapped,
)
from loadplan.tree import Node


@attrs.frozen
class Place:
    """Where in which plan an object was found: what :class:`NotLoaded` has to say.

    Attributes:
        plan: its label.
        path: the edges that lead there, as ``("User.posts",)``.
        entity: name of the class that stands there.
        subset: ``"only"`` or ``"defer"`` if the plan restricts the columns there.
    """

    plan: str
    path: tuple[str, ...]
    entity: str
    subset: str | None = None


class Seal(dict[str, "SealedAttribute"]):
    """The sealed attributes of one class at one place of a plan; one value shared by all objects there.

    SQLAlchemy takes entries out and puts its own in as it refreshes or expires an object. None of that may reach the
    other objects, so changes are dropped: an attribute that has a value is never looked up here.
    """

    def __init__(self, entity: type[Any], place: Place, declared: frozenset[str]) -> None:
        mapper = mapping.mapper_of(entity)
        assert mapper is not None  # noqa: S101 - rows are only ever loaded as mapped classes
        self.origin = (entity, place, declared)
        sealed = {
            prop.key: SealedAttribute(prop.key, entity.__name__, place, is_column=False)
            for prop in mapper.relationships
            if prop.key not in declared and prop.lazy not in mapping.UNLOADABLE_LAZY
        }
        sealed |= {
            prop.key: SealedAttribute(prop.key, entity.__name__, place, is_column=True)
            for prop in mapping.column_attributes(mapper)
            if prop.key not in declared
        }
        super().__init__(sealed)
        self.dynamic = {
            prop.key: SealedAttribute(prop.key, entity.__name__, place, is_column=False)
            for prop in mapper.relationships
            if prop.lazy == "dynamic"
        }
        for key in self.dynamic:
            guard_dynamic(mapper, key, _refuse_dynamic)

    def _drop(self, *_: Any, **__: Any) -> None:
        """Leave the entries as they are."""

    __setitem__ = __delitem__ = clear = _drop
    update = _drop  # pyright: ignore[reportAssignmentType]

    def pop(self, key: str, default: Any = None) -> Any:
        """Answer as if the entry had been there, or not; it stays."""
        return self.get(key, default)

    def __reduce__(self) -> tuple[Callable[..., "Seal"], tuple[Any, ...]]:
        return restore_seal, self.origin

    def __copy__(self) -> "Seal":
        return self

    def __deepcopy__(self, memo: object) -> "Seal":
        return self


@lru_cache(maxsize=4096)
def restore_seal(entity: Any, place: Place, declared: frozenset[str]) -> Seal:
    """Return the seal of a class at a place; what unpickling calls."""
    return Seal(entity, place, declared)


@attrs.frozen
class SealedAttribute:
    """What SQLAlchemy calls in place of the mapping's own loader when the attribute is touched and has no value."""

    key: str
    owner: str
    place: Place
    is_column: bool

    def __call__(self, state: InstanceState[Any], passive: PassiveFlag) -> Any:
        """Raise :class:`NotLoaded`, unless SQLAlchemy itself asks and may not, or must not, be refused."""
        if not passive & PassiveFlag.SQL_OK:
            return NO_RESULT
        if passive & PassiveFlag.NO_RAISE:
            return load_as_mapped(state, self.key, passive)
        return self.refuse()

    def refuse(self) -> NoReturn:
        """Raise the error that names plan, place and the line that mends it."""
        at = " > ".join(self.place.path) or "its root"
        raise NotLoaded(
            Problem(
                "LP401",
                f"'{self.owner}.{self.key}' is not part of plan '{self.place.plan}' (at {at})",
                hint=self._hint(),
            )
        )

    def _hint(self) -> str:
        name = f"{self.owner}.{self.key}"
        here = f"load({self.place.path[-1]})" if self.place.path else "the plan"
        if self.owner != self.place.entity:
            return (
                f"{here} loads what every '{self.place.entity}' has; "
                f"load '{name}' with a plan, or a relationship, of '{self.owner}'"
            )
        if not self.is_column:
            return f"add load({name}) {'under' if self.place.path else 'to'} {here}"
        if self.place.subset == "only":
            return f"add {name} to only=[...] of {here}"
        if self.place.subset == "defer":
            return f"take {name} out of defer=[...] of {here}"
        return f"the mapping defers this column; name it in only=[...] of {here}"


def _refuse_dynamic(state: InstanceState[Any], key: str) -> None:
    loaders = installed_loaders(state)
    if isinstance(loaders, Seal) and state.session is None:
        loaders.dynamic[key].refuse()


class Sealer:
    """Seals the objects of one node.

    The seal of a class is built when its first object is met: the rows decide which subclasses there are.
    """

    def __init__(self, label: str, node: Node) -> None:
        self._place = Place(label, node.path, node.entity.__name__, node.subset)
        self._declared = node.columns | {edge.key for edge in node.edges}
        self._seals: dict[type[Any], Seal] = {}

    def seal(self, objects: Iterable[object]) -> None:
        """Seal each object; the outermost place that an object was found at has the say."""
        seals = self._seals
        for entity in objects:
            kind: Any = type(entity)
            seal = seals.get(kind)
            if seal is None:
                seal = seals[kind] = restore_seal(kind, self._place, self._declared)
            install_loaders(entity, seal)
