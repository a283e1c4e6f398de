"""Seals an object that several plans loaded, or that is in a session. Errors name all of these plans."""

import enum
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NoReturn

import attrs
from sqlalchemy import event
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import InstanceState, LoaderCallableStatus, PassiveFlag, class_mapper
from sqlalchemy.orm.attributes import instance_state

from loadplan.errors import NotLoaded, Problem
from loadplan.objects.left_out import AbsentValue, note_absent, written_fields
from loadplan.objects.losses import Part
from loadplan.objects.seal import Place, Seal, SealedAttribute, generated_by_dataclass, sealed_attributes
from loadplan.sqlalchemy_internals import (
    NO_RESULT,
    can_wait,
    guard_expired,
    installed_loaders,
    load_as_mapped,
    load_column_as_mapped,
    mapping_mark,
)


class Stay(enum.Enum):
    """The kind of place that holds an object. It decides what happens when code reads an attribute without a value."""

    DETACHED = "in no session"
    ASYNC = "in a session whose driver has to be waited for"
    SYNC = "in a session that may send SQL at any time"


class WiderSeal(Seal):
    """The seal of an object that several plans loaded, or that is in a session.

    In a session, every attribute has an entry, because every attribute may expire.

    Args:
        entity: the class of the object.
        place: the object's place in the first plan.
        declared: the attributes that at least one of the plans loads.
        partial: relationships that may hold only some of their rows.
        also: the object's places in the other plans.
        stay: where the object is.
        before: loaders that SQLAlchemy had for this object. They are used instead of the mapping's.
    """

    def __init__(
        self,
        entity: type[Any],
        place: Place,
        declared: frozenset[str],
        partial: frozenset[Part],
        also: tuple[Place, ...],
        stay: Stay,
        before: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(entity, place, declared, partial)
        self.also = also
        self.stay = stay
        self.before = before
        for each in sealed_attributes(entity, place):
            is_declared = each.key in declared
            if each.is_dynamic or (stay is Stay.DETACHED and is_declared):
                continue
            facts = attrs.asdict(each, recurse=False)
            dict.__setitem__(self, each.key, WiderAttribute(**facts, also=also, stay=stay, declared=is_declared))
        self.absent = {key: AbsentValue(self[key]) for key in self.absent}
        if stay is not Stay.DETACHED:
            guard_expired(class_mapper(entity), _refuse_expired)
            written = written_fields(entity)
            #: Attributes that pydantic must not leave out silently after a commit has expired them.
            self.expiring = {key: AbsentValue(each) for key, each in self.items() if each.is_column and key in written}
            if self.expiring and not event.contains(entity, "expire", _note_expired):
                event.listen(entity, "expire", _note_expired)

    def with_partial(self, more: frozenset[Part]) -> "WiderSeal":
        """Return a seal in which more relationships may lack rows."""
        entity, place, declared, partial = self.origin
        return wider_seal(entity, place, declared, partial | more, self.also, self.stay, self.before)

    def without(self, names: frozenset[str]) -> "WiderSeal":
        """Return a seal in which some relationships count as complete."""
        entity, place, declared, partial = self.origin
        return wider_seal(entity, place, declared, _others(partial, names), self.also, self.stay, self.before)

    def __setitem__(self, key: str, value: Any) -> None:
        if self.before is not None:
            self.before[key] = value

    def __delitem__(self, key: str) -> None:
        if self.before is not None:
            self.before.pop(key, None)

    def pop(self, key: str, default: Any = None) -> Any:
        """Remove the loader that SQLAlchemy had for an attribute, and return the entry, or the default."""
        del self[key]
        return self.get(key, default)

    def __reduce__(self) -> tuple[Callable[..., Seal], tuple[Any, ...]]:
        return wider_seal, (*self.origin, self.also, self.stay)


def wider_seal(
    entity: Any,
    place: Place,
    declared: frozenset[str],
    partial: frozenset[Part],
    also: tuple[Place, ...],
    stay: Stay,
    before: dict[str, Any] | None = None,
) -> WiderSeal:
    """Return the seal of a class for the current mapping. Unpickling calls this.

    Objects with equal arguments share one seal. An object for which SQLAlchemy had loaders gets its own seal.
    """
    if before:
        return WiderSeal(entity, place, declared, partial, also, stay, before)
    return _shared(mapping_mark(class_mapper(entity)), entity, place, declared, partial, also, stay)


@lru_cache(maxsize=4096)
def _shared(
    _mapped: object,
    entity: Any,
    place: Place,
    declared: frozenset[str],
    partial: frozenset[Part],
    also: tuple[Place, ...],
    stay: Stay,
) -> WiderSeal:
    return WiderSeal(entity, place, declared, partial, also, stay)


def widened_by(
    current: Mapping[str, Any],
    more: Seal,
    entity: type[Any],
    written: frozenset[str],
    held: frozenset[str],
    stay: Stay,
) -> WiderSeal:
    """Return the seal of an object that another plan has also loaded.

    Args:
        current: the seal that the object has, if any.
        more: the seal of the other plan for this place.
        entity: the class of the object.
        written: the attributes that got their values from the other plan.
        held: the attributes that have a value.
        stay: where the object is.
    """
    _, place, declared, partial = more.origin
    if not isinstance(current, Seal):
        return wider_seal(entity, place, declared | held, _named(partial, written), (), stay, dict(current))
    _, first, known, parts = current.origin
    also: tuple[Place, ...] = ()
    before = None
    if isinstance(current, WiderSeal):
        also, before = current.also, current.before
        stay = current.stay if stay is Stay.DETACHED else stay
    if place != first and place not in also:
        also = (*also, place)
    partial = _others(parts, written) | _named(partial, written)
    return wider_seal(entity, first, known | declared, partial, also, stay, before)


def _named(parts: frozenset[Part], names: frozenset[str]) -> frozenset[Part]:
    return frozenset(each for each in parts if each.key in names)


def _others(parts: frozenset[Part], names: frozenset[str]) -> frozenset[Part]:
    return parts - _named(parts, names)


@attrs.frozen
class WiderAttribute(SealedAttribute):
    """An attribute of an extended or attached object. SQLAlchemy calls this when code reads it and it has no value."""

    also: tuple[Place, ...] = ()
    stay: Stay = Stay.DETACHED
    declared: bool = False

    def __call__(self, state: InstanceState[Any], passive: PassiveFlag) -> Any:
        """Load the attribute as mapped, but raise :class:`NotLoaded` where SQLAlchemy would raise MissingGreenlet.

        A synchronous session could load at any time. There, an expired attribute is loaded, and an attribute
        that the plan does not name raises :class:`NotLoaded`.
        """
        if self.stay is Stay.DETACHED or (state.session is None and not passive & PassiveFlag.SQL_OK):
            return super().__call__(state, passive)
        if not passive & PassiveFlag.SQL_OK or passive & PassiveFlag.NO_RAISE or self._may_load(state):
            return self._as_mapped(state, passive)
        if self.stay is Stay.ASYNC and state.session is not None:
            try:
                found = self._as_mapped(state, passive & ~PassiveFlag.SQL_OK)
            except InvalidRequestError:  # mapped lazy="raise"
                found = NO_RESULT
            if found is not NO_RESULT and found is not LoaderCallableStatus.ATTR_EMPTY:
                return found  # the session has the target of this many-to-one
        return self.refuse(generated_by_dataclass(state.class_, self.key))

    def _may_load(self, state: InstanceState[Any]) -> bool:
        if state.session is None:
            return False
        return can_wait() if self.stay is Stay.ASYNC else self.declared

    def _as_mapped(self, state: InstanceState[Any], passive: PassiveFlag) -> Any:
        own = getattr(installed_loaders(state), "before", None)
        if own and self.key in own:
            return own[self.key](state, passive)
        found = load_as_mapped(state, self.key, passive)
        if self.is_column and found is LoaderCallableStatus.ATTR_EMPTY:
            return load_column_as_mapped(state, self.key, passive)
        return found

    def refuse(self, generated: str | None = None) -> NoReturn:
        """Raise the error with the plans, the place and the hint."""
        if self.declared:
            self._refuse_expired()
        try:
            super().refuse(generated)
        except NotLoaded as error:
            if not self.also:
                raise
            others = ", nor ".join(f"of plan '{each.plan}' (at {_at(each)})" for each in self.also)
            problem = attrs.evolve(error.problem, message=f"{error.message}, nor {others}")
            raise NotLoaded(problem, *error.args[1:]) from None

    def _refuse_expired(self) -> NoReturn:
        name = f"{self.entity.__name__}.{self.key}"
        what = f"only=[{name}]" if self.is_column else f"load({name})"
        raise NotLoaded(
            Problem(
                "LP401",
                f"'{name}' has expired since it was loaded",
                (self.place.plan, *self.place.path),
                detail="a commit, a rollback or a flush expires values that the database may have changed.",
                hint=f"fetch the object again, or await loader.extend(obj, {what}).",
            ),
            self.place.plan,
            self.place.path,
            self.entity,
            self.key,
            "",
        )


def _note_expired(entity: Any, _: object) -> None:
    """Mark the expired columns of a pydantic model, because pydantic serializes the model from ``__dict__``."""
    if entity is None:  # Python has freed the object
        return
    loaders = installed_loaders(instance_state(entity))
    if isinstance(loaders, WiderSeal) and loaders.stay is not Stay.DETACHED:
        note_absent(entity, loaders.expiring)


def _at(place: Place) -> str:
    return " > ".join(place.path) or "its root"


def _refuse_expired(state: InstanceState[Any], key: str) -> None:
    """Raise an error for an expired column of a sealed object if SQLAlchemy would raise MissingGreenlet."""
    loaders = installed_loaders(state)
    if not isinstance(loaders, WiderSeal) or loaders.stay is Stay.DETACHED:
        return
    if state.session is not None and (loaders.stay is Stay.SYNC or can_wait()):
        return
    if key in loaders:
        loaders[key].refuse(generated_by_dataclass(state.class_, key))
