"""Puts a loaded graph into a session or into another loaded graph, which may already have objects for some rows.

These objects keep their values. The graph adds the missing values. With ``refresh``, it also replaces values without
changes. This module sends no SQL, and reads attributes only in ways that cannot send SQL.
"""

import abc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs
from sqlalchemy import Dialect
from sqlalchemy.orm import InstanceState, Mapper, RelationshipDirection, RelationshipProperty, Session
from sqlalchemy.orm.attributes import instance_state, set_committed_value

from loadplan.errors import PlanError
from loadplan.mapped import mapping
from loadplan.mapped.telling import has_hash, is_equal, marker
from loadplan.objects.left_out import note_absent, note_present
from loadplan.objects.seal import Seal
from loadplan.objects.wider_seal import Stay, widened_by
from loadplan.resolved import problems
from loadplan.sqlalchemy_internals import (
    attach_as_loaded,
    copy_quietly,
    fill_silently,
    has_load_listeners,
    has_waiting_changes,
    installed_loaders,
    invalidate_collection,
    is_plain_list,
    items_of,
    replace_loaders,
    stored_key,
    tell_of_load,
    tell_of_persistence,
    tell_of_refresh,
)


class Home(abc.ABC):
    """The place where a loaded graph is put.

    Args:
        stay: the kind of home, which decides how its objects are sealed.
        roots: by the ``id`` of a loaded root, the objects of its row, if they are known.
    """

    def __init__(self, stay: Stay, roots: Mapping[int, Sequence[Any]]) -> None:
        self.stay = stay
        self._roots = roots

    def there(self, made: Any) -> Sequence[Any]:
        """Return the objects that the home already has for the row of a loaded object."""
        return self._roots.get(id(made)) or self._known(made)

    @abc.abstractmethod
    def _known(self, made: Any) -> Sequence[Any]:
        """Return the objects of the home with the identity of a loaded object."""

    @abc.abstractmethod
    def take(self, made: Any) -> None:
        """Add a loaded object to the home, as the only object of its row."""

    def seals(self, entity: Any) -> bool:
        """Tell whether an object that the home already had is sealed."""
        return True

    @abc.abstractmethod
    def told(self, new: Iterable[Any]) -> None:
        """Report the objects that were added."""


class SessionHome(Home):
    """A session of the caller. Its identity map has its objects."""

    def __init__(self, session: Session, stay: Stay, roots: Mapping[int, Sequence[Any]]) -> None:
        super().__init__(stay, roots)
        self._session = session

    def _known(self, made: Any) -> Sequence[Any]:
        state: Any = instance_state(made)
        if not has_hash(state.key):
            raise PlanError([problems.key_outside_of_sessions(state.mapper, state.identity)])
        found = self._session.identity_map.get(state.key)
        return () if found is None else (found,)

    def take(self, made: Any) -> None:
        """Attach a loaded object."""
        attach_as_loaded(self._session, made)

    def seals(self, entity: Any) -> bool:
        """Tell whether an object that the session already had is sealed: always for an asynchronous session."""
        return self.stay is Stay.ASYNC or isinstance(installed_loaders(instance_state(entity)), Seal)

    def told(self, new: Iterable[Any]) -> None:
        """Tell the session's listeners."""
        tell_of_persistence(self._session, new)


@attrs.frozen
class _Stored:
    """A stored key. It never equals a key of values in Python."""

    values: tuple[Any, ...]


class GraphHome(Home):
    """A graph that is in no session.

    Args:
        objects: the objects at which the graph starts.
        roots: see :class:`Home`.
        dialect: the dialect of the database that has the rows.
    """

    def __init__(self, objects: Iterable[Any], roots: Mapping[int, Sequence[Any]], dialect: Dialect) -> None:
        super().__init__(Stay.DETACHED, roots)
        self._dialect = dialect
        self._markers: dict[Mapper[Any], list[Callable[[Any], Any] | None]] = {}
        self._objects: dict[Any, list[Any]] = {}
        for each in graph_of(objects):
            state = instance_state(each)
            if state.key is not None and state.session is None:
                self._objects.setdefault(self._mark(each), []).append(each)

    def _mark(self, entity: Any) -> Any:
        """Return a value that identifies the row of an object: its stored key if it is known, or its key."""
        state: Any = instance_state(entity)
        stored = stored_key(state)
        return self._mark_by_value(state) if stored is None else (state.key[0], _Stored(stored), state.key[2])

    def _mark_by_value(self, state: Any) -> Any:
        """Return a value that identifies the row of an object: its key, if Python can compare the key."""
        if state.mapper not in self._markers:
            columns = state.mapper.primary_key
            self._markers[state.mapper] = [marker(column.type, self._dialect) for column in columns]
        markers = self._markers[state.mapper]
        if all(each is None for each in markers):
            return state.key
        cls, identity, token = state.key
        values = (value if mark is None else mark(value) for value, mark in zip(identity, markers, strict=True))
        return cls, tuple(values), token

    def _known(self, made: Any) -> Sequence[Any]:
        mark = self._mark(made)
        if mark not in self._objects:  # an object that loadplan did not fetch has no stored key
            mark = self._mark_by_value(instance_state(made))
        return self._objects.get(mark, ())

    def take(self, made: Any) -> None:
        """Remember a loaded object."""
        self._objects[self._mark(made)] = [made]

    def told(self, new: Iterable[Any]) -> None:
        """Do nothing: there is no session."""


def graph_of(objects: Iterable[Any]) -> Iterator[Any]:
    """Yield objects, and all objects that their loaded relationships lead to, each once."""
    seen: set[int] = set()
    waiting = list(objects)
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        for prop in instance_state(each).mapper.relationships:
            if prop.key in each.__dict__ and prop.lazy not in mapping.UNLOADABLE_LAZY:
                waiting += _items(each, prop)


def _items(owner: Any, prop: RelationshipProperty[Any]) -> list[Any]:
    """Return the objects that a loaded relationship holds."""
    return [each for each in items_of(prop, owner.__dict__[prop.key]) if each is not None]


@attrs.frozen(eq=False)
class _Pair:
    """A loaded object, and the object that stays for its row: the same object, or one that the home already had.

    Attributes:
        made: the loaded object.
        here: the object that stays.
        written: attributes of ``here`` that got a value from ``made``.
    """

    made: Any
    here: Any
    written: set[str] = attrs.field(factory=set)

    @property
    def is_new(self) -> bool:
        """True if the home had no object for the row."""
        return self.made is self.here

    @property
    def state(self) -> InstanceState[Any]:
        """The state of the object that stays."""
        state: InstanceState[Any] = instance_state(self.here)
        return state

    @property
    def mapper(self) -> Mapper[Any]:
        """The mapper of the object that stays."""
        return self.state.mapper


def settle(made: Sequence[Any], home: Home, *, refresh: bool) -> dict[int, Any]:
    """Put all objects of a loaded graph into their new home.

    Args:
        made: all objects of the graph, each once; they are in no session.
        home: the session or graph that they go into.
        refresh: replace loaded values, except values with a change that is not flushed.

    Returns:
        By the ``id`` of each object of ``made``, the object that stays for its row.
    """
    pairs: list[_Pair] = []
    settled: dict[int, Any] = {}
    for each in made:
        there = home.there(each)
        if not there:
            home.take(each)
            there = (each,)
        settled[id(each)] = there[0]
        pairs += [_Pair(each, here) for here in there]
    for pair in pairs:
        if not pair.is_new:
            _columns(pair, refresh=refresh)
    _relationships(pairs, settled, refresh=refresh)
    for pair in pairs:
        _seal(pair, home)
    _tell(pairs, home)
    return settled


def _columns(pair: _Pair, *, refresh: bool) -> None:
    """Copy the loaded values of columns to an object that the home already had.

    If the object has changes, its version counter stays. The changes belong to this version, and the flush checks it.
    """
    state, values = pair.state, pair.here.__dict__
    unmodified = state.unmodified
    version = pair.mapper.version_id_col
    counter = None if version is None else mapping.attribute_of(pair.mapper, version)
    columns = pair.mapper.column_attrs
    for key, value in pair.made.__dict__.items():
        if key not in columns or key not in unmodified:
            continue
        if key in values and (not refresh or (key == counter and state.modified)):
            continue
        set_committed_value(pair.here, key, value)
        pair.written.add(key)


def _relationships(pairs: Sequence[_Pair], settled: Mapping[int, Any], *, refresh: bool) -> None:
    """Let the relationships of all objects lead to the objects that stay.

    Collections that read keys or hashes of their items are filled last.
    """
    lists: list[tuple[_Pair, str, list[Any]]] = []
    others: list[tuple[_Pair, str, list[Any]]] = []
    for pair in pairs:
        for prop in pair.mapper.relationships:
            key = prop.key
            if key not in pair.made.__dict__ or prop.lazy in mapping.UNLOADABLE_LAZY:
                continue
            held = _items(pair.made, prop)
            items = [settled.get(id(each), each) for each in held]
            if pair.is_new and all(one is other for one, other in zip(held, items, strict=True)):
                continue
            if not (pair.is_new or _takes(pair, prop, items, refresh=refresh)):
                continue
            pair.written.add(key)
            if not prop.uselist:
                set_committed_value(pair.here, key, items[0] if items else None)
            else:
                (lists if is_plain_list(pair.mapper, key) else others).append((pair, key, items))
    for pair, key, items in (*lists, *reversed(others)):
        _fill(pair, key, items)


def _takes(pair: _Pair, prop: RelationshipProperty[Any], items: list[Any], *, refresh: bool) -> bool:
    """Tell whether an object that the home already had takes a loaded relationship."""
    key = prop.key
    if key not in pair.here.__dict__ and prop.uselist and has_waiting_changes(pair.state, key):
        return True
    if key not in pair.state.unmodified:
        return False
    if key not in pair.here.__dict__:
        return True
    if _completes(pair, key):
        return True
    if not refresh:
        return _is_stale(pair, prop, items)
    held = _items(pair.here, prop)
    return len(held) != len(items) or any(one is not other for one, other in zip(held, items, strict=True))


def _completes(pair: _Pair, key: str) -> bool:
    """Tell whether a relationship held only some rows before, and the new graph has all of them."""
    before, now = installed_loaders(pair.state), installed_loaders(instance_state(pair.made))
    return isinstance(before, Seal) and key in before.parts and not (isinstance(now, Seal) and key in now.parts)


def _is_stale(pair: _Pair, prop: RelationshipProperty[Any], items: list[Any]) -> bool:
    """Tell whether the target of a many-to-one does not have the key in the object's foreign key.

    This happens if your code has set the foreign key and flushed it. The loaded target then fits the new key.
    """
    if prop.direction is not RelationshipDirection.MANYTOONE or prop.uselist:
        return False
    names = [mapping.attribute_of(pair.mapper, column) for column in prop.local_columns]
    values, fresh, unmodified = pair.here.__dict__, pair.made.__dict__, pair.state.unmodified
    if any(name not in values or name not in fresh or name not in unmodified for name in names):
        return False
    if not all(is_equal(values[name], fresh[name]) for name in names):
        return False
    if not items and not all(fresh[name] is None for name in names):  # the target is hidden
        return False
    before = _items(pair.here, prop)
    keys, fresh_keys = ([instance_state(each).key for each in objects] for objects in (before, items))
    return not is_equal(keys, fresh_keys)


def _fill(pair: _Pair, key: str, items: list[Any]) -> None:
    """Fill a collection, and apply the changes that SQLAlchemy has kept for it."""
    old = pair.here.__dict__.get(key)
    if old is not None and not pair.is_new:
        invalidate_collection(old)
    if has_waiting_changes(pair.state, key):
        set_committed_value(pair.here, key, items)
    else:
        fill_silently(pair.here, key, items)
    copy_quietly(pair.here.__dict__[key])


def _seal(pair: _Pair, home: Home) -> None:
    """Seal an object for the plan that loaded it now, and for the plans that loaded it before."""
    more = installed_loaders(instance_state(pair.made))
    if not isinstance(more, Seal) or not (pair.is_new or home.seals(pair.here)):
        return
    if pair.is_new and home.stay is Stay.DETACHED:
        seal = more
    else:
        written = frozenset(more.parts) if pair.is_new else frozenset(pair.written)
        held = frozenset(key for key in pair.here.__dict__ if key in pair.mapper.attrs)
        seal = widened_by(installed_loaders(pair.state), more, type(pair.here), written, held, home.stay)
        replace_loaders(pair.state, seal)
    if pair.written:
        note_present(pair.here, pair.written)
    if seal.absent:
        note_absent(pair.here, seal.absent)


def _tell(pairs: Sequence[_Pair], home: Home) -> None:
    """Fire the load events of all objects. Call this when the graph is complete."""
    new = [pair.here for pair in pairs if pair.is_new]
    for each in new:
        if has_load_listeners(instance_state(each).mapper):
            tell_of_load(each)
    for pair in pairs:
        if pair.written and not pair.is_new:
            tell_of_refresh(pair.here, pair.written)
    home.told(new)
