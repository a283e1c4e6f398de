"""Orders that a mapping gives to a relationship: those that a lazy load cannot use are refused, all others hold."""

from typing import Annotated, Any

import attrs
import pytest
import sqlalchemy as sa
from real import filled, lazily
from sqlalchemy import Column, ForeignKey, Integer, Table, case, desc, func, literal_column, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column, relationship

from loadplan import LoadPlan, PlanError, count, load


class OrderBase(DeclarativeBase):
    pass


PAIRS = Table(
    "orders_pairs",
    OrderBase.metadata,
    Column("shelf_id", ForeignKey("orders_shelves.id"), primary_key=True),
    Column("tag_id", ForeignKey("orders_tags.id"), primary_key=True),
    Column("position", Integer),
)

RANKS = Table("orders_ranks", OrderBase.metadata, Column("book_id", Integer, primary_key=True), Column("rank", Integer))


class Thing(OrderBase):
    """The base of books, with a table of its own."""

    __tablename__ = "orders_things"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    title: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "thing"}


class Book(Thing):
    """What is on a shelf."""

    __tablename__ = "orders_books"

    id: Mapped[int] = mapped_column(ForeignKey("orders_things.id"), primary_key=True)
    shelf_id: Mapped[int] = mapped_column(ForeignKey("orders_shelves.id"))
    pages: Mapped[int]
    __mapper_args__ = {"polymorphic_identity": "book"}


class Tag(OrderBase):
    """On many shelves."""

    __tablename__ = "orders_tags"

    id: Mapped[int] = mapped_column(primary_key=True)


class Shelf(OrderBase):
    """A shelf that knows its newest book."""

    __tablename__ = "orders_shelves"

    id: Mapped[int] = mapped_column(primary_key=True)
    newest: Mapped[int]


_RANK = select(RANKS.c.rank).where(RANKS.c.book_id == Book.__table__.c.id).scalar_subquery()

#: Orders that a lazy load can use.
RIGHT: dict[str, Any] = {
    "base": Thing.title,
    "subquery": _RANK,
    "subquery of the parent's class": select(func.count()).where(Shelf.newest > Book.pages).scalar_subquery(),
    "label": desc(Book.pages.label("size")),
    "literal": literal_column("pages"),
    "window": func.row_number().over(order_by=Book.pages),
    "exists": sa.exists().where(RANKS.c.book_id == Book.__table__.c.id),
}

#: Orders by what the statement of a lazy load does not read.
WRONG: dict[str, Any] = {
    "parent": Shelf.newest,
    "case of the parent": case((Book.__table__.c.id == Shelf.newest, 0), else_=1),
    "foreign": RANKS.c.rank,
    "foreign_alias": RANKS.alias("ranked").c.rank,
    "alias of the target": aliased(Book).pages,
}

for number, order in enumerate(RIGHT.values()):
    setattr(Shelf, f"right{number}", relationship(Book, order_by=order, viewonly=True))
for number, order in enumerate(WRONG.values()):
    setattr(Shelf, f"wrong{number}", relationship(Book, order_by=order, viewonly=True))
Shelf.tags = relationship(Tag, secondary=PAIRS, order_by=PAIRS.c.position, viewonly=True)
Shelf.wrong_tags = relationship(Tag, secondary=PAIRS, order_by=Shelf.newest, viewonly=True)
Shelf.wrong_first = relationship(Book, order_by=Shelf.newest, viewonly=True, uselist=False)

WRONG_NAMES = [*(f"wrong{number}" for number in range(len(WRONG))), "wrong_tags", "wrong_first"]

ROWS = [
    "INSERT INTO orders_shelves VALUES (1, 3), (2, 2)",
    "INSERT INTO orders_tags VALUES (1), (2), (3)",
    *(f"INSERT INTO orders_things VALUES ({n}, 'book', 't{9 - n}')" for n in range(1, 7)),  # noqa: S608
    *(f"INSERT INTO orders_books VALUES ({n}, {1 + n % 2}, {n * 7 % 5})" for n in range(1, 7)),  # noqa: S608
    "INSERT INTO orders_pairs VALUES (1, 1, 3), (1, 2, 2), (2, 3, 1)",
    "INSERT INTO orders_ranks VALUES (1, 3), (2, 1), (3, 2), (5, 7)",
]


async def test_orders_that_a_lazy_load_can_use_hold(engine: AsyncEngine) -> None:
    """For every strategy; a window function in an order is refused where it would have to be numbered."""
    names = [*(f"right{number}" for number in range(len(RIGHT))), "tags"]
    async with filled(engine, OrderBase.metadata, *ROWS) as loader:
        for name in names:
            attribute: Any = getattr(Shelf, name)

            def read(shelf: Any, name: str = name) -> list[int]:
                return [each.id for each in getattr(shelf, name)]

            expected = await lazily(engine, select(Shelf).order_by(Shelf.id), read)
            for strategy in (None, "selectin", "joined", "subquery"):
                if name == "right4" and strategy == "joined":  # SQLAlchemy's own join has no such name
                    continue
                plan: LoadPlan[Any] = LoadPlan(Shelf, load(attribute, strategy=strategy))  # type: ignore[arg-type]
                found = await loader.fetch_all(plan, order_by=Shelf.id)
                assert [sorted(read(each)) for each in found] == [sorted(each) for each in expected], name
                if name != "right6":  # equal values
                    assert list(map(read, found)) == expected, (name, strategy)


def test_other_orders_are_refused() -> None:
    """A lazy load fails with them in the database, and a limit would take other rows."""
    item = attrs.make_class("Item", {"id": attrs.field(type=int)})
    for name in WRONG_NAMES:
        attribute: Any = getattr(Shelf, name)
        shape = item if name == "wrong_first" else list[item]
        view = attrs.make_class("View", {name: attrs.field(type=shape)})
        counting = attrs.make_class("Counting", {"n": attrs.field(type=Annotated[int, count(attribute)])})
        attempts: list[Any] = [
            lambda attribute=attribute: LoadPlan(Shelf, load(attribute)),
            lambda view=view: LoadPlan(Shelf, into=view),
        ]
        if name != "wrong_first":
            attempts.append(lambda attribute=attribute: LoadPlan(Shelf, load(attribute, limit=2)))
            LoadPlan(Shelf, into=counting)  # a number has no order
            key = Tag.id if name == "wrong_tags" else Book.id
            LoadPlan(Shelf, load(attribute, order_by=key, limit=2))
        for attempt in attempts:
            with pytest.raises(PlanError, match="LP215: order_by= in the mapping"):
                attempt()


async def test_a_lazy_load_fails_with_them(engine: AsyncEngine) -> None:
    """If SQLAlchemy learns to load them, loadplan has to follow."""
    async with filled(engine, OrderBase.metadata, *ROWS):
        for name in WRONG_NAMES[:-1]:
            with pytest.raises(DBAPIError):
                await lazily(engine, select(Shelf), lambda shelf, name=name: list(getattr(shelf, name)))


def test_the_messages() -> None:
    """They name the mapping, and both ways out."""
    with pytest.raises(PlanError) as caught:
        LoadPlan(Shelf, load(Shelf.wrong0), name="shelf")  # type: ignore[attr-defined]
    assert str(caught.value) == (
        "LP215: order_by= in the mapping of 'Shelf.wrong0' uses 'orders_shelves', but only 'Book' is available here\n"
        "  at: shelf > wrong0\n"
        "  detail: a lazy load fails with it, too: its statement does not have this table.\n"
        "  hint: order by columns of 'Book' in the mapping, or pass order_by= to the load."
    )
    with pytest.raises(PlanError) as caught:
        LoadPlan(Shelf, load(Shelf.right5, limit=2), name="shelf")  # type: ignore[attr-defined]
    assert str(caught.value) == (
        "LP211: the first rows of 'Shelf.right5' need an order without a window function\n"
        "  at: shelf > right5\n"
        "  detail: loadplan numbers the rows of each parent in it, and a window function cannot contain another one.\n"
        "  hint: order by columns, for example order_by=Book.id, or by a subquery."
    )
