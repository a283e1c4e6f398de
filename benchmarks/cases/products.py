"""Three collections beside each other: the reviews, images and tags of products."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import attrs
from sqlalchemy.orm import selectinload
from sqlalchemy.sql.base import ExecutableOption

from benchmarks.cases.case import Case, Graph, Many, first_column, levelled, nested
from benchmarks.cases.whole import Whole, grouped
from benchmarks.shop import Image, Product, Review, Tag
from benchmarks.view_cases.case import Level, Rows
from loadplan import LoadPlan, load


@attrs.frozen
class ReviewRef:
    """Of a product."""

    id: int
    title: str
    score: int


@attrs.frozen
class ImageRef:
    """Of a product."""

    id: int
    url: str


@attrs.frozen
class TagRef:
    """Of any number of products."""

    id: int
    name: str


@attrs.frozen
class ProductView:
    """The root."""

    id: int
    name: str
    reviews: list[ReviewRef]
    images: list[ImageRef]
    tags: list[TagRef]


def read(product: Any, many: Many) -> Any:
    """Return the product and its three collections."""
    return (
        product.id,
        product.name,
        [(each.id, each.title, each.score) for each in many(product.reviews)],
        [(each.id, each.url) for each in many(product.images)],
        [(each.id, each.name) for each in many(product.tags)],
    )


def options() -> Sequence[ExecutableOption]:
    """Four statements: a JOIN would multiply the rows of the collections."""
    return selectinload(Product.reviews), selectinload(Product.images), selectinload(Product.tags)


NESTED = """
SELECT p.id, p.name,
    ARRAY(SELECT ROW(r.id, r.title, r.score) FROM shop_review r WHERE r.product_id = p.id ORDER BY r.id),
    ARRAY(SELECT ROW(i.id, i.url) FROM shop_image i WHERE i.product_id = p.id ORDER BY i.id),
    ARRAY(SELECT ROW(t.id, t.name) FROM shop_product_tag pt JOIN shop_tag t ON t.id = pt.tag_id
          WHERE pt.product_id = p.id ORDER BY t.id)
FROM shop_product p {roots}"""

LEVELS = (
    Level(
        "SELECT r.product_id, r.id, r.title, r.score FROM shop_review r WHERE r.product_id = ANY($1) ORDER BY r.id",
        first_column,
    ),
    Level(
        "SELECT i.product_id, i.id, i.url FROM shop_image i WHERE i.product_id = ANY($1) ORDER BY i.id", first_column
    ),
    Level(
        "SELECT pt.product_id, t.id, t.name FROM shop_product_tag pt JOIN shop_tag t ON t.id = pt.tag_id"
        " WHERE pt.product_id = ANY($1) ORDER BY t.id",
        first_column,
    ),
)


def build_nested(rows: Rows) -> list[ProductView]:
    """Return views of nested rows."""
    return [
        ProductView(
            id_,
            name,
            [ReviewRef(*each) for each in reviews],
            [ImageRef(*each) for each in images],
            [TagRef(*each) for each in tags],
        )
        for id_, name, reviews, images, tags in rows
    ]


def build_levels(arrived: Sequence[Rows]) -> list[ProductView]:
    """Return views of the rows of four statements."""
    reviews: defaultdict[int, list[ReviewRef]] = defaultdict(list)
    images: defaultdict[int, list[ImageRef]] = defaultdict(list)
    tags: defaultdict[int, list[TagRef]] = defaultdict(list)
    for product, id_, title, score in arrived[1]:
        reviews[product].append(ReviewRef(id_, title, score))
    for product, id_, url in arrived[2]:
        images[product].append(ImageRef(id_, url))
    for product, id_, name in arrived[3]:
        tags[product].append(TagRef(id_, name))
    return [ProductView(id_, name, reviews[id_], images[id_], tags[id_]) for id_, name in arrived[0]]


WHOLE = Whole(Product, "reviews", "images", "tags")
WHOLE_REVIEW, WHOLE_IMAGE, WHOLE_TAG = Whole(Review), Whole(Image), Whole(Tag)

WHOLE_LEVELS = (
    Level(
        f"SELECT {WHOLE_REVIEW.columns('r')} FROM shop_review r WHERE r.product_id = ANY($1) ORDER BY r.id",
        first_column,
    ),
    Level(
        f"SELECT {WHOLE_IMAGE.columns('i')} FROM shop_image i WHERE i.product_id = ANY($1) ORDER BY i.id",
        first_column,
    ),
    LEVELS[2],
)


def build_whole(arrived: Sequence[Rows]) -> list[Any]:
    """Return objects of the whole rows of four statements."""
    reviews = grouped(arrived[1], 1, WHOLE_REVIEW.make)
    images = grouped(arrived[2], 1, WHOLE_IMAGE.make)
    tags: defaultdict[int, list[Any]] = defaultdict(list)
    for product, id_, name in arrived[3]:
        tags[product].append(WHOLE_TAG.make(id_, name))
    return [WHOLE.make(*row, reviews[row[0]], images[row[0]], tags[row[0]]) for row in arrived[0]]


GRAPH = Graph(
    name="products",
    entity=Product,
    key=Product.id,
    read=read,
    plan=LoadPlan(Product, load(Product.reviews), load(Product.images), load(Product.tags), name="product page"),
    views=LoadPlan(Product, into=ProductView),
    options=options,
    by_hand={
        "one statement": nested(NESTED, "p.id", build_nested),
        "a level": levelled("SELECT p.id, p.name FROM shop_product p {roots}", "p.id", LEVELS, build_levels),
        "whole rows": levelled(
            f"SELECT {WHOLE.columns('p')} FROM shop_product p {{roots}}", "p.id", WHOLE_LEVELS, build_whole
        ),
    },
)

CASES = (Case("siblings", "{:,} products, each with three collections", GRAPH, 500),)
