"""``depth="all"``: the keys of a whole tree, in one recursive common table expression."""

from typing import Any

from sqlalchemy import ColumnElement, Dialect, Integer, and_, literal_column, select

from loadplan.mapped.links import Link
from loadplan.statements.keys import Keys, row_of


def in_whole_tree(linked: Any, link: Link, keys: Keys, target: Any) -> ColumnElement[bool]:
    """Return the condition that a row's parent is one of the keys, or anything below one of them.

    ``UNION`` keeps a row that was reached before from being walked again, so a cycle in the data ends. The keys are in
    the same table as the rows below them: with OR, databases would read the whole table instead of an index.

    Args:
        linked: a statement of the target with the columns that hold its parent's key, filtered.
        link: which of the target's attributes are a parent's key, one level further down.
        keys: of the parents that the tree starts at.
        target: the class of the tree.
    """
    onward = [getattr(target, name).label(f"key_{index}") for index, name in enumerate(link.attributes)]
    start = linked.with_only_columns(*onward, maintain_column_froms=True).where(keys.condition)
    tree = start.cte("loadplan_tree", recursive=True)
    met = and_(*(column == tree.c[f"key_{index}"] for index, column in enumerate(keys.columns)))
    tree = tree.union(linked.with_only_columns(*onward, maintain_column_froms=True).where(met))
    given = keys.rows().c if keys.as_arrays else linked.with_only_columns(*keys.columns).where(keys.condition)
    parents = select(*tree.c).union(select(*given) if keys.as_arrays else given).cte("loadplan_parents")
    return row_of(keys.columns).in_(select(*parents.c))


def greatest_depth(dialect: Dialect) -> list[ColumnElement[Any]]:
    """Return a column with the number of levels after which the database ends a recursive statement without an error.

    Only MariaDB does so. MySQL raises an error; it skips the special comment, and answers the greatest number.
    Source: https://mariadb.com/docs/server/server-management/variables-and-modes/server-system-variables

    Returns:
        one column on MariaDB and MySQL, and none on other databases.
    """
    if dialect.name not in {"mysql", "mariadb"}:
        return []
    text = "coalesce(/*M! @@max_recursive_iterations, */ 4294967295)"
    return [literal_column(text, Integer).label("loadplan_depth")]
