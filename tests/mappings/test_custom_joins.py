"""Relationships with a join condition of their own: extra conditions, functions, aliases, subqueries, viewonly."""

import pytest
from oracle import fill, same_as_lazy
from sqlalchemy import ForeignKey, and_, desc, func, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, foreign, mapped_column, relationship, remote

from loadplan import Loader, LoadPlan, NotLoaded, load
from support import tables

STRATEGIES = [None, "joined", "selectin", "subquery"]


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "joins_authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    low: Mapped[int] = mapped_column(default=0)
    high: Mapped[int] = mapped_column(default=0)


class Book(Base):
    __tablename__ = "joins_books"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey(Author.id))
    editor_id: Mapped[int | None] = mapped_column(ForeignKey(Author.id))
    pages: Mapped[int]
    published: Mapped[bool]
    author: Mapped[Author] = relationship(foreign_keys=[author_id])
    editor: Mapped[Author | None] = relationship(foreign_keys=[editor_id])
    short_author: Mapped[Author | None] = relationship(
        primaryjoin=lambda: and_(Author.id == foreign(Book.author_id), Book.pages < 100), viewonly=True
    )


other = aliased(Book)
longest = select(func.max(other.pages)).where(other.author_id == Book.author_id).correlate(Book).scalar_subquery()
numbered = select(
    Book, func.row_number().over(order_by=[Book.pages, Book.id], partition_by=Book.author_id).label("number")
).subquery()
numbered_book = aliased(Book, numbered)
plain_alias = aliased(Book)

COLLECTIONS = {
    "books": relationship(Book, foreign_keys=[Book.author_id], order_by=Book.id, viewonly=True),
    "published": relationship(
        Book,
        primaryjoin=lambda: and_(Author.id == Book.author_id, Book.published),
        order_by=Book.id,
        viewonly=True,
    ),
    "namesakes": relationship(
        Author,
        primaryjoin=lambda: func.lower(remote(foreign(Author.name))) == func.lower(Author.name),
        order_by=lambda: Author.id,
        viewonly=True,
    ),
    "within": relationship(
        Book,
        primaryjoin=lambda: and_(foreign(Book.pages) >= Author.low, foreign(Book.pages) < Author.high),
        order_by=[desc(Book.pages), Book.id],
        viewonly=True,
    ),
    "any_part": relationship(
        Book,
        primaryjoin=lambda: or_(Author.id == foreign(Book.author_id), Author.id == foreign(Book.editor_id)),
        order_by=Book.id,
        viewonly=True,
    ),
    "if_low": relationship(
        Book,
        primaryjoin=lambda: and_(Author.id == foreign(Book.author_id), Author.low == 0),
        order_by=Book.id,
        viewonly=True,
    ),
    "constant": relationship(
        Book,
        primaryjoin=lambda: and_(Author.id == Book.author_id, foreign(Book.pages) == 10),
        order_by=Book.id,
        viewonly=True,
    ),
    "edited_by": relationship(
        Author,
        secondary=Book.__table__,
        primaryjoin=lambda: Author.id == Book.author_id,
        secondaryjoin=lambda: Author.id == Book.editor_id,
        order_by=lambda: Author.id,
        viewonly=True,
    ),
    "first_two": relationship(
        numbered_book,
        primaryjoin=lambda: and_(numbered_book.author_id == Author.id, numbered.c.number <= 2),
        order_by=numbered.c.number,
        viewonly=True,
    ),
    "alias": relationship(
        plain_alias,
        primaryjoin=lambda: plain_alias.author_id == Author.id,
        order_by=plain_alias.id.desc(),
        viewonly=True,
    ),
}
TO_ONES = {
    "longest": relationship(
        Book,
        primaryjoin=lambda: and_(Author.id == foreign(Book.author_id), Book.pages == longest),
        uselist=False,
        viewonly=True,
    ),
    "editor_of_first": relationship(
        Author,
        secondary=Book.__table__,
        primaryjoin=lambda: and_(Author.id == Book.author_id, Book.id == 1),
        secondaryjoin=lambda: Author.id == Book.editor_id,
        uselist=False,
        viewonly=True,
    ),
    "shortest": relationship(
        numbered_book,
        primaryjoin=lambda: and_(numbered_book.author_id == Author.id, numbered.c.number == 1),
        uselist=False,
        viewonly=True,
    ),
}
for key, prop in {**COLLECTIONS, **TO_ONES}.items():
    setattr(Author, key, prop)


async def _fill(engine: AsyncEngine) -> None:
    await fill(
        engine,
        Author(id=1, name="Ann", low=0, high=100),
        Author(id=2, name="ANN", low=50, high=51),
        Author(id=3, name="Cy", low=0, high=0),
    )
    await fill(
        engine,
        Book(id=1, author_id=1, editor_id=2, pages=10, published=True),
        Book(id=2, author_id=1, editor_id=2, pages=50, published=False),
        Book(id=3, author_id=1, editor_id=None, pages=300, published=True),
        Book(id=4, author_id=2, editor_id=1, pages=50, published=True),
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("key", COLLECTIONS)
async def test_collections(engine: AsyncEngine, key: str, strategy: str | None) -> None:
    """Whatever the condition, the answer is that of lazy loading, in its order."""
    plan = LoadPlan(Author, load(getattr(Author, key), strategy=strategy))  # type: ignore[arg-type]
    async with tables(engine, Base.metadata):
        await _fill(engine)
        await same_as_lazy(engine, plan, None if strategy == "joined" else 2, by_hand=False)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("key", TO_ONES)
async def test_to_ones(engine: AsyncEngine, key: str, strategy: str | None) -> None:
    """One that several rows could be, one over a secondary, one out of a subquery."""
    plan = LoadPlan(Author, load(getattr(Author, key), strategy=strategy))  # type: ignore[arg-type]
    async with tables(engine, Base.metadata):
        await _fill(engine)
        await same_as_lazy(engine, plan, 1 if strategy in {None, "joined"} else 2, by_hand=False)


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_many_to_one_with_a_condition(engine: AsyncEngine, strategy: str | None) -> None:
    """The foreign key is there and the condition fails: None, and the parent stays."""
    plan = LoadPlan(Book, load(Book.short_author, strategy=strategy), load(Book.author), load(Book.editor))  # type: ignore[arg-type]
    async with tables(engine, Base.metadata):
        await _fill(engine)
        books = await same_as_lazy(engine, plan, 1 if strategy in {None, "joined"} else 2, by_hand=False)
    assert [book.short_author is not None for book in books] == [True, True, False, True]
    assert books[0].short_author is books[0].author


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("key", ["first_two", "alias", "shortest", "longest", "edited_by", "namesakes", "any_part"])
async def test_more_below_a_custom_join(engine: AsyncEngine, key: str, strategy: str | None) -> None:
    """What hangs below an alias, a subquery or a secondary is loaded as below any other place.

    SQLAlchemy silently drops a ``joinedload`` below a ``joinedload`` of a relationship to an alias, so one of the two
    needs a statement of its own.
    """
    attribute = getattr(Author, key)
    leads_to_author = attribute.property.mapper.class_ is Author
    below = load(Author.published) if leads_to_author else load(Book.editor, load(Author.books))  # type: ignore[attr-defined]
    plan: LoadPlan[Author] = LoadPlan(Author, load(attribute, below, strategy=strategy))
    to_alias = key in {"first_two", "alias", "shortest"}
    joined = strategy == "joined" or (strategy is None and key in TO_ONES)
    async with tables(engine, Base.metadata):
        await _fill(engine)
        await same_as_lazy(engine, plan, None if joined and not to_alias else 3, by_hand=False)


@pytest.mark.parametrize("strategy", ["selectin", "subquery"])
@pytest.mark.parametrize("key", ["first_two", "alias", "shortest"])
async def test_follow_ups_below_a_relationship_to_an_alias(engine: AsyncEngine, key: str, strategy: str) -> None:
    """The parents of the second statement stand behind an alias; its keys must come from there."""
    plan: LoadPlan[Author] = LoadPlan(
        Author,
        load(getattr(Author, key), load(Book.editor, strategy=strategy), load(Book.author, strategy=strategy)),  # type: ignore[arg-type]
    )
    async with tables(engine, Base.metadata):
        await _fill(engine)
        await same_as_lazy(engine, plan, 3 if key == "shortest" else 4, by_hand=False)


async def test_only_on_a_relationship_to_an_alias(engine: AsyncEngine) -> None:
    """Column subsets reach behind an alias."""
    plan: LoadPlan[Author] = LoadPlan(
        Author, load("first_two", only=[Book.pages]), load("shortest", defer=[Book.pages])
    )
    async with tables(engine, Base.metadata):
        await _fill(engine)
        cy = await Loader(engine).fetch(plan, 3)
        bob = await Loader(engine).fetch(LoadPlan(Author, load("first_two", only=[Book.pages])), 2)
        shortest = (await Loader(engine).fetch(LoadPlan(Author, load("shortest", defer=[Book.pages])), 2)).shortest
    assert cy.first_two == []
    assert cy.shortest is None
    assert [book.pages for book in bob.first_two] == [50]
    with pytest.raises(NotLoaded, match=r"Book\.published"):
        _ = bob.first_two[0].published
    assert shortest.published is True
    with pytest.raises(NotLoaded, match=r"Book\.pages"):
        _ = shortest.pages


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_viewonly_collection_beside_the_writable_one(engine: AsyncEngine, strategy: str | None) -> None:
    """Two relationships over one foreign key are two attributes; the rows in them are the same objects."""
    plan: LoadPlan[Author] = LoadPlan(Author, load("books", strategy=strategy), load("published", strategy=strategy))
    async with tables(engine, Base.metadata):
        await _fill(engine)
        authors = await same_as_lazy(engine, plan, 1 if strategy == "joined" else 3, by_hand=False)
    assert authors[0].published[0] is authors[0].books[0]
