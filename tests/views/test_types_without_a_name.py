"""Columns of a type that SQLAlchemy does not know, as of ``func.avg``: they stand within rows where it is built in."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Annotated, Any

import attrs
import pytest
from sqlalchemy import ForeignKey, Numeric, case, func, null, select
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column, relationship

from loadplan import Loader, LoadPlan, aggregate, load
from loadplan.mapped.decoding import is_of_builtin_type
from support import recording, tables


class Base(DeclarativeBase):
    pass


class Reader(Base):
    __tablename__ = "vun_readers"
    id: Mapped[int] = mapped_column(primary_key=True)
    reviews: Mapped[list["Review"]] = relationship(order_by="Review.id")


class Review(Base):
    __tablename__ = "vun_reviews"
    id: Mapped[int] = mapped_column(primary_key=True)
    reader_id: Mapped[int] = mapped_column(ForeignKey(Reader.id), index=True)
    movie_id: Mapped[int] = mapped_column(ForeignKey("vun_movies.id"), index=True)
    score: Mapped[Decimal] = mapped_column(Numeric(4, 2))
    movie: Mapped["Movie"] = relationship()


def _reviews(of: Any) -> Any:
    return select(of).where(Review.movie_id == Movie.id).correlate_except(Review).scalar_subquery()


class Movie(Base):
    __tablename__ = "vun_movies"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column()
    shouted: Mapped[str] = column_property(func.upper(title))
    reviews: Mapped[list[Review]] = relationship(viewonly=True)


setattr(Movie, "average", column_property(_reviews(func.avg(Review.score))))  # noqa: B010 - no type checker knows it


@attrs.frozen
class MovieCard:
    title: str
    shouted: Any
    average: Any
    best: Annotated[Decimal | None, aggregate(Movie.reviews, func.max(Review.score))]
    mean: Annotated[Any, aggregate(Movie.reviews, func.round(func.avg(Review.score), 1))]


@attrs.frozen
class ReviewCard:
    id: int
    movie: MovieCard


@attrs.frozen
class ReaderCard:
    id: int
    reviews: list[ReviewCard]


@pytest.fixture
async def movies(postgres: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    async with tables(postgres, Base.metadata):
        async with postgres.begin() as connection:
            for statement in (
                "INSERT INTO vun_readers VALUES (1), (2)",
                "INSERT INTO vun_movies VALUES (1, 'one'), (2, 'two')",
                "INSERT INTO vun_reviews VALUES (1, 1, 1, 3.5), (2, 1, 2, 4), (3, 2, 1, 1)",
            ):
                await connection.execute(sql(statement))
        yield postgres


async def test_entities_with_an_average_come_in_one_statement(movies: AsyncEngine) -> None:
    plan = LoadPlan(Reader, load(Reader.reviews, load(Review.movie)))
    loader = Loader(movies)
    await loader.fetch(plan, 1)
    with recording(movies) as statements:
        reader = await loader.fetch(plan, 1)
    assert len(statements) == 1
    read: list[Any] = [each.movie for each in reader.reviews]
    assert [(each.average, each.shouted) for each in read] == [(Decimal("2.25"), "ONE"), (Decimal(4), "TWO")]
    assert {type(each.average) for each in read} == {Decimal}


async def test_views_with_averages_come_in_one_statement(movies: AsyncEngine) -> None:
    plan = LoadPlan(Reader, into=ReaderCard)
    loader = Loader(movies)
    await loader.fetch(plan, 1)
    with recording(movies) as statements:
        found = await loader.fetch(plan, 1)
    assert len(statements) == 1
    by_level = await loader.fetch_all(plan, order_by=Reader.id)
    assert by_level[0] == found
    assert found.reviews[0].movie == MovieCard("one", "ONE", Decimal("2.25"), Decimal("3.50"), Decimal("2.3"))


@pytest.mark.parametrize(
    ("expression", "known"),
    [
        (func.avg(Review.score), True),
        (func.AVG(Review.score), True),
        (func.avg(Review.score).label("mean"), True),
        (func.avg(Review.score).filter(Review.id > 1), True),
        (func.avg(Review.score).over(), True),
        (func.percentile_cont(0.5).within_group(Review.score), True),
        (select(func.avg(Review.score)).scalar_subquery(), True),
        (func.coalesce(func.avg(Review.score), 0), True),
        (func.coalesce(func.avg(Review.score), null()), True),
        (func.round(func.avg(Review.score), 1) * 2, True),
        (func.lower(Movie.title), True),
        (func.my_own(Review.score), False),
        (func.pg_catalog.avg(Review.score), False),
        (func.coalesce(func.my_own(Review.score), 0), False),
        (func.greatest(func.my_own(Review.score), func.avg(Review.score)), False),
        (func.my_own(Review.score) * 2, False),
        (func.coalesce(Movie.title, func.my_own(Movie.title)), False),
        (case((Review.id > 1, func.my_own(Review.score))), False),
        (null(), False),
    ],
    ids=str,
)
def test_which_expressions_are_of_a_type_that_every_driver_reads(expression: Any, known: bool) -> None:
    assert is_of_builtin_type(expression) is known


async def test_an_unknown_function_takes_a_statement_of_its_own(movies: AsyncEngine) -> None:
    """It could be of a type whose bytes asyncpg takes for text, such as money."""
    reg = type("Own", (DeclarativeBase,), {})

    class Paid(reg):  # type: ignore[valid-type,misc]
        __tablename__ = "vun_reviews"
        id: Mapped[int] = mapped_column(primary_key=True)
        reader_id: Mapped[int] = mapped_column(ForeignKey("vun_readers.id"), index=True)
        score: Mapped[Decimal] = mapped_column(Numeric(4, 2))

    class Payer(reg):  # type: ignore[valid-type,misc]
        __tablename__ = "vun_readers"
        id: Mapped[int] = mapped_column(primary_key=True)
        reviews: Mapped[list[Paid]] = relationship(Paid, order_by=Paid.id)

    setattr(Paid, "price", column_property(func.vun_price(Paid.score)))  # noqa: B010 - no type checker knows it
    async with movies.begin() as connection:
        await connection.execute(
            sql("CREATE OR REPLACE FUNCTION vun_price(numeric) RETURNS money AS 'SELECT $1::money' LANGUAGE sql")
        )
    loader = Loader(movies)
    with recording(movies) as statements:
        payer = await loader.fetch(LoadPlan(Payer, load(Payer.reviews)), 1)
    assert len(statements.selects) == 2
    assert [each.price for each in payer.reviews] == ["$3.50", "$4.00"]
