"""Makes the problems of loads and arguments next to ``into=`` that the fields of a view do not use: LP310."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy.orm import Mapper

from loadplan.declared.code import source
from loadplan.errors import Problem, did_you_mean
from loadplan.mapped.mapping import attribute_of

At = tuple[str, ...]


def unread_load(view: str, key: str, known: Iterable[str], at: At) -> Problem:
    """Return the problem of a load for which the view has no field."""
    return Problem(
        "LP310",
        f"no field of '{view}' reads '{key}'",
        at,
        hint=f"{did_you_mean(key, known, f'Relationships that {view} reads')} "
        f"Add a field for it to '{view}', or remove the load.",
    )


def unread_into(view: str, key: str, into: str, items: Iterable[str], at: At) -> Problem:
    """Return the problem of a load whose ``into=`` is not the class in the annotation of the field."""
    return Problem(
        "LP310",
        f"no field of '{view}' reads '{key}' into '{into}'",
        at,
        hint=f"remove into=, or pass the class of the field: {', '.join(sorted(set(items)))}.",
    )


def nested_into(plan: str, into: str, item: str, at: At) -> Problem:
    """Return the problem of a nested plan that does not build the class in the annotation of the field."""
    return Problem(
        "LP310",
        f"plan '{plan}' builds '{into}', but the field holds '{item}'",
        at,
        hint=f"annotate the field with '{into}', or nest a plan with into={item}.",
    )


def unread_branch(view: str, entity: str, at: At) -> Problem:
    """Return the problem of ``on(...)`` in a plan whose view is not a union."""
    return Problem(
        "LP310",
        f"on({entity}) has no effect: every row here becomes '{view}'",
        at,
        hint="remove the branch, or annotate a union of views and give each an on(..., into=...).",
    )


def unread_type(view: str, entity: Mapper[Any], base: Mapper[Any], at: At) -> Problem:
    """The relationship of a load has ``of_type(...)``, but the view is not a union."""
    sub, name = entity.class_.__name__, base.class_.__name__
    condition = _is_of(entity, base)
    chosen = "" if condition is None else f", for example where={condition}"
    union = f"Annotated[{view}, on({sub})] | Annotated[..., on({name})]"
    return Problem(
        "LP310",
        f"of_type({sub}) has no effect: every row here becomes '{view}'",
        at,
        hint=f"remove it, and choose the rows with where={chosen}. For columns of {sub}, annotate a union: {union}.",
    )


def _is_of(entity: Mapper[Any], base: Mapper[Any]) -> str | None:
    """Return the code of the condition that a row is of a class. None if no attribute holds the discriminator."""
    column = base.polymorphic_on
    name = None if column is None else attribute_of(base, column)
    if name is None:
        return None
    identities = [each.polymorphic_identity for each in entity.self_and_descendants if each.polymorphic_identity]
    attribute = f"{base.class_.__name__}.{name}"
    if len(identities) == 1:
        return f"{attribute} == {source(identities[0])}"
    return f"{attribute}.in_([{', '.join(map(source, identities))}])"


def columns_of_view(word: str, view: str, at: At) -> Problem:
    """Return the problem of ``only=`` or ``defer=`` together with ``into=``."""
    return Problem(
        "LP310",
        f"{word}= has no effect on the view '{view}'",
        at,
        detail="the fields of the class decide which columns are loaded.",
        hint=f"remove {word}=.",
    )


def strategy_of_view(strategy: str, name: str, at: At) -> Problem:
    """Return the problem of a load with a strategy that views do not support."""
    hint = "use 'joined' or 'selectin', or remove strategy= and let the plan choose."
    return Problem("LP310", f"views do not support strategy={strategy!r} of '{name}'", at, hint=hint)


def disagreeing_loads(name: str, at: At) -> Problem:
    """Return the problem of two different loads for one field."""
    return Problem(
        "LP310",
        f"'{name}' is loaded twice, with different conditions",
        at,
        hint="keep one load(...). If two fields read the relationship, give each load its into= class.",
    )
