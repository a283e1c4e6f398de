"""A tree of depth eight: a category and the seven levels below it, 255 nodes in all."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import attrs
from sqlalchemy.orm import selectinload
from sqlalchemy.sql.base import ExecutableOption

from benchmarks.cases.case import Ask, Case, Graph, Many
from benchmarks.shop import Category
from loadplan import LoadPlan, load

BELOW = 7
"""Levels below the root."""


@attrs.frozen
class CategoryView:
    """A node."""

    id: int
    name: str
    children: list["CategoryView"] | None


def read(category: Any, many: Many) -> Any:
    """Return a tree to the depth that the job names; below that nothing was asked for."""
    return _read(category, many, BELOW)


def _read(category: Any, many: Many, below: int) -> Any:
    children = [_read(each, many, below - 1) for each in many(category.children)] if below else []
    return category.id, category.name, children


def options() -> Sequence[ExecutableOption]:
    """A statement a level."""
    return (selectinload(Category.children, recursion_depth=BELOW - 1),)


STATEMENT = f"""
WITH RECURSIVE tree (id, parent_id, name, level) AS (
    SELECT id, parent_id, name, 0 FROM shop_category WHERE id = $1
    UNION ALL
    SELECT c.id, c.parent_id, c.name, level + 1 FROM tree t JOIN shop_category c ON c.parent_id = t.id
    WHERE level < {BELOW})
SELECT id, parent_id, name FROM tree ORDER BY id"""


async def fetch(connection: Any, ask: Ask) -> list[CategoryView]:
    """Fetch all nodes at once and tie them."""
    children: defaultdict[int | None, list[CategoryView]] = defaultdict(list)
    root: list[CategoryView] = []
    for id_, parent, name in await connection.fetch(STATEMENT, ask.key):
        view = CategoryView(id_, name, children[id_])
        (root if id_ == ask.key else children[parent]).append(view)
    return root


GRAPH = Graph(
    name="tree",
    entity=Category,
    key=Category.id,
    read=read,
    plan=LoadPlan(Category, load(Category.children, depth="all"), name="tree"),
    views=LoadPlan(Category, load(Category.children, depth="all"), into=CategoryView),
    options=options,
    by_hand={"one statement": fetch},
)

CASES = (Case("tree", "a tree of 8 levels, {:,} nodes", GRAPH, 255, key=1),)
