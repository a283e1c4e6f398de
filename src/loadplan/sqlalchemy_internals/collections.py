"""Collections of mapped instances: filled without events, copied without events."""

from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any
from weakref import ref

from sqlalchemy.ext.orderinglist import OrderingList
from sqlalchemy.orm import (
    InstanceState,
    Mapper,
    RelationshipProperty,
)
from sqlalchemy.orm.attributes import instance_state, set_committed_value
from sqlalchemy.orm.collections import CollectionAdapter, InstrumentedList, collection_adapter


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
    """Fill an ordering list without numbering its items again; tell whether the collection is one."""
    kind: Any = instance_state(owner).manager[key].impl
    collection: Any = kind.collection_factory()
    if not isinstance(collection, OrderingList):
        return False
    set_committed_value(owner, key, ())
    list.extend(owner.__dict__[key], items)
    return True


class _CopiesQuietly(CollectionAdapter):
    """The adapter of a collection whose deep copies come without events."""

    __slots__ = ()

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
        adapter._key = self._key
        adapter.owner_state = deepcopy(self.owner_state, memo)
        adapter._data = lambda: adapter.owner_state.dict.get(adapter._key)
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
    # if the list of an adapter was freed, it gets another one, which is freed as well
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


def invalidate_collection(collection: Any) -> None:
    """Have a collection that is no longer its owner's warn whoever changes it, as one that expired does."""
    collection_adapter(collection).invalidated = True


def items_of(prop: RelationshipProperty[Any], value: Any) -> Iterable[Any]:
    """Return the objects in the value of a relationship, whatever kind of collection it is; a to-one has one or none.

    ``collection_adapter`` is public, that one can be iterated over is not.
    """
    return () if value is None else collection_adapter(value) if prop.uselist else (value,)
