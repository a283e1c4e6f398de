"""Finds the keys of a whole tree for ``depth="all"``, with one recursive common table expression."""

from collections.abc import Sequence
from typing import Any

import attrs
from sqlalchemy import ColumnElement, Dialect, Integer, and_, literal_column, select

from loadplan.mapped.drivers import MYSQL_FAMILY
from loadplan.mapped.links import Link
from loadplan.mapped.repeats import key_part
from loadplan.resolved.tree import Column
from loadplan.statements.keys import Keys, row_of


def in_whole_tree(linked: Any, link: Link, keys: Keys, target: Any) -> ColumnElement[bool]:
    """Return the condition that a row's parent has one of the keys, or is a row below a row with one of the keys.

    ``UNION`` drops a row that was reached before, so the recursion also ends if the rows form a cycle. The keys are in
    the same table as the rows below them: with OR, databases would read the whole table instead of an index.

    Args:
        linked: a filtered statement of the target, with the columns that hold its parent's key.
        link: names the attributes of the target by which its own children find it.
        keys: the keys of the parents at which the tree starts.
        target: the class of the tree.
    """
    onward = [key_part(target, name).label(f"key_{index}") for index, name in enumerate(link.attributes)]
    start = linked.with_only_columns(*onward, maintain_column_froms=True).where(keys.condition)
    tree = start.cte("loadplan_tree", recursive=True)
    met = and_(*(column == tree.c[f"key_{index}"] for index, column in enumerate(keys.columns)))
    tree = tree.union(linked.with_only_columns(*onward, maintain_column_froms=True).where(met))
    given = keys.rows().c if keys.as_arrays else linked.with_only_columns(*keys.columns).where(keys.condition)
    parents = select(*tree.c).union(select(*given) if keys.as_arrays else given).cte("loadplan_parents")
    return row_of(keys.columns).in_(select(*parents.c))


@attrs.frozen(eq=False)
class TreeKeys:
    """The columns by which Python ties the rows of a whole tree that stands in one array.

    Attributes:
        own: in a row of the tree, the key of its parent.
        parents: in the row of the root, the key by which its children find it.
        onward: in a row of the tree, the key by which its own children find it.
    """

    own: tuple[Column, ...]
    parents: tuple[Column, ...]
    onward: tuple[Column, ...]


def reached_from(key: Sequence[Any], links: Any) -> Any:
    """Return the keys of a whole tree: the key of its root, and the key of every row below it, each once.

    Args:
        key: the key of the root, in the statement around the tree.
        links: the rows of the tree's table. ``key_0`` and so on hold the key of the parent, ``onward_0`` and so on hold
            the key by which the row's own children find it.
    """
    names = [f"key_{index}" for index in range(len(key))]
    start = select(*(each.label(name) for each, name in zip(key, names, strict=True))).correlate_except()
    tree = start.cte("loadplan_tree", recursive=True, nesting=True)
    met = and_(*(links.c[name] == tree.c[name] for name in names))
    further = select(*(links.c[f"onward_{index}"] for index in range(len(key))))
    return tree.union(further.select_from(tree.join(links, met)))


def greatest_depth(dialect: Dialect) -> list[ColumnElement[Any]]:
    """Return a column with the number of levels after which the database ends a recursive statement without an error.

    Only MariaDB ends it without an error. MySQL raises an error. It skips the special comment in the expression, so the
    column has the greatest number.
    Source: https://mariadb.com/docs/server/server-management/variables-and-modes/server-system-variables

    Returns:
        one column on MariaDB and MySQL, and none on other databases.
    """
    if dialect.name not in MYSQL_FAMILY:
        return []
    text = "coalesce(/*M! @@max_recursive_iterations, */ 4294967295)"
    return [literal_column(text, Integer).label("loadplan_depth")]
