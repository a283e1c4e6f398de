"""No statement of any call goes to the database that the session's ``do_orm_execute`` was not asked about."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Annotated, Any

import attrs
import pytest
from fire_checks import listening
from fire_models import BY_LEVEL, ENTITIES, NESTED, Author, Book, BookView, Chapter, Shelf, ShelfView
from sqlalchemy import ForeignKey, String, TypeDecorator, func, insert, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, ORMExecuteState, Session, mapped_column, relationship

from loadplan import Loader, LoadPlan, aggregate, count, exists, load, on
from support import tables


class Base(DeclarativeBase):
    pass


class Folded(TypeDecorator[str]):
    """Text that the database may find equal where Python does not, so that a loader asks again for what is missing."""

    impl = String
    cache_ok = True


class Node(Base):
    """A tree, of two classes."""

    __tablename__ = "fire_nodes"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("fire_nodes.id"), index=True)
    children: Mapped[list["Node"]] = relationship(order_by="Node.id")
    parent: Mapped["Node | None"] = relationship(remote_side=[id], viewonly=True)
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "node"}


class Leaf(Node):
    __tablename__ = "fire_leaves"
    id: Mapped[int] = mapped_column(ForeignKey("fire_nodes.id"), primary_key=True)
    color: Mapped[str | None]
    marks: Mapped[list["Mark"]] = relationship()
    __mapper_args__ = {"polymorphic_identity": "leaf"}


class Mark(Base):
    __tablename__ = "fire_marks"
    id: Mapped[int] = mapped_column(primary_key=True)
    leaf_id: Mapped[int] = mapped_column(ForeignKey("fire_leaves.id"), index=True)


class Coded(Base):
    __tablename__ = "fire_coded"
    code: Mapped[str] = mapped_column(Folded, primary_key=True)


@attrs.frozen
class NodeView:
    id: int
    children: "list[NodeView]"


@attrs.frozen
class CountedShelf:
    id: int
    books: list[BookView]
    many: Annotated[int, count(Shelf.books)]
    any_book: Annotated[bool, exists(Shelf.books)]
    last: Annotated[int | None, aggregate(Shelf.books, func.max(Book.id))]


TREE_VIEW: LoadPlan[Any] = LoadPlan(Node, load(Node.children, depth="all"), into=NodeView)

#: Every way that rows of the library come.
SHELVES: dict[str, LoadPlan[Any]] = {
    "entities": ENTITIES,
    "views by level": BY_LEVEL,
    "views nested": NESTED,
    "views with aggregates": LoadPlan(Shelf, into=CountedShelf),
    "joined collection": LoadPlan(Shelf, load(Shelf.books, strategy="joined")),
    "subquery": LoadPlan(Shelf, load(Shelf.books, load(Book.chapters, strategy="subquery"), strategy="subquery")),
    "select-in to-one": LoadPlan(Shelf, load(Shelf.books, load(Book.author, strategy="selectin"))),
    "first rows": LoadPlan(Shelf, load(Shelf.books, load(Book.tags, limit=1), limit=2)),
    "narrowed": ENTITIES.narrowed_to(["id", "books.id"]),
    "views narrowed": NESTED.narrowed_to(["books"]),
    "for paths": LoadPlan.for_paths(Shelf, ["books.id"], allowed=ENTITIES),
    "views of first rows": LoadPlan(Shelf, load(Shelf.books, limit=2, strategy="selectin"), into=ShelfView),
}
NODES: dict[str, LoadPlan[Any]] = {
    "tree": LoadPlan(Node, load(Node.children, depth="all")),
    "tree of views": TREE_VIEW,
    "levels": LoadPlan(Node, load(Node.children, depth=2)),
    "branch": LoadPlan(Node, on(Leaf, load(Leaf.marks))),
}

Call = Callable[[Loader, LoadPlan[Any], Any], Awaitable[object]]


async def stream(loader: Loader, plan: LoadPlan[Any], root: Any) -> object:
    return [each async for each in loader.stream(plan, order_by=root.id, batch_size=2)]


async def pages(loader: Loader, plan: LoadPlan[Any], root: Any) -> object:
    first = await loader.fetch_page(plan, root.id.desc(), 2)
    second = await loader.fetch_page(plan, root.id.desc(), 2, after=first.next)
    return await loader.fetch_page(plan, root.id.desc(), 2, before=second.previous)


async def batched(loader: Loader, plan: LoadPlan[Any], root: Any) -> object:
    batching = loader.batched()
    return await asyncio.gather(batching.fetch(plan, 1), batching.fetch(plan, 2), batching.fetch_or_none(plan, 9999))


CALLS: dict[str, Call] = {
    "count": lambda loader, plan, root: loader.count(plan, root.id > 1),
    "exists": lambda loader, plan, root: loader.exists(plan),
    "fetch_page, counted": lambda loader, plan, root: loader.fetch_page(plan, root.id, 2, total="exact"),
    "fetch_page, estimated": lambda loader, plan, root: loader.fetch_page(plan, root.id, 2, total="estimated"),
    "batched": batched,
    "fetch": lambda loader, plan, root: loader.fetch(plan, 1),
    "fetch_or_none": lambda loader, plan, root: loader.fetch_or_none(plan, 9999),
    "fetch_many": lambda loader, plan, root: loader.fetch_many(plan, [1, 2, 9999], missing="skip"),
    "fetch_one": lambda loader, plan, root: loader.fetch_one(plan, root.id == 1),
    "fetch_all": lambda loader, plan, root: loader.fetch_all(plan),
    "fetch_all, limited": lambda loader, plan, root: loader.fetch_all(plan, root.id > 0, root.id, 3, 1),
    "fetch_page": pages,
    "stream": stream,
}
LOCKING: dict[str, Call] = {
    "fetch, locked": lambda loader, plan, root: loader.fetch(plan, 1, for_update=True),
    "fetch_all, locked": lambda loader, plan, root: loader.fetch_all(plan, limit=2, for_update={"nowait": True}),
}


class Own(Session):
    """A session class of an application."""


@contextlib.asynccontextmanager
async def heard(kind: str, engine: AsyncEngine) -> AsyncIterator[tuple[Any, Any]]:
    """Give a bind, and what a listener has to sit on so that it hears the bind."""
    if kind == "engine":
        yield engine, Session
    elif kind == "sessionmaker":
        yield async_sessionmaker(engine, sync_session_class=Own), Own
    elif kind == "session":
        async with AsyncSession(engine) as session:
            yield session, session.sync_session
    else:
        async with engine.connect() as connection:
            yield connection, Session


@contextlib.contextmanager
def marking(listened: Any, engine: AsyncEngine) -> Iterator[tuple[list[str], list[str]]]:
    """Mark each statement that ``do_orm_execute`` is asked about, and sort what reaches the driver by that mark."""
    seen: list[str] = []
    unseen: list[str] = []

    def asked(state: ORMExecuteState) -> None:
        state.update_execution_options(fire_seen=True)

    def sent(_connection: Any, _cursor: Any, sql: str, _parameters: Any, context: Any, _many: bool) -> None:
        (seen if context.execution_options.get("fire_seen") else unseen).append(sql)

    with (
        listening(listened, "do_orm_execute", asked),
        listening(engine.sync_engine, "before_cursor_execute", sent),
    ):
        yield seen, unseen


kinds = pytest.mark.parametrize("kind", ["engine", "sessionmaker", "session", "connection"])
bounds = pytest.mark.parametrize(
    ("kind", "max_rows"),
    [("engine", None), ("sessionmaker", None), ("session", None), ("connection", None), ("engine", 10_000)],
    ids=["engine", "sessionmaker", "session", "connection", "engine, counted rows"],
)


async def assert_all_seen(
    engine: AsyncEngine, kind: str, plan: LoadPlan[Any], root: Any, max_rows: int | None, without: set[str]
) -> None:
    async with heard(kind, engine) as (bind, listened):
        calls = {**CALLS, **(LOCKING if kind in {"session", "connection"} else {})}
        if kind == "connection":
            await bind.begin()
        for name, call in calls.items():
            if name not in without:
                with marking(listened, engine) as (seen, unseen):
                    await call(Loader(bind, max_rows=max_rows), plan, root)
                assert unseen == [], name
                assert seen, name


@bounds
@pytest.mark.parametrize("name", SHELVES)
async def test_the_library(library: AsyncEngine, name: str, kind: str, max_rows: int | None) -> None:
    cannot_stream = {"stream"} if name == "joined collection" else set()
    await assert_all_seen(library, kind, SHELVES[name], Shelf, max_rows, cannot_stream)


@pytest.fixture(scope="session")
async def forest(postgres: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    async with tables(postgres, Base.metadata):
        async with AsyncSession(postgres) as session:
            nodes = [Node(id=each, parent_id=each // 2 or None) for each in (1, 2)]
            leaves = [Leaf(id=each, parent_id=each // 2, marks=[Mark()]) for each in (3, 4, 5)]
            session.add_all([*nodes, *leaves, Coded(code="a")])
            await session.commit()
        yield postgres


@bounds
@pytest.mark.parametrize("name", NODES)
async def test_trees_and_branches(forest: AsyncEngine, name: str, kind: str, max_rows: int | None) -> None:
    await assert_all_seen(forest, kind, NODES[name], Node, max_rows, set())


@kinds
async def test_keys_that_are_asked_for_again(forest: AsyncEngine, kind: str) -> None:
    async with heard(kind, forest) as (bind, listened):
        with marking(listened, forest) as (seen, unseen):
            await Loader(bind).fetch_many(LoadPlan(Coded), ["a", "b"], missing="skip")
    assert unseen == []
    assert len(seen) == 2


@pytest.mark.parametrize("name", ["entities", "views by level", "views nested"])
async def test_a_schema_that_a_listener_chooses_is_the_one_that_is_read(
    library: AsyncEngine, neighbour: AsyncEngine, name: str
) -> None:
    """A tenant's schema, set with ``update_execution_options`` for each statement."""

    def choose(state: ORMExecuteState) -> None:
        state.update_execution_options(schema_translate_map={None: "fire_tenant"})

    async with neighbour.begin() as connection:
        await connection.execute(text("DROP SCHEMA IF EXISTS fire_tenant CASCADE"))
        await connection.execute(text("CREATE SCHEMA fire_tenant"))
        translated = await connection.execution_options(schema_translate_map={None: "fire_tenant"})
        await translated.run_sync(Shelf.metadata.create_all)
        await translated.execute(insert(Shelf).values(id=1, stamp=42, book_count=0))
    async with AsyncSession(library) as session:
        with listening(session.sync_session, "do_orm_execute", choose):
            found = await Loader(session).fetch_all(SHELVES[name])
            assert [(each.id, each.stamp, each.books) for each in found] == [(1, 42, [])]
            page = await Loader(session).fetch_page(SHELVES[name], Shelf.id)
            walked = [each async for each in Loader(session).stream(SHELVES[name])]
            assert [each.stamp for each in (*page.items, *walked)] == [42, 42]
    async with neighbour.begin() as connection:
        await connection.execute(text("DROP SCHEMA fire_tenant CASCADE"))


async def test_a_statement_behind_the_listener_s_back_is_found(library: AsyncEngine) -> None:
    """What the tests above look for is there to be found."""
    async with AsyncSession(library) as session:
        with marking(session.sync_session, library) as (seen, unseen):
            await (await session.connection()).execute(Author.__table__.select())
            await session.scalars(Chapter.__table__.select())
    assert (len(seen), len(unseen)) == (1, 1)
