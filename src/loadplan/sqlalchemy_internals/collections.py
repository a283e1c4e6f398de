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
    """Tell whether the collection of a relationship is SQLAlchemy's default: a plain list.

    ``CollectionAttributeImpl.collection_factory`` makes an empty collection. Nothing public tells its class. A list is
    not plain if ``init_collection`` has a listener, because ``set_committed_value`` fires that event.
    """
    impl: Any = mapper.class_manager[key].impl
    return type(impl.collection_factory()) is InstrumentedList and not impl.dispatch.init_collection


def collection_of(key: str) -> Callable[[InstanceState[Any], Iterable[Any]], Any]:
    """Return a function that makes the list of a relationship from its items and its owner's state.

    The list equals one that SQLAlchemy has filled: it has a ``CollectionAdapter``, and no event was fired. The public
    ``set_committed_value`` does the same item by item, and takes eight times as long. The first change of the list,
    or the first question to its adapter, completes the adapter.
    """

    def collect(state: InstanceState[Any], items: Iterable[Any]) -> Any:
        made: Any = InstrumentedList(items)
        adapter: Any = _UnfinishedAdapter()
        adapter._data = ref(made)
        adapter._key = key
        adapter.owner_state = state
        made._sa_adapter = adapter
        return made

    return collect


#: Collections whose appender does not change an item.
_TAKE_AS_IT_IS = (InstrumentedList, InstrumentedSet, InstrumentedDict, KeyFuncDict)


def fill_silently(owner: object, key: str, items: Sequence[Any]) -> None:
    """Fill a collection. If its class changes attributes of the items, set them back to their old values.

    An ordering list numbers its items, and a class of the application may set any attribute. The items keep the values
    of the database, and their history stays unchanged.
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
    """Give attributes of an instance their values from before a change."""
    values = state.dict
    for name in names:
        old = state.committed_state.pop(name)
        if isinstance(old, LoaderCallableStatus):  # there was no value before
            values.pop(name, None)
        else:
            values[name] = old
    if state.modified and not was_modified:
        session: Any = state.session
        state._commit_all(values, None if session is None else session.identity_map)


class _CopiesQuietly(CollectionAdapter):
    """The adapter of a collection. A deep copy of the collection fires no events."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle the adapter of an ordering list without the list, which its ``__reduce__`` pickles.

        The list pickles its dictionary before itself, and the adapter is in it. If the adapter pickled the list again,
        unpickling would make the list from a dictionary that is still empty.
        """
        if isinstance(self.data, OrderingList):
            return _adapter_to_come, (self.owner_state, self._key)
        return super().__reduce_ex__(protocol)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        data: Any = self.data
        copied: Any = memo.get(id(data))
        if copied is None:
            return self._copied_before(memo)
        # ``deepcopy`` fills a list, a set or a dict item by item, and copies any other collection with its items
        built_in: Any = next((each for each in (list, set, dict) if isinstance(copied, each)), None)
        kind = _CopiesQuietly if built_in is None else _Rebuilding
        adapter: Any = memo.setdefault(id(self), kind.__new__(kind))
        state: Any = self.__getstate__()  # type: ignore[no-untyped-call]
        adapter.__setstate__(deepcopy(state, memo))
        if built_in is not None:  # a keyed dict is made in one step, which needs the adapter
            target: Any = copied
            target._loadplan_to_come = built_in.__len__(data) - built_in.__len__(copied)
            adapter.count(0)
        return adapter

    def _copied_before(self, memo: dict[int, Any]) -> Any:
        """Return an adapter for a copy that does not exist yet. It finds its collection at the first question.

        ``OrderingList.__reduce__`` returns the content of its dictionary, with the adapter, and ``deepcopy`` makes the
        copy from it.
        """
        adapter: Any = memo.setdefault(id(self), _UnfinishedAdapter.__new__(_UnfinishedAdapter))
        return _adapter_to_come(deepcopy(self.owner_state, memo), self._key, adapter)

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        _copy_as_keyed(self.data)


class _UnfinishedAdapter(_CopiesQuietly):
    """The adapter of a list that is not changed yet. It has the list, its owner, and the name of the attribute."""

    __slots__ = ()

    __init__: Any = object.__init__  # calling a class that needs no function of Python takes the least time

    def __getattr__(self, name: str) -> Any:
        _finish_adapter(self)
        return getattr(self, name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        _finish_adapter(self)
        return self.__reduce_ex__(protocol)


def _finish_adapter(adapter: Any) -> None:
    """Set the attributes of an adapter that ``CollectionAdapter.__init__`` sets."""
    state, data = adapter.owner_state, adapter._data()
    adapter.__class__ = _CopiesQuietly
    # if the list of an adapter was freed, it gets another one, which is freed as well
    items: Any = InstrumentedList() if data is None else data
    CollectionAdapter.__init__(adapter, state.manager[adapter._key].impl, state, items)


def _adapter_to_come(state: InstanceState[Any], key: str, adapter: Any = None) -> Any:
    """Return an adapter for a collection that does not exist yet. It finds its collection at the first question."""
    adapter = _UnfinishedAdapter.__new__(_UnfinishedAdapter) if adapter is None else adapter
    adapter._key = key
    adapter.owner_state = state
    adapter._data = lambda: state.dict.get(key)
    return adapter


class _Rebuilding(_CopiesQuietly):
    """The adapter of a copy while ``deepcopy`` fills it, item by item."""

    __slots__ = ()

    def count(self, arrived: int) -> None:
        """Count the items that have arrived. After the last one, events fire again."""
        data: Any = self.data
        data._loadplan_to_come -= arrived
        if data._loadplan_to_come <= 0:
            del data._loadplan_to_come
            self.__class__ = _CopiesQuietly  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]

    def fire_append_event(self, item: Any, initiator: Any = None, key: Any = None) -> Any:
        """Accept an item without an event, because it was in the original collection."""
        self.count(1)
        return item


def copy_quietly(collection: Any) -> None:
    """Make ``copy.deepcopy`` copy a loaded collection without events.

    ``deepcopy`` first gives the copy of a list its ``CollectionAdapter`` and then appends the items. The adapter fires
    an event for each. As a result, the copy would have changes to flush, and a many-to-many with both sides loaded
    would have its items twice.
    """
    collection_adapter(collection).__class__ = _CopiesQuietly
    _copy_as_keyed(collection)


def _copy_as_keyed(collection: Any) -> None:
    """Make ``deepcopy`` copy a keyed dictionary in one step, because ``KeyFuncDict.__reduce__`` loses the adapter."""
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
    """Make a replaced collection warn when you change it, as SQLAlchemy does for an expired collection."""
    collection_adapter(collection).invalidated = True


def items_of(prop: RelationshipProperty[Any], value: Any) -> Iterable[Any]:
    """Return the objects in the value of a relationship: the items of any kind of collection, or a to-one's object.

    ``collection_adapter`` is public. That you can iterate over an adapter is not documented.
    """
    return () if value is None else collection_adapter(value) if prop.uselist else (value,)
