"""Relationships that a plain join cannot serve: every statement compiles, and has the rows of a lazy walk."""

from typing import Any

import attrs
import pytest
from real import filled, lazily
from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    and_,
    exists,
    func,
    join,
    select,
)
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    aliased,
    column_property,
    mapped_column,
    registry,
    relationship,
)

from loadplan import LoadPlan, load

# --- a secondary that is a join -------------------------------------------------------------------------------------

nested = registry(metadata=MetaData())
a = Table(
    "composite_a",
    nested.metadata,
    Column("id", Integer, primary_key=True),
    Column("b_id", ForeignKey("composite_b.id")),
)
b = Table(
    "composite_b",
    nested.metadata,
    Column("id", Integer, primary_key=True),
    Column("d_id", ForeignKey("composite_d.id")),
)
c = Table(
    "composite_c",
    nested.metadata,
    Column("id", Integer, primary_key=True),
    Column("a_id", ForeignKey("composite_a.id")),
    Column("d_id", ForeignKey("composite_d.id")),
)
d = Table("composite_d", nested.metadata, Column("id", Integer, primary_key=True), Column("name", String))


class A:
    pass


class D:
    pass


between = join(b, d, b.c.d_id == d.c.id).join(c, c.c.d_id == d.c.id)
ways = {"primaryjoin": and_(a.c.b_id == b.c.id, a.c.id == c.c.a_id), "secondaryjoin": d.c.id == b.c.d_id}
nested.map_imperatively(
    A,
    a,
    properties={
        "d": relationship(D, secondary=between, uselist=False, viewonly=True, **ways),
        "ds": relationship(D, secondary=between, viewonly=True, order_by=d.c.id, **ways),
    },
)
nested.map_imperatively(D, d)

COMPOSITE_ROWS = [
    "INSERT INTO composite_d VALUES (1, 'd1'), (2, 'd2')",
    "INSERT INTO composite_b VALUES (1, 1), (2, 2)",
    "INSERT INTO composite_a VALUES (1, 1), (2, 2), (3, null)",
    "INSERT INTO composite_c VALUES (1, 1, 1), (2, 2, 2)",
]

D_: Any = D


@attrs.frozen
class DView:
    id: int
    name: Any


@attrs.frozen
class AWithOne:
    id: int
    d: DView | None


@attrs.frozen
class AWithMany:
    id: int
    ds: list[DView]


ALL, ONE = ["d1", "d2", None], ["d1", None, None]

COMPOSITE_PLANS: dict[str, tuple[Any, list[Any]]] = {
    "to-one": (lambda: LoadPlan(A, load("d")), ALL),
    "to-one with where=": (lambda: LoadPlan(A, load("d", where=D_.name == "d1")), ONE),
    "to-one selectin": (lambda: LoadPlan(A, load("d", where=D_.name == "d1", strategy="selectin")), ONE),
    "collection": (lambda: LoadPlan(A, load("ds")), [["d1"], ["d2"], []]),
    "collection joined": (lambda: LoadPlan(A, load("ds", strategy="joined")), [["d1"], ["d2"], []]),
    "collection with where=": (lambda: LoadPlan(A, load("ds", where=D_.name == "d1")), [["d1"], [], []]),
    "collection with limit=": (lambda: LoadPlan(A, load("ds", order_by=D_.id, limit=1)), [["d1"], ["d2"], []]),
    "view of one": (lambda: LoadPlan(A, into=AWithOne), ALL),
    "view of one with where=": (lambda: LoadPlan(A, load("d", where=D_.name == "d1"), into=AWithOne), ONE),
    "view of many": (lambda: LoadPlan(A, into=AWithMany), [["d1"], ["d2"], []]),
    "view of many with where=": (
        lambda: LoadPlan(A, load("ds", where=D_.name == "d1"), into=AWithMany),
        [["d1"], [], []],
    ),
    "view of many with limit=": (
        lambda: LoadPlan(A, load("ds", order_by=D_.id, limit=1), into=AWithMany),
        [["d1"], ["d2"], []],
    ),
}


@pytest.mark.parametrize("name", COMPOSITE_PLANS)
async def test_a_secondary_that_holds_the_targets_table(
    request: pytest.FixtureRequest, engine: AsyncEngine, name: str
) -> None:
    """``secondary=`` is a join with the target's table in it, as SQLAlchemy's documentation shows."""
    make, expected = COMPOSITE_PLANS[name]
    async with filled(engine, nested.metadata, *COMPOSITE_ROWS) as loader:
        found: list[Any] = await loader.fetch_all(make(), order_by=a.c.id)
        read = [
            [x.name for x in each.ds] if "many" in name or "coll" in name else each.d and each.d.name for each in found
        ]
        assert read == expected


# --- a relationship to an alias, and correlated columns -------------------------------------------------------------


class Base(DeclarativeBase):
    pass


class Parent(Base):
    __tablename__ = "aliased_parent"
    id: Mapped[int] = mapped_column(primary_key=True)
    kids: Mapped[list["Kid"]] = relationship(back_populates="aliased_parent")


class Kid(Base):
    __tablename__ = "aliased_kids"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey(Parent.id))
    score: Mapped[int]
    aliased_parent: Mapped[Parent | None] = relationship(back_populates="kids")


Parent.again = relationship(aliased(Kid), viewonly=True)  # type: ignore[attr-defined]
AGAIN: Any = Parent.again  # type: ignore[attr-defined]

KID_ROWS = [
    "INSERT INTO aliased_parent VALUES (1), (2)",
    "INSERT INTO aliased_kids VALUES (1, 1, 5), (2, 1, 6), (3, 2, 7)",
]


@attrs.frozen
class ParentRef:
    id: int


@attrs.frozen
class KidView:
    id: int
    aliased_parent: ParentRef | None


@attrs.frozen
class Again:
    id: int
    again: list[KidView]


@pytest.mark.parametrize("strategy", [None, "joined", "selectin"])
@pytest.mark.parametrize("kind", ["view", "entity"])
async def test_a_join_below_a_relationship_to_an_alias(
    request: pytest.FixtureRequest, engine: AsyncEngine, kind: str, strategy: Any
) -> None:
    """The join below has a name of its own, also where the relationship is named like the table it leads to."""
    below = load(Kid.aliased_parent, where=Parent.id != 1, strategy=strategy)
    plan: LoadPlan[Any] = (
        LoadPlan(Parent, load(AGAIN, below), into=Again) if kind == "view" else LoadPlan(Parent, load(AGAIN, below))
    )
    async with filled(engine, Base.metadata, *KID_ROWS) as loader:
        found = await loader.fetch_all(plan, order_by=Parent.id)
        read = [sorted((kid.id, kid.aliased_parent and kid.aliased_parent.id) for kid in each.again) for each in found]
        assert read == [[(1, None), (2, None)], [(3, 2)]]


class SumBase(DeclarativeBase):
    pass


class Tag(SumBase):
    __tablename__ = "sums_tags"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("sums_users.id"))
    score: Mapped[int]
    user: Mapped["User"] = relationship(back_populates="tags")


class User(SumBase):
    __tablename__ = "sums_users"
    id: Mapped[int] = mapped_column(primary_key=True)
    tags: Mapped[list[Tag]] = relationship(back_populates="user", order_by=Tag.id)


User.total = column_property(  # type: ignore[attr-defined]
    select(func.sum(Tag.score)).where(Tag.user_id == User.id).scalar_subquery()
)
User.has_tags = column_property(exists().where(Tag.user_id == User.id))  # type: ignore[attr-defined]

SUM_ROWS = [
    "INSERT INTO sums_users VALUES (1), (2)",
    "INSERT INTO sums_tags VALUES (1, 1, 5), (2, 1, 6), (3, 2, 7)",
]


@attrs.frozen
class UserView:
    total: int | None


@attrs.frozen
class TagView:
    user: UserView


SUM_PLANS: dict[str, Any] = {
    "automatic": lambda: LoadPlan(Tag, load(Tag.user)),
    "selectin": lambda: LoadPlan(Tag, load(Tag.user, strategy="selectin")),
    "view": lambda: LoadPlan(Tag, into=TagView),
}


@pytest.mark.parametrize("name", SUM_PLANS)
async def test_a_correlated_column_of_a_to_one(request: pytest.FixtureRequest, engine: AsyncEngine, name: str) -> None:
    """Where a join cannot serve, the automatic choice is another."""
    plan = SUM_PLANS[name]()
    async with filled(engine, SumBase.metadata, *SUM_ROWS) as loader:
        loader.check(plan)
        expected = await lazily(engine, select(Tag).order_by(Tag.id), lambda each: each.user.total)  # type: ignore[attr-defined]
        found = await loader.fetch_all(plan, order_by=Tag.id)
        assert [each.user.total for each in found] == expected == [11, 11, 7]


@pytest.mark.parametrize("strategy", [None, "joined"])
async def test_a_correlated_column_of_the_root_beside_its_collection(
    request: pytest.FixtureRequest, engine: AsyncEngine, strategy: Any
) -> None:
    """The root's own correlated column, beside the collection it sums, and below it."""
    plan = LoadPlan(User, load(User.tags, load(Tag.user), strategy=strategy))
    async with filled(engine, SumBase.metadata, *SUM_ROWS) as loader:
        found: list[Any] = await loader.fetch_all(plan, order_by=User.id)
        assert [(each.total, [tag.id for tag in each.tags]) for each in found] == [(11, [1, 2]), (7, [3])]
