"""Makes mapped instances directly from rows: the facts about each class, and the work when a graph is complete."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Mapper
from sqlalchemy.orm.attributes import instance_state

from loadplan.errors import shown
from loadplan.mapped import mapping
from loadplan.objects.left_out import note_absent, written_fields
from loadplan.objects.seal import Seal, Sealer
from loadplan.resolved.tree import Part
from loadplan.sqlalchemy_internals import (
    Origin,
    collection_of,
    copy_quietly,
    fill_silently,
    has_load_listeners,
    installed_loaders,
    is_plain_list,
    keeps_state_in_dict,
    name_shard,
    tell_of_load,
    tell_of_persistence,
)

#: The values that generated code needs to make an instance: ``__new__``, the class, its part of the identity, the seal,
#: and the value that all these instances share. A flag follows for each part of the place: whether the class has it.
Kind = tuple[Any, ...]


class Kinds(dict[Any, Kind]):
    """The classes of the rows at one place, by discriminator. A class is added when its first row comes.

    Args:
        mapper: the mapper of the class at the place.
        sealer: makes the seals of the place.
        parts: the loads for subclasses.
        key_of: returns a function that makes the tuple of a class's primary key from the key of a row.
    """

    def __init__(
        self,
        mapper: Mapper[Any],
        sealer: Sealer,
        parts: Iterable[Part],
        key_of: Callable[[type[Any]], Callable[[Any], tuple[Any, ...]]],
    ) -> None:
        super().__init__()
        self._key_of = key_of
        self._mapper = mapper
        self._sealer = sealer
        self._parts = tuple(parts)

    def of(self, mapper: Mapper[Any]) -> Kind:
        """Return the values that generated code needs to make instances of a class."""
        cls = mapper.class_
        identity = mapper.identity_key_from_primary_key((None,) * len(mapper.primary_key))[0]
        has = (part.holds_for(cls) for part in self._parts)
        seal = self._sealer.seal_of(cls)
        origin = Origin(mapper.class_manager, identity, self._key_of(cls), seal)
        return (cls.__new__, cls, identity, seal, origin, *has)

    def __missing__(self, discriminator: Any) -> Kind:
        mapper = self._mapper
        if discriminator is None:
            raise InvalidRequestError(
                f"a row of '{mapper.class_.__name__}' has no class, because its discriminator "
                f"'{mapper.polymorphic_on}' is NULL"
            )
        found = mapper.polymorphic_map.get(discriminator)
        if found is None:
            raise AssertionError(f"No such polymorphic_identity {shown(discriminator)} is defined")
        if not found.isa(mapper):
            raise InvalidRequestError(
                f"a row of '{mapper.class_.__name__}' has the discriminator {shown(discriminator)} of "
                f"'{found.class_.__name__}', which is not a subclass of '{mapper.class_.__name__}'"
            )
        kind = self[discriminator] = self.of(found)
        return kind

    def has(self, part: int) -> Callable[[Any], bool]:
        """Return a function that tells whether rows with a discriminator have a part.

        The discriminator is NULL if there is no row.
        """
        return lambda discriminator: discriminator is not None and bool(self[discriminator][_FIRST_FLAG + part])


_FIRST_FLAG = 5


@attrs.frozen(eq=False)
class Grown:
    """The objects that one run has made so far.

    Attributes:
        at: by the number of a place, its instances by key.
        all: by the number of a class at several places, its instances by key.
        owners: by the number of a statement, (key, instance) of all instances that wait for its rows.
        late: collections that are filled when everything else is complete, by owner and name.
    """

    at: list[dict[Any, Any]]
    all: list[dict[Any, Any]]
    owners: list[list[tuple[Any, Any]]]
    late: dict[tuple[int, str], tuple[Any, str, Any]] = attrs.field(factory=dict)

    def instances(self, classes: Mapping[int, int | None]) -> Iterator[tuple[int, Any]]:
        """Yield every instance once, with the number of one of its places.

        Args:
            classes: by the number of a place, the number of its class; None if the class is at no other place.
        """
        done: set[int] = set()
        for place, number in classes.items():
            if number is None:
                for each in self.at[place].values():
                    yield place, each
            elif number not in done:
                done.add(number)
                for each in self.all[number].values():
                    yield place, each


def key_pickers(mapper: Mapper[Any], names: Sequence[str]) -> dict[type[Any], Callable[[Any], tuple[Any, ...]]]:
    """Return, by class, a function that picks the primary key of the class from a row's key. For unions of tables.

    Args:
        mapper: the mapper of the base class.
        names: the names of the columns in a row's key, which has the keys of all classes. The class itself comes first.
    """

    def picker(wanted: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
        places = [1 + names.index(name) for name in wanted]
        return lambda key: tuple(key[place] for place in places)

    return {
        sub.class_: picker(own)
        for sub in mapper.self_and_descendants
        if set(own := mapping.primary_key(sub)) <= set(names)
    }


def as_tuple(key: Any) -> tuple[Any, ...]:
    """Return the primary key as a tuple, from a row's key of one column."""
    return (key,)


def whole(key: Any) -> tuple[Any, ...]:
    """Return the primary key, from a row's key of several columns, which is a tuple already."""
    return tuple(key)


def after_class(key: Any) -> tuple[Any, ...]:
    """Return the primary key, from a row's key that begins with the class."""
    return tuple(key[1:])


def is_plain(mapper: Mapper[Any]) -> bool:
    """Tell whether instances of a class and of its subclasses keep their values and state in ``__dict__``."""
    return all(keeps_state_in_dict(sub.class_) for sub in mapper.self_and_descendants)


def is_written_by_pydantic(mapper: Mapper[Any]) -> bool:
    """Tell whether pydantic serializes instances of a class or of one of its subclasses."""
    return any(written_fields(sub.class_) for sub in mapper.self_and_descendants)


def list_maker(mapper: Mapper[Any], key: str) -> Callable[[Any, Iterable[Any]], Any] | None:
    """Return a function that makes a relationship's list from the owner's state and items; None if it is not a list."""
    if not all(is_plain_list(sub, key) for sub in mapper.self_and_descendants if key in sub.relationships):
        return None
    return collection_of(key)


@attrs.frozen(eq=False)
class Completion:
    """Makes the containers of a run, and does the work that remains when all its rows were read.

    Attributes:
        mappers: the mapper of the class at each place, by the number of the place.
        classes: by the number of a place, the number of its class; None if the class is at no other place.
        notes_left_out: whether pydantic serializes instances of one of the classes.
    """

    mappers: Sequence[Mapper[Any]]
    classes: Mapping[int, int | None]
    notes_left_out: bool = attrs.field(init=False)

    @notes_left_out.default  # pyright: ignore[reportAttributeAccessIssue] - attrs makes it a field afterwards
    def _notes_left_out(self) -> bool:
        return any(map(is_written_by_pydantic, self.mappers))

    def start(self, statements: int) -> Grown:
        """Return the containers that the functions of a run fill.

        Args:
            statements: the number of statements of the plan.
        """
        shared = 1 + max((number for number in self.classes.values() if number is not None), default=-1)
        return Grown([{} for _ in self.classes], [{} for _ in range(shared)], [[] for _ in range(statements)])

    def complete(self, grown: Grown, session: Any) -> None:
        """Fill the remaining collections, then fire the load events of the complete graph."""
        self._fill_late(grown)
        if self.notes_left_out:
            self._note_left_out(grown)
        self._name_shard(grown, session)
        self._tell_listeners(grown, session)

    def made(self, grown: Grown, session: Any) -> list[Any]:
        """Fill the remaining collections and return every instance once. Fire no events."""
        self._fill_late(grown)
        self._name_shard(grown, session)
        return [each for _, each in grown.instances(self.classes)]

    @staticmethod
    def _fill_late(grown: Grown) -> None:
        """Fill the collections that read attributes of their items, for a key, an order or a hash."""
        for owner, key, items in reversed(grown.late.values()):
            fill_silently(owner, key, items)
            copy_quietly(owner.__dict__[key])

    def _note_left_out(self, grown: Grown) -> None:
        """Mark the columns without a value in pydantic models, because pydantic serializes models from ``__dict__``."""
        for _, each in grown.instances(self.classes):
            seal: Any = installed_loaders(instance_state(each))
            if seal.absent:
                note_absent(each, seal.absent)

    def _name_shard(self, grown: Grown, session: Any) -> None:
        """Set the shard of instances, if the session uses a single shard."""
        if (shard := getattr(session, "_loadplan_shard", None)) is not None:
            for _, each in grown.instances(self.classes):
                name_shard(each, shard)

    def _tell_listeners(self, grown: Grown, session: Any) -> None:
        """Fire the load events of all instances and of the session."""
        heard = [any(has_load_listeners(sub) for sub in mapper.self_and_descendants) for mapper in self.mappers]
        if any(heard):
            for place, each in grown.instances(self.classes):
                if heard[place]:
                    tell_of_load(each)
        tell_of_persistence(session, (each for _, each in grown.instances(self.classes)))


def widened(before: Any, seal: Seal) -> Any:
    """Return the seal of an instance that is also at another place, where some relationships may lack rows."""
    if not isinstance(before, Seal) or seal.partial <= before.partial:
        return before
    return before.with_partial(seal.partial)


def part_list(parts: Iterable[Part]) -> Iterator[Part]:
    """Yield the parts of a place and their parts, parents first."""
    for part in parts:
        yield part
        yield from part_list(part.parts)


def identity_root(mapper: Mapper[Any]) -> Mapper[Any]:
    """Return the mapper whose class is part of the identity of a class's rows.

    Without a discriminator, a row of a base class may also be a row of a subclass. A session then makes one object for
    each class. loadplan does the same.
    """
    base = mapper.base_mapper
    told_apart = base.polymorphic_on is None and not any(sub.concrete for sub in base.self_and_descendants)
    return mapper if told_apart else base


def row_keys(mapper: Mapper[Any]) -> tuple[tuple[str, ...], bool, bool]:
    """Return (names of the primary key, whether a part of it may be NULL, whether classes may share keys)."""
    concrete = any(sub.concrete for sub in mapper.base_mapper.self_and_descendants)
    return mapping.primary_key(mapper), bool(mapper.allow_partial_pks), concrete
