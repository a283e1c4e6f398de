"""Turns the id that a caller passes into the tuple of the primary key's values."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import attrs
from sqlalchemy import Dialect
from sqlalchemy.orm import Mapper
from sqlalchemy.types import TypeEngine

from loadplan.errors import IdentityError
from loadplan.mapped import mapping
from loadplan.mapped.repeats import may_be_null_in_key
from loadplan.mapped.values import as_key, binds_by_itself, refusal, type_on
from loadplan.running import call_problems
from loadplan.running.answers import is_exact

Identity = tuple[Any, ...]

R = TypeVar("R")


@attrs.frozen(eq=False)
class IdentityReader:
    """Reads ids of one entity.

    Attributes:
        mapper: the mapper of the entity.
        label: the label of the plan, for errors.
        dialect: the dialect of the database, which decides which values a column can hold.
    """

    mapper: Mapper[Any]
    label: str
    dialect: Dialect

    @property
    def exact(self) -> bool:
        """True if keys that are equal in the database are also equal in Python."""
        return is_exact([column.type for column in self.mapper.primary_key])

    @property
    def partial(self) -> bool:
        """True if a part of a key may be NULL."""
        return any(may_be_null_in_key(self.mapper, name) for name in mapping.primary_key(self.mapper))

    def read(self, given: object) -> Identity:
        """Return the primary key's values in the order of the mapping.

        Args:
            given: a scalar. For a composite key, a tuple in the order of the mapping, or a mapping by attribute name.

        Raises:
            IdentityError: LP404, the value cannot be the key of the entity.
        """
        try:
            return self._values(given)
        except IdentityError:
            raise
        except Exception as error:  # the methods of the value's class may raise any error
            raise self._error(given, f"reading it raises {type(error).__name__}") from error

    def _values(self, given: object) -> Identity:
        names = mapping.primary_key(self.mapper)
        if isinstance(given, Mapping):
            if set(given) != set(names):
                raise self._error(given, f"its names are {_listed(given)}")
            values = tuple(given[name] for name in names)
        elif isinstance(given, tuple):
            values = tuple(given)
        else:
            values = (given,)
        if len(values) != len(names):
            raise self._error(given, f"it has {len(values)} value{'s' * (len(values) != 1)}")
        is_partial = any(value is not None for value in values)
        for name, value, column in zip(names, values, self.mapper.primary_key, strict=True):
            if value is None and is_partial and may_be_null_in_key(self.mapper, name):
                continue
            reason = "None is not a key" if value is None else refusal(value, column.type, self.dialect)
            if reason is not None:
                where = f"'{name}': " if len(names) > 1 else ""
                raise self._error(given, f"{where}{reason}")
        columns = self.mapper.primary_key
        return tuple(as_key(each, column.type, self.dialect) for each, column in zip(values, columns, strict=True))

    def _error(self, given: object, detail: str) -> IdentityError:
        names = mapping.primary_key(self.mapper)
        columns = [
            (name, _type_name(type_on(column.type, self.dialect)))
            for name, column in zip(names, self.mapper.primary_key, strict=True)
        ]
        return IdentityError(call_problems.not_an_id(given, self.mapper.class_.__name__, detail, columns, self.label))


def read_each(asked: Sequence[object], read: Callable[[object], R]) -> list[R]:
    """Call a function with each id of a list, and return the results.

    Raises:
        IdentityError: LP404, an id cannot be a key. Its path ends with the position: ``ids[3]``.
    """
    found = []
    for position, given in enumerate(asked):
        try:
            found.append(read(given))
        except IdentityError as error:
            if len(asked) == 1:
                raise
            at, hint = (*error.path, f"ids[{position}]"), error.hint
            if issubclass(type(given), list | set | frozenset):
                hint = "write the ids into one list, without inner brackets: fetch_many(plan, [1, 2])."
            raise IdentityError(attrs.evolve(error.problem, path=at, hint=hint)) from error.__cause__
    return found


def _type_name(kind: TypeEngine[Any]) -> str:
    if binds_by_itself(kind):
        return f"a value that {type(kind).__name__} takes"
    try:
        return str(kind.python_type.__name__)
    except NotImplementedError:
        return str(kind)


def _listed(names: Mapping[Any, Any]) -> str:
    return ", ".join(repr(name) for name in names) or "none"
