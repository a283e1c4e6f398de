"""Models that act when they are loaded: their events fire once a row, and cannot send SQL behind the plan."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import ForeignKey, event, inspect
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, reconstructor, relationship

from loadplan import Loader, LoadPlan, LoadPlanError, load
from support import recording, tables


class Base(DeclarativeBase):
    pass


class Shelf(Base):
    __tablename__ = "res_ev_shelves"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="s")
    books: Mapped[list["Book"]] = relationship(back_populates="shelf", order_by="Book.id")


class Book(Base):
    __tablename__ = "res_ev_books"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(default="b")
    blurb: Mapped[str] = mapped_column(default="long", deferred=True)
    shelf_id: Mapped[int] = mapped_column(ForeignKey("res_ev_shelves.id"))
    shelf: Mapped[Shelf] = relationship(back_populates="books")
    touches = ""

    @reconstructor
    def loaded(self) -> None:
        self.heading = f"* {self.title if 'title' in vars(self) else '?'}"
        if Book.touches:
            getattr(self, Book.touches)


SHELF = LoadPlan(Shelf, load(Shelf.books))


@pytest.fixture
async def shelves(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    async with tables(engine, Base.metadata):
        async with AsyncSession(engine) as session:
            session.add(Shelf(id=1, books=[Book(id=1), Book(id=2)]))
            await session.commit()
        yield engine
    Book.touches = ""


async def test_reconstructors_and_load_events_fire_once_a_row(shelves: AsyncEngine) -> None:
    heard: list[tuple[str, int]] = []
    listener: Any = lambda entity, context: heard.append((type(entity).__name__, entity.id))  # noqa: E731
    event.listen(Base, "load", listener, propagate=True)
    try:
        shelf = await Loader(shelves).fetch(SHELF, 1)
    finally:
        event.remove(Base, "load", listener)
    assert sorted(heard) == [("Book", 1), ("Book", 2), ("Shelf", 1)]
    assert [book.heading for book in shelf.books] == ["* b", "* b"]


@pytest.mark.parametrize("touched", ["shelf", "blurb"])
@pytest.mark.parametrize(
    "plan",
    [LoadPlan(Book), LoadPlan(Book, only=[Book.title]), LoadPlan(Book, defer=[Book.title])],
    ids=["all columns", "only", "defer"],
)
async def test_a_reconstructor_that_touches_what_is_not_loaded_cannot_send_sql(
    shelves: AsyncEngine, plan: LoadPlan[Book], touched: str
) -> None:
    """It runs inside SQLAlchemy's greenlet, where lazy loading would work: one more statement a row, unseen."""
    Book.touches = touched
    with recording(shelves) as statements, pytest.raises((InvalidRequestError, LoadPlanError)):
        await Loader(shelves).fetch_all(plan)
    assert len(statements.selects) == 1


async def test_a_load_event_of_the_session_that_touches_what_is_not_loaded_cannot_send_sql(
    shelves: AsyncEngine,
) -> None:
    def listener(session: Session, entity: Any) -> None:
        _ = entity.blurb

    async with AsyncSession(shelves) as session:
        event.listen(session.sync_session, "loaded_as_persistent", listener)
        with recording(shelves) as statements, pytest.raises((InvalidRequestError, LoadPlanError)):
            await Loader(session).fetch(LoadPlan(Book), 1)
    assert len(statements.selects) == 1


async def test_plain_attributes_that_an_event_sets_are_no_change(shelves: AsyncEngine) -> None:
    shelf = await Loader(shelves).fetch(SHELF, 1)
    assert all(not inspect(book).modified for book in shelf.books)
    async with AsyncSession(shelves) as session:
        session.add(shelf)
        with recording(shelves) as statements:
            await session.commit()
    assert statements == []


async def test_mapped_attributes_that_an_event_sets_are_loaded_values(shelves: AsyncEngine) -> None:
    """A listener that decrypts a column sets it. SQLAlchemy takes that for the loaded value, and writes nothing."""

    def decrypt(book: Book, *_: Any) -> None:
        book.title = "clear"

    def rename(session: Session, entity: Any) -> None:
        if isinstance(entity, Shelf):
            entity.name = "heard"

    event.listen(Book, "load", decrypt)
    event.listen(Book, "refresh", decrypt)
    try:
        shelf = await Loader(shelves).fetch(SHELF, 1)
        extended = await Loader(shelves).extend(await Loader(shelves).fetch(LoadPlan(Shelf), 1), load(Shelf.books))
        for each in (shelf, extended):
            assert [book.title for book in each.books] == ["clear", "clear"]
            assert not any(inspect(book).modified or inspect(book).attrs.title.history.deleted for book in each.books)
        async with AsyncSession(shelves) as session:
            event.listen(session.sync_session, "loaded_as_persistent", rename)
            attached = await Loader(session).fetch_attached(SHELF, 1)
            book = attached.books[1]
            session.expire(book)
            assert await Loader(session).fetch_attached(LoadPlan(Book), 2) is book
            assert (attached.name, book.title) == ("heard", "clear")
            assert not session.dirty
            fetched = await Loader(session).fetch(LoadPlan(Shelf), 1)
            assert fetched.name == "heard"
            with recording(shelves) as statements:
                await session.commit()
        async with AsyncSession(shelves) as session:
            session.add_all([shelf, *shelf.books])
            with recording(shelves) as more:
                await session.commit()
        assert [*statements, *more] == []
    finally:
        event.remove(Book, "load", decrypt)
        event.remove(Book, "refresh", decrypt)


async def test_a_listener_that_makes_collections_ready_hears_of_plain_lists(shelves: AsyncEngine) -> None:
    """It hears of sets and dictionaries, too. SQLAlchemy fires the event for each collection that it makes."""
    heard: list[tuple[int, str]] = []

    def ready(shelf: Shelf, collection: Any, adapter: Any) -> None:
        heard.append((shelf.id, type(collection).__name__))

    event.listen(Shelf.books, "init_collection", ready)
    try:
        plan = LoadPlan(Shelf, load(Shelf.books, load(Book.shelf)))
        shelf = await Loader(shelves).fetch(plan, 1)
        (same,) = await Loader(shelves).fetch_all(plan)
        async with AsyncSession(shelves) as session:
            attached = await Loader(session).fetch_attached(plan, 1)
    finally:
        event.remove(Shelf.books, "init_collection", ready)
    assert all([book.id for book in each.books] == [1, 2] for each in (shelf, same, attached))
    assert heard[:3] == [(1, "InstrumentedList")] * 3
