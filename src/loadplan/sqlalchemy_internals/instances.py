"""The state of a mapped instance: made without the ORM, finished when somebody first asks."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

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


#: Attributes that ``InstanceState.__init__`` sets, except ``obj``, and those that a loaded instance has besides.
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


def has_load_listeners(mapper: Mapper[Any]) -> bool:
    """Tell whether somebody listens to what is loaded of a class: events, reconstructors, mutable types, composites.

    The public API registers listeners and never lists them.
    """
    return bool(mapper.class_manager.dispatch.load)


def tell_of_load(entity: object) -> None:
    """Fire the ``load`` event of an instance, as ``loading.py`` of SQLAlchemy does for a row."""
    state: Any = instance_state(entity)
    state.manager.dispatch.load(state, None)
    keep_as_loaded(state)


def keep_as_loaded(state: InstanceState[Any]) -> None:
    """Take what listeners have set on a new instance for its loaded values, as ``loading.py`` does.

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
