"""Indexes that only the database has: read at start-up, and from then on a part of the choice."""

import gc
import weakref
from collections.abc import AsyncIterator
from typing import Annotated, Any

import attrs
import pytest
from sqlalchemy import (
    Column,
    Engine,
    ForeignKey,
    Index,
    StaticPool,
    Table,
    create_engine,
    text,
)
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

import loadplan.running.compiled as compiling
from loadplan import LearnedIndex, Loader, LoaderError, LoadPlan, SyncLoader, count, load
from support import recording, tables


class Base(DeclarativeBase):
    """No table has an index beyond its keys."""


chosen = Table(
    "learned_chosen",
    Base.metadata,
    Column("topic_id", ForeignKey("learned_topics.id"), primary_key=True),
    Column("paper_id", ForeignKey("learned_papers.id"), primary_key=True),
)


class Topic(Base):
    __tablename__ = "learned_topics"
    id: Mapped[int] = mapped_column(primary_key=True)


class Writer(Base):
    __tablename__ = "learned_writers"
    id: Mapped[int] = mapped_column(primary_key=True)
    papers: Mapped[list["Paper"]] = relationship(back_populates="writer", order_by="Paper.id")
    desk: Mapped["Desk | None"] = relationship(back_populates="writer")


class Paper(Base):
    __tablename__ = "learned_papers"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    writer_id: Mapped[int] = mapped_column(ForeignKey("learned_writers.id"))
    writer: Mapped[Writer] = relationship(back_populates="papers")
    topics: Mapped[list[Topic]] = relationship(secondary=chosen, order_by=Topic.id)


class Desk(Base):
    __tablename__ = "learned_desks"
    id: Mapped[int] = mapped_column(primary_key=True)
    writer_id: Mapped[int] = mapped_column(ForeignKey("learned_writers.id"))
    writer: Mapped[Writer] = relationship(back_populates="desk")


@attrs.frozen
class WriterCard:
    id: int
    papers: Annotated[int, count(Writer.papers)]


FIRST = LoadPlan(
    Writer, load(Writer.papers, order_by=Paper.title.desc(), limit=1, strategy="selectin"), name="first papers"
)
ALL = LoadPlan(Writer, load(Writer.papers), name="papers")
CARD = LoadPlan(Writer, into=WriterCard)

LEARNED = "an index that the database has and the mapping does not"


@pytest.fixture
async def fresh(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Rows in the tables, and an engine of the test's own: what it learns ends with it."""
    async with tables(engine, Base.metadata):
        async with AsyncSession(engine) as session, session.begin():
            session.add_all([Writer(id=n) for n in range(1, 4)])
            await session.flush()
            session.add_all([Paper(id=n, title=f"t{n}", writer_id=n % 2 + 1) for n in range(1, 8)])
        if isinstance(engine.pool, StaticPool):
            yield engine
            return
        own = create_async_engine(engine.url)
        yield own
        await own.dispose()


async def make(engine: AsyncEngine, *statements: str) -> None:
    async with engine.begin() as connection:
        for each in statements:
            await connection.execute(text(each))


def reason(loader: Loader, plan: LoadPlan[Any], roots: int | None = None) -> str:
    return loader.explain(plan, roots=roots).edges[0].reason


@pytest.mark.not_on("mariadb", reason="it makes an index for each foreign key")
async def test_a_limit_walks_an_index_that_only_the_database_has(fresh: AsyncEngine) -> None:
    """The plan is compiled again, takes LATERAL on PostgreSQL, says why, and brings the same rows."""
    loader = Loader(fresh)
    before = await loader.fetch_all(FIRST, order_by=Writer.id)
    assert await loader.learn_indexes(FIRST) == ()
    assert LEARNED not in reason(loader, FIRST)
    await make(fresh, "CREATE INDEX ix_learned_recent ON learned_papers (writer_id, title)")
    with recording(fresh) as sent:
        found = await loader.learn_indexes(FIRST)
        after = await loader.fetch_all(FIRST, order_by=Writer.id)
    assert found == (LearnedIndex("learned_papers", "ix_learned_recent", ("writer_id", "title")),)
    assert str(found[0]) == "learned_papers (writer_id, title) by ix_learned_recent"
    titles = [[paper.title for paper in writer.papers] for writer in after]
    assert titles == [[paper.title for paper in writer.papers] for writer in before] == [["t6"], ["t7"], []]
    is_lateral = fresh.dialect.name == "postgresql"
    assert ("LATERAL" in sent.selects[-1]) is is_lateral
    assert (LEARNED in reason(loader, FIRST)) is is_lateral
    # a plan that equals it, and one that is made only now, are chosen alike
    again = LoadPlan(Writer, *FIRST.loads, name="later")
    assert reason(loader, again) == reason(loader, FIRST)
    await make(fresh, "DROP INDEX ix_learned_recent")
    assert await loader.learn_indexes(FIRST) == ()
    assert LEARNED not in reason(loader, FIRST)


async def test_counts_and_nested_rows_use_it(fresh: AsyncEngine) -> None:
    loader = Loader(fresh)
    assert reason(loader, CARD).startswith("no index finds the rows of one parent")
    nested = loader.explain(ALL, roots=10).statements == 1
    assert not nested
    await make(fresh, "CREATE INDEX ix_learned_writer ON learned_papers (writer_id)")
    await loader.learn_indexes(Writer, Paper)
    assert reason(loader, CARD) == f"computed within the row: {LEARNED} finds the rows of each parent"
    with recording(fresh) as sent:
        cards = await loader.fetch_all(CARD, order_by=Writer.id)
        writers = await loader.fetch_all(ALL, order_by=Writer.id, limit=10)
    assert [card.papers for card in cards] == [3, 4, 0] == [len(writer.papers) for writer in writers]
    in_one = fresh.dialect.name == "postgresql"
    assert len(sent.selects) == (2 if in_one else 3)
    why = f"few rows: one statement for all; {LEARNED} finds the rows of each parent"
    assert (reason(loader, ALL, 10) == why) is in_one


async def test_the_engine_remembers(fresh: AsyncEngine) -> None:
    """Every loader on the engine knows, on a session too; another engine on the same database does not."""
    await make(fresh, "CREATE INDEX ix_learned_recent ON learned_papers (writer_id, title)")
    async with AsyncSession(fresh) as session:
        assert await Loader(session).learn_indexes(CARD)
        assert LEARNED in reason(Loader(session), CARD)
        assert LEARNED in reason(Loader(await session.connection()), CARD)
    with_options = fresh.execution_options(some="option")
    for bind in (fresh, with_options, async_sessionmaker(fresh)):
        assert LEARNED in reason(Loader(bind), CARD)
    assert (LEARNED in FIRST.explain(fresh).edges[0].reason) is (fresh.dialect.name == "postgresql")
    assert LEARNED not in FIRST.explain(fresh.dialect.name).edges[0].reason
    other = create_async_engine(fresh.url)
    assert LEARNED not in reason(Loader(other), CARD)
    assert LEARNED in reason(Loader(fresh), CARD)


@pytest.mark.not_on("mariadb", reason="it has no partial indexes")
async def test_indexes_that_cannot_serve_are_left_out(fresh: AsyncEngine) -> None:
    """Partial ones, expressions, keys in the middle; on PostgreSQL those that are invalid or compare otherwise."""
    await make(
        fresh,
        "CREATE INDEX ix_learned_partial ON learned_papers (writer_id) WHERE title <> 'x'",
        "CREATE INDEX ix_learned_not_null ON learned_papers (writer_id) WHERE writer_id IS NOT NULL",
        "CREATE INDEX ix_learned_middle ON learned_papers (title, writer_id)",
        "CREATE INDEX ix_learned_expression ON learned_papers (lower(title), writer_id)",
    )
    loader = Loader(fresh)
    assert [each.name for each in await loader.learn_indexes(CARD)] == ["ix_learned_middle"]
    assert LEARNED not in reason(loader, CARD)
    if fresh.dialect.name != "postgresql":
        return
    await make(
        fresh,
        "CREATE INDEX ix_learned_brin ON learned_papers USING brin (writer_id)",
        "CREATE INDEX ix_learned_invalid ON learned_papers (writer_id)",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_learned_invalid'::regclass",
        "DROP INDEX ix_learned_middle",
    )
    assert await loader.learn_indexes(CARD) == ()
    await make(fresh, "CREATE INDEX ix_learned_hash ON learned_papers USING hash (writer_id)")
    assert await loader.learn_indexes(CARD, FIRST)
    assert LEARNED in reason(loader, CARD)
    assert LEARNED not in reason(loader, FIRST)  # a hash is in no order
    await make(
        fresh,
        'CREATE INDEX ix_learned_collated ON learned_papers (writer_id, title COLLATE "C")',
        "CREATE INDEX ix_learned_pattern ON learned_papers (writer_id, title text_pattern_ops)",
    )
    await loader.learn_indexes(FIRST)
    assert LEARNED not in reason(loader, FIRST)
    await make(fresh, "CREATE INDEX ix_learned_plain ON learned_papers (writer_id, title)")
    await loader.learn_indexes(FIRST)
    assert LEARNED in reason(loader, FIRST)


@pytest.mark.not_on("mariadb", reason="it makes an index for each foreign key")
async def test_a_unique_index_of_the_database_promises_nothing(fresh: AsyncEngine) -> None:
    """It finds rows. That a writer has one desk is for the mapping to say: the index may be dropped tomorrow."""
    await make(fresh, "CREATE UNIQUE INDEX ix_learned_desk ON learned_desks (writer_id)")
    loader = Loader(fresh)
    plan = LoadPlan(Writer, load(Writer.desk))
    before = loader.explain(plan, roots=None).edges[0]
    assert [each.name for each in await loader.learn_indexes(plan)] == ["ix_learned_desk"]
    after = loader.explain(plan, roots=None).edges[0]
    assert (after.strategy, after.reason) == (before.strategy, before.reason)
    assert (
        "no constraint ensures that it has one row at most"
        in SyncLoader(create_engine("sqlite://")).explain(plan).edges[0].reason
    )


@pytest.mark.not_on("mariadb", reason="it makes an index for each foreign key")
async def test_a_base_stands_for_all_its_tables(fresh: AsyncEngine) -> None:
    await make(
        fresh,
        "CREATE INDEX ix_learned_paper ON learned_chosen (paper_id)",
        "CREATE INDEX ix_learned_desk ON learned_desks (writer_id)",
    )
    loader = Loader(fresh)
    assert [each.name for each in await loader.learn_indexes(Base)] == ["ix_learned_paper", "ix_learned_desk"]
    assert [each.name for each in await loader.learn_indexes(Paper)] == ["ix_learned_paper"]
    assert [each.name for each in await loader.learn_indexes(LoadPlan(Paper, load(Paper.topics)))] == [
        "ix_learned_paper"
    ]
    assert await loader.learn_indexes() == ()
    for wrong in ("Paper", int, Base.metadata):
        with pytest.raises(LoaderError, match="LP408"):
            await loader.learn_indexes(wrong)  # type: ignore[arg-type]


async def test_a_table_that_is_not_there_has_none(engine: AsyncEngine) -> None:
    assert await Loader(engine).learn_indexes(FIRST) == ()


async def test_an_index_that_the_mapping_names_is_not_news(engine: AsyncEngine) -> None:
    class Own(DeclarativeBase):
        pass

    class Thing(Own):
        __tablename__ = "learned_things"
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[int] = mapped_column(unique=True)
        size: Mapped[int]
        __table_args__ = (
            Index("ix_learned_hashed", "size", postgresql_using="hash"),
            Index("ix_learned_filled", "size", "kind", postgresql_with={"fillfactor": 70}),
        )

    async with tables(engine, Own.metadata):
        assert await Loader(engine).learn_indexes(Thing) == ()


def one_sqlite(*indexes: str) -> Engine:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        for each in indexes:
            connection.execute(text(each))
    return engine


def test_each_of_several_databases_is_known_by_itself() -> None:
    """One session with a database for writers and one for papers, which alone has the index."""
    index = "CREATE INDEX ix_learned_writer ON learned_papers (writer_id)"
    writers, papers = one_sqlite(), one_sqlite(index)
    plain, indexed = SyncLoader(writers), SyncLoader(papers)
    assert plain.learn_indexes(CARD) == ()
    assert indexed.learn_indexes(CARD)
    assert LEARNED in indexed.explain(CARD, roots=None).edges[0].reason
    assert LEARNED not in plain.explain(CARD, roots=None).edges[0].reason
    with Session(binds={Writer: one_sqlite(), Paper: one_sqlite(index)}) as session:
        loader = SyncLoader(session)
        assert [each.table for each in loader.learn_indexes(CARD)] == ["learned_papers"]
        assert loader.explain(CARD, roots=None).edges[0].reason == "its rows are in another database"
        assert loader.fetch_all(CARD) == []


def test_a_plan_is_compiled_again_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is learned twice costs nothing twice, and what nobody has learned costs nothing at all."""
    made: list[object] = []
    choose = compiling.choose_ways

    def counted(*given: Any) -> Any:
        made.append(given)
        return choose(*given)

    monkeypatch.setattr(compiling, "choose_ways", counted)
    engine = one_sqlite("CREATE INDEX ix_learned_writer ON learned_papers (writer_id)")
    loader = SyncLoader(engine)
    plan = LoadPlan(Writer, into=WriterCard, name="compiled once")
    for _ in range(2):
        loader.fetch_all(plan)
    before = len(made)
    for _ in range(3):
        loader.learn_indexes(plan)
        loader.fetch_all(plan)
    again = len(made) - before
    assert again == before
    same = SyncLoader(one_sqlite("CREATE INDEX ix_learned_writer ON learned_papers (writer_id)"))
    same.learn_indexes(plan)
    same.fetch_all(plan)
    assert len(made) == before + again


def test_what_was_learned_goes_with_the_engine() -> None:
    engine = one_sqlite("CREATE INDEX ix_learned_writer ON learned_papers (writer_id)")
    assert SyncLoader(engine).learn_indexes(Paper)
    gone = weakref.ref(engine.dialect)
    engine.dispose()
    del engine
    gc.collect()
    assert gone() is None
