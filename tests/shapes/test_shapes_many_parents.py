"""More parents than a chunk of keys: few statements of one stable text, composite keys too, 100,000 of them too."""

import datetime
import decimal
import enum
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Numeric, Table, TypeDecorator, insert, text, types
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, load
from support import by_keys, recording, tables


class Base(DeclarativeBase):
    pass


class Kind(enum.Enum):
    LEFT = "l"
    RIGHT = "r"


class Code(TypeDecorator[str]):
    """Text stored with a prefix."""

    impl = types.String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else f"code-{value}"

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else value.removeprefix("code-")


pairs = Table(
    "shm_pairs",
    Base.metadata,
    Column("parent_id", ForeignKey("shm_parents.id")),
    Column("topic_id", ForeignKey("shm_topics.id")),
)


class Parent(Base):
    __tablename__ = "shm_parents"
    id: Mapped[int] = mapped_column(primary_key=True)
    children: Mapped[list["Child"]] = relationship(order_by="Child.id")
    topics: Mapped[list["Topic"]] = relationship(secondary=pairs)


class Child(Base):
    __tablename__ = "shm_children"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("shm_parents.id"), index=True)


class Topic(Base):
    __tablename__ = "shm_topics"
    id: Mapped[int] = mapped_column(primary_key=True)
    hints: Mapped[list["Hint"]] = relationship(order_by="Hint.id")


class Hint(Base):
    __tablename__ = "shm_hints"
    id: Mapped[int] = mapped_column(primary_key=True)
    topic_id: Mapped[int] = mapped_column(ForeignKey("shm_topics.id"))


class Wide(Base):
    """A key of every type that a key may have."""

    __tablename__ = "shm_wide"
    a: Mapped[int] = mapped_column(primary_key=True)
    b: Mapped[str] = mapped_column(primary_key=True)
    c: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    d: Mapped[datetime.date] = mapped_column(primary_key=True)
    e: Mapped[Kind] = mapped_column(primary_key=True)
    f: Mapped[decimal.Decimal] = mapped_column(Numeric(8, 2), primary_key=True)
    narrow: Mapped[list["Narrow"]] = relationship(order_by="Narrow.id")


class Narrow(Base):
    __tablename__ = "shm_narrow"
    __table_args__ = (ForeignKeyConstraint(["a", "b", "c", "d", "e", "f"], [f"shm_wide.{name}" for name in "abcdef"]),)
    id: Mapped[int] = mapped_column(primary_key=True)
    a: Mapped[int | None]
    b: Mapped[str | None]
    c: Mapped[uuid.UUID | None]
    d: Mapped[datetime.date | None]
    e: Mapped[Kind | None]
    f: Mapped[decimal.Decimal | None] = mapped_column(Numeric(8, 2))
    wide: Mapped[Wide | None] = relationship(viewonly=True)


class Coded(Base):
    __tablename__ = "shm_coded"
    code: Mapped[str] = mapped_column(Code, primary_key=True)
    uses: Mapped[list["Use"]] = relationship(order_by="Use.id")


class Use(Base):
    __tablename__ = "shm_uses"
    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(Code, ForeignKey("shm_coded.code"))


@pytest.fixture
async def many(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """The tables, empty."""
    async with tables(engine, Base.metadata):
        yield engine


def expected_statements(engine: AsyncEngine, parents: int) -> int:
    return 1 + (-(-parents // 500) if engine.dialect.name != "postgresql" else min(parents, 1))


@pytest.mark.parametrize("count", [0, 1, 500, 501, 1201])
async def test_statements_by_number_of_parents(many: AsyncEngine, count: int) -> None:
    async with many.begin() as connection:
        if count:
            await connection.execute(insert(Parent), [{"id": number} for number in range(count)])
            await connection.execute(insert(Child), [{"parent_id": number} for number in range(count)] * 2)
    for limit in (None, 1):
        with recording(many) as statements:
            found = await Loader(many).fetch_all(by_keys(LoadPlan(Parent, load(Parent.children, limit=limit))))
        assert len(statements.selects) == expected_statements(many, count)
        assert all([child.parent_id for child in each.children] == [each.id] * (limit or 2) for each in found)


async def test_one_text_for_any_number_of_parents(postgres: AsyncEngine) -> None:
    texts = set()
    async with tables(postgres, Base.metadata):
        for count in (1, 2, 3, 600):
            async with postgres.begin() as connection:
                await connection.execute(text("TRUNCATE shm_parents CASCADE"))
                await connection.execute(insert(Parent), [{"id": number} for number in range(count)])
            with recording(postgres) as statements:
                await Loader(postgres).fetch_all(LoadPlan(Parent, load(Parent.children), load(Parent.topics)))
                await Loader(postgres).fetch_many(LoadPlan(Parent), range(count))
            texts.add(tuple(statements.selects))
    assert len(texts) == 1


async def test_a_hundred_thousand_parents(many: AsyncEngine) -> None:
    count = 100_000
    async with many.begin() as connection:
        numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count) SELECT i FROM n"
        await connection.execute(text(f"INSERT INTO shm_parents (id) {numbers}"), {"count": count})
        await connection.execute(
            text("INSERT INTO shm_children (id, parent_id) SELECT id, id FROM shm_parents WHERE id % 100 = 0")
        )
    with recording(many) as statements:
        found = await Loader(many).fetch_all(LoadPlan(Parent, load(Parent.children)))
    assert len(found) == count
    assert len(statements.selects) == expected_statements(many, count)
    assert sum(len(each.children) for each in found) == count // 100
    assert all(each.children[0].id == each.id for each in found if each.children)


def wide_key(number: int) -> dict[str, Any]:
    return {
        "a": number % 7,
        "b": f"{number} '\"{{}},\\",
        "c": uuid.UUID(int=number),
        "d": datetime.date(2024, 1, 1 + number % 28),
        "e": list(Kind)[number % 2],
        "f": decimal.Decimal(number) / 4,
    }


@pytest.mark.parametrize("limit", [None, 1])
async def test_composite_keys_of_every_type(many: AsyncEngine, limit: int | None) -> None:
    async with many.begin() as connection:
        await connection.execute(insert(Wide), [wide_key(number) for number in range(700)])
        await connection.execute(insert(Narrow), [{"id": n, **wide_key(n % 350)} for n in range(700)])
        await connection.execute(insert(Narrow), [{"id": 1000, **wide_key(1), "b": None}])
    with recording(many) as statements:
        found = await Loader(many).fetch_all(LoadPlan(Wide, load(Wide.narrow, limit=limit)))
    assert len(statements.selects) == expected_statements(many, 700)
    for each in found:
        number = each.c.int
        assert [n.id for n in each.narrow] == ([number, number + 350][:limit] if number < 350 else [])
    keys = [tuple(wide_key(number).values()) for number in (5, 699, 0)]
    assert [each.c.int for each in await Loader(many).fetch_many(LoadPlan(Wide), keys)] == [5, 699, 0]
    up = await Loader(many).fetch_all(LoadPlan(Narrow, load(Narrow.wide, strategy="selectin")), order_by=Narrow.id)
    assert [each.wide and each.wide.c.int for each in up] == [n % 350 for n in range(700)] + [None]


async def test_keys_of_a_type_decorator(many: AsyncEngine) -> None:
    async with many.begin() as connection:
        await connection.execute(insert(Coded), [{"code": str(number)} for number in range(600)])
        await connection.execute(insert(Use), [{"id": number, "code": str(number)} for number in range(600)])
    found = await Loader(many).fetch_all(LoadPlan(Coded, load(Coded.uses)))
    assert all([use.id for use in each.uses] == [int(each.code)] for each in found)
    assert len(found) == 600


@pytest.mark.parametrize("strategy", [None, "selectin", "subquery"])
async def test_targets_that_several_chunks_share_have_their_children_once(many: AsyncEngine, strategy: Any) -> None:
    """One topic of 1,200 parents is found in every chunk of keys; its hints come once."""
    async with many.begin() as connection:
        await connection.execute(insert(Parent), [{"id": number} for number in range(1200)])
        await connection.execute(insert(Topic), [{"id": number} for number in (1, 2)])
        await connection.execute(
            insert(pairs), [{"parent_id": number, "topic_id": 1 + number % 2} for number in range(1200)]
        )
        await connection.execute(insert(Hint), [{"id": number, "topic_id": 1 + number % 2} for number in range(6)])
    plan = LoadPlan(Parent, load(Parent.topics, load(Topic.hints, strategy=strategy)))
    for parent in await Loader(many).fetch_all(plan):
        assert [topic.id for topic in parent.topics] == [1 + parent.id % 2]
        assert [hint.id for hint in parent.topics[0].hints] == [n for n in range(6) if n % 2 == parent.id % 2]
