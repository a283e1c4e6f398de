"""What a graph has to say for itself to be fetched by every rival, and what a case asks of it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import attrs
from sqlalchemy import Select
from sqlalchemy.sql.base import ExecutableOption

from benchmarks.view_cases.case import Level, Rows
from loadplan import LoadPlan

Values: TypeAlias = Sequence[Any]
"""What was read of a result: tuples and lists of plain values, one item a root."""

Many: TypeAlias = Callable[[Any], Iterable[Any]]
"""Makes something to iterate over of the collection of a rival's object."""


@attrs.frozen
class Ask:
    """Which roots are wanted: the one with a key, or the first so many in the order of the key.

    Attributes:
        key: of the one, or None.
        first: how many, if ``key`` is None.
    """

    key: Any = None
    first: int = 1


HandWritten: TypeAlias = Callable[[Any, Ask], Awaitable[list[Any]]]
"""Fetches through a connection of asyncpg and builds the views."""


@attrs.frozen
class Graph:
    """A graph of objects as mapped by SQLAlchemy, its reader, its plans, and its SQL by hand.

    Attributes:
        name: by which rivals know it.
        entity: the root.
        key: attribute of the root's primary key.
        read: every value of one root that the job names; the same for mapped objects, views, and objects of other ORMs
            with attributes of the same names, whose collections ``many`` opens.
        plan: of entities.
        views: of views.
        options: loader options as a repository writes them, built anew by each call.
        by_hand: statements for asyncpg, by the name of the rival that they are.
        sized: what ``size`` counts.
    """

    name: str
    entity: Any
    key: Any
    read: Callable[[Any, Many], Any]
    plan: LoadPlan[Any]
    views: LoadPlan[Any]
    options: Callable[[], Sequence[ExecutableOption]]
    by_hand: Mapping[str, HandWritten]

    def select(self) -> Select[Any]:
        """Return the statement of the roots, with loader options."""
        from sqlalchemy import select

        return select(self.entity).options(*self.options())


@attrs.frozen
class Case:
    """One job.

    Attributes:
        name: on the command line and in tables.
        asks: what for, in a line with a place for ``size``.
        graph: what is fetched.
        size: how many roots, tasks or nodes.
        key: a root to ask for, instead of the first ``size`` of them.
        data: the database that it runs on: "atlas", "shop" or "reviews".
        delay: seconds that a relay between client and server holds up each direction; None without a relay.
        tasks: how many fetches at a time, each of a root of its own.
    """

    name: str
    asks: str
    graph: Graph
    size: int = 1
    key: Any = None
    data: str = "shop"
    delay: float | None = None
    tasks: int = 1

    @property
    def title(self) -> str:
        """What it asks for, at its size."""
        return self.asks.format(self.size)

    @property
    def ask(self) -> Ask:
        """Which roots a call brings."""
        return Ask(self.key, self.size)


def narrowed(sql: str, key: str, ask: Ask) -> tuple[str, Any]:
    """Return a statement by hand for what is asked, and its parameter.

    Args:
        sql: ``{roots}`` stands for the condition, or for order and limit.
        key: the column of the root's key.
        ask: which roots.
    """
    if ask.key is not None:
        return sql.format(roots=f"WHERE {key} = $1"), ask.key
    return sql.format(roots=f"ORDER BY {key} LIMIT $1"), ask.first


def nested(sql: str, key: str, build: Callable[[Rows], list[Any]]) -> HandWritten:
    """Return the way of one statement.

    Args:
        sql: of the whole graph, with ``{roots}``.
        key: the column of the root's key.
        build: views of its rows.
    """

    async def fetch(connection: Any, ask: Ask) -> list[Any]:
        text, parameter = narrowed(sql, key, ask)
        return build(await connection.fetch(text, parameter))

    return fetch


def levelled(sql: str, key: str, levels: Sequence[Level], build: Callable[[Sequence[Rows]], list[Any]]) -> HandWritten:
    """Return the way of a statement a level.

    Args:
        sql: of the roots, with ``{roots}``.
        key: the column of the root's key.
        levels: the other statements.
        build: views of the rows of all of them.
    """

    async def fetch(connection: Any, ask: Ask) -> list[Any]:
        text, parameter = narrowed(sql, key, ask)
        arrived = [await connection.fetch(text, parameter)]
        for level in levels:
            arrived.append(await connection.fetch(level.sql, level.keys(arrived)))
        return build(arrived)

    return fetch


def first_column(arrived: Sequence[Rows]) -> list[Any]:
    """Return the keys of the roots, where they are their first column."""
    return [row[0] for row in arrived[0]]
