"""A library whose rows say what a whole graph is: every torn, cut or mixed one can be told from its rows alone."""

import os
from typing import Any

import attrs
from sqlalchemy import Column, ForeignKey, Table
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import LoadPlan, load

#: Whether the long form of these tests is asked for.
LONG = os.environ.get("LOADPLAN_FIRE") == "long"


def times(short: int, long: int) -> int:
    """How often something is done, in the form of the run."""
    return long if LONG else short


class Base(DeclarativeBase):
    pass


book_tags = Table(
    "fire_book_tags",
    Base.metadata,
    Column("book_id", ForeignKey("fire_books.id", ondelete="CASCADE"), primary_key=True),
    Column("tag_id", ForeignKey("fire_tags.id"), primary_key=True),
)


class Shelf(Base):
    """Holds as many books as it says, all of them with its own stamp."""

    __tablename__ = "fire_shelves"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    stamp: Mapped[int]
    book_count: Mapped[int]
    books: Mapped[list["Book"]] = relationship(back_populates="shelf", order_by="Book.id")


class Author(Base):
    __tablename__ = "fire_authors"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]


class Book(Base):
    """Holds as many chapters and tags as it says."""

    __tablename__ = "fire_books"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    shelf_id: Mapped[int] = mapped_column(ForeignKey("fire_shelves.id"), index=True)
    author_id: Mapped[int | None] = mapped_column(ForeignKey("fire_authors.id"))
    stamp: Mapped[int]
    chapter_count: Mapped[int]
    tag_count: Mapped[int] = mapped_column(default=0)
    shelf: Mapped[Shelf] = relationship(back_populates="books")
    author: Mapped[Author | None] = relationship()
    chapters: Mapped[list["Chapter"]] = relationship(back_populates="book", order_by="Chapter.id")
    tags: Mapped[list["Tag"]] = relationship(secondary=book_tags, order_by="Tag.id")


class Chapter(Base):
    __tablename__ = "fire_chapters"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    book_id: Mapped[int] = mapped_column(ForeignKey("fire_books.id"), index=True)
    title: Mapped[str | None]
    book: Mapped[Book] = relationship(back_populates="chapters")


class Tag(Base):
    __tablename__ = "fire_tags"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]


# --- the same graph as views ----------------------------------------------------------------------------------------


@attrs.frozen
class AuthorView:
    id: int
    name: str


@attrs.frozen
class ChapterView:
    id: int
    title: str | None


@attrs.frozen
class TagView:
    id: int
    name: str


@attrs.frozen
class BookView:
    id: int
    stamp: int
    chapter_count: int
    tag_count: int
    author: AuthorView | None
    chapters: list[ChapterView]
    tags: list[TagView]


@attrs.frozen
class ShelfView:
    id: int
    stamp: int
    book_count: int
    books: list[BookView]


ENTITIES = LoadPlan(
    Shelf,
    load(
        Shelf.books,
        load(Book.author),
        load(Book.chapters, strategy="selectin"),
        load(Book.tags, strategy="selectin"),
        strategy="selectin",
    ),
    name="shelf entities",
)
NESTED = LoadPlan(Shelf, into=ShelfView, name="shelf nested")
BY_LEVEL = LoadPlan(
    Shelf,
    load(
        Shelf.books,
        load(Book.chapters, strategy="selectin"),
        load(Book.tags, strategy="selectin"),
        strategy="selectin",
    ),
    into=ShelfView,
    name="shelf by level",
)
PLANS: dict[str, LoadPlan[Any]] = {"entities": ENTITIES, "by level": BY_LEVEL, "nested": NESTED}

#: Statements that each plan takes for one shelf with books.
STATEMENTS = {"entities": 4, "by level": 4, "nested": 1}


def seen(shelf: Any) -> Any:
    """Return everything that a shelf brought, of entities or of views, as a value that compares."""
    return (
        shelf.id,
        shelf.stamp,
        shelf.book_count,
        [
            (
                book.id,
                book.stamp,
                book.chapter_count,
                book.author and (book.author.id, book.author.name),
                [(chapter.id, chapter.title) for chapter in book.chapters],
                [(tag.id, tag.name) for tag in book.tags],
            )
            for book in shelf.books
        ],
    )


def tears(shelf: Any) -> list[str]:
    """Return every way in which a shelf is not one state that the database was in; nothing if it is."""
    found = []
    if len(shelf.books) != shelf.book_count:
        found.append(f"shelf {shelf.id} says {shelf.book_count} books and has {len(shelf.books)}")
    for book in shelf.books:
        if book.stamp != shelf.stamp:
            found.append(f"book {book.id} is of stamp {book.stamp}, its shelf of {shelf.stamp}")
        if len(book.chapters) != book.chapter_count:
            found.append(f"book {book.id} says {book.chapter_count} chapters and has {len(book.chapters)}")
        if len(book.tags) != book.tag_count:
            found.append(f"book {book.id} says {book.tag_count} tags and has {len(book.tags)}")
    return found


def shelf_of(number: int, books: int, stamp: int = 1) -> Shelf:
    """Return a whole shelf: its books are numbered from ``100 * number``, each with a chapter more than the last."""
    return Shelf(
        id=number,
        stamp=stamp,
        book_count=books,
        books=[
            Book(
                id=100 * number + at,
                stamp=stamp,
                author_id=1 + at % 2 if at % 3 else None,
                chapter_count=at % 4,
                chapters=[
                    Chapter(id=1000 * number + 10 * at + each, title=f"c{each}" if each else None)
                    for each in range(at % 4)
                ],
            )
            for at in range(books)
        ],
    )


async def empty(engine: AsyncEngine) -> None:
    """Take all rows out of the library."""
    async with engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            await connection.execute(table.delete())


async def seed(engine: AsyncEngine, shelves: int = 6, books: int = 5) -> None:
    """Fill the library: shelves from 1, two authors, three tags on every second book."""
    async with AsyncSession(engine) as session:
        session.add_all([Author(id=1, name="Ann"), Author(id=2, name="Ben")])
        tags = [Tag(id=number, name=f"t{number}") for number in (1, 2, 3)]
        session.add_all(tags)
        await session.flush()
        for number in range(1, shelves + 1):
            shelf = shelf_of(number, books)
            for book in shelf.books[::2]:
                book.tags, book.tag_count = list(tags), 3
            session.add(shelf)
        await session.commit()
