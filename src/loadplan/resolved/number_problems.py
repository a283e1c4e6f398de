"""Makes the problems of numbers in plans and calls: ``limit=``, ``depth=``, ``size=``, ``offset=``: LP107."""

from sqlalchemy import BindParameter, ClauseElement
from sqlalchemy.orm import QueryableAttribute

from loadplan.errors import Problem, shown
from loadplan.resolved.problems import safely_described

At = tuple[str, ...]


def bad_number(word: str, given: object, at: At) -> Problem:
    """Return the problem of a ``limit=``, ``depth=`` or size that is not a positive whole number."""
    if is_sql(given):
        return sql_as_number(word, given, at)
    other = ', or "all"' if word == "depth" else ""
    message = f"{word}={shown(given)} must be a whole number of 1 or more{other}"
    return Problem("LP107", message, at, hint=_NUMBER_HINTS[word])


def sql_as_number(word: str, given: object, at: At) -> Problem:
    """Return the problem of an expression in the place of a number: ``fetch_all(plan, a, b, c)``."""
    return Problem(
        "LP107",
        f"{word}= needs a whole number, but got {safely_described(given)}",
        at,
        hint="write the number itself. It is a part of the statement, and no parameter."
        if isinstance(given, BindParameter)
        else "put all conditions into one list, where=[Post.id > 3, Post.published], and orders into order_by=[...].",
    )


def is_sql(given: object) -> bool:
    """Tell whether a value is an expression or an attribute of SQLAlchemy. This calls no method of the value."""
    return issubclass(type(given), ClauseElement | QueryableAttribute)


_NUMBER_HINTS = {
    "size": "size= is the number of roots on a page.",
    "batch_size": "batch_size= is the number of roots in a batch.",
    "limit": "limit= is the number of rows for each parent. Remove it to load all rows.",
    "depth": 'depth= is the number of levels to load. Write depth="all" to load the whole tree.',
}


def too_large_count(word: str, given: int, at: At) -> Problem:
    """Return the problem of a number of rows that is too large for a database."""
    return Problem("LP107", f"{word}={shown(given)} is too large: databases count in 64 bits", at)


def too_deep(given: int, most: int, at: At) -> Problem:
    """Return the problem of a ``depth=`` with too many levels."""
    message = f"depth={shown(given)} is too large: a plan has {most} levels at most"
    return Problem("LP107", message, at, hint='write depth="all" to load the whole tree.')
