"""Collections of mapped instances: filled without events, copied without events."""

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from functools import partial
from typing import Any
from weakref import ref

from sqlalchemy.ext.orderinglist import OrderingList
from sqlalchemy.orm import (
    InstanceState,
    LoaderCallableStatus,
    Mapper,
    RelationshipProperty,
)
from sqlalchemy.orm.attributes import instance_state, set_committed_value
from sqlalchemy.orm.collections import (
    CollectionAdapter,
    InstrumentedDict,
    InstrumentedList,
    InstrumentedSet,
    KeyFuncDict,
    collection_adapter,
)


def is_plain_list(mapper: Mapper[Any], key: str) -> bool:
    """Tell whether the collection of a relationship is a list as SQLAlchemy makes it by default.

    ``CollectionAttributeImpl.collection_factory`` makes an empty collection; nothing public tells of which class. A
    list is not plain if somebody listens to ``init_collection``: ``set_committed_value`` fires that event.
    """
    impl: Any = mapper.class_manager[key].impl
    return type(impl.collection_factory()) is InstrumentedList and not impl.dispatch.init_collection


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


#: Collections whose appender takes an item as it is.
_TAKE_AS_IT_IS = (InstrumentedList, InstrumentedSet, InstrumentedDict, KeyFuncDict)


def fill_silently(owner: object, key: str, items: Sequence[Any]) -> None:
    """Fill a collection. Its class may change its items as they come: what it changes is set back.

    An ordering list numbers its items; a class of the application's own may set any attribute. The items keep what
    the database has, and their history stays as it was.
    """
    kind: Any = instance_state(owner).manager[key].impl
    collection: Any = kind.collection_factory()
    if isinstance(collection, OrderingList):
        set_committed_value(owner, key, ())
        list.extend(owner.__dict__[key], items)
    elif type(collection) in _TAKE_AS_IT_IS:
        set_committed_value(owner, key, items)
    else:
        before = [(state, state.modified, set(state.committed_state)) for state in map(instance_state, items)]
        set_committed_value(owner, key, items)
        for state, was_modified, names in before:
            _set_back(state, state.committed_state.keys() - names, was_modified=was_modified)


def _set_back(state: InstanceState[Any], names: Iterable[str], *, was_modified: bool) -> None:
    """Give attributes the values that they had before they were set."""
    values = state.dict
    for name in names:
        old = state.committed_state.pop(name)
        if isinstance(old, LoaderCallableStatus):  # there was none
            values.pop(name, None)
        else:
            values[name] = old
    if state.modified and not was_modified:
        session: Any = state.session
        state._commit_all(values, None if session is None else session.identity_map)


class _CopiesQuietly(CollectionAdapter):
    """The adapter of a collection whose deep copies come without events."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle the adapter of an ordering list without the list, which its ``__reduce__`` pickles.

        The list pickles its dictionary before itself, and the adapter is in it. An adapter that pickles the list again
        would have the list made of a dictionary that is still empty.
        """
        if isinstance(self.data, OrderingList):
            return _adapter_to_come, (self.owner_state, self._key)
        return super().__reduce_ex__(protocol)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        data: Any = self.data
        copied: Any = memo.get(id(data))
        if copied is None:
            return self._copied_before(memo)
        # a list, a set or a dict is filled item by item; anything else is copied with its items
        built_in: Any = next((each for each in (list, set, dict) if isinstance(copied, each)), None)
        kind = _CopiesQuietly if built_in is None else _Rebuilding
        adapter: Any = memo.setdefault(id(self), kind.__new__(kind))
        state: Any = self.__getstate__()  # type: ignore[no-untyped-call]
        adapter.__setstate__(deepcopy(state, memo))
        if built_in is not None:  # a dict by key is made at once, and needs its adapter for that
            target: Any = copied
            target._loadplan_to_come = built_in.__len__(data) - built_in.__len__(copied)
            adapter.count(0)
        return adapter

    def _copied_before(self, memo: dict[int, Any]) -> Any:
        """Return the adapter of a copy that is not made yet: one that finds its collection when somebody asks.

        ``OrderingList.__reduce__`` hands over what is in its dictionary, the adapter too, for the copy to be made of.
        """
        adapter: Any = memo.setdefault(id(self), _UnfinishedAdapter.__new__(_UnfinishedAdapter))
        return _adapter_to_come(deepcopy(self.owner_state, memo), self._key, adapter)

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        _copy_as_keyed(self.data)


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
    # if the list of an adapter was freed, it gets another one, which is freed as well
    items: Any = InstrumentedList() if data is None else data
    CollectionAdapter.__init__(adapter, state.manager[adapter._key].impl, state, items)


def _adapter_to_come(state: InstanceState[Any], key: str, adapter: Any = None) -> Any:
    """Return the adapter of a collection that is not there yet: it finds its collection when somebody asks."""
    adapter = _UnfinishedAdapter.__new__(_UnfinishedAdapter) if adapter is None else adapter
    adapter._key = key
    adapter.owner_state = state
    adapter._data = lambda: state.dict.get(key)
    return adapter


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
    _copy_as_keyed(collection)


def _copy_as_keyed(collection: Any) -> None:
    """Have a dictionary that is keyed by its items copied as one: ``KeyFuncDict.__reduce__`` loses the adapter."""
    if isinstance(collection, KeyFuncDict):
        vars(collection)["__deepcopy__"] = partial(_keyed_copy, ref(collection))


def _keyed_copy(original: "ref[KeyFuncDict[Any, Any]]", memo: dict[int, Any]) -> Any:
    """Return the deep copy of a dictionary that is keyed by its items, with an adapter and without events."""
    data: Any = original()
    adapter: Any = collection_adapter(data)
    copied = memo[id(data)] = adapter.attr.collection_factory()
    own = {key: value for key, value in vars(data).items() if key not in {"__deepcopy__", "_sa_adapter", "keyfunc"}}
    vars(copied).update(deepcopy(own, memo))
    CollectionAdapter(adapter.attr, deepcopy(adapter.owner_state, memo), copied)
    copy_quietly(copied)
    for key, item in data.items():
        dict.__setitem__(copied, deepcopy(key, memo), deepcopy(item, memo))
    return copied


def invalidate_collection(collection: Any) -> None:
    """Have a collection that is no longer its owner's warn whoever changes it, as one that expired does."""
    collection_adapter(collection).invalidated = True


def items_of(prop: RelationshipProperty[Any], value: Any) -> Iterable[Any]:
    """Return the objects in the value of a relationship, whatever kind of collection it is; a to-one has one or none.

    ``collection_adapter`` is public, that one can be iterated over is not.
    """
    return () if value is None else collection_adapter(value) if prop.uselist else (value,)
