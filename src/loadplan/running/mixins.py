"""Raises a clear error, not SQLAlchemy's AttributeError, for criteria on mixins without columns."""

import contextlib
from collections.abc import Iterator
from typing import Any

from sqlalchemy import inspect

from loadplan.errors import LoaderError, Problem


@contextlib.contextmanager
def criteria_name_columns() -> Iterator[None]:
    """Raise a clear error if ``with_loader_criteria(Mixin, lambda cls: ...)`` of a listener finds no column.

    SQLAlchemy calls the lambda with the mixin itself first. The mixin has no attribute for a field of a SQLModel class
    without ``table=True``, and no attribute for an annotation without ``mapped_column()``.

    Raises:
        LoaderError: LP408, the criterion reads a column that only mapped subclasses have. Any other AttributeError
            passes unchanged.
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
    """Tell whether a mapped subclass of a mixin has the attribute."""
    for each in type.__subclasses__(mixin):
        if (inspect(each, raiseerr=False) is not None and hasattr(each, name)) or _is_below(each, name):
            return True
    return False
