"""The first rows of each parent: ``limit=`` beside SQL by hand. ``python -m benchmarks first-rows``.

500 topics share 1,000,000 posts; wanted are the five best of each topic, for all topics and for 20 of them. The posts
stand in two tables: one has an index on (topic, score), the other on the topic alone. What is timed, all in turn within
one run:

- *entities*: topics and posts as mapped objects, by ``loader.fetch_many`` and by SQLAlchemy statements written by hand,
  one with LATERAL over ``unnest(ids)`` and one with ``row_number()``, built once and tied in Python;
- *records*: the same two statements as text through asyncpg, into small attrs objects;
- *SQL*: the statement of the posts alone, its rows dropped: both by hand, and the very text that loadplan sends.

All ways must return equal graphs before anything is timed. The figure to keep is loadplan's time in units of the better
one of the two by hand.
"""

import argparse
import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import asyncpg
import attrs
from sqlalchemy import ARRAY, ForeignKey, Index, Integer, any_, bindparam, func, select, true
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column, relationship
from sqlalchemy.orm.attributes import set_committed_value

from benchmarks.measure import Way, database, ensure_filled, environment, milliseconds, ratio, recorded, time_rounds
from loadplan import Loader, LoadPlan, load

BEST = 5
SECONDS = 5.0  # that a round should not go beyond
WAYS = ("entities LATERAL", "entities window", "loadplan", "records LATERAL", "records window")
STATEMENTS = ("SQL LATERAL", "SQL window", "SQL of loadplan")


class Base(DeclarativeBase):
    """Of this benchmark's tables."""


class Topic(Base):
    """A parent."""

    __tablename__ = "bench_topic"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    ranked_posts: Mapped[list["RankedPost"]] = relationship(viewonly=True)
    plain_posts: Mapped[list["PlainPost"]] = relationship(viewonly=True)


class PostColumns:
    """What both tables of posts have."""

    id: Mapped[int] = mapped_column(primary_key=True)
    topic_id: Mapped[int] = mapped_column(ForeignKey(Topic.id))
    score: Mapped[int]
    title: Mapped[str]
    body: Mapped[str]


class RankedPost(PostColumns, Base):
    """A child; an index goes on with the order."""

    __tablename__ = "bench_ranked_post"
    __table_args__ = (Index("bench_ranked_post_by_score", "topic_id", "score"),)


class PlainPost(PostColumns, Base):
    """A child; an index finds the parent's rows and no more."""

    __tablename__ = "bench_plain_post"
    __table_args__ = (Index("bench_plain_post_by_topic", "topic_id"),)


@attrs.frozen
class PostRecord:
    """A post without SQLAlchemy."""

    id: int
    topic_id: int
    score: int
    title: str
    body: str


@attrs.frozen
class TopicRecord:
    """A topic without SQLAlchemy."""

    id: int
    name: str
    posts: list[PostRecord]


async def fill(engine: AsyncEngine, topics: int, posts: int) -> None:
    """Make the tables and their rows, unless they are there."""
    inserts = [
        f"INSERT INTO bench_topic SELECT i, 'topic ' || i FROM generate_series(1, {topics}) i",
        *(
            f"INSERT INTO {table} SELECT i, i % {topics} + 1, i::bigint * 7919 % 100003, 'title ' || i, repeat('x', 80)"
            f" FROM generate_series(1, {posts}) i"
            for table in (RankedPost.__tablename__, PlainPost.__tablename__)
        ),
    ]
    await ensure_filled(engine, Base.metadata, "bench_topic", f"{topics} topics, {posts} posts", inserts)


# --- by hand --------------------------------------------------------------------------------------------------------


def lateral(post: Any) -> tuple[Any, Any]:
    """Return the statement that walks an index once a topic, and the alias that it selects."""
    ids = func.unnest(bindparam("ids", type_=ARRAY(Integer))).table_valued("id").render_derived("ids")
    best = select(post).where(post.topic_id == ids.c.id).order_by(post.score.desc(), post.id).limit(BEST).lateral()
    found = aliased(post, best)
    return select(found).select_from(ids.join(best, true())).order_by(found.score.desc(), found.id), found


def window(post: Any) -> tuple[Any, Any]:
    """Return the statement that numbers all posts of the topics, and the alias that it selects."""
    number = func.row_number().over(partition_by=post.topic_id, order_by=(post.score.desc(), post.id)).label("number")
    among = post.topic_id == any_(bindparam("ids", type_=ARRAY(Integer)))
    numbered = select(post, number).where(among).subquery()
    found = aliased(post, numbered)
    return select(found).where(numbered.c.number <= BEST).order_by(numbered.c.number), found


def entities(sessions: async_sessionmaker[AsyncSession], attribute: str, statement: Any) -> Any:
    """Return the fetch of mapped objects, tied by hand."""
    topics = select(Topic).where(Topic.id == any_(bindparam("ids", type_=ARRAY(Integer))))

    async def fetch(ids: Sequence[int]) -> list[Topic]:
        async with sessions() as session:
            parents = {topic.id: topic for topic in await session.scalars(topics, {"ids": ids})}
            found: dict[int, list[Any]] = {each: [] for each in parents}
            for post in await session.scalars(statement, {"ids": ids}):
                found[post.topic_id].append(post)
        for each, children in found.items():
            set_committed_value(parents[each], attribute, children)
        return [parents[each] for each in ids]

    return fetch


def lateral_text(table: str) -> str:
    """Return the LATERAL statement as text."""
    return (
        f"SELECT p.id, p.topic_id, p.score, p.title, p.body FROM unnest($1::int[]) AS ids(id) CROSS JOIN LATERAL "
        f"(SELECT * FROM {table} WHERE topic_id = ids.id ORDER BY score DESC, id LIMIT {BEST}) p "
        "ORDER BY p.score DESC, p.id"
    )


def window_text(table: str) -> str:
    """Return the window statement as text."""
    return (
        f"SELECT id, topic_id, score, title, body FROM (SELECT *, row_number() OVER (PARTITION BY topic_id "
        f"ORDER BY score DESC, id) AS number FROM {table} WHERE topic_id = ANY($1::int[])) p "
        f"WHERE number <= {BEST} ORDER BY number"
    )


def records(connection: Any, statement: str) -> Any:
    """Return the fetch of attrs objects."""

    async def fetch(ids: Sequence[int]) -> list[TopicRecord]:
        rows = await connection.fetch("SELECT id, name FROM bench_topic WHERE id = ANY($1::int[])", ids)
        topics = {row[0]: TopicRecord(row[0], row[1], []) for row in rows}
        for row in await connection.fetch(statement, ids):
            topics[row[1]].posts.append(PostRecord(*row))
        return [topics[each] for each in ids]

    return fetch


# --- measuring ------------------------------------------------------------------------------------------------------


def values(topics: Sequence[Any], attribute: str) -> list[tuple[Any, ...]]:
    """Return what a graph holds, whatever its objects are."""
    names = [field.name for field in attrs.fields(PostRecord)]
    return [
        (topic.id, topic.name, [[getattr(post, name) for name in names] for post in getattr(topic, attribute)])
        for topic in topics
    ]


async def run_case(
    engine: AsyncEngine, connection: Any, post: Any, attribute: str, ids: list[int], rounds: int, calls: int
) -> tuple[list[float], list[str]]:
    """Compare all ways, then time them; return the milliseconds of each, and loadplan's ratios."""
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    loader = Loader(engine)
    relationship_ = getattr(Topic, attribute)
    plan = LoadPlan(Topic, load(relationship_, order_by=post.score.desc(), limit=BEST))
    ours = partial(loader.fetch_many, plan, ids)
    with recorded(engine) as sent:
        await ours()
    sql, parameters = sent[-1]
    texts = (lateral_text(post.__tablename__), window_text(post.__tablename__))
    ways: list[Way] = [
        partial(entities(sessions, attribute, lateral(post)[0]), ids),
        partial(entities(sessions, attribute, window(post)[0]), ids),
        ours,
        *(partial(records(connection, each), ids) for each in texts),
    ]
    graphs = [values(await way(), attribute if place < 3 else "posts") for place, way in enumerate(ways)]
    for name, graph in zip(WAYS, graphs, strict=True):
        assert graph == graphs[0], f"{name} brings a different graph"
    assert all(len(posts) == BEST for _, _, posts in graphs[0])
    ways += [partial(connection.fetch, each, ids) for each in texts]
    ways.append(partial(connection.fetch, sql, *parameters))
    seconds = sum((await time_rounds(ways, 1, 1))[0])
    if seconds < 1:
        await time_rounds(ways, 1, 5)  # PostgreSQL plans a prepared statement anew five times
    medians = await time_rounds(ways, rounds, max(1, min(calls, int(SECONDS / seconds / 2))), prime=True)
    return milliseconds(medians), [ratio(medians, 2, 0, 1), ratio(medians, 2, 3, 4), ratio(medians, 7, 5, 6)]


async def main(topics: int, posts: int, rounds: int, calls: int) -> None:
    """Print what is compared with what, then a block a case."""
    async with database("benchmarks") as engine:
        await fill(engine, topics, posts)
        connection = await asyncpg.connect(engine.url.set(drivername="postgresql").render_as_string(False))
        print(await environment(engine))
        print(f"{posts:,} posts, the best {BEST} of each topic; {rounds} rounds of up to {calls} calls a way, in turn")
        for post, attribute, index in (
            (RankedPost, "ranked_posts", "(topic, score)"),
            (PlainPost, "plain_posts", "(topic)"),
        ):
            for asked in sorted({topics, min(20, topics)}, reverse=True):
                ids = list(range(1, asked + 1))
                times, ratios = await run_case(engine, connection, post, attribute, ids, rounds, calls)
                print(f"\nindex on {index}, {asked} topics: median milliseconds")
                print("  " + ", ".join(f"{name} {each:.1f}" for name, each in zip(WAYS, times[:5], strict=True)))
                print("  " + ", ".join(f"{name} {each:.1f}" for name, each in zip(STATEMENTS, times[5:], strict=True)))
                for name, each in zip(("entities", "records", "SQL"), ratios, strict=True):
                    print(f"  loadplan / the better of {name} by hand: {each}")
        await connection.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--topics", type=int, default=500, help="parents (default: 500)")
    parser.add_argument("--posts", type=int, default=1_000_000, help="children (default: 1,000,000)")
    parser.add_argument("--rounds", type=int, default=5, help="how often to measure (default: 5)")
    parser.add_argument(
        "--calls", type=int, default=5, help="calls of each way in a round, fewer where they are slow (default: 5)"
    )
    options = parser.parse_args()
    asyncio.run(main(options.topics, options.posts, options.rounds, options.calls))
