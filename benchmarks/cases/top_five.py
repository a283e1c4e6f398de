"""The first rows of each parent: the five best of the 1,000 reviews of each of 100 products, among 1,000,000."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import attrs
from sqlalchemy import and_, func, select
from sqlalchemy.orm import aliased, relationship, selectinload
from sqlalchemy.sql.base import ExecutableOption

from benchmarks.cases.case import Case, Graph, Many, first_column, levelled, nested
from benchmarks.cases.whole import Whole, grouped
from benchmarks.shop import Product, Review
from benchmarks.view_cases.case import Level, Rows
from loadplan import LoadPlan, load

BEST = 5


@attrs.frozen
class ReviewRef:
    """One of the best."""

    id: int
    title: str
    score: int


@attrs.frozen
class ProductView:
    """The root."""

    id: int
    name: str
    reviews: list[ReviewRef]


def read(product: Any, many: Many) -> Any:
    """Return the product and its best reviews, in a collection called ``reviews``."""
    return read_best(product, many(product.reviews))


def read_best(product: Any, reviews: Any) -> Any:
    """Return the product and its best reviews, wherever those are."""
    return product.id, product.name, [(each.id, each.title, each.score) for each in reviews]


def map_best() -> None:
    """Give products a relationship to their best reviews, as SQLAlchemy documents it.

    Source: "Row-Limited Relationships with Window Functions", docs.sqlalchemy.org/en/20/orm/join_conditions.html
    """
    place = func.row_number().over(order_by=(Review.score.desc(), Review.id.desc()), partition_by=Review.product_id)
    ranked = select(Review, place.label("place")).subquery()
    best = aliased(Review, ranked)
    Product.__mapper__.add_property(
        "best_reviews",
        relationship(
            best,
            primaryjoin=and_(best.product_id == Product.id, ranked.c.place <= BEST),
            order_by=ranked.c.place,
            viewonly=True,
        ),
    )


map_best()


def options() -> Sequence[ExecutableOption]:
    """Two statements; the relationship is the one that was mapped for this."""
    return (selectinload(Product.__mapper__.attrs["best_reviews"].class_attribute),)


NESTED = f"""
SELECT p.id, p.name, ARRAY(
    SELECT ROW(r.id, r.title, r.score) FROM shop_review r WHERE r.product_id = p.id
    ORDER BY r.score DESC, r.id DESC LIMIT {BEST})
FROM shop_product p {{roots}}"""

WINDOW = Level(
    "SELECT product_id, id, title, score FROM (SELECT r.product_id, r.id, r.title, r.score, row_number() OVER"
    " (PARTITION BY r.product_id ORDER BY r.score DESC, r.id DESC) AS place"
    f" FROM shop_review r WHERE r.product_id = ANY($1)) AS ranked WHERE place <= {BEST} ORDER BY place",
    first_column,
)

LATERAL = Level(
    "SELECT ids.id, r.id, r.title, r.score FROM unnest($1::int[]) AS ids(id) CROSS JOIN LATERAL"
    " (SELECT * FROM shop_review WHERE product_id = ids.id"
    f" ORDER BY score DESC, id DESC LIMIT {BEST}) r ORDER BY r.score DESC, r.id DESC",
    first_column,
)


def build_nested(rows: Rows) -> list[ProductView]:
    """Return views of nested rows."""
    return [ProductView(id_, name, [ReviewRef(*each) for each in reviews]) for id_, name, reviews in rows]


def build_levels(arrived: Sequence[Rows]) -> list[ProductView]:
    """Return views of the rows of two statements."""
    reviews: defaultdict[int, list[ReviewRef]] = defaultdict(list)
    for product, id_, title, score in arrived[1]:
        reviews[product].append(ReviewRef(id_, title, score))
    return [ProductView(id_, name, reviews[id_]) for id_, name in arrived[0]]


WHOLE, WHOLE_REVIEW = Whole(Product, "reviews"), Whole(Review)

WHOLE_LATERAL = Level(
    f"SELECT {WHOLE_REVIEW.columns('r')} FROM unnest($1::int[]) AS ids(id) CROSS JOIN LATERAL"
    " (SELECT * FROM shop_review WHERE product_id = ids.id"
    f" ORDER BY score DESC, id DESC LIMIT {BEST}) r ORDER BY r.score DESC, r.id DESC",
    first_column,
)


def build_whole(arrived: Sequence[Rows]) -> list[Any]:
    """Return objects of the whole rows of two statements."""
    reviews = grouped(arrived[1], 1, WHOLE_REVIEW.make)
    return [WHOLE.make(*row, reviews[row[0]]) for row in arrived[0]]


ROOTS = "SELECT p.id, p.name FROM shop_product p {roots}"
ORDER = (Review.score.desc(), Review.id.desc())

GRAPH = Graph(
    name="best",
    entity=Product,
    key=Product.id,
    read=read,
    plan=LoadPlan(Product, load(Product.reviews, order_by=ORDER, limit=BEST), name="best reviews"),
    views=LoadPlan(Product, load(Product.reviews, order_by=ORDER, limit=BEST), into=ProductView),
    options=options,
    by_hand={
        "one statement": nested(NESTED, "p.id", build_nested),
        "LATERAL": levelled(ROOTS, "p.id", (LATERAL,), build_levels),
        "window": levelled(ROOTS, "p.id", (WINDOW,), build_levels),
        "whole rows": levelled(
            f"SELECT {WHOLE.columns('p')} FROM shop_product p {{roots}}", "p.id", (WHOLE_LATERAL,), build_whole
        ),
    },
)

CASES = (Case("top-five", "the 5 best reviews of each of {:,} products", GRAPH, 100, data="reviews"),)
