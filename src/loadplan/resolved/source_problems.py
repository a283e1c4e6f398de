"""Makes the problems of wrong sources, counts and aggregates of a view's field: LP307."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func
from sqlalchemy.orm import Mapper, QueryableAttribute

from loadplan.declared.code import source
from loadplan.errors import Problem, did_you_mean
from loadplan.mapped import mapping
from loadplan.resolved import meant

At = tuple[str, ...]


def type_of_step(field: str, step: QueryableAttribute[Any], at: At) -> Problem:
    """Return the problem of a path with ``.of_type()`` and a class that the relationship's rows cannot have."""
    return Problem(
        "LP307",
        f"the source of '{field}' cannot use {source(step)}",
        at,
        detail="of_type() takes a subclass of the relationship's class. A discriminator must identify its rows.",
        hint="name a mapped subclass, not an alias, or choose the rows with where=.",
    )


def wrong_step(field: str, step: object, mapper: Mapper[Any], at: At, word: str = "source") -> Problem:
    """Return the problem of a path with a step of the wrong class, or with a step that is not a relationship.

    Args:
        field: the name of the field.
        step: the wrong step.
        mapper: the mapper of the class that the path leads to before this step.
        at: the place of the field in the plan.
        word: ``"source"``, ``"count"``, ``"exists"`` or ``"aggregate"``.
    """
    here = mapper.class_.__name__
    if isinstance(step, str):
        message = f"'{field}' is read from '{step}', but '{here}' has no such relationship"
        return Problem(
            "LP307", message, at, hint=did_you_mean(step, mapper.relationships.keys(), f"Relationships of {here}")
        )
    names = ", ".join(sorted(mapper.relationships.keys()))
    listed = f"use a relationship of {here}: {names}." if names else f"{here} has no relationships."
    if not isinstance(step, QueryableAttribute) or not hasattr(step.parent, "mapper"):
        message = f"'{field}' cannot be read from '{here}' through {source(step)}"
        target = mapping.mapper_of(step) if isinstance(step, type) else None
        way = [] if target is None else meant.route(mapper, target)
        return Problem("LP307", message, at, hint=f"write {word}({', '.join(way)})." if len(way) == 1 else listed)
    owner = mapping.owner_of(step) or step.parent.mapper
    if mapper.isa(owner):
        what = mapping.describe_attribute(mapper, step.key)
        message = f"{word}() of '{field}' needs a relationship, but '{source(step)}' is {what}"
        return Problem("LP307", message, at, hint=listed)
    way = meant.route(mapper, owner)
    if word == "source":
        hint = f"start with the relationships to it: source({', '.join([*way, source(step)])})." if way else listed
        message = f"'{field}' is read from '{here}', which has no '{source(step)}'"
        return Problem("LP307", message, at, hint=hint)
    message = f"{word}() of '{field}' needs a relationship of '{here}', but got '{source(step)}'"
    rest = {"aggregate": f", func.max({source(step)})"}.get(word, "")
    return Problem("LP307", message, at, hint=f"write {word}({way[0]}{rest})." if len(way) == 1 else listed)


def not_an_aggregate(field: str, given: object, at: At) -> Problem:
    """Return the problem of ``aggregate(Post.comments, Comment.score)``, which has no function."""
    if isinstance(given, type(func)):
        what = meant.described(given)
        hint = "call it, with a column of the related class: func.max(Comment.created_at)."
        return Problem("LP307", f"aggregate() of '{field}' needs a function, but got {what}", at, hint=hint)
    return Problem(
        "LP307",
        f"aggregate() of '{field}' needs a function, but got {source(given)}",
        at,
        hint=f"choose a function, for example func.max({source(given)}), func.min(...) or func.sum(...).",
    )


def not_a_value(field: str, step: object, at: At) -> Problem:
    """Return the problem of a path that does not end with a SQL value."""
    return Problem(
        "LP307",
        f"the source of '{field}' ends with {source(step)}, which is not a column or a SQL expression",
        at,
        hint="name attributes of the classes, not text: source(Post.author, User.name)."
        if isinstance(step, str)
        else "end the path with a column, a hybrid, a SQL expression, or a count(...).",
    )


def empty_source(field: str, at: At) -> Problem:
    """Return the problem of ``source()`` without arguments."""
    return Problem(
        "LP307", f"the source of '{field}' is empty", at, hint="name a column, for example source(Post.title)."
    )


def speaks_of_others(
    field: str, step: object, mapper: Mapper[Any], tables: Sequence[str], at: At, *, through: str | None = None
) -> Problem:
    """Return the problem of an expression with columns of another table.

    Args:
        field: the field that the expression is for.
        step: the expression.
        mapper: the class that the expression is over.
        tables: the names of the other tables.
        at: the place in the plan.
        through: the name of the relationship to an alias that the path ends with; None for any other path.
    """
    entity = mapper.class_.__name__
    routes = [each.key for each in mapper.relationships if tables[0] in {table.name for table in each.mapper.tables}]
    way = routes[0] if routes else "<relationship>"
    hint = f"go there through a relationship: source({entity}.{way}, {source(step)})."
    if through is not None:
        hint = f"'{through}' leads to an alias of '{entity}'. Use the attributes of that alias."
    return Problem(
        "LP307",
        f"the source of '{field}' uses '{tables[0]}', but only '{entity}' is available here",
        at,
        detail="without a join condition, every row would be paired with every row of the other table.",
        hint=hint,
    )


def collection_in_path(field: str, name: str, annotation: str, at: At) -> Problem:
    """Return the problem of a path through a collection for a field with one value."""
    return Problem(
        "LP307",
        f"the source of '{field}' leads through the collection '{name}', but the field holds one value",
        at,
        hint=f"annotate it 'list[{annotation}]', or compute one value: aggregate({name}, func.max(...)).",
    )
