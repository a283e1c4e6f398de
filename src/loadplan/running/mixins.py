"""Criteria on mixins without columns: an error that says what to write, instead of SQLAlchemy's AttributeError."""

import contextlib
from collections.abc import Iterator
from typing import Any

from sqlalchemy import inspect

from loadplan.errors import LoaderError, Problem


@contextlib.contextmanager
def criteria_name_columns() -> Iterator[None]:
    """Raise a clear error if ``with_loader_criteria(Mixin, lambda cls: ...)`` of a listener finds no column.

    SQLAlchemy calls the lambda with the mixin itself first. A field of a SQLModel class without ``table=True``
    leaves no attribute on the class. An annotation without ``mapped_column()`` leaves none either.

    Raises:
        LoaderError: LP408. Any other AttributeError passes unchanged.
    """
    try:
        yield
    except AttributeError as error:
        mixin, name = error.obj, error.name
        if not isinstance(mixin, type) or name is None:
            raise
        if inspect(mixin, raiseerr=False) is not None or not _is_below(mixin, name):
            raise
        raise LoaderError(
            Problem(
                "LP408",
                f"a criterion of the session reads '{mixin.__name__}.{name}', which only mapped subclasses of "
                f"'{mixin.__name__}' have",
                detail="SQLAlchemy calls the lambda of with_loader_criteria() with the mixin itself. A field of "
                "SQLModel, or an annotation alone, leaves no attribute there.",
                hint="write the mixin's column with mapped_column(). For SQLModel, pass one rule for each mapped "
                f"class: with_loader_criteria(each, each.{name} == ..., include_aliases=True).",
            )
        ) from error


def _is_below(mixin: type[Any], name: str) -> bool:
    """True if a mapped subclass of a mixin has the attribute."""
    for each in type.__subclasses__(mixin):
        if (inspect(each, raiseerr=False) is not None and hasattr(each, name)) or _is_below(each, name):
            return True
    return False
