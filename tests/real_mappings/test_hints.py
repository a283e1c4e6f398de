"""Hints lead to the line that mends it."""

import importlib
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from real import filled
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, exists, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    mapped_column,
    polymorphic_union,
    registry,
    relationship,
)

from loadplan import LoadPlan, NotLoaded, PlanError, load, source
from loadplan.pytest_plugin import record_statements


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "hints_users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    notes: Mapped[str] = mapped_column(deferred=True)


class Post(Base):
    __tablename__ = "hints_posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    user: Mapped[User] = relationship()


def _rows() -> list[object]:
    return [Post(id=1, user=User(id=1, name="A", email="a", notes="s"))]


async def test_a_column_that_the_mapping_defers_is_not_in_defer(engine: AsyncEngine) -> None:
    """It cannot be taken out of ``defer=[...]``; what is there can."""
    plan = LoadPlan(Post, load(Post.user, defer=[User.name]))
    async with filled(engine, Base.metadata, *_rows()) as loader:
        user = (await loader.fetch(plan, 1)).user
    with pytest.raises(NotLoaded) as caught:
        _ = user.notes
    assert "out of defer" not in str(caught.value)
    assert "only=[...]" in str(caught.value)
    with pytest.raises(NotLoaded, match=r"take User\.name out of defer=\[...\] of load\(Post\.user\)"):
        _ = user.name


async def test_the_hint_for_a_deferred_column_works(engine: AsyncEngine) -> None:
    """``only=`` brings it."""
    plan = LoadPlan(Post, load(Post.user, only=[User.email, User.notes]))
    async with filled(engine, Base.metadata, *_rows()) as loader:
        assert (await loader.fetch(plan, 1)).user.notes == "s"


@pytest.mark.parametrize("order", [User.name, User.name.desc()], ids=["ascending", "descending"])
async def test_an_order_by_a_to_one_is_shown_as_a_path(engine: AsyncEngine, order: Any) -> None:
    """``.has()`` orders nothing; the hint is code that does. A subquery by hand serves as well."""
    async with filled(engine, Base.metadata, *_rows()) as loader:
        with pytest.raises(PlanError) as caught:
            await loader.fetch_all(LoadPlan(Post), order_by=order)
        hint = caught.value.problems[0].hint
        code = hint.removeprefix("write order_by=").removesuffix(".")
        assert code == "source(Post.user, User.name)" + (".desc()" if order is not User.name else "")
        path = eval(code, {"source": source, "Post": Post, "User": User})  # noqa: S307 - the hint is what a user pastes
        assert len(await loader.fetch_all(LoadPlan(Post), order_by=path)) == 1
        subquery = select(User.name).where(User.id == Post.user_id).scalar_subquery()
        assert len(await loader.fetch_all(LoadPlan(Post), order_by=subquery)) == 1


def test_an_order_of_a_collection_is_shown_as_a_path() -> None:
    """The same in ``load(..., order_by=)``; of a condition the hint stays ``.has()``."""

    class OwnBase(DeclarativeBase):
        pass

    class Author(OwnBase):
        __tablename__ = "hints_authors"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]
        books = relationship("Book", back_populates="author")

    class Book(OwnBase):
        __tablename__ = "hints_books"
        id: Mapped[int] = mapped_column(primary_key=True)
        author_id: Mapped[int] = mapped_column(ForeignKey(Author.id))
        author = relationship(Author, back_populates="books")

    with pytest.raises(PlanError, match=r"write order_by=source\(Book\.author, Author\.name\)\."):
        LoadPlan(Author, load(Author.books, order_by=Author.name))
    assert LoadPlan(Author, load(Author.books, order_by=source(Book.author, Author.name)))
    with pytest.raises(PlanError, match=r"\.has\(Author\.name == 'x'\)"):
        LoadPlan(Author, load(Author.books, where=Author.name == "x"))


class DataBase(MappedAsDataclass, DeclarativeBase):
    pass


class Member(DataBase):
    __tablename__ = "hints_members"
    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    name: Mapped[str]
    notes: Mapped[list["Note"]] = relationship(default_factory=list)


class Note(DataBase, order=True):
    __tablename__ = "hints_notes"
    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    text: Mapped[str]
    member_id: Mapped[int] = mapped_column(ForeignKey(Member.id), init=False)
    member: Mapped[Member] = relationship(init=False, viewonly=True)


class Quiet(DataBase):
    """Mapped as the hint says."""

    __tablename__ = "hints_quiet"
    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    member_id: Mapped[int | None] = mapped_column(ForeignKey(Member.id), default=None)
    member: Mapped[Member | None] = relationship(default=None, repr=False, compare=False)


GENERATED: dict[str, tuple[Any, str]] = {
    "repr": (repr, "relationship(repr=False)"),
    "format": (lambda each: f"{each}", "relationship(repr=False)"),
    "logging": (lambda each: "%s" % each, "relationship(repr=False)"),  # noqa: UP031 - what logging does
    "==": (
        lambda each: each.__eq__(each),
        "relationship(compare=False)",
    ),
}


@pytest.mark.parametrize("name", GENERATED)
async def test_what_a_dataclass_generates_names_the_mapping(engine: AsyncEngine, name: str) -> None:
    """``repr()`` and ``==`` of a mapped dataclass read every field: the mend is in the mapping, not in the plan."""
    call, mend = GENERATED[name]
    async with filled(engine, DataBase.metadata, Member(name="Ada")) as loader:
        member = await loader.fetch(LoadPlan(Member, name="bare"), 1)
    with pytest.raises(NotLoaded) as caught:
        call(member)
    assert mend in str(caught.value)
    assert "add load" not in str(caught.value)


async def test_a_column_left_out_of_a_dataclass(engine: AsyncEngine) -> None:
    """The same of a column; and reading the attribute by hand has the hint of the plan."""
    async with filled(engine, DataBase.metadata, Member(name="Ada")) as loader:
        member = await loader.fetch(LoadPlan(Member, load(Member.notes), only=[Member.id]), 1)
    with pytest.raises(NotLoaded, match=r"mapped_column\(repr=False\)"):
        repr(member)
    with pytest.raises(NotLoaded, match=r"add Member\.name to only"):
        _ = member.name


async def test_the_hint_for_a_dataclass_works(engine: AsyncEngine) -> None:
    """Mapped that way, it prints and compares."""
    async with filled(engine, DataBase.metadata, Quiet()) as loader:
        quiet = await loader.fetch(LoadPlan(Quiet), 1)
    assert repr(quiet).endswith("Quiet(id=1, member_id=None)")
    assert quiet.__eq__(quiet)


def test_a_column_that_the_class_has_no_attribute_for() -> None:
    """The hint never suggests the very name that was given."""
    reg = registry(metadata=MetaData())
    people = Table("hints_people", reg.metadata, Column("person_id", Integer, primary_key=True), Column("name", String))
    engineers = Table(
        "hints_engineers", reg.metadata, Column("person_id", ForeignKey(people.c.person_id), primary_key=True)
    )

    class Person:
        pass

    class Engineer(Person):
        pass

    plain = people.select().where(~exists().where(engineers.c.person_id == people.c.person_id)).subquery()
    union = polymorphic_union({"engineer": people.join(engineers), "person": plain}, "type", "pjoin")
    reg.map_imperatively(
        Person, people, with_polymorphic=("*", union), polymorphic_identity="person", polymorphic_on=union.c.type
    )
    reg.map_imperatively(Engineer, engineers, inherits=Person, polymorphic_identity="engineer")

    @attrs.frozen
    class WithType:
        person_id: int
        type: str

    @attrs.frozen
    class Misspelt:
        person_id: int
        typo: str

    for view in (WithType, Misspelt):
        with pytest.raises(PlanError, match="LP303") as caught:
            LoadPlan(Person, into=view)
        assert "did you mean 'type'" not in str(caught.value)
    reg.dispose()


@pytest.fixture
def installed_session() -> Iterator[Any]:
    """A package that stands where packages are installed, with a session class of its own, as SQLModel has."""
    folder = Path(sysconfig.get_path("purelib")) / "loadplan_installed_for_a_test"
    folder.mkdir(exist_ok=True)
    (folder / "__init__.py").write_text(
        "from sqlalchemy.ext.asyncio import AsyncSession\n\n\n"
        "class Own(AsyncSession):\n"
        "    async def exec(self, statement):\n"
        "        return await self.execute(statement)\n",
        encoding="utf-8",
    )
    importlib.invalidate_caches()
    try:
        yield importlib.import_module(folder.name).Own
    finally:
        sys.modules.pop(folder.name, None)
        for each in sorted(folder.rglob("*"), reverse=True):
            each.unlink() if each.is_file() else each.rmdir()
        folder.rmdir()


async def test_a_statement_comes_from_the_callers_line(sqlite: AsyncEngine, installed_session: Any) -> None:
    """Not from a library between the caller and SQLAlchemy."""
    async with filled(sqlite, Base.metadata):
        with record_statements() as statements:
            async with installed_session(sqlite) as session:
                await session.exec(select(User))
    (found,) = statements
    assert Path(__file__).name in found.where
    assert "test_a_statement_comes_from_the_callers_line" in found.where


async def test_an_order_is_no_condition(sqlite: AsyncEngine) -> None:
    """An order by position is the condition: the database would answer with an error of its syntax."""
    plan = LoadPlan(Post)
    async with filled(sqlite, Base.metadata, *_rows()) as loader:
        for given in (Post.id.desc(), Post.id.asc(), Post.id.desc().nulls_last(), [Post.id > 0, Post.id.desc()]):
            for call in (loader.fetch_all, loader.fetch_one, loader.count, loader.exists):
                with pytest.raises(PlanError, match=r"LP108: where= got an order(.|\n)*pass it as order_by="):
                    await call(plan, given)  # type: ignore[operator]
        assert len(await loader.fetch_all(plan, -Post.id < 0, order_by=Post.id.desc())) == 1
    with pytest.raises(PlanError, match="LP108: where= got an order"):
        LoadPlan(Post, load(Post.user, where=User.id.desc()))
