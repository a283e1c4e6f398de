"""The state of a mapped instance: loadplan makes it without the ORM, and finishes it at its first use."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from attrs import frozen
from sqlalchemy.orm import (
    InstanceState,
    Mapper,
    PassiveFlag,
    Session,
)
from sqlalchemy.orm.attributes import instance_state

AttributeLoader = Callable[[InstanceState[Any], PassiveFlag], Any]


def install_loaders(entity: object, loaders: Mapping[str, AttributeLoader]) -> None:
    """Install ``loaders`` on ``entity``. Reading an absent attribute then calls them, not the loaders of SQLAlchemy.

    ``InstanceState.callables`` maps the name of an attribute to a function. SQLAlchemy calls the function if the
    attribute is read and absent from ``__dict__``, before it asks the loader strategy. The mapping survives pickling,
    copying and re-attaching. There is no public hook for this: a raise option only works while the object is attached.
    All objects of one class at one place of a plan share the mapping, so it must be immutable.

    A statement leaves ``load_options`` and ``load_path`` for later lazy loads. loadplan clears them: no lazy load will
    happen, and criteria in them would break pickling. ``expired_attributes`` has the subclass columns that were not in
    the row. SQLAlchemy would ask it before ``callables``.
    """
    state: Any = instance_state(entity)
    state.callables = loaders
    remembered = state.__dict__
    remembered.pop("load_options", None)
    remembered.pop("load_path", None)
    if state.expired_attributes:
        state.expired_attributes.clear()


def installed_loaders(state: InstanceState[Any]) -> Mapping[str, AttributeLoader]:
    """Return the loaders that :func:`install_loaders` installed, or the loaders of SQLAlchemy itself."""
    return state._origin.loaders if isinstance(state, UnfinishedState) else state.callables


@frozen(eq=False)
class Origin:
    """The facts that the instances of one class at one place of a plan share.

    Attributes:
        manager: the ``ClassManager`` of the class.
        identity: the class that the identity key begins with.
        key_of: makes the tuple of the primary key from the key in the row.
        loaders: the functions that are called for absent attributes.
    """

    manager: Any
    identity: type[Any]
    key_of: Callable[[Any], tuple[Any, ...]]
    loaders: Mapping[str, AttributeLoader]


class BothKeys(NamedTuple):
    """The key of a row in Python, and the stored values of it, where Python cannot compare the key itself."""

    key: Any
    stored: tuple[Any, ...]


#: The key of a stored key in ``InstanceState.info``.
_STORED = "loadplan_stored_key"


class LoadedState(InstanceState[Any]):
    """The state of an instance that loadplan made from a row.

    Its pickles and copies are plain states. They keep the stored key in ``info``.
    """

    __slots__ = ("_key", "_origin")

    _origin: Origin
    _key: Any  # the key of the row, or BothKeys

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        found = self.__getstate__()
        identity, stored = _keys_of(self)
        if stored is not None:
            found["info"] = {**found.get("info", {}), _STORED: (identity, stored)}
        return blank_state, (), found


class UnfinishedState(LoadedState):
    """A state that has not been used yet.

    Reading a loaded attribute needs only ``__dict__``, so the states of most instances are never used.
    ``InstanceState.__init__`` makes objects that take more time and memory than the instance itself. loadplan makes
    them at the first use of the state. From then on, the state is a :class:`LoadedState`.
    """

    __slots__ = ()

    __init__: Any = object.__init__  # calling a class that needs no function of Python takes the least time

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        _finish(self)
        return self.__reduce_ex__(protocol)


class _AtFirstNeed:
    """An attribute of a state that is made when it is first read."""

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


#: Attributes that ``InstanceState.__init__`` sets, except ``obj``, and further attributes of a loaded instance.
for _name in ("class_", "manager", "committed_state", "expired_attributes", "key", "callables"):
    setattr(UnfinishedState, _name, _AtFirstNeed(_name))


def _finish(state: Any) -> None:
    """Complete a state, so that it equals the state that SQLAlchemy's ``loading.py`` makes for a row.

    The reference to the instance becomes one that informs the state when the instance is freed. A session needs this.
    """
    origin, entity = state._origin, state.obj()
    state.__class__ = LoadedState
    if entity is not None:
        InstanceState.__init__(state, entity, origin.manager)
    else:
        state.class_, state.manager = origin.manager.class_, origin.manager
        state.committed_state, state.expired_attributes = {}, set()
    state.key = (origin.identity, _keys_of(state)[0], None)
    state.callables = origin.loaders


def _keys_of(state: LoadedState) -> tuple[tuple[Any, ...], tuple[Any, ...] | None]:
    """Return (primary key with which an instance was loaded, stored values of it or None)."""
    key, stored = state._key, None
    if isinstance(key, BothKeys):
        key, stored = key
    return state._origin.key_of(key), stored


def stored_key(state: InstanceState[Any]) -> tuple[Any, ...] | None:
    """Return the stored values of the primary key of an instance, as its row had them.

    Returns:
        None if Python can compare its key itself, if it comes from elsewhere, or if its key has changed since.
    """
    if isinstance(state, LoadedState):
        identity, stored = _keys_of(state)
    else:
        identity, stored = state.info.get(_STORED, (None, None))
    if stored is None or identity is None or state.identity is None:
        return None
    try:
        return stored if tuple(identity) == tuple(state.identity) else None
    except Exception:  # a value of an application's own type may refuse to be compared
        return None


def blank_state() -> InstanceState[Any]:
    """Return an empty state. Unpickling calls this function, and then ``__setstate__`` fills the state."""
    return InstanceState.__new__(InstanceState)


def state_script(made: str, found: str, origin: str, key: str, *, plain: bool, stored: str | None = None) -> list[str]:
    """Return the source that gives a new instance its state.

    SQLAlchemy finds the state under ``_sa_instance_state``. It is source, not a function, because a call for each row
    would add a tenth to the time of the row. ``State``, ``ref`` and ``both`` are :class:`UnfinishedState`,
    ``weakref.ref`` and :class:`BothKeys`.

    Args:
        made: the name of the variable with the instance.
        found: the name of its ``__dict__``.
        origin: the name of the :class:`Origin` of its class and place.
        key: the name of its key in the rows.
        plain: whether the class has the state in ``__dict__``.
        stored: the source of the stored key, if Python cannot compare the key itself.
    """
    return [
        "state = State()",
        f"state.obj = ref({made})",
        f"state._origin = {origin}",
        f"state._key = {key if stored is None else f'both({key}, {stored})'}",
        f"{found}['_sa_instance_state'] = state" if plain else f"install_state({made}, state)",
    ]


def keeps_state_in_dict(cls: type[Any]) -> bool:
    """Tell whether instances of a class have their state in ``__dict__``, and not in a slot with the same name."""
    return cls.__dictoffset__ != 0 and not any("_sa_instance_state" in vars(each) for each in cls.__mro__)


def install_state(entity: object, state: InstanceState[Any]) -> None:
    """Give an instance its state, if its class does not keep the state in ``__dict__``.

    SQLAlchemy itself calls ``ClassManager.setup_instance`` for a new object.
    """
    state.manager.setup_instance(entity, state)


def has_load_listeners(mapper: Mapper[Any]) -> bool:
    """Tell whether a class has listeners for its loads: events, reconstructors, mutable types, composites.

    The public API can register listeners, but cannot list them.
    """
    return bool(mapper.class_manager.dispatch.load)


def tell_of_load(entity: object) -> None:
    """Fire the ``load`` event of an instance, as ``loading.py`` of SQLAlchemy does for a row."""
    state: Any = instance_state(entity)
    state.manager.dispatch.load(state, None)
    keep_as_loaded(state)


def keep_as_loaded(state: InstanceState[Any]) -> None:
    """Treat values that listeners have set on a new instance as loaded values, as ``loading.py`` does.

    A listener that decrypts a column, for example, sets the attribute. A flush must not write that value.
    """
    if state.modified:
        session: Any = state.session
        state._commit_all(state.dict, None if session is None else session.identity_map)


def tell_of_persistence(session: object, entities: Iterable[object]) -> None:
    """Fire ``loaded_as_persistent`` of a session for instances that were made on its behalf."""
    if isinstance(session, Session):
        heard: Any = session.dispatch
        if heard.loaded_as_persistent:
            for entity in entities:
                state = instance_state(entity)
                heard.loaded_as_persistent(session, state)
                keep_as_loaded(state)
