"""What ``strategy_costs.py`` compares: each graph as entities and as views, with all that can be forced on it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import attrs
from sqlalchemy import Index, Table

from benchmarks.shop import Review
from benchmarks.strategy_plans import (
    CityOfRegion,
    LineView,
    OrderOf,
    carriers,
    chain,
    customers,
    deep,
    deep_views,
    first,
    first_views,
    regions,
    sibling_views,
    siblings,
    tree,
    tree_views,
    whole_tree_views,
    wide_views,
)
from loadplan import LoadPlan

LEFT, INNER, KEYS, SUBQUERY, OTHER = "left join", "inner join", "select-in", "subquery", "other form"
NESTED, LEVEL = "one statement", "statement a level"

ENTITY_COLUMNS = (LEFT, INNER, KEYS, SUBQUERY, OTHER)
VIEW_COLUMNS = (NESTED, LEVEL, OTHER)

ENTITIES, VIEWS = "entities", "views"
ONE, FEW, MANY = 1, 50, 1_000

BY_SCORE = Review.score.desc()
BY_MOMENT = Review.written_at.desc()

COUNTS_NONE = "a join and a subquery count no rows of each parent"
DROPS = "would drop parents that have none"
PLACES = "SQLAlchemy would lose lists: one row may stand at several places of the statement"
NO_OTHER = "there is one form"


@attrs.frozen
class Choice:
    """One way to load a graph.

    Attributes:
        plan: says it.
        context: in which the plan is compiled, where the mapping has to say something else for it.
        note: what is to be known of it.
    """

    plan: LoadPlan[Any]
    context: Callable[[], Any] | None = None
    note: str = ""


@attrs.frozen
class StrategyCase:
    """A graph and the ways to it.

    Attributes:
        name: printed.
        kind: ``"entities"`` or ``"views"``.
        automatic: without any ``strategy=``.
        forced: a way for each column, or the reason why there is none.
        sizes: numbers of roots.
        one: the root to ask for where that number is 1.
    """

    name: str
    kind: str
    automatic: LoadPlan[Any]
    forced: Mapping[str, Choice | str]
    sizes: tuple[int, ...] = (ONE, FEW, MANY)
    one: int = 7


# --- what the mapping says of indexes -------------------------------------------------------------------------------


def _reviews() -> Table:
    return cast("Table", Review.__table__)


@contextmanager
def score_index_untold() -> Iterator[None]:
    """Leave the index on product and score out of the mapping, not of the database: a window function is chosen."""
    index = next(each for each in _reviews().indexes if each.name == "shop_review_by_score")
    _reviews().indexes.discard(index)
    try:
        yield
    finally:
        _reviews().indexes.add(index)


@contextmanager
def moment_index_claimed() -> Iterator[None]:
    """Have the mapping claim an index on product and moment, which the database does not have: LATERAL is chosen."""
    index = Index("shop_review_claimed", Review.product_id, Review.written_at)
    try:
        yield
    finally:
        _reviews().indexes.discard(index)


# --- the cases ------------------------------------------------------------------------------------------------------

CASES = (
    StrategyCase(
        "six to-ones, one below the other",
        ENTITIES,
        chain(None),
        {
            LEFT: Choice(chain("joined")),
            INNER: Choice(chain("inner")),
            KEYS: Choice(chain("selectin")),
            SUBQUERY: Choice(chain("subquery")),
            OTHER: NO_OTHER,
        },
    ),
    StrategyCase(
        "a to-one with five wide targets",
        ENTITIES,
        carriers(None),
        {
            LEFT: Choice(carriers("joined")),
            INNER: Choice(carriers("inner")),
            KEYS: Choice(carriers("selectin")),
            SUBQUERY: Choice(carriers("subquery")),
            OTHER: NO_OTHER,
        },
        sizes=(ONE, FEW, MANY, 10_000),
    ),
    StrategyCase(
        "a to-one, each with a target of its own",
        ENTITIES,
        customers(None),
        {
            LEFT: Choice(customers("joined")),
            INNER: Choice(customers("inner")),
            KEYS: Choice(customers("selectin")),
            SUBQUERY: Choice(customers("subquery")),
            OTHER: NO_OTHER,
        },
    ),
    StrategyCase(
        "a to-one, five for each target",
        ENTITIES,
        regions(None),
        {
            LEFT: Choice(regions("joined")),
            INNER: Choice(regions("inner")),
            KEYS: Choice(regions("selectin")),
            SUBQUERY: Choice(regions("subquery")),
            OTHER: NO_OTHER,
        },
    ),
    StrategyCase(
        "three collections side by side",
        ENTITIES,
        siblings(None),
        {
            LEFT: Choice(siblings("joined")),
            INNER: DROPS,
            KEYS: Choice(siblings("selectin")),
            SUBQUERY: Choice(siblings("subquery")),
            OTHER: NO_OTHER,
        },
    ),
    StrategyCase(
        "two collections and two to-ones deep",
        ENTITIES,
        deep(None, None),
        {
            LEFT: Choice(deep("joined", "joined")),
            INNER: Choice(deep(None, "inner"), note="the to-ones alone"),
            KEYS: Choice(deep("selectin", "selectin")),
            SUBQUERY: Choice(deep("subquery", "subquery")),
            OTHER: NO_OTHER,
        },
    ),
    StrategyCase(
        "first three, with an index",
        ENTITIES,
        first(BY_SCORE),
        {
            LEFT: COUNTS_NONE,
            INNER: COUNTS_NONE,
            KEYS: Choice(first(BY_SCORE, "selectin")),
            SUBQUERY: COUNTS_NONE,
            OTHER: Choice(first(BY_SCORE), score_index_untold, "window function in place of LATERAL"),
        },
    ),
    StrategyCase(
        "first three, no index",
        ENTITIES,
        first(BY_MOMENT),
        {
            LEFT: COUNTS_NONE,
            INNER: COUNTS_NONE,
            KEYS: Choice(first(BY_MOMENT, "selectin")),
            SUBQUERY: COUNTS_NONE,
            OTHER: Choice(first(BY_MOMENT), moment_index_claimed, "LATERAL in place of window function"),
        },
    ),
    StrategyCase(
        "a tree of eight levels",
        ENTITIES,
        tree(7),
        {
            LEFT: PLACES,
            INNER: DROPS,
            KEYS: Choice(tree(7, "selectin")),
            SUBQUERY: Choice(tree(7, "subquery")),
            OTHER: Choice(tree("all"), note='depth="all", one recursive statement'),
        },
        sizes=(ONE, 4),
        one=1,
    ),
    StrategyCase(
        "six to-ones, one below the other",
        VIEWS,
        chain(None, LineView),
        {
            NESTED: Choice(chain("joined", LineView)),
            LEVEL: Choice(chain("selectin", LineView)),
            OTHER: Choice(chain("inner", LineView), note="inner joins"),
        },
    ),
    StrategyCase(
        "a to-one with five wide targets",
        VIEWS,
        wide_views(None),
        {
            NESTED: Choice(wide_views("joined")),
            LEVEL: Choice(wide_views("selectin")),
            OTHER: Choice(wide_views("inner"), note="inner join"),
        },
        sizes=(ONE, FEW, MANY, 10_000),
    ),
    StrategyCase(
        "a to-one, each with a target of its own",
        VIEWS,
        customers(None, OrderOf),
        {
            NESTED: Choice(customers("joined", OrderOf)),
            LEVEL: Choice(customers("selectin", OrderOf)),
            OTHER: Choice(customers("inner", OrderOf), note="inner join"),
        },
    ),
    StrategyCase(
        "a to-one, five for each target",
        VIEWS,
        regions(None, CityOfRegion),
        {
            NESTED: Choice(regions("joined", CityOfRegion)),
            LEVEL: Choice(regions("selectin", CityOfRegion)),
            OTHER: Choice(regions("inner", CityOfRegion), note="inner join"),
        },
    ),
    StrategyCase(
        "three collections side by side",
        VIEWS,
        sibling_views(None),
        {
            NESTED: Choice(sibling_views("joined")),
            LEVEL: Choice(sibling_views("selectin")),
            OTHER: NO_OTHER,
        },
    ),
    StrategyCase(
        "two collections and two to-ones deep",
        VIEWS,
        deep_views(None),
        {
            NESTED: Choice(deep_views("joined")),
            LEVEL: Choice(deep_views("selectin")),
            OTHER: Choice(deep_views("selectin", "selectin"), note="the to-ones by keys, too"),
        },
    ),
    StrategyCase(
        "first three, with an index",
        VIEWS,
        first_views(BY_SCORE),
        {
            NESTED: Choice(first_views(BY_SCORE, "joined")),
            LEVEL: Choice(first_views(BY_SCORE, "selectin")),
            OTHER: Choice(
                first_views(BY_SCORE, "selectin"), score_index_untold, "window function, a statement of its own"
            ),
        },
    ),
    StrategyCase(
        "first three, no index",
        VIEWS,
        first_views(BY_MOMENT),
        {
            NESTED: Choice(first_views(BY_MOMENT, "joined")),
            LEVEL: Choice(first_views(BY_MOMENT, "selectin")),
            OTHER: Choice(first_views(BY_MOMENT, "selectin"), moment_index_claimed, "LATERAL, a statement of its own"),
        },
    ),
    StrategyCase(
        "a tree of eight levels",
        VIEWS,
        tree_views(),
        {
            NESTED: Choice(tree_views("joined")),
            LEVEL: Choice(tree_views("selectin")),
            OTHER: Choice(whole_tree_views(), note='depth="all", one recursive statement'),
        },
        sizes=(ONE, 4),
        one=1,
    ),
)
