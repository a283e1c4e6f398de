"""Watches reads of an object's ``__dict__`` and of a view's attributes, because serializers may read those.

Some serializers never read ``obj.name``: pydantic serializes its own classes, also SQLModel's tables, from
``__dict__``. CPython keeps the descriptor of ``__dict__`` in the dictionary of the class, and ``setattr`` cannot
replace it. The garbage collector gives access to that dictionary. loadplan replaces the descriptor only for watched
classes, and only while it watches.
"""

import gc
from collections.abc import Callable
from inspect import currentframe
from types import FrameType
from typing import Any

#: Functions that read every attribute, but do not use the values.
_TOUCH = frozenset(
    {"__repr__", "__str__", "__eq__", "__ne__", "__hash__", "__repr_args__", "__rich_repr__", "__getstate__"}
    | {"__setstate__", "__reduce__", "__reduce_ex__", "__copy__", "__deepcopy__"}
)

#: Modules that copy, build, or look at state.
_COPIERS = frozenset({"sqlalchemy", "loadplan", "copy", "copyreg", "pickle", "_pydecimal", "reprlib"})


def is_a_use(depth: int = 2) -> bool:
    """Tell whether the reading code, ``depth`` frames above, uses the value.

    Copying and comparing do not count as use.
    """
    frame: FrameType | None = currentframe()
    for _ in range(depth):
        frame = None if frame is None else frame.f_back
    if frame is None or str(frame.f_globals.get("__name__", "loadplan")).partition(".")[0] in _COPIERS:
        return False
    above = frame.f_back
    return frame.f_code.co_name not in _TOUCH and (above is None or above.f_code.co_name not in _TOUCH)


class DictWatch:
    """A replacement for the ``__dict__`` of a class. It calls ``used`` when code uses the ``__dict__`` of an object.

    Args:
        entity: the class.
        used: called with the object.
    """

    def __init__(self, entity: type[Any], used: Callable[[Any], object]) -> None:
        self._entity = entity
        self._used = used
        self._has_own = "__dict__" in vars(entity)
        self._own = vars(entity).get("__dict__")
        plain: Any = next(vars(each)["__dict__"] for each in entity.__mro__ if "__dict__" in vars(each))
        silent = [0]

        def get(instance: Any) -> Any:
            if not silent[0] and is_a_use():
                used(instance)
            return plain.__get__(instance)

        def set_(instance: Any, value: Any) -> None:
            plain.__set__(instance, value)

        def reduce(instance: Any, protocol: Any) -> Any:
            silent[0] += 1
            try:
                return above(instance, protocol)
            finally:
                silent[0] -= 1

        above: Any = entity.__reduce_ex__
        self._reduces = "__reduce_ex__" not in vars(entity)
        self._put(property(get, set_))
        if self._reduces:
            type.__setattr__(entity, "__reduce_ex__", reduce)

    def _put(self, value: Any) -> None:
        names = _namespace(self._entity)
        if value is None:
            del names["__dict__"]
        else:
            names["__dict__"] = value
        _forget_lookups(self._entity)

    def stop(self) -> None:
        """Restore the class."""
        if self._reduces:
            type.__delattr__(self._entity, "__reduce_ex__")
        self._put(self._own if self._has_own else None)


def _namespace(entity: type[Any]) -> dict[str, Any]:
    found: list[Any] = [each for each in gc.get_referents(entity.__dict__) if isinstance(each, dict)]
    namespace: dict[str, Any] = found[0]
    return namespace


def _forget_lookups(entity: type[Any]) -> None:
    """Make Python forget its cached attributes of a class. Any ``setattr`` on the class does that."""
    type.__setattr__(entity, "_loadplan_watched", True)
    type.__delattr__(entity, "_loadplan_watched")


class ViewWatch:
    """Watches the attributes of a view class. ``ok`` is False if the class cannot be watched.

    Args:
        view: the class.
        used: called with the name of the attribute; ``"__dict__"`` stands for all.
    """

    def __init__(self, view: type[Any], used: Callable[[str], object]) -> None:
        self._view = view
        self._before = vars(view).get("__getattribute__")
        plain: Any = view.__getattribute__

        def get(instance: Any, name: str) -> Any:
            if (name == "__dict__" or not name.startswith("__")) and is_a_use():
                used(name)
            return plain(instance, name)

        self.ok = not issubclass(view, tuple)  # the items of a tuple can be read without its attributes
        if self.ok:
            try:
                type.__setattr__(view, "__getattribute__", get)
            except TypeError:
                self.ok = False

    def stop(self) -> None:
        """Restore the class."""
        if self.ok and self._before is not None:
            type.__setattr__(self._view, "__getattribute__", self._before)
        elif self.ok:
            type.__delattr__(self._view, "__getattribute__")
