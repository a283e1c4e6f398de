"""Makes pydantic raise :class:`loadplan.NotLoaded` for columns that a plan leaves out of a model or a SQLModel table.

pydantic writes a model from its ``__dict__`` and ignores missing names. Without this module, a web framework would
answer without the column, with status 200. loadplan cannot use a method of the model to prevent that. pydantic compiles
a serializer once, often before any plan exists, and the serializer reads the dictionary itself. So loadplan marks a
missing column with an entry in the dictionary. SQLAlchemy and attribute access must not find this entry: see
:class:`AbsentKey`.

tests/sqlmodel checks the behaviour of pydantic that this relies on.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn, Protocol
from weakref import WeakSet

from sqlalchemy import event

#: Packages whose code looks for attributes that have a value.
_LOOK_FOR_VALUES = frozenset({"loadplan", "sqlalchemy"})


class AbsentKey(str):
    """The name of a column in a dictionary that has no value for it.

    A dictionary asks a key for its hash when the key is added, and keeps this hash. At that time, this key returns a
    different hash than its text has. So looking up the text does not find the entry. SQLAlchemy always gets the
    different hash, so ``names.intersection(obj.__dict__)`` does not find the key either. All other code gets the hash
    of the text once the key is in the dictionary. So ``include={"email"}`` and ``exclude={"email"}`` of pydantic work,
    because they look up each entry. Code that iterates over the dictionary, as pydantic does, finds the name and value.

    Each object needs its own keys. Pickle writes a shared key once, and unpickling would add this key a second time.
    """

    __slots__ = ("_is_put",)

    def __hash__(self) -> int:
        found = str.__hash__(self)
        is_put = hasattr(self, "_is_put")
        self._is_put = True
        return found if is_put and _asking_library() not in _LOOK_FOR_VALUES else ~found

    __eq__ = str.__eq__
    __ne__ = str.__ne__

    def __reduce__(self) -> tuple[type["AbsentKey"], tuple[str]]:
        return AbsentKey, (str(self),)

    def __deepcopy__(self, memo: object) -> "AbsentKey":
        return AbsentKey(self)


def _asking_library() -> str:
    """Return the first part of the name of the module that asks a key for its hash."""
    here = inspect.currentframe()
    asking = here and here.f_back and here.f_back.f_back
    return asking.f_globals.get("__name__", "").partition(".")[0] if asking else ""


class Refusal(Protocol):
    """A value that raises the error for a left-out attribute. It knows the plan and the place, and can be pickled."""

    def refuse(self) -> NoReturn:
        """Raise :class:`loadplan.NotLoaded`."""
        ...


class AbsentValue:
    """The value that marks a left-out column. When pydantic writes it, it raises :class:`loadplan.NotLoaded`.

    If a value does not have the type of its field, pydantic writes it by the type that the value has. This value looks
    like a dataclass. pydantic reads the fields of a dataclass as attributes, and does not catch the error.
    """

    __slots__ = ("_refusal",)
    __dataclass_fields__ = {each.name: each for each in dataclasses.fields(dataclasses.make_dataclass("_", ["value"]))}

    def __init__(self, refusal: Refusal) -> None:
        self._refusal = refusal

    @property
    def value(self) -> NoReturn:
        """Raise :class:`loadplan.NotLoaded`."""
        self._refusal.refuse()

    def __repr__(self) -> str:
        return "<not loaded>"

    def __reduce__(self) -> tuple[type["AbsentValue"], tuple[Refusal]]:
        return AbsentValue, (self._refusal,)

    def __deepcopy__(self, memo: object) -> "AbsentValue":
        return self


def written_fields(kind: Any) -> Collection[str]:
    """Return the attributes that pydantic writes for objects of a class; none if the class is not a pydantic model."""
    is_model = hasattr(kind, "__pydantic_core_schema__") and hasattr(kind, "model_dump")
    return kind.model_fields if is_model else ()


def note_absent(entity: Any, absent: Mapping[str, AbsentValue]) -> None:
    """Note in an object which of its columns have no value.

    Args:
        entity: the object.
        absent: the value for each column that the plan leaves out. A column that has a value from another path of the
            plan is not noted.
    """
    _guard(type(entity))
    values = entity.__dict__
    for name, value in absent.items():
        values.pop(AbsentKey(name), None)
        if name not in values:
            values[AbsentKey(name)] = value


def note_present(entity: Any, names: Collection[str] | None = None) -> None:
    """Undo :func:`note_absent` for the columns that have a value now.

    Args:
        entity: the object.
        names: the columns; by default all that have a value.
    """
    values = entity.__dict__
    for name in [name for name in written_fields(type(entity)) if name in values] if names is None else names:
        values.pop(AbsentKey(name), None)


_guarded: WeakSet[type[Any]] = WeakSet()


def _guard(kind: type[Any]) -> None:
    """Listen to a class, to notice when a column gets its value. Later calls for the same class do nothing."""
    if kind in _guarded:
        return
    _guarded.add(kind)
    for moment in ("refresh", "refresh_flush"):
        event.listen(kind, moment, _on_refresh)
    for name in written_fields(kind):
        if hasattr(getattr(kind, name, None), "impl"):
            event.listen(getattr(kind, name), "set", functools.partial(_on_set, name))
    written: Any = kind
    type.__setattr__(kind, "model_dump_json", _in_words_of_loadplan(written.model_dump_json))


def _on_refresh(entity: Any, *_: Any) -> None:
    note_present(entity)


def _on_set(name: str, entity: Any, *_: Any) -> None:
    note_present(entity, (name,))


def _in_words_of_loadplan(to_json: Callable[..., str]) -> Callable[..., str]:
    """Return a ``model_dump_json`` that raises the error of ``model_dump``.

    When pydantic writes JSON, it replaces every error with its own error, which keeps only the text.
    """

    @functools.wraps(to_json)
    def model_dump_json(self: Any, *, indent: int | None = None, ensure_ascii: bool = False, **options: Any) -> str:
        layout: dict[str, Any] = {"indent": indent} if indent is not None else {}
        if ensure_ascii:
            layout["ensure_ascii"] = True
        try:
            return to_json(self, **layout, **options)
        except Exception:
            self.model_dump(mode="json", **options)
            raise

    return model_dump_json
