"""The errors for keys without a row. They explain keys that might not lead back to their rows."""

import contextlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.orm import Mapper

from loadplan.errors import IdentityError, NotFound, Problem, shown
from loadplan.mapped import mapping
from loadplan.mapped.leading_back import other_form
from loadplan.mapped.values import type_on
from loadplan.plan import LoadPlan
from loadplan.running.identity import IdentityReader
from loadplan.running.plans import resolve_plan


def not_found(plan: LoadPlan[Any], missing: Sequence[object], dialect: Dialect) -> NotFound:
    """Return the error for ids without a row.

    Args:
        plan: the plan of the call.
        missing: the ids as the caller passed them.
        dialect: the dialect of the database that was asked.
    """
    entity = plan.entity.__name__
    what = "has the primary key" if len(missing) == 1 else "has one of the primary keys"
    mapper = resolve_plan(plan).root.mapper
    detail, hint, identity = None, None, tuple[Any, ...]()
    with contextlib.suppress(IdentityError):  # another shard, on another database, may have taken the id
        identity = IdentityReader(mapper, plan.label, dialect).read(missing[0])
    forms, names = _other_forms(mapper, identity, dialect, is_loaded=False)
    if forms:
        detail, hint = f"the row may have its key in another form. {forms}", _way_out(names)
    message = f"no '{entity}' {what} {_listed(missing)}"
    return NotFound(Problem("LP402", message, (plan.label,), detail=detail, hint=hint), tuple(missing))


def gone(objects: Sequence[Any], asked_by_value: Sequence[Any] = (), dialect: Dialect | None = None) -> NotFound:
    """Return the error for objects whose rows were not found again.

    Args:
        objects: the objects.
        asked_by_value: those that were looked for by the values of their keys in Python, not by the stored values.
        dialect: the dialect of the database that was asked.
    """
    keys = [mapping.identity_of(each) for each in objects]
    missing = tuple(key[0] if len(key) == 1 else key for key in keys)
    detail = "the row was deleted after the object was loaded, or a filter of the session hides it now."
    hint = "fetch the other objects again, or extend them without this one."
    for each in asked_by_value[:1]:
        mapper, identity = mapping.mapper_of(type(each)), mapping.identity_of(each)
        if dialect is not None and mapper is not None:
            forms, names = _other_forms(mapper, identity, dialect, is_loaded=True)
            if forms:
                detail += f" Or the row has its key in another form. {forms}"
                hint = _way_out(names)
    message = f"no '{type(objects[0]).__name__}' has the primary key {_listed(missing)} any more"
    return NotFound(Problem("LP402", message, detail=detail, hint=hint), missing)


def _listed(missing: Sequence[object]) -> str:
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    return ", ".join(shown(each) for each in missing[:5]) + more


def _other_forms(mapper: Mapper[Any], identity: Sequence[Any], dialect: Dialect, *, is_loaded: bool) -> tuple[str, str]:
    """Return sentences on the parts of a key that might not lead back to their row, and the names of these parts."""
    sentences, names = [], []
    for name, value in zip(mapping.primary_key(mapper), identity, strict=False):
        key = getattr(mapper.class_, name)
        for bound in other_form(key, value, dialect, is_loaded=is_loaded):
            kind = type(type_on(key.type, dialect)).__name__
            names.append(f"'{mapper.class_.__name__}.{name}'")
            sentences.append(f"SQLAlchemy binds {names[-1]} ({kind}) as {shown(bound)}.")
    return " ".join(sentences), " and ".join(names)


def _way_out(names: str) -> str:
    return f"if the row exists, give {names} a type that binds each value as the database has it."
