"""Seals objects: reading an attribute that the plan does not load raises an error, also after pickling or copying."""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from inspect import currentframe
from typing import Any, NoReturn

import attrs
from sqlalchemy.orm import InstanceState, Mapper, PassiveFlag, class_mapper
from sqlalchemy.orm.attributes import instance_state

from loadplan.errors import NotLoaded, Problem
from loadplan.mapped import mapping
from loadplan.objects.guards import Guarded, guard_class
from loadplan.objects.left_out import AbsentValue, written_fields
from loadplan.objects.losses import NOTHING_HIDDEN, Hidden, Part, part_of
from loadplan.resolved.tree import Edge, Instance
from loadplan.resolved.tree import Part as SubclassPart
from loadplan.sqlalchemy_internals import (
    NO_RESULT,
    guard_dynamic,
    installed_loaders,
    load_as_mapped,
    mapping_mark,
)


@attrs.frozen
class Place:
    """The plan of an object, and the object's place in the plan, for :class:`NotLoaded`.

    Attributes:
        plan: the label of the plan.
        path: the edges that lead to the place: ``("User.posts",)``.
        entity: the class at the place. The object may have a subclass of it.
        subset: ``"only"`` or ``"defer"`` if the plan restricts the columns there.
        frontier: relationships with ``depth=`` that end at the place, each with its depth.
    """

    plan: str
    path: tuple[str, ...]
    entity: type[Any]
    subset: str | None = None
    frontier: tuple[tuple[str, int], ...] = ()


class Seal(dict[str, "SealedAttribute"], Guarded):
    """The sealed attributes of one class at one place of a plan. All objects of the class there share one seal.

    When SQLAlchemy refreshes or expires an object, it removes entries and adds its own. This must not change the other
    objects, so the seal ignores these changes. SQLAlchemy looks into the seal only for an attribute without a value.
    """

    def __init__(self, entity: type[Any], place: Place, declared: frozenset[str], partial: frozenset[Part]) -> None:
        mapper: Mapper[Any] = class_mapper(entity)
        self.origin = (entity, place, declared, partial)
        self.mapped = mapping_mark(mapper)
        self.partial = partial
        self.parts = {each.key: each for each in sorted(partial, key=_surest_last)}
        guard_class(mapper, self.parts)
        super().__init__()
        self.dynamic: dict[str, SealedAttribute] = {}
        for each in sealed_attributes(entity, place):
            if each.is_dynamic:
                self.dynamic[each.key] = each
            elif each.key not in declared:
                super().__setitem__(each.key, each)
        written = written_fields(entity)
        #: Attributes that pydantic must not leave out silently when it writes the object.
        self.absent = {key: AbsentValue(each) for key, each in self.items() if each.is_column and key in written}
        for key in self.dynamic:
            guard_dynamic(mapper, key, _refuse_dynamic)

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or key in self._for_new_mapping()

    def __missing__(self, key: str) -> "SealedAttribute":
        return self._for_new_mapping()[key]

    def _for_new_mapping(self) -> "Mapping[str, SealedAttribute]":
        """Return the seal with the attributes that came into the mapping after this object was loaded, if any did."""
        mapper = mapping.mapper_of(self.origin[0])
        return {} if mapper is None or mapping_mark(mapper) is self.mapped else self.with_partial(frozenset())

    def with_partial(self, more: frozenset[Part]) -> "Seal":
        """Return a seal in which more relationships may lack rows."""
        entity, place, declared, partial = self.origin
        return restore_seal(entity, place, declared, partial | more)

    def without(self, names: frozenset[str]) -> "Seal":
        """Return a seal in which some relationships count as complete."""
        entity, place, declared, partial = self.origin
        return restore_seal(entity, place, declared, frozenset(each for each in partial if each.key not in names))

    def where(self) -> tuple[str, ...]:
        """Return the label of the plan, then the edges that lead to the object."""
        place = self.origin[1]
        return (place.plan, *place.path)

    def __iter__(self) -> Iterator[str]:
        return super().__iter__()  # overridden so that dict(seal) asks keys()

    def keys(self) -> Any:
        """Return no entries to ``Session.merge``: the session's object is not sealed.

        SQLAlchemy copies the seal with ``dict(seal)``, which calls this method because ``__iter__`` is overridden.
        Nothing else calls it.
        """
        return ()

    def _drop(self, *_: Any, **__: Any) -> None:
        """Leave the entries unchanged."""

    __setitem__ = __delitem__ = clear = _drop
    update = _drop  # pyright: ignore[reportAssignmentType]

    def pop(self, key: str, default: Any = None) -> Any:
        """Return the entry of an attribute, or the default. Unlike ``dict.pop``, leave the entry in place."""
        return self.get(key, default)

    def __reduce__(self) -> tuple[Callable[..., "Seal"], tuple[Any, ...]]:
        return restore_seal, self.origin

    def __copy__(self) -> "Seal":
        return self

    def __deepcopy__(self, memo: object) -> "Seal":
        return self


def sealed_attributes(entity: type[Any], place: Place) -> Iterator["SealedAttribute"]:
    """Yield the relationships and columns of a class, as they are sealed at a place."""
    mapper: Mapper[Any] = class_mapper(entity)
    inherited = class_mapper(place.entity).attrs.keys()
    loaded = mapping.default_columns(mapper)

    def sealed(key: str, *, is_column: bool = False, is_dynamic: bool = False) -> SealedAttribute:
        by_subclass = key not in inherited
        owner = entity if by_subclass else place.entity
        deferred = is_column and key not in loaded
        return SealedAttribute(key, owner, place, is_column, by_subclass, is_dynamic, deferred)

    for prop in mapper.relationships:
        if prop.lazy == "dynamic":
            yield sealed(prop.key, is_dynamic=True)
        elif prop.lazy not in mapping.UNLOADABLE_LAZY:
            yield sealed(prop.key)
    for column in mapping.column_attributes(mapper):
        yield sealed(column.key, is_column=True)


def place_of(entity: object) -> Place | None:
    """Return the plan and the place of an object; None if no plan loaded it."""
    loaders = installed_loaders(instance_state(entity))
    return loaders.origin[1] if isinstance(loaders, Seal) else None


def restore_seal(entity: Any, place: Place, declared: frozenset[str], partial: frozenset[Part]) -> Seal:
    """Return the seal of a class at a place, for the current mapping. Unpickling calls this."""
    return _seal(mapping_mark(class_mapper(entity)), entity, place, declared, partial)


@lru_cache(maxsize=4096)
def _seal(_mapped: object, entity: Any, place: Place, declared: frozenset[str], partial: frozenset[Part]) -> Seal:
    return Seal(entity, place, declared, partial)


@attrs.frozen
class SealedAttribute:
    """An attribute that raises an error. If it has no value, SQLAlchemy calls this, not the mapping's own loader."""

    key: str
    entity: type[Any]
    place: Place
    is_column: bool
    by_subclass: bool = False
    is_dynamic: bool = False
    is_deferred: bool = False

    def __call__(self, state: InstanceState[Any], passive: PassiveFlag) -> Any:
        """Raise :class:`NotLoaded`, unless SQLAlchemy itself reads the attribute and must not get an error."""
        if not passive & PassiveFlag.SQL_OK:
            return NO_RESULT
        if passive & PassiveFlag.NO_RAISE:
            return load_as_mapped(state, self.key, passive)
        return self.refuse(generated_by_dataclass(state.class_, self.key))

    def refuse(self, generated: str | None = None) -> NoReturn:
        """Raise the error with the plan, the place and the code to add.

        Args:
            generated: the method that reads the attribute, if a dataclass generated this method.
        """
        at = " > ".join(self.place.path) or "its root"
        raise NotLoaded(
            Problem(
                "LP401",
                f"'{self.entity.__name__}.{self.key}' is not part of plan '{self.place.plan}' (at {at})",
                hint=self._hint() if generated is None else self._hint_for(generated),
            ),
            self.place.plan,
            self.place.path,
            self.entity,
            self.key,
            self._add(),
        )

    def _add(self) -> str:
        """Return the code that the plan lacks; empty if no plan can load the attribute."""
        name = f"{self.entity.__name__}.{self.key}"
        depth = dict(self.place.frontier).get(self.key)
        if self.is_dynamic:
            return ""
        if depth is not None:
            return f"load({name}, depth={depth + 1})"
        if self.by_subclass:
            return f"on({self.entity.__name__}, {f'only=[{name}]' if self.is_column else f'load({name})'})"
        return name if self.is_column else f"load({name})"

    def _hint_for(self, method: str) -> str:
        words = _WORDS[method]
        if hasattr(self.entity, "__attrs_attrs__"):
            said = ", ".join(f"{_OF_ATTRS.get(word, word)}=False" for word in words)
            return f"attrs generated {method}, which reads every field: write {self.key} = attrs.field({said})"
        made = "mapped_column" if self.is_column else "relationship"
        said = ", ".join(f"{word}=False" for word in words)
        return f"the dataclass generated {method}, which reads every field: map '{self.key}' as {made}({said})"

    def _hint(self) -> str:
        name = f"{self.entity.__name__}.{self.key}"
        if self.is_dynamic:
            return 'it is mapped lazy="dynamic", which no plan can load; add the object to a session and query it there'
        depth = dict(self.place.frontier).get(self.key)
        if depth is not None:
            return f'depth {depth} ends here; give load({name}) a greater depth=, or depth="all"'
        here = f"load({self.place.path[-1]})" if self.place.path else "the plan"
        if self.by_subclass or not self.is_column:
            return f"add {self._add()} {'under' if self.place.path else 'to'} {here}"
        if self.place.subset == "only":
            return f"add {name} to only=[...] of {here}"
        if self.place.subset == "defer" and self.is_deferred:
            return f"the mapping defers this column; replace defer=[...] of {here} by only=[...] that names it"
        if self.place.subset == "defer":
            return f"take {name} out of defer=[...] of {here}"
        if not self.is_deferred:
            return "the column came into the mapping after this object was loaded; fetch it again"
        if self.place.path:
            again = f"load({self.place.path[-1]}, only=[{name}])"
            return f"the mapping defers this column; add {again} beside {here}"
        return f"the mapping defers this column; add LoadPlan({self.entity.__name__}, only=[{name}]) to {here}"


#: Methods that ``dataclasses`` generates, and the arguments of a field that leave it out of them.
_WORDS = {
    "__repr__": ("repr",),
    "__hash__": ("hash", "compare"),
    **dict.fromkeys(("__eq__", "__lt__", "__le__", "__gt__", "__ge__"), ("compare",)),
}


#: The arguments of ``attrs.field`` whose names differ from the arguments of ``dataclasses.field``.
_OF_ATTRS = {"compare": "eq"}

#: How the file names of generated methods begin. The first is from ``dataclasses``, the second from attrs.
_GENERATED = ("<string>", "<attrs generated")


def generated_by_dataclass(kind: type[Any], key: str) -> str | None:
    """Return the method of a mapped class that is reading a field, if ``dataclasses`` or attrs generated this method.

    Both compile these methods from text, for the fields that they read.
    """
    fields: Any = getattr(kind, "__dataclass_fields__", ())
    if key not in fields and all(key != each.name for each in getattr(kind, "__attrs_attrs__", ())):
        return None
    frame = currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in {"loadplan", "sqlalchemy"}:
        frame = frame.f_back
    if frame is None or not frame.f_code.co_filename.startswith(_GENERATED) or frame.f_code.co_name not in _WORDS:
        return None
    return frame.f_code.co_name


def _refuse_dynamic(state: InstanceState[Any], key: str) -> None:
    loaders = installed_loaders(state)
    if isinstance(loaders, Seal) and state.session is None:
        loaders.dynamic[key].refuse()


def _surest_last(part: Part) -> tuple[bool, str]:
    """Return a sort key for parts: a part that may always lack rows comes after a part that may lack them if None."""
    return not part.if_none, part.why.value


class Sealer:
    """Makes the seals of one place.

    It makes the seal of a class when the first object of the class comes, because only the rows show the subclasses.
    """

    def __init__(self, label: str, instance: Instance, hidden: Hidden = NOTHING_HIDDEN) -> None:
        place = instance.place
        frontier = tuple(instance.frontier.items())
        self._place = Place(label, place.path, place.mapper.class_, instance.subset, frontier)
        self._instance = instance
        self._hidden = hidden

    def _declared(self, kind: type[Any]) -> frozenset[str]:
        """Return the attributes that the plan loads for objects of a class, also in branches for its base classes."""
        columns = [self._instance.columns, *(part.columns for part in self._parts(kind))]
        return frozenset[str]().union(*columns, (edge.key for edge in self._edges(kind)))

    def _partial(self, kind: type[Any]) -> frozenset[Part]:
        """Return the relationships of a class at this place that may hold only some of their rows."""
        own = class_mapper(kind).relationships
        parts = (part_of(own[each.key], each.shape, self._hidden, single=each.single) for each in self._edges(kind))
        return frozenset(each for each in parts if each is not None)

    def _edges(self, kind: type[Any]) -> Iterator[Edge]:
        """Yield the relationships that the plan loads for objects of a class.

        A concrete subclass has the relationships that its own mapping names, and none of its base class.
        """
        own = class_mapper(kind).relationships
        whole = [] if self._instance.whole is None else [self._instance.whole]
        yield from (edge for edge in (*self._instance.place.relationships, *whole) if edge.key in own)
        for part in self._parts(kind):
            yield from part.place.relationships

    def _parts(self, kind: type[Any]) -> Iterator[SubclassPart]:
        """Yield the parts of the place that the plan loads for objects of a class."""
        waiting = list(self._instance.parts)
        while waiting:
            part = waiting.pop()
            if part.holds_for(kind):
                yield part
                waiting += part.parts

    def seal_of(self, kind: Any) -> Seal:
        """Return the seal of instances of a class at this place."""
        return restore_seal(kind, self._place, self._declared(kind), self._partial(kind))
