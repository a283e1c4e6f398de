"""A collection joined below the first rows of each parent: it is in order, and the limit counts no joined row."""

from typing import Any

import pytest
from real import filled, lazily
from sqlalchemy import Column, ForeignKey, Index, Table, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import LoadPlan, load


class Base(DeclarativeBase):
    pass


words = Table(  # without a constraint, so a pair may stand in it twice, and no array takes its rows
    "first_words",
    Base.metadata,
    Column("book_id", ForeignKey("first_books.id")),
    Column("chapter_id", ForeignKey("first_chapters.id")),
)


class Shelf(Base):
    __tablename__ = "first_shelves"
    id: Mapped[int] = mapped_column(primary_key=True)
    books: Mapped[list["Book"]] = relationship(order_by="Book.year")
    plain: Mapped[list["Book"]] = relationship(viewonly=True, order_by="Book.title")
    newest: Mapped["Book | None"] = relationship(viewonly=True, order_by="Book.year.desc()")


class Book(Base):
    __tablename__ = "first_books"
    __table_args__ = (Index("first_books_by_year", "shelf_id", "year"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int] = mapped_column(ForeignKey(Shelf.id))
    year: Mapped[int]
    title: Mapped[str]
    chapters: Mapped[list["Chapter"]] = relationship(order_by="Chapter.title.desc()")
    linked: Mapped[list["Chapter"]] = relationship(secondary=words, order_by="Chapter.title.desc()")


class Chapter(Base):
    __tablename__ = "first_chapters"
    id: Mapped[int] = mapped_column(primary_key=True)
    book_id: Mapped[int] = mapped_column(ForeignKey(Book.id))
    title: Mapped[str]


def rows() -> list[Any]:
    """Four shelves of three books, whose chapters are stored in no order."""
    shelves = []
    for number in range(1, 5):
        books = []
        for year in (3, 1, 2):
            key = number * 10 + year
            chapters = [Chapter(id=key * 10 + at, title=title) for at, title in enumerate("bdac")]
            books.append(Book(id=key, year=year, title=str(-year), chapters=chapters, linked=chapters))
        shelves.append(Shelf(id=number, books=books))
    return shelves


below = pytest.mark.parametrize("below", ["chapters", "linked"])


@below
@pytest.mark.parametrize("strategy", [None, "selectin"])
@pytest.mark.parametrize("limit", [1, 2])
@pytest.mark.parametrize("relationship", ["books", "plain"], ids=["with an index", "without"])
async def test_the_first_books_have_all_chapters_in_order(
    engine: AsyncEngine, relationship: str, limit: int, strategy: Any, below: str
) -> None:
    books = load(
        getattr(Shelf, relationship), load(getattr(Book, below), strategy="joined"), limit=limit, strategy=strategy
    )
    async with filled(engine, Base.metadata, *rows()) as loader:
        wanted = await lazily(
            engine,
            select(Shelf).order_by(Shelf.id),
            lambda shelf: [
                (book.id, [each.title for each in getattr(book, below)])
                for book in getattr(shelf, relationship)[:limit]
            ],
        )
        for shelves in (
            await loader.fetch_all(LoadPlan(Shelf, books), order_by=Shelf.id),
            await loader.fetch_many(LoadPlan(Shelf, books), [1, 2, 3, 4]),
            [await loader.fetch(LoadPlan(Shelf, books), each) for each in (1, 2, 3, 4)],
            [each async for each in loader.stream(LoadPlan(Shelf, books), order_by=Shelf.id, batch_size=3)],
        ):
            found = [
                [(book.id, [each.title for each in getattr(book, below)]) for book in getattr(shelf, relationship)]
                for shelf in shelves
            ]
            assert found == wanted


@below
@pytest.mark.parametrize("strategy", [None, "selectin"])
async def test_the_newest_book_has_all_chapters_in_order(engine: AsyncEngine, strategy: Any, below: str) -> None:
    plan = LoadPlan(Shelf, load(Shelf.newest, load(getattr(Book, below), strategy="joined"), strategy=strategy))
    async with filled(engine, Base.metadata, *rows()) as loader:
        shelves = await loader.fetch_all(plan, order_by=Shelf.id)
        assert [shelf.newest.year for shelf in shelves if shelf.newest] == [3, 3, 3, 3]
        assert [[each.title for each in getattr(shelf.newest, below)] for shelf in shelves if shelf.newest] == [
            list("dcba")
        ] * 4
