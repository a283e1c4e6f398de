"""A mapping with something to say about everything: for the audit, the command line and the pictures."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Computed, FetchedValue, ForeignKey, Index, Table, UniqueConstraint, func, select, text
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import (
    DeclarativeBase,
    DynamicMapped,
    Mapped,
    WriteOnlyMapped,
    column_property,
    mapped_column,
    relationship,
    sessionmaker,
)

VIEW: dict[str, Any] = {"viewonly": True, "foreign_keys": "Book.author_id"}


class Base(DeclarativeBase):
    """All classes of this file."""


book_tag = Table(
    "book_tag",
    Base.metadata,
    Column("book_id", ForeignKey("book.id"), primary_key=True),
    Column("tag_id", ForeignKey("tag.id"), primary_key=True),
)


class Tag(Base):
    """The far side of a many-to-many that does not know the near one."""

    __tablename__ = "tag"
    id: Mapped[int] = mapped_column(primary_key=True)
    books: Mapped[list["Book"]] = relationship(secondary=book_tag, lazy="raise", overlaps="tags")


class Author(Base):
    """Collections with every setting."""

    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    born: Mapped[int]
    books: Mapped[list["Book"]] = relationship(foreign_keys="Book.author_id", back_populates="author")
    by_true: Mapped[list["Book"]] = relationship(**VIEW, lazy=True)
    by_joined: Mapped[list["Book"]] = relationship(**VIEW, lazy="joined")
    by_false: Mapped[list["Book"]] = relationship(**VIEW, lazy=False)
    by_selectin: Mapped[list["Book"]] = relationship(**VIEW, lazy="selectin")
    by_subquery: Mapped[list["Book"]] = relationship(**VIEW, lazy="subquery")
    by_immediate: Mapped[list["Book"]] = relationship(**VIEW, lazy="immediate")
    by_raise: Mapped[list["Book"]] = relationship(**VIEW, lazy="raise")
    by_raise_on_sql: Mapped[list["Book"]] = relationship(**VIEW, lazy="raise_on_sql")
    by_dynamic: DynamicMapped["Book"] = relationship(foreign_keys="Book.author_id", overlaps="books,author")
    by_write_only: WriteOnlyMapped["Book"] = relationship(
        foreign_keys="Book.author_id", overlaps="books,author,by_dynamic"
    )


class Book(Base):
    """To-ones, and values that the database makes."""

    __tablename__ = "book"
    __table_args__ = (
        UniqueConstraint("shelf_id", "title"),
        Index(None, "author_id", postgresql_where=text("deleted IS NULL")),
        Index(None, "editor_id", postgresql_where=text("editor_id IS NOT NULL")),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(server_default="untitled")
    content: Mapped[str] = mapped_column(deferred=True)
    notes: Mapped[str] = mapped_column(deferred=True, deferred_raiseload=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))
    editor_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))
    shelf_id: Mapped[int] = mapped_column(ForeignKey("shelf.id"))
    changed: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    stamped: Mapped[int] = mapped_column(default=0, onupdate=lambda: 1)
    version: Mapped[int] = mapped_column(server_onupdate=FetchedValue())
    length: Mapped[int] = mapped_column(Computed("length(title)"))
    author: Mapped[Author] = relationship(foreign_keys=author_id, back_populates="books", lazy="joined", innerjoin=True)
    editor: Mapped[Author | None] = relationship(foreign_keys=editor_id, lazy="raise_on_sql")
    shelf: Mapped["Shelf"] = relationship(lazy="raise")
    tags: Mapped[list[Tag]] = relationship(secondary=book_tag, lazy="raise", overlaps="books")


class Shelf(Base):
    """No defaults come back, and nobody says that ``Book.shelf`` is the other side."""

    __tablename__ = "shelf"
    __mapper_args__ = {"eager_defaults": False}
    id: Mapped[int] = mapped_column(primary_key=True)
    room: Mapped[str] = mapped_column(server_default="hall")
    made: Mapped[datetime] = mapped_column(default=func.now())
    books: Mapped[list[Book]] = relationship(back_populates="shelf", lazy="raise")


class Person(Base):
    """A hierarchy in one table."""

    __tablename__ = "person"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}


class Reader(Person):
    """Its column is missing when persons are asked for."""

    card: Mapped[str | None]
    __mapper_args__ = {"polymorphic_identity": "reader"}


class Librarian(Person):
    """Its column comes along."""

    desk: Mapped[str | None]
    __mapper_args__ = {"polymorphic_identity": "librarian", "polymorphic_load": "inline"}


Author.book_count = column_property(
    select(func.count(Book.id)).where(Book.author_id == Author.id).correlate_except(Book).scalar_subquery()
)

expiring = async_sessionmaker()
lasting = async_sessionmaker(expire_on_commit=False)
synchronous = sessionmaker()
