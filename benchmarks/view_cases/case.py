"""What a graph has to say for itself to be timed."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import attrs
from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncEngine

from loadplan import LoadPlan

Rows: TypeAlias = Sequence[Any]
"""Rows as asyncpg makes them."""

Fill: TypeAlias = Callable[[AsyncEngine, int], Awaitable[None]]
"""Makes the tables with so many roots in them, unless they are there."""


@attrs.frozen
class Level:
    """One statement of a graph that comes by hand in a statement a level.

    Attributes:
        sql: its text; ``$1`` are the keys of the parents, as an array.
        keys: the parents' keys, of the rows that have arrived.
    """

    sql: str
    keys: Callable[[Sequence[Rows]], list[Any]]


@attrs.frozen
class Case:
    """One graph.

    Attributes:
        name: printed.
        roots: numbers of roots to ask for; 1 is one by its key, more are the first ones in the order of the key.
        fill: its tables.
        key: attribute of the root's primary key.
        sql_key: the same in the statements by hand.
        one: a root to ask for.
        plan: of views, for loadplan.
        entities: a plan of entities with the same graph.
        options: the statement with loader options, built anew by each call.
        view: what a repository makes of a mapped object.
        statement: the whole graph by hand in one statement; ``{roots}`` stands for condition, order and limit.
        build: views of the rows of ``statement``.
        root_statement: the roots by hand, the first of a statement a level.
        levels: the other statements, in order.
        build_levels: views of the rows of all of them.
    """

    name: str
    roots: tuple[int, ...]
    fill: Fill
    key: Any
    sql_key: str
    one: Any
    plan: LoadPlan[Any]
    entities: LoadPlan[Any]
    options: Callable[[], Select[Any]]
    view: Callable[[Any], object]
    statement: str
    build: Callable[[Rows], list[Any]]
    root_statement: str
    levels: tuple[Level, ...]
    build_levels: Callable[[Sequence[Rows]], list[Any]]
