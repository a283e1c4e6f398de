"""Problems of orders: of those in mappings, with a limit, and with aggregates.

The codes are LP108, LP211, LP212 and LP215.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Mapper, RelationshipProperty

from loadplan.declared.code import source
from loadplan.errors import Problem, one_of
from loadplan.mapped import mapping
from loadplan.resolved import meant, meant_here
from loadplan.resolved.problems import safely_described

At = tuple[str, ...]


def condition_as_order(given: object, at: At) -> Problem:
    """Return the problem of a condition as an order: ``fetch_all(plan, Post.id > 3, Post.author_id == 1)``."""
    code = source(given)
    code = "Post.id > 3, Post.published" if meant_here.SQL.search(code) else f"{code}, ..."
    return Problem(
        "LP108",
        f"order_by= got a condition, {safely_described(given)}",
        at,
        hint=f"put all conditions into one list: where=[{code}]. To order by a condition, add .desc() or .asc().",
    )


def limit_without_order(prop: RelationshipProperty[Any], at: At) -> Problem:
    """Return the problem of a ``limit=`` without an order."""
    return Problem(
        "LP211",
        f"limit= of '{_name(prop)}' needs an order",
        at,
        detail="without an order, the database may return different rows each time.",
        hint=f"add an order, for example order_by={prop.mapper.class_.__name__}.{mapping.primary_key(prop.mapper)[0]}.",
    )


def to_one_in_order(prop: RelationshipProperty[Any], word: str, at: At) -> Problem:
    """Return the problem of ``order_by=`` or ``limit=`` for a relationship that has one row at most."""
    return Problem(
        "LP212",
        f"{word}= is for collections, but '{_name(prop)}' is {mapping.cardinality(prop).value}",
        at,
        hint=f"remove {word}=.",
    )


def mapped_order_of_others(prop: RelationshipProperty[Any], tables: Sequence[str], at: At) -> Problem:
    """Return the problem of a relationship whose mapping orders it by columns of another table."""
    target = prop.mapper.class_.__name__
    return Problem(
        "LP215",
        f"order_by= in the mapping of '{_name(prop)}' uses {one_of(tables)}, but only '{target}' is available here",
        at,
        detail="a lazy load fails with it, too: its statement does not have this table.",
        hint=f"order by columns of '{target}' in the mapping, or pass order_by= to the load.",
    )


def window_in_order(prop: RelationshipProperty[Any], at: At) -> Problem:
    """Return the problem of an order with a window function, if only the first rows of each parent are read."""
    target, key = prop.mapper.class_.__name__, mapping.primary_key(prop.mapper)[0]
    return Problem(
        "LP211",
        f"the first rows of '{_name(prop)}' need an order without a window function",
        at,
        detail="loadplan numbers the rows of each parent in it, and a window function cannot contain another one.",
        hint=f"order by columns, for example order_by={target}.{key}, or by a subquery.",
    )


def aggregate_in(
    word: str, given: object, at: At, here: Mapper[Any], through: RelationshipProperty[Any] | None = None
) -> Problem:
    """Return the problem of a condition or an order with an aggregate: ``order_by=func.max(Post.id)``.

    Args:
        word: ``"where"`` or ``"order_by"``.
        given: the condition or the order.
        at: the place in the plan.
        here: the class whose rows the argument chooses or orders.
        through: the relationship that leads to these rows; None for roots.
    """
    what = "A condition" if word == "where" else "An order"
    general = f"use a subquery that has one value for each '{here.class_.__name__}'."
    return Problem(
        "LP108",
        f"{word}= cannot use {source(given)}",
        at,
        detail=f"it is an aggregate, which has one value for many rows. {what} needs a value for each row.",
        hint=meant.safely(meant_here.instead_of_function, word, given, here, through) or general,
    )


def _name(prop: RelationshipProperty[Any]) -> str:
    return f"{prop.parent.class_.__name__}.{prop.key}"
