"""Every undocumented name of SQLAlchemy that loadplan relies on, each with its reason.

tests/internals fails if one of them changes its meaning.
"""

import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple, TypeAlias, TypeVar
from weakref import WeakKeyDictionary, ref

from attrs import frozen
from sqlalchemy import BindParameter, ClauseElement, Connection, CursorResult, Engine
from sqlalchemy.ext.horizontal_shard import ShardedSession
from sqlalchemy.ext.orderinglist import OrderingList
from sqlalchemy.orm import (
    InstanceState,
    KeyFuncDict,
    LoaderCallableStatus,
    LoaderCriteriaOption,
    Mapper,
    PassiveFlag,
    QueryableAttribute,
    RelationshipProperty,
    Session,
)
from sqlalchemy.orm.attributes import History, instance_dict, instance_state, set_committed_value
from sqlalchemy.orm.collections import CollectionAdapter, InstrumentedList, collection_adapter
from sqlalchemy.orm.strategy_options import _AbstractLoad
from sqlalchemy.util import greenlet_spawn
from sqlalchemy.util.concurrency import in_greenlet as runs_in_greenlet

#: Execution options of a statement whose rows are read by position. The ORM gives them to its own statements: without
#: them a result ties its columns to those of the statement at hand, comparing them, each time that a statement of the
#: same text was compiled before; of some types that comparison warns.
BY_POSITION: Mapping[str, Any] = {"_result_disable_adapt_to_context": True}

R = TypeVar("R")

AttributeLoader = Callable[[InstanceState[Any], PassiveFlag], Any]

#: What joinedload, load_only and the like return; its ``options()`` nests. Only the concrete ``Load`` is public.
AbstractLoad: TypeAlias = _AbstractLoad

#: The answer of an attribute loader that has no value and may not run SQL.
NO_RESULT = LoaderCallableStatus.PASSIVE_NO_RESULT


def left_as_is(part: Any) -> Any:
    """Return a part of a statement that the ORM's adapters do not look into.

    A class may be mapped ``with_polymorphic`` to a union or a join. The ORM then replaces its tables by the union or
    join in every expression of a statement, also within subqueries that are about other rows. SQLAlchemy marks the
    subqueries of ``any()``, ``has()`` and its joins with this annotation, and has no public name for it.
    """
    return part._annotate({"no_replacement_traverse": True})


def install_loaders(entity: object, loaders: Mapping[str, AttributeLoader]) -> None:
    """Have ``loaders`` asked for the attributes of ``entity`` that hold no value, instead of SQLAlchemy's own.

    ``InstanceState.callables`` maps a key to what is called when the attribute is touched and absent from
    ``__dict__``; it is consulted before the loader strategy, and survives pickling, copying and re-attaching. There is
    no public hook for this: a raise option speaks only while the object is attached. The mapping is shared by all
    objects of one class at one place of a plan, so it must not let itself be changed.

    ``load_options`` and ``load_path`` are what the statement left for later lazy loads. There will be none, and
    criteria in them would break pickling. ``expired_attributes`` names subclass columns that the row did not hold;
    it would be asked before ``callables``.
    """
    state: Any = instance_state(entity)
    state.callables = loaders
    remembered = state.__dict__
    remembered.pop("load_options", None)
    remembered.pop("load_path", None)
    if state.expired_attributes:
        state.expired_attributes.clear()


def installed_loaders(state: InstanceState[Any]) -> Mapping[str, AttributeLoader]:
    """Return what :func:`install_loaders` left, or what SQLAlchemy itself put there."""
    return state._origin.loaders if isinstance(state, UnfinishedState) else state.callables


@frozen(eq=False)
class Origin:
    """The facts that the instances of one class at one place of a plan share.

    Attributes:
        manager: of the class.
        identity: the class in the identity.
        key_of: makes the tuple of an instance's primary key of what the row's key was.
        loaders: what is asked for absent attributes.
    """

    manager: Any
    identity: type[Any]
    key_of: Callable[[Any], tuple[Any, ...]]
    loaders: Mapping[str, AttributeLoader]


class LoadedState(InstanceState[Any]):
    """The state of an instance that was made of a row.

    Its pickles and copies are plain states.
    """

    __slots__ = ("_key", "_origin")

    _origin: Origin
    _key: Any

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return blank_state, (), self.__getstate__()


class UnfinishedState(LoadedState):
    """A state that nobody has asked for anything yet.

    Reading a loaded attribute needs ``__dict__`` alone, so most instances of a result are never asked. The
    objects that ``InstanceState.__init__`` makes take more time and memory than the instance itself; they are made at
    the first question. From then on the state is a :class:`LoadedState`.
    """

    __slots__ = ()

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        _finish(self)
        return self.__reduce_ex__(protocol)


class _AtFirstNeed:
    """An attribute of a state that is not there before somebody asks."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, state: Any, _: Any = None) -> Any:
        if state is None:
            return self
        _finish(state)
        return getattr(state, self._name)

    def __set__(self, state: Any, value: Any) -> None:
        _finish(state)
        setattr(state, self._name, value)

    def __delete__(self, state: Any) -> None:
        _finish(state)
        delattr(state, self._name)


#: All that ``InstanceState.__init__`` sets but ``obj``, and what a loaded instance has besides.
for _name in ("class_", "manager", "committed_state", "expired_attributes", "key", "callables"):
    setattr(UnfinishedState, _name, _AtFirstNeed(_name))


def _finish(state: Any) -> None:
    """Make of a state what ``loading.py`` would have made for a row.

    The reference to the instance becomes one that tells the state of the instance's end, which a session relies on.
    """
    origin, entity = state._origin, state.obj()
    state.__class__ = LoadedState
    if entity is not None:
        InstanceState.__init__(state, entity, origin.manager)
    else:
        state.class_, state.manager = origin.manager.class_, origin.manager
        state.committed_state, state.expired_attributes = {}, set()
    state.key = (origin.identity, origin.key_of(state._key), None)
    state.callables = origin.loaders


def blank_state() -> InstanceState[Any]:
    """Return a state that ``__setstate__`` is about to fill; what unpickling calls."""
    return InstanceState.__new__(InstanceState)


def state_script(made: str, found: str, origin: str, key: str, *, plain: bool) -> list[str]:
    """Return the source that gives a new instance its state.

    SQLAlchemy finds the state under ``_sa_instance_state``. It is source and no function, for a call for each row would
    take a tenth of the time of the row. ``new_state``, ``State`` and ``ref`` are ``object.__new__``,
    :class:`UnfinishedState` and ``weakref.ref``.

    Args:
        made: the name of the instance.
        found: of its ``__dict__``.
        origin: of the :class:`Origin` of its class and place.
        key: of its key in the rows.
        plain: whether the class keeps the state in ``__dict__``.
    """
    return [
        "state = new_state(State)",
        f"state.obj = ref({made})",
        f"state._origin = {origin}",
        f"state._key = {key}",
        f"{found}['_sa_instance_state'] = state" if plain else f"install_state({made}, state)",
    ]


def keeps_state_in_dict(cls: type[Any]) -> bool:
    """Tell whether instances of a class hold their state in ``__dict__``, and not in a slot of that name."""
    return cls.__dictoffset__ != 0 and not any("_sa_instance_state" in vars(each) for each in cls.__mro__)


def install_state(entity: object, state: InstanceState[Any]) -> None:
    """Give an instance its state, where the class keeps it elsewhere than in ``__dict__``.

    ``ClassManager.setup_instance`` is what SQLAlchemy itself calls for a new object.
    """
    state.manager.setup_instance(entity, state)


def is_plain_list(mapper: Mapper[Any], key: str) -> bool:
    """Tell whether the collection of a relationship is a list as SQLAlchemy makes it by default.

    ``CollectionAttributeImpl.collection_factory`` makes an empty collection; nothing public tells of which class.
    """
    impl: Any = mapper.class_manager[key].impl
    return type(impl.collection_factory()) is InstrumentedList


def collection_of(key: str) -> Callable[[InstanceState[Any], Iterable[Any]], Any]:
    """Return what makes the list of a relationship out of its items, given the owner's state.

    A list as SQLAlchemy would have filled it: with its ``CollectionAdapter``, and without an event. The public
    ``set_committed_value`` does the same item by item, in eight times the time. The adapter is completed when somebody
    changes the list, or asks it for something.
    """
    new = _UnfinishedAdapter.__new__

    def collect(state: InstanceState[Any], items: Iterable[Any]) -> Any:
        made: Any = InstrumentedList(items)
        adapter: Any = new(_UnfinishedAdapter)
        adapter._data = ref(made)
        adapter._key = key
        adapter.owner_state = state
        made._sa_adapter = adapter
        return made

    return collect


def extend_silently(owner: object, key: str, items: Iterable[Any]) -> bool:
    """Fill an ordering list without having it number its items anew; tell whether the collection is one."""
    kind: Any = instance_state(owner).manager[key].impl
    collection: Any = kind.collection_factory()
    if not isinstance(collection, OrderingList):
        return False
    set_committed_value(owner, key, ())
    list.extend(owner.__dict__[key], items)
    return True


def has_load_listeners(mapper: Mapper[Any]) -> bool:
    """Tell whether somebody listens to what is loaded of a class: events, reconstructors, mutable types, composites.

    The public API registers listeners and never lists them.
    """
    return bool(mapper.class_manager.dispatch.load)


def tell_of_load(entity: object) -> None:
    """Fire the ``load`` event of an instance, as ``loading.py`` of SQLAlchemy does for a row."""
    state: Any = instance_state(entity)
    state.manager.dispatch.load(state, None)


def tell_of_persistence(session: object, entities: Iterable[object]) -> None:
    """Fire ``loaded_as_persistent`` of a session for instances that were made on its behalf."""
    if isinstance(session, Session):
        heard: Any = session.dispatch
        if heard.loaded_as_persistent:
            for entity in entities:
                heard.loaded_as_persistent(session, instance_state(entity))


def shard_names(session: ShardedSession) -> list[str]:
    """Return the names of a session's shards, as they were given: it has a public way to add one, and none to list."""
    known: Any = session
    return list(known._ShardedSession__shards)


def name_shard(entity: object, shard: str) -> None:
    """Note where a new instance is from, as SQLAlchemy's sharded session does: the third part of its identity."""
    state: Any = instance_state(entity)
    state.key = (*state.key[:2], shard)
    state.identity_token = shard


class _CopiesQuietly(CollectionAdapter):
    """The adapter of a collection whose deep copies come without events."""

    __slots__ = ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        data: Any = self.data
        copied: Any = memo.get(id(data))
        # a list, a set or a dict is filled item by item; anything else is copied with what it holds
        built_in: Any = next((each for each in (list, set, dict) if isinstance(copied, each)), None)
        kind = _CopiesQuietly if built_in is None else _Rebuilding
        adapter: Any = memo.setdefault(id(self), kind.__new__(kind))
        state: Any = self.__getstate__()  # type: ignore[no-untyped-call]
        adapter.__setstate__(deepcopy(state, memo))
        if built_in is not None:  # a dict by key is made whole, and asks for its adapter while that happens
            target: Any = copied
            target._loadplan_to_come = built_in.__len__(data) - built_in.__len__(copied)
            adapter.count(0)
        return adapter


class _UnfinishedAdapter(_CopiesQuietly):
    """The adapter of a list that nobody has changed yet: it knows the list, its owner, and by which name."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        _finish_adapter(self)
        return getattr(self, name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        _finish_adapter(self)
        return self.__reduce_ex__(protocol)


def _finish_adapter(adapter: Any) -> None:
    """Make of an adapter what ``CollectionAdapter.__init__`` makes."""
    state, data = adapter.owner_state, adapter._data()
    adapter.__class__ = _CopiesQuietly
    # an adapter whose list is gone gets another, which goes as well
    items: Any = InstrumentedList() if data is None else data
    CollectionAdapter.__init__(adapter, state.manager[adapter._key].impl, state, items)


class _Rebuilding(_CopiesQuietly):
    """The adapter of a copy that ``deepcopy`` still fills, item by item."""

    __slots__ = ()

    def count(self, arrived: int) -> None:
        """Note that so many items have arrived; the last one ends the quiet."""
        data: Any = self.data
        data._loadplan_to_come -= arrived
        if data._loadplan_to_come <= 0:
            del data._loadplan_to_come
            self.__class__ = _CopiesQuietly  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]

    def fire_append_event(self, item: Any, initiator: Any = None, key: Any = None) -> Any:
        """Take an item as it is: it was in the collection before."""
        self.count(1)
        return item


def copy_quietly(collection: Any) -> None:
    """Have ``copy.deepcopy`` copy a loaded collection as it is.

    ``deepcopy`` gives the copy of a list its ``CollectionAdapter`` first and then appends the items, each of which the
    adapter announces: the copy has changes to flush, and a many-to-many with both sides loaded holds items twice.
    """
    collection_adapter(collection).__class__ = _CopiesQuietly


def load_as_mapped(state: InstanceState[Any], key: str, passive: PassiveFlag) -> Any:
    """Answer as the mapping's own loader would, for the unit of work that must see a value before it deletes.

    ``AttributeImpl.callable_`` is the class-level loader that ``InstanceState.callables`` took precedence over.
    """
    loader = state.manager[key].impl.callable_
    return LoaderCallableStatus.ATTR_EMPTY if loader is None else loader(state, passive)


def load_column_as_mapped(state: InstanceState[Any], key: str, passive: PassiveFlag) -> Any:
    """Load a column that a statement left out, as SQLAlchemy does on first access.

    A statement that leaves a column out puts a loader for it into ``InstanceState.callables``, and the mapping has no
    loader for it. The strategy of deferred columns is what that loader calls.
    """
    prop: Any = state.manager.mapper.attrs[key]
    return prop._get_strategy((("deferred", True), ("instrument", True)))._load_for_state(state, passive)


def can_wait() -> bool:
    """Tell whether an asynchronous driver can be waited for here: ``await_only`` raises MissingGreenlet where not.

    It is what ``await_only`` itself asks before it waits.
    """
    return bool(runs_in_greenlet())


def guard_expired(mapper: Mapper[Any], guard: Callable[[InstanceState[Any], str], None]) -> None:
    """Call ``guard`` before a class loads expired columns, with the name of the column that was read.

    Expired columns are never looked up in ``InstanceState.callables``. ``ClassManager.expired_attribute_loader`` is
    what loads them, all at once. Only the frame of ``_fire_loader_callables`` knows which of them was read.
    """
    manager: Any = mapper.class_manager
    loader = manager.expired_attribute_loader
    if getattr(loader, "_loadplan_guarded", False):
        return

    def guarded(state: InstanceState[Any], names: set[str], passive: PassiveFlag) -> Any:
        guard(state, _column_read(names))
        return loader(state, names, passive)

    guarded._loadplan_guarded = True  # type: ignore[attr-defined] # pyright: ignore[reportFunctionMemberAccess]
    manager.expired_attribute_loader = guarded


def _column_read(names: set[str]) -> str:
    """Return which of expired columns is read right now; the first one where nobody can tell."""
    frame: Any = sys._getframe(1)
    for _ in range(5):
        if frame is None:
            break
        if frame.f_code.co_name == "_fire_loader_callables":
            return str(frame.f_locals["key"])
        frame = frame.f_back
    return min(names, default="")


def replace_loaders(state: InstanceState[Any], loaders: Mapping[str, AttributeLoader]) -> None:
    """Have ``loaders`` asked, as by :func:`install_loaders`, and leave all else of an object in a session as it is."""
    behind: Any = state
    behind.callables = loaders


def attach_as_loaded(session: Session, entity: object) -> None:
    """Put an instance into a session as ``loading.py`` does with one that it made of a row.

    ``Session.add`` is the public way. It cascades, and its events tell of an object that was detached before.
    """
    state: Any = instance_state(entity)
    state.session_id = session.hash_key
    identities: Any = session.identity_map
    identities._add_unpresent(state, state.key)


def has_waiting_changes(state: InstanceState[Any], key: str) -> bool:
    """Tell whether a collection that is not loaded has changes that wait for it, of back-references."""
    return key in state.__dict__.get("_pending_mutations", ())


def invalidate_collection(collection: Any) -> None:
    """Have a collection that is no longer its owner's warn whoever changes it, as one that expired does."""
    collection_adapter(collection).invalidated = True


def tell_of_refresh(entity: object, names: Iterable[str]) -> None:
    """Fire the ``refresh`` event of an instance, as ``loading.py`` does for a row that adds to one."""
    state: Any = instance_state(entity)
    state.manager.dispatch.refresh(state, None, set(names))


def guard_dynamic(mapper: Mapper[Any], key: str, guard: Callable[[InstanceState[Any], str], None]) -> None:
    """Call ``guard`` whenever the ``lazy="dynamic"`` attribute ``key`` is read.

    A dynamic attribute never looks at ``callables``; detached it answers ``[]``, which is a lie. On every read, it
    calls ``query_class(impl, state)``.
    """
    impl: Any = mapper.class_manager[key].impl
    query_class = impl.query_class
    if getattr(query_class, "_loadplan_guarded", False):
        return

    class Guarded(query_class):  # type: ignore[misc,valid-type]
        _loadplan_guarded = True

        def __init__(self, attr: Any, state: InstanceState[Any]) -> None:
            guard(state, attr.key)
            super().__init__(attr, state)

    Guarded.__name__ = query_class.__name__
    impl.query_class = Guarded


#: The state of an object, and its ``__dict__``: of a shallow copy that outlives its original only the two together.
Held: TypeAlias = tuple[InstanceState[Any], Mapping[str, Any]]


def history_of(held: Held, key: str) -> History:
    """Return what became of an attribute since it was loaded, without loading it.

    The public ``get_history`` looks the state's object up, which a shallow copy shares with its original.
    """
    state, values = held
    impl: Any = state.manager[key].impl
    found: History = impl.get_history(state, values, PassiveFlag.PASSIVE_NO_INITIALIZE)
    return found


#: The entry that guards of one merge keep in what ``Session.merge`` notes for itself.
_CHECKED = "loadplan"


def guard_merge(
    prop: RelationshipProperty[Any],
    check: Callable[[Iterable[tuple[Held, RelationshipProperty[Any]]]], None],
    compare: Callable[[Held, RelationshipProperty[Any], Held], None],
) -> None:
    """Have a merge ask before it writes over what a relationship holds.

    ``MapperProperty.merge`` is documented, a hook before it is not there. Its sixth argument holds what one merge has
    seen: the states that it has merged, and pairs of a state and the relationship that led to it. A merge asks the
    relationships of an object before its columns, so a whole graph is checked before anything is written.

    Args:
        prop: the relationship.
        check: looks at all that the merge will follow, once for each object.
        compare: looks at one object and the session's, whose value it loads if that is not there, as ``merge`` does.
    """
    if "merge" in vars(prop):
        return
    merge = prop.merge

    def guarded(session: Any, state: Any, values: Any, into: Any, its: Any, load: bool, seen: Any, *rest: Any) -> None:
        check(_merged_from((state, values), seen, load=load))
        is_back = load and any((state, each) in seen for each in prop._reverse_property)
        if load and prop.key in values and not is_back and into is not state:
            compare((state, values), prop, (into, its))
        merge(session, state, values, into, its, load, seen, *rest)

    vars(prop)["merge"] = guarded


def items_of(prop: RelationshipProperty[Any], value: Any) -> Iterable[Any]:
    """Return the objects in the value of a relationship, whatever kind of collection it is; a to-one has one or none.

    ``collection_adapter`` is public, that one can be iterated over is not.
    """
    return () if value is None else collection_adapter(value) if prop.uselist else (value,)


def value_to_merge_into(held: Held, key: str) -> Any:
    """Return what the session's object has for a relationship, loaded as ``RelationshipProperty.merge`` loads it."""
    state, values = held
    impl: Any = state.manager[key].impl
    found = impl.get(state, values, passive=PassiveFlag.PASSIVE_OFF | PassiveFlag.NO_RAISE)
    return None if isinstance(found, LoaderCallableStatus) else found


def _merged_from(start: Held, seen: dict[Any, Any], *, load: bool) -> Iterator[tuple[Held, RelationshipProperty[Any]]]:
    """Yield each object that a merge reaches and each relationship of it that the merge follows, once a merge.

    It goes as ``RelationshipProperty.merge`` does: not back over ``_reverse_property``, the other side of a pair.
    """
    led, met = seen.setdefault(_CHECKED, (set(), set()))
    if start[0] in met:
        return

    def follow(held: Held) -> Iterator[tuple[Held, RelationshipProperty[Any] | None]]:
        """Yield the relationships of an object, and after each one the objects to go on with."""
        state, values = held
        met.add(state)
        for prop in state.mapper.relationships:
            back: Any = prop._reverse_property if load else ()
            if prop.key not in values or not prop.cascade.merge:
                continue
            if any((state, each) in led or (state, each) in seen for each in back):
                continue
            yield held, prop
            for item in items_of(prop, values[prop.key]):
                below = instance_state(item)
                led.add((below, prop))
                if below not in met and below not in seen:
                    yield (below, instance_dict(item)), None

    waiting = [follow(start)]
    while waiting:
        found = next(waiting[-1], None)
        if found is None:
            waiting.pop()
            continue
        held, prop = found
        if prop is None:
            waiting.append(follow(held))
        else:
            yield held, prop


def copy_listeners(source: Session, target: Session) -> None:
    """Register the listeners of the session ``source``, those on that one instance too, on ``target``.

    ``event.listen(session, "do_orm_execute", ...)`` keeps its listener in the instance's dispatcher; a session that
    runs statements on its behalf must ask them as well, and the public API registers but never lists.
    """
    target.dispatch._update(source.dispatch, only_propagate=False)


def has_transaction_hooks(session: Session, engine: Engine) -> bool:
    """Tell whether somebody listens who may tie state to the transaction, such as ``SET LOCAL`` of a tenant.

    This listener needs a transaction even around a single statement. The public API cannot list listeners.
    """
    ours: Any = session.dispatch
    return bool(ours.after_begin or ours.after_transaction_create or ours.do_orm_execute or has_engine_hooks(engine))


def has_engine_hooks(engine: Engine) -> bool:
    """Tell the same of an engine alone."""
    dispatch: Any = engine.dispatch
    return bool(dispatch.begin or dispatch.engine_connect or dispatch.before_execute or dispatch.before_cursor_execute)


#: A session that is never opened: what anybody listens to on the class, its dispatcher knows.
_PLAIN: Any = Session()

#: What a session does with statements, transactions and the objects of a fetch.
_HEARD = (
    *("do_orm_execute", "after_transaction_create", "after_transaction_end", "after_begin", "after_rollback"),
    *("after_soft_rollback", "loaded_as_persistent", "persistent_to_detached"),
)


def is_session_heard(session: Session = _PLAIN) -> bool:
    """Tell whether somebody listens to what a session does in a fetch; by default, to what every ``Session`` does."""
    dispatch: Any = session.dispatch
    return any(getattr(dispatch, name) for name in _HEARD)


def is_session_class_heard(kind: type[Session]) -> bool:
    """Tell the same of a class of sessions, as each sessionmaker makes one.

    The listeners of a class are in the ``_clslevel`` of each event, by the class that they were registered on.
    """
    events: Any = kind.dispatch
    return any(
        each in getattr(events, name)._clslevel and getattr(events, name)._clslevel[each]
        for name in _HEARD
        for each in kind.__mro__
    )


def adds_nothing(kind: type[Any], base: type[Any]) -> bool:
    """Tell whether a subclass does all as its base does: it and those between have nothing in their bodies."""
    between = kind.__mro__[: kind.__mro__.index(base)]
    return all(set(vars(each)) <= _NO_BODY for each in between)


#: What every class has in its dictionary.
_NO_BODY = {
    *("__module__", "__doc__", "__dict__", "__weakref__", "__qualname__", "__firstlineno__"),
    *("__static_attributes__", "__orig_bases__", "__parameters__", "__annotations__"),
}


def has_binds(session: Session) -> bool:
    """Tell whether a session has classes in several databases; before 2.1 it keeps ``binds=`` under a private name."""
    ours: Any = session
    return bool(getattr(ours, "binds", None) or getattr(ours, "_Session__binds", None))


#: Sessions that were closed since they were first watched, each noted by itself.
_watched: WeakKeyDictionary[Session, list[bool]] = WeakKeyDictionary()


def is_closed(session: Session) -> bool:
    """Tell whether a session was closed since this was first asked of it, and nobody has used it again.

    A closed session begins anew when it is used, and keeps its connection then until somebody closes it once more.
    SQLAlchemy has no event for ``close()``, and no attribute tells a closed session from a new one. So ``close`` is
    noted on the instance, which calls the method of its class as before.
    """
    note = _watched.get(session)
    if note is None:
        note = _watched[session] = []
        kind, behind = type(session), ref(session)

        def close() -> None:
            found = behind()
            if found is not None:
                note.append(True)
                kind.close(found)

        vars(session)["close"] = close
    if note and session.in_transaction():
        note.clear()
    return bool(note)


def in_greenlet(work: Callable[[], R]) -> Awaitable[R]:
    """Do ``work`` where SQLAlchemy can wait for the driver.

    ``run_sync`` of an ``AsyncSession`` or an ``AsyncConnection`` is the public way. Here a plain ``Connection`` opens
    and closes within the work, with one switch instead of three.
    """
    return greenlet_spawn(work)


def changes_statements(session: Session) -> bool:
    """Tell whether a session may do anything to a statement on its way to the connection.

    Listeners for ``do_orm_execute``, on the class or on the instance, may do so; the public API cannot list them. A
    subclass may override ``execute``. Since SQLAlchemy 2.1 a session has its own execution options, too.
    """
    dispatch: Any = session.dispatch
    return bool(
        dispatch.do_orm_execute
        or type(session).execute is not Session.execute
        or getattr(session, "execution_options", None)
    )


def takes_text(connection: Connection) -> bool:
    """Tell whether a statement may go to a connection as text, compiled before.

    It must not if somebody listens to statements before they are text, on the engine or the connection; the public API
    cannot list these listeners. It must not either if SQLAlchemy translates names of schemas.
    """
    dispatch: Any = connection.dispatch
    return not (
        dispatch.before_execute
        or dispatch.after_execute
        or connection.get_execution_options().get("schema_translate_map")
    )


def is_silent(connection: Connection) -> bool:
    """Tell whether a connection does nothing with a text but send it.

    Nobody ever listened to it, its engine or its dialect, nobody reads its log, and SQLAlchemy translates no names of
    schemas. ``_has_events`` is what SQLAlchemy itself asks before it looks for listeners, and ``_echo``
    before it logs.
    """
    ours: Any = connection
    return not (
        ours._has_events
        or ours.engine._has_events
        or ours.dialect._has_events
        or ours._echo
        or connection.get_execution_options().get("schema_translate_map")
    )


def is_in_plain_transaction(connection: Connection) -> bool:
    """Tell whether a connection is in a transaction that nothing ended, so that a text may go to its driver.

    ``Connection.execute`` asks the same before it sends anything.
    """
    ours: Any = connection
    outer, inner = ours._transaction, ours._nested_transaction
    ends = ours._trans_context_manager is None and (inner is None or inner.is_active)
    return bool(ends and outer is not None and outer.is_active)


def rows_of_text(connection: Connection, sql: str, parameters: tuple[Any, ...] | dict[str, Any]) -> list[Any]:
    """Return all rows of a text as the driver made them, through the cursor of a silent connection.

    ``exec_driver_sql`` also serves listeners, the log, and a result that knows its columns. That is half of the time of
    a small statement. ``Connection._handle_dbapi_exception`` handles errors, as for every statement: the error becomes
    SQLAlchemy's, and a lost connection is taken out of the pool with all others of its age.
    """
    cursor = connection.connection.cursor()
    try:
        cursor.execute(sql, parameters)
        rows = list(cursor.fetchall())
    except BaseException as error:
        dbapi: Any = connection.dialect.loaded_dbapi
        known = isinstance(error, dbapi.Error)  # another is none of the statement's, and comes out as it is
        connection._handle_dbapi_exception(error, sql if known else None, parameters, cursor, None)
    cursor.close()
    return rows


def attribute_behind(expression: ClauseElement) -> tuple[type[Any], str] | None:
    """Return (class, name) of the mapped attribute that an expression is, or None.

    The ORM annotates a column that came from an attribute with its mapper and the attribute's name; nothing public
    leads back from ``Post.id`` inside ``Post.id.desc()`` to the class.
    """
    notes = expression._annotations
    entity, key = notes.get("parententity"), notes.get("proxy_key")
    return None if entity is None or key is None else (entity.class_, key)


def subtype_of(attribute: QueryableAttribute[Any]) -> Any:
    """Return the class of ``Company.employees.of_type(Manager)``, or None; only a private name keeps it."""
    subtype = getattr(attribute, "_of_type", None)
    return None if subtype is None else subtype.entity


def criteria_of(attribute: QueryableAttribute[Any]) -> tuple[Any, ...]:
    """Return the conditions of ``User.posts.and_(Post.published)``, or nothing; only a private name keeps them."""
    return tuple(getattr(attribute, "_extra_criteria", ()))


def mapping_mark(mapper: Mapper[Any]) -> object:
    """Return an object that stays the same as long as no property joins a mapper, or a mapper below it.

    ``Mapper.attrs`` is public; that a new collection takes its place is not. Nothing public tells of a property that
    joins a configured class: ``after_configured`` and ``mapper_configured`` do not fire for it.
    """
    return mapper.attrs


def notes_of(mapper: Mapper[Any]) -> dict[Any, Any]:
    """Return a dictionary that lives as long as a class is mapped as it is.

    ``ClassManager.info`` is there for extensions, and not documented. A weak dictionary by mapper would not do: what is
    noted leads back to the class, so no entry would ever go.
    """
    notes: dict[Any, Any] = mapper.class_manager.info
    return notes


def waits_for_configuration(mapper: Mapper[Any]) -> bool:
    """Tell whether a class has been mapped since the mappers around one were configured; ``_new_mappers`` says so.

    ``registry.mappers`` would have to be walked for it, at each fetch.
    """
    return bool(getattr(mapper.registry, "_new_mappers", False))


def chosen_isolation(engine: Engine) -> str | None:
    """Return the isolation level that transactions of an engine have, as far as it is known by now.

    ``create_engine(isolation_level=...)`` is kept in a private name of the dialect alone.
    """
    chosen = engine.get_execution_options().get("isolation_level")
    at_connect = getattr(engine.dialect, "_on_connect_isolation_level", None)
    found: str | None = chosen or at_connect or getattr(engine.dialect, "default_isolation_level", None)
    return found


def shape_of(expression: ClauseElement) -> tuple[Any, Sequence[BindParameter[Any]]] | None:
    """Return what an expression has in common with those that differ in literal values alone, and those values.

    It is the key that SQLAlchemy's own cache of compiled statements goes by. ``ClauseElement.compare`` is the public
    way to ask, but it compares two; nothing public gives a key to look up.

    Returns:
        A hashable key and the parameters in a fixed order; None for an expression that SQLAlchemy does not cache.
    """
    found = expression._generate_cache_key()
    return None if found is None else (found.key, found.bindparams)


#: What a statement may be given without bringing fewer rows: comments and hints for the database, and loader options.
_WORDS_OF_A_STATEMENT = frozenset(
    {"_with_options", "_execution_options", "_prefixes", "_suffixes", "_hints", "_statement_hints"}
)


def criteria_added(before: Any, after: Any) -> frozenset[type[Any]] | None:
    """Return the classes that ``with_loader_criteria`` was added to a statement for; None if more was done to it.

    ``LoaderCriteriaOption`` is documented, and what it is about is not: ``entity`` is a mapped class,
    ``root_entity`` a mixin or an unmapped base. A statement keeps its options in ``_with_options``, and each step of
    its making in an attribute that the next one takes over as it is.
    """
    if type(before) is not type(after):
        return None
    known, remembered = vars(before), after._memoized_keys
    for name, value in vars(after).items():
        if known.get(name) is not value and name not in _WORDS_OF_A_STATEMENT and name not in remembered:
            return None
    options: tuple[Any, ...] = after._with_options[len(before._with_options) :]
    added = [each for each in options if issubclass(type(each), LoaderCriteriaOption)]
    return frozenset([each.root_entity if each.entity is None else each.entity.class_ for each in added])


def driver_rows(result: CursorResult[Any]) -> list[Any]:
    """Return all rows of a result as the driver made them, and close it.

    ``CursorResult.cursor`` is the DBAPI cursor, which the documentation does not name. Rows that go into objects at
    once need no ``Row`` around them; making those takes as long as the driver does for the rows themselves.
    """
    cursor: Any = result.cursor
    rows: list[Any] = cursor.fetchall()
    result.close()
    return rows


def keyed_by(relationship: RelationshipProperty[Any]) -> tuple[str, ...] | None:
    """Return the attributes that the key of a dictionary collection is made of; None where only its function knows.

    ``attribute_keyed_dict`` and ``column_keyed_dict`` keep them in their ``keyfunc``, under private names. The key is
    asked for while the collection is filled, so those attributes must have been loaded.
    """
    collection_class: Any = relationship.collection_class
    if collection_class is None:
        return ()
    collection = collection_class()
    if not isinstance(collection, KeyFuncDict):
        return None if isinstance(collection, dict) else ()
    key_function: Any = collection.keyfunc
    if hasattr(key_function, "attr_name"):
        return (key_function.attr_name,)
    if hasattr(key_function, "_cols"):
        mapper = relationship.mapper
        return tuple(mapper.get_property_by_column(column).key for column in key_function._cols(mapper))
    return None


def is_told_to_overlap(relationship: RelationshipProperty[Any]) -> bool:
    """Tell whether ``overlaps=`` silences the warning that another relationship writes the same columns.

    SQLAlchemy keeps the argument in ``RelationshipProperty._overlaps``, and nowhere else.
    """
    return bool(relationship._overlaps)


def declared_arguments(relationship: RelationshipProperty[Any]) -> Iterator[Any]:
    """Yield what ``relationship(...)`` was called with and evaluates later: names, expressions in strings, lambdas.

    ``RelationshipProperty._init_args`` keeps them. The public attributes exist only once the mappers are configured,
    and trying that too early ruins the mappers for good.
    """
    yield relationship.argument
    for name, declared in relationship._init_args._asdict().items():
        if name != "back_populates" and declared.argument is not None:
            yield declared.argument


class OptionStep(NamedTuple):
    """One step of a loader option, as ``selectinload(User.posts)`` in ``joinedload(Post.author).selectinload(...)``.

    Attributes:
        path: what it is about: mappers (or aliases) and the attributes between them; a wildcard is its token, a text.
        strategy: what it does there, as ``{"lazy": "selectin"}`` or ``{"deferred": True, "instrument": True}``; None
            where it only leads on, as ``defaultload`` does.
        arguments: ``innerjoin``, ``recursion_depth``, ``entities`` and the like.
        criteria: of ``and_()``.
    """

    path: tuple[Any, ...]
    strategy: Mapping[str, Any] | None
    arguments: Mapping[str, Any]
    criteria: tuple[ClauseElement, ...]


def option_steps(options: Iterable[Any]) -> list[OptionStep] | None:
    """Take loader options apart; None if one of them is not a loader option.

    There is no public way to read what an option does. ``Load.context`` has the steps of a chain, each with the
    attributes that its factory gave it; a wildcard, as ``raiseload("*")``, has its own class.
    """
    found: list[OptionStep] = []
    for option in options:
        if not isinstance(option, _AbstractLoad):
            return None
        element: Any = option
        if hasattr(element, "context"):
            found += [
                OptionStep(
                    tuple(getattr(each.path, "path", each.path)),
                    None if each.strategy is None else dict(each.strategy),
                    dict(each.local_opts),
                    tuple(each._extra_criteria),
                )
                for each in element.context
            ]
        else:
            found.append(OptionStep(tuple(element.path), dict(element.strategy), dict(element.local_opts), ()))
    return found


def options_of(statement: Any) -> tuple[Any, ...]:
    """Return the options that a ``select()`` carries; it has no public attribute for them."""
    return tuple(statement._with_options)
