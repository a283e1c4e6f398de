"""Keys that are equal in the database and not in Python: the database says whose row it is."""

import datetime as dt
import decimal
import enum
import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Any

import attrs
import pytest
import sqlalchemy as sa
from real import filled, lazily
from sqlalchemy import ForeignKey, MetaData, Table, insert, inspect, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, registry, relationship

from loadplan import Loader, LoadPlan, count, exists, load
from support import tables


class Letter(enum.Enum):
    """Stored by name."""

    A = "first"


KEY = uuid.UUID("abcdefab-cdef-4bcd-8fab-cdefabcdefab")

#: The types of the parent's key and of the child's, and a value of each that the database finds equal.
PAIRS: dict[str, tuple[Any, Any, Any, Any]] = {
    "uuid and uuid text": (sa.Uuid(), sa.Uuid(as_uuid=False), KEY, str(KEY)),
    "uuid text and uuid": (sa.Uuid(as_uuid=False), sa.Uuid(), str(KEY), KEY),
    "uuid text in capitals": (sa.Uuid(as_uuid=False), sa.Uuid(as_uuid=False), str(KEY), str(KEY).upper()),
    "varchar and char": (sa.String(6), sa.CHAR(6), "ab", "ab"),
    "char and varchar": (sa.CHAR(6), sa.String(6), "ab", "ab"),
    "char of another length": (sa.CHAR(6), sa.CHAR(9), "ab", "ab"),
    "decimal and float": (
        sa.Numeric(10, 2),
        sa.Numeric(10, 2, asdecimal=False),
        decimal.Decimal("1.10"),
        1.1,
    ),
    "numeric and double": (sa.Numeric(10, 2), sa.Double(), decimal.Decimal("1.50"), 1.5),
    "enum and text": (sa.Enum(Letter, native_enum=False, length=9), sa.String(9), Letter.A, "A"),
    "timestamp and date": (sa.DateTime(), sa.Date(), dt.datetime(2026, 1, 2), dt.date(2026, 1, 2)),
    "date and timestamp": (sa.Date(), sa.DateTime(), dt.date(2026, 1, 2), dt.datetime(2026, 1, 2)),
    "timestamps of two zones": (
        sa.DateTime(timezone=True),
        sa.DateTime(timezone=True),
        dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
        dt.datetime(2026, 1, 2, 3, tzinfo=dt.timezone(dt.timedelta(hours=3))),
    ),
    "integer and bigint": (sa.Integer(), sa.BigInteger(), 7, 7),
    "uuid, text by another name, and uuid text": (
        sa.String(36).with_variant(sa.Uuid(), "postgresql"),
        sa.String(36).with_variant(sa.Uuid(as_uuid=False), "postgresql"),
        KEY,
        str(KEY),
    ),
    "integer and numeric": (sa.Integer(), sa.Numeric(5, 0), 7, decimal.Decimal(7)),
}


@attrs.frozen
class Pair:
    """Two classes tied by such keys, and views of them."""

    parent: Any
    kid: Any
    parents: Any
    kids: Any
    key: Any


@pytest.fixture(params=PAIRS)
async def pair(request: pytest.FixtureRequest, postgres: AsyncEngine) -> AsyncIterator[Pair]:
    """A parent with two children in the database, for each pair of types."""
    parent_type, kid_type, parent_key, kid_key = PAIRS[request.param]
    reg = registry(metadata=MetaData())
    key = sa.Column("key", parent_type, primary_key=True, autoincrement=False)  # SQLAlchemy 2.0 makes it a SERIAL
    parents = Table("untied_parents", reg.metadata, key)
    kids = Table(
        "untied_kids",
        reg.metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("parent_key", kid_type),
    )

    class Parent:
        pass

    class Kid:
        pass

    tie = sa.and_(parents.c.key == kids.c.parent_key)
    reg.map_imperatively(
        Kid,
        kids,
        properties={"parent": relationship(Parent, primaryjoin=tie, foreign_keys=[kids.c.parent_key], viewonly=True)},
    )
    reg.map_imperatively(
        Parent,
        parents,
        properties={
            "kids": relationship(
                Kid, primaryjoin=tie, foreign_keys=[kids.c.parent_key], order_by=kids.c.id, viewonly=True
            )
        },
    )
    kid_view = attrs.make_class("KidView", {"id": attrs.field(type=int)}, frozen=True)
    parent_view = attrs.make_class("ParentView", {"kids": attrs.field(type=list[kid_view])}, frozen=True)
    kid_with_parent = attrs.make_class(
        "KidWithParent",
        {
            "id": attrs.field(type=int),
            "parent": attrs.field(type=attrs.make_class("P", {"key": attrs.field(type=Any)}) | None),
        },
        frozen=True,
    )
    async with tables(postgres, reg.metadata):
        async with postgres.begin() as connection:
            await connection.execute(insert(parents), {"key": parent_key})
            await connection.execute(insert(kids), [{"id": n, "parent_key": kid_key} for n in (1, 2)])
            await connection.execute(insert(kids), {"id": 3, "parent_key": None})
            tied = select(sa.func.count()).select_from(parents.join(kids, tie))
            assert (await connection.execute(tied)).scalar() == 2, "the database finds the keys equal"
        yield Pair(Parent, Kid, parent_view, kid_with_parent, parent_key)
    reg.dispose()


async def test_a_collection_has_its_rows(postgres: AsyncEngine, pair: Pair) -> None:
    """Select-in, and the first rows of each parent."""
    loader = Loader(postgres)
    lazy = await lazily(postgres, select(pair.parent), lambda each: [kid.id for kid in each.kids])
    if pair.key != "ab":  # SQLAlchemy binds a padded CHAR as a VARCHAR, whose blanks count; the tables' join finds both
        assert lazy == [[1, 2]]
    for given in (load("kids"), load("kids", limit=9), load("kids", strategy="subquery")):
        found = await loader.fetch_all(LoadPlan(pair.parent, given))
        assert [[kid.id for kid in each.kids] for each in found] == [[1, 2]], given


async def test_a_joined_collection_has_its_rows(postgres: AsyncEngine, pair: Pair) -> None:
    """A join leaves the comparison to the database already."""
    found = await Loader(postgres).fetch_all(LoadPlan(pair.parent, load("kids", strategy="joined")))
    assert [[kid.id for kid in each.kids] for each in found] == [[1, 2]]


@pytest.mark.parametrize("strategy", ["joined", "selectin", "subquery"])
async def test_a_to_one_has_its_row(postgres: AsyncEngine, pair: Pair, strategy: Any) -> None:
    """None stands for a NULL key alone."""
    plan = LoadPlan(pair.kid, load("parent", strategy=strategy))
    found = await Loader(postgres).fetch_all(plan, order_by=pair.kid.id)
    assert [each.parent is not None for each in found] == [True, True, False]


async def test_views_have_their_rows(postgres: AsyncEngine, pair: Pair) -> None:
    """A level a statement, for many roots."""
    found = await Loader(postgres).fetch_all(LoadPlan(pair.parent, into=pair.parents))
    assert [[kid.id for kid in each.kids] for each in found] == [[1, 2]]


async def test_one_view_has_its_rows(postgres: AsyncEngine, pair: Pair) -> None:
    """One statement for one root; and a to-one."""
    one = await Loader(postgres).fetch(LoadPlan(pair.parent, into=pair.parents), pair.key)
    assert [kid.id for kid in one.kids] == [1, 2]
    kids = await Loader(postgres).fetch_all(LoadPlan(pair.kid, into=pair.kids), order_by=pair.kid.id)
    assert [each.parent is not None for each in kids] == [True, True, False]


class NocaseBase(DeclarativeBase):
    pass


class Word(NocaseBase):
    __tablename__ = "untied_words"
    text: Mapped[str] = mapped_column(sa.String(collation="NOCASE"), primary_key=True)
    uses: Mapped[list["Use"]] = relationship(back_populates="word", order_by="Use.id")


class Use(NocaseBase):
    __tablename__ = "untied_uses"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(sa.String(collation="NOCASE"), ForeignKey(Word.text))
    word: Mapped[Word] = relationship(back_populates="uses")


NOCASE_ROWS = [
    "INSERT INTO untied_words VALUES ('Ada'), ('Bob')",
    "INSERT INTO untied_uses VALUES (1, 'ada'), (2, 'ADA'), (3, 'bob')",
]


async def test_a_collation_of_sqlite(sqlite: AsyncEngine) -> None:
    """The same on SQLite, where a collation ignores case."""
    async with filled(sqlite, NocaseBase.metadata, *NOCASE_ROWS) as loader:
        words = await loader.fetch_all(LoadPlan(Word, load(Word.uses)), order_by=Word.text)
        assert [[use.id for use in each.uses] for each in words] == [[1, 2], [3]]
        uses = await loader.fetch_all(LoadPlan(Use, load(Use.word, strategy="selectin")), order_by=Use.id)
        assert [each.word and each.word.text for each in uses] == ["Ada", "Ada", "Bob"]


class HiddenBase(DeclarativeBase):
    pass


class Name(HiddenBase):
    """The same tables for a mapping that does not say how the database compares text."""

    __tablename__ = "untied_words"
    text: Mapped[str] = mapped_column(primary_key=True)
    uses: Mapped[list["NameUse"]] = relationship(back_populates="name", order_by="NameUse.id")


class NameUse(HiddenBase):
    __tablename__ = "untied_uses"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(ForeignKey(Name.text))
    name: Mapped[Name] = relationship(back_populates="uses")


async def test_joins_serve_where_the_mapping_hides_a_collation(sqlite: AsyncEngine) -> None:
    async with filled(sqlite, NocaseBase.metadata, *NOCASE_ROWS) as loader:
        plan = LoadPlan(Name, load(Name.uses, strategy="joined"))
        names = await loader.fetch_all(plan, order_by=Name.text)
        assert [[use.id for use in each.uses] for each in names] == [[1, 2], [3]]
        uses = await loader.fetch_all(LoadPlan(NameUse, load(NameUse.name)), order_by=NameUse.id)
        assert [each.name and each.name.text for each in uses] == ["Ada", "Ada", "Bob"]


class OneSided(DeclarativeBase):
    pass


class Term(OneSided):
    """Only its own key ignores case, and ``primaryjoin`` names this key first. SQLite then ignores case, too."""

    __tablename__ = "untied_terms"
    text: Mapped[str] = mapped_column(sa.String(collation="NOCASE"), primary_key=True)
    places: Mapped[list["Place"]] = relationship(back_populates="term", order_by="Place.id")


class Place(OneSided):
    __tablename__ = "untied_places"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(ForeignKey(Term.text))
    term: Mapped[Term] = relationship(back_populates="places")


@attrs.frozen
class PlaceView:
    id: int


@attrs.frozen
class TermView:
    text: str
    places: list[PlaceView]
    number: Annotated[int, count(Term.places)]
    known: Annotated[bool, exists(Term.places)]


ONE_SIDED_ROWS = [
    "INSERT INTO untied_terms VALUES ('Ada'), ('Bob')",
    "INSERT INTO untied_places VALUES (1, 'ada'), (2, 'Ada'), (3, 'bob')",
]


async def test_a_collation_of_one_column_alone(sqlite: AsyncEngine) -> None:
    """SQLite uses the collation of the first column in a comparison: every statement keeps the order of the mapping."""
    ada = TermView("Ada", [PlaceView(1), PlaceView(2)], 2, True)
    bob = TermView("Bob", [PlaceView(3)], 1, True)
    view = LoadPlan(Term, into=TermView)
    async with filled(sqlite, OneSided.metadata, *ONE_SIDED_ROWS) as loader:
        assert [await loader.fetch(view, each) for each in ("Ada", "Bob")] == [ada, bob]
        assert await loader.fetch_all(view, order_by=Term.text) == [ada, bob]
        assert (await loader.fetch_page(view, order_by=Term.text, size=1)).items == [ada]
        for given in (load(Term.places), load(Term.places, strategy="joined"), load(Term.places, limit=9)):
            terms = await loader.fetch_all(LoadPlan(Term, given), order_by=Term.text)
            assert [[place.id for place in each.places] for each in terms] == [[1, 2], [3]], given
        terms = await loader.fetch_all(LoadPlan(Term), order_by=Term.text)
        await loader.extend(terms, load(Term.places))
        assert [[place.id for place in each.places] for each in terms] == [[1, 2], [3]]


class Base(DeclarativeBase):
    pass


class Country(Base):
    __tablename__ = "untied_countries"
    code: Mapped[str] = mapped_column(sa.CHAR(3), primary_key=True)


class Doc(Base):
    __tablename__ = "untied_docs"
    id: Mapped[str] = mapped_column(sa.Uuid(as_uuid=False), primary_key=True)


class Price(Base):
    """A composite key, one part of it a number with trailing zeros."""

    __tablename__ = "untied_prices"
    code: Mapped[str] = mapped_column(sa.CHAR(4), primary_key=True)
    amount: Mapped[decimal.Decimal] = mapped_column(sa.Numeric(10, 2), primary_key=True)


FETCHED: dict[str, tuple[Any, list[Any]]] = {
    "char": (Country, ["fra", "de"]),
    "uuid text in capitals": (Doc, [str(KEY).upper()]),
    "composite": (Price, [("ab", decimal.Decimal("1.5"))]),
}


@pytest.mark.parametrize("name", FETCHED)
async def test_fetch_many_finds_what_fetch_finds(postgres: AsyncEngine, name: str) -> None:
    """Ids are the database's to compare, for one row as for many."""
    entity, ids = FETCHED[name]
    rows = [Country(code="de"), Country(code="fra"), Doc(id=str(KEY)), Price(code="ab", amount=decimal.Decimal("1.50"))]
    async with filled(postgres, Base.metadata, *rows) as loader:
        expected = [inspect(await loader.fetch(LoadPlan(entity), each)).identity for each in ids]
        for missing in ("raise", "skip"):
            found = await loader.fetch_many(LoadPlan(entity), ids, missing=missing)  # type: ignore[arg-type]
            assert [inspect(each).identity for each in found] == expected
