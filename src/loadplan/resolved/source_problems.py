"""Makes the problems of wrong sources, counts and aggregates of a view's field: LP307."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Mapper, QueryableAttribute

from loadplan.declared.code import source
from loadplan.declared.sources import Aggregate, Source
from loadplan.errors import Problem, did_you_mean
from loadplan.mapped import mapping
from loadplan.resolved import meant
from loadplan.resolved.meant_paths import Written, path_of

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


def wrong_step(
    field: str, step: object, mapper: Mapper[Any], at: At, word: str = "source", written: Written | None = None
) -> Problem:
    """Return the problem of a path with a step of the wrong class, or with a step that is not a relationship.

    Args:
        field: the name of the field.
        step: the wrong step.
        mapper: the mapper of the class that the path leads to before this step.
        at: the place of the field in the plan.
        word: ``"source"``, ``"count"``, ``"exists"`` or ``"aggregate"``.
        written: the whole source; None for a load.
    """
    here = mapper.class_.__name__
    names = ", ".join(sorted(mapper.relationships.keys()))
    hint = f"use a relationship of {here}: {names}." if names else f"{here} has no relationships."
    code = None if written is None else written.meant() if word == "source" else written.meant_aggregate()
    hint = hint if code is None else f"write {code}."
    if isinstance(step, str):
        if code is not None:
            message = f"{word}() of '{field}' needs attributes of the classes, but got the text {step!r}"
            return Problem("LP307", message, at, hint=hint)
        message = f"'{field}' is read from '{step}', but '{here}' has no such relationship"
        known = did_you_mean(step, mapper.relationships.keys(), f"Relationships of {here}")
        return Problem("LP307", message, at, hint=known)
    if not isinstance(step, QueryableAttribute) or not hasattr(step.parent, "mapper"):
        message = f"{word}() of '{field}' needs a relationship of '{here}', but got {meant.described(step)}"
        return Problem("LP307", message, at, hint=hint)
    if mapper.isa(mapping.owner_of(step) or step.parent.mapper):
        what = mapping.describe_attribute(mapper, step.key)
        message = f"{word}() of '{field}' needs a relationship, but '{source(step)}' is {what}"
        return Problem("LP307", message, at, hint=hint)
    message = f"'{field}' is read from '{here}', which has no '{source(step)}'"
    if word != "source":
        message = f"{word}() of '{field}' needs a relationship of '{here}', but got '{source(step)}'"
    return Problem("LP307", message, at, hint=hint)


def not_an_aggregate(field: str, given: object, at: At, written: Written) -> Problem:
    """Return the problem of ``aggregate(Post.comments, Comment.score)``, which has no function."""
    code = written.meant_aggregate()
    hint = "choose a function, such as func.max(...), func.min(...) or func.sum(...)."
    message = f"aggregate() of '{field}' needs a function, but got {meant.described(given)}"
    return Problem("LP307", message, at, hint=hint if code is None else f"write {code}.")


def not_a_value(field: str, step: object, mapper: Mapper[Any], at: At, written: Written) -> Problem:
    """Return the problem of a path that does not end with a SQL value. ``mapper`` is the class at its end."""
    code = written.meant()
    hint = "end the path with a column, a hybrid, a SQL expression, or a count(...)."
    if isinstance(step, str):
        names = [each.key for each in mapping.column_attributes(mapper)]
        hint = did_you_mean(step, names, f"Columns of {mapper.class_.__name__}")
    return Problem(
        "LP307",
        f"the source of '{field}' ends with {meant.described(step)}, which is not a column or a SQL expression",
        at,
        hint=hint if code is None else f"write {code}.",
    )


def not_of_one_row(field: str, step: object, at: At, written: Written) -> Problem:
    """Return the problem of a path that ends with an order, or with a function that has one value for many rows."""
    code = written.meant()
    what = "an order" if meant.has_direction(step) else "an aggregate, which has one value for many rows"
    hint = "use a subquery that has one value for each row, with .scalar_subquery()."
    return Problem(
        "LP307",
        f"the source of '{field}' ends with {source(step)}, {what}",
        at,
        hint=hint if code is None else f"write {code}.",
    )


def select_as_value(field: str, step: object, at: At) -> Problem:
    """Return the problem of a path that ends with ``select(...)``, which is not one value."""
    message = f"the source of '{field}' ends with {meant.described(step)}, which is not one value"
    return Problem("LP307", message, at, hint="make it one value: select(...).scalar_subquery().")


def empty_source(field: str, at: At, written: Written) -> Problem:
    """Return the problem of ``source()`` without arguments."""
    code = written.meant()
    hint = "name a column." if code is None else f"name a column, for example {code}."
    return Problem("LP307", f"the source of '{field}' is empty", at, hint=hint)


def speaks_of_others(
    field: str,
    step: object,
    mapper: Mapper[Any],
    tables: Sequence[str],
    at: At,
    written: Written,
    *,
    through: str | None = None,
) -> Problem:
    """Return the problem of an expression with columns of another table.

    Args:
        field: the field that the expression is for.
        step: the expression.
        mapper: the class that the expression is over.
        tables: the names of the other tables.
        at: the place in the plan.
        written: the whole source.
        through: the name of the relationship to an alias that the path ends with; None for any other path.
    """
    entity = mapper.class_.__name__
    code = None if isinstance(written.given, Aggregate) else written.meant()
    hint = "use columns of this class, or a subquery with .scalar_subquery()." if code is None else f"write {code}."
    if through is not None:
        hint = f"'{through}' leads to an alias of '{entity}'. Use the attributes of that alias."
    return Problem(
        "LP307",
        f"the source of '{field}' uses '{tables[0]}', but only '{entity}' is available here",
        at,
        detail="without a join condition, every row would be paired with every row of the other table.",
        hint=hint,
    )


def collection_in_path(
    field: str, name: str, annotation: str, rest: Sequence[Any], at: At, written: Written
) -> Problem:
    """Return the problem of a path through a collection for a field with one value. ``rest`` follows the collection."""
    code = written.meant() if isinstance(written.given, Source) else None
    hint = f"annotate it 'list[{annotation}]'" if code is None else f"write {code}"
    if len(rest) == 1 and isinstance(rest[0], QueryableAttribute):
        path = written.given.path if isinstance(written.given, Source) else ()
        *steps, last = [*map(source, path[:-1])] or [name]
        hint += f", or compute one value: {path_of([*steps, f'aggregate({last}, func.max({source(rest[0])}))'])}"
    return Problem(
        "LP307",
        f"the source of '{field}' leads through the collection '{name}', but the field holds one value",
        at,
        hint=f"{hint}.",
    )
