"""Every way the source, count or aggregate of a view's field can be wrong: LP307."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Mapper, QueryableAttribute

from loadplan.declared.code import source
from loadplan.errors import Problem, did_you_mean
from loadplan.mapped import mapping
from loadplan.resolved import meant

At = tuple[str, ...]


def type_of_step(field: str, step: QueryableAttribute[Any], at: At) -> Problem:
    """``.of_type()`` of a class that the rows of the relationship cannot have."""
    return Problem(
        "LP307",
        f"the source of '{field}' cannot go by {source(step)}",
        at,
        detail="of_type() takes a subclass of the relationship's class, told from others by a discriminator.",
        hint="name a mapped subclass, not an alias, or say which rows with where=.",
    )


def wrong_step(field: str, step: object, mapper: Mapper[Any], at: At, word: str = "source") -> Problem:
    """A path with a step of the wrong class, or with a step that is not a relationship.

    Args:
        field: name to print.
        step: what was named.
        mapper: of the class that the path has come to.
        at: place of the field.
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
        return Problem("LP307", message, at, hint=listed)
    owner = mapping.owner_of(step) or step.parent.mapper
    if mapper.isa(owner):
        what = mapping.describe_attribute(mapper, step.key)
        message = f"{word}() of '{field}' needs a relationship, but '{source(step)}' is {what}"
        return Problem("LP307", message, at, hint=listed)
    way = meant.route(mapper, owner)
    if word == "source":
        hint = f"go there first: source({', '.join([*way, source(step)])})." if way else listed
        message = f"'{field}' is read from '{here}', which has no '{source(step)}'"
        return Problem("LP307", message, at, hint=hint)
    message = f"{word}() of '{field}' needs a relationship of '{here}', but got '{source(step)}'"
    rest = {"aggregate": f", func.max({source(step)})"}.get(word, "")
    return Problem("LP307", message, at, hint=f"write {word}({way[0]}{rest})." if len(way) == 1 else listed)


def not_an_aggregate(field: str, given: object, at: At) -> Problem:
    """``aggregate(Post.comments, Comment.score)``."""
    return Problem(
        "LP307",
        f"aggregate() of '{field}' needs a function, but got {source(given)}",
        at,
        hint=f"choose a function, for example func.max({source(given)}), func.min(...) or func.sum(...).",
    )


def not_a_value(field: str, step: object, at: At) -> Problem:
    """A path that does not end with a SQL value."""
    return Problem(
        "LP307",
        f"the source of '{field}' ends with {source(step)}, which is not a column or a SQL expression",
        at,
        hint="name attributes of the classes, not text: source(Post.author, User.name)."
        if isinstance(step, str)
        else "end the path with a column, a hybrid, a SQL expression, or a count(...).",
    )


def empty_source(field: str, at: At) -> Problem:
    """``source()``."""
    return Problem(
        "LP307", f"the source of '{field}' is empty", at, hint="name a column, for example source(Post.title)."
    )


def speaks_of_others(
    field: str, step: object, mapper: Mapper[Any], tables: Sequence[str], at: At, *, through: str | None = None
) -> Problem:
    """An expression with columns of another table; ``through`` names the relationship that leads to an alias."""
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
    """A path to one value that goes through a collection."""
    return Problem(
        "LP307",
        f"the source of '{field}' leads through the collection '{name}', but the field holds one value",
        at,
        hint=f"annotate it 'list[{annotation}]', or compute one value: aggregate({name}, func.max(...)).",
    )
