"""Join conditions that few mappings have: three tables, joined secondaries, overlapping and dangling keys, arrays."""

from typing import Any

import pytest
from oracle import fill, same_as_lazy
from sqlalchemy import (
    ARRAY,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    MetaData,
    Table,
    UniqueConstraint,
    and_,
    any_,
    insert,
    join,
)
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, foreign, mapped_column, relationship, remote

from loadplan import Loader, LoadPlan, load
from support import tables

STRATEGIES = [None, "joined", "selectin", "subquery"]


class Base(DeclarativeBase):
    pass


class A(Base):
    """A - B - C - D, with shortcuts over the tables between."""

    __tablename__ = "rare_a"
    id: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[int] = mapped_column(default=0)
    b_id: Mapped[int | None] = mapped_column(ForeignKey("rare_b.id"))
    ds: Mapped[list["D"]] = relationship(
        secondary=lambda: join(B, C, B.id == C.b_id),
        primaryjoin="A.b_id == B.id",
        secondaryjoin="C.id == D.c_id",
        viewonly=True,
        order_by="D.id",
    )
    ds_by_where: Mapped[list["D"]] = relationship(
        secondary="rare_c",
        primaryjoin="and_(A.b_id == C.b_id, A.data < C.data)",
        secondaryjoin="C.id == D.c_id",
        viewonly=True,
        order_by="D.id",
    )
    cs_with_data: Mapped[list["C"]] = relationship(
        primaryjoin=lambda: and_(A.b_id == foreign(C.b_id), D.c_id == C.id, D.data == A.data),
        viewonly=True,
        order_by=lambda: C.id,
    )
    b_list: Mapped[list["B"]] = relationship(uselist=True, viewonly=True)


class B(Base):
    __tablename__ = "rare_b"
    id: Mapped[int] = mapped_column(primary_key=True)


class C(Base):
    __tablename__ = "rare_c"
    id: Mapped[int] = mapped_column(primary_key=True)
    b_id: Mapped[int | None] = mapped_column(ForeignKey(B.id))
    data: Mapped[int] = mapped_column(default=0)


class D(Base):
    __tablename__ = "rare_d"
    id: Mapped[int] = mapped_column(primary_key=True)
    c_id: Mapped[int | None] = mapped_column(ForeignKey(C.id))
    data: Mapped[int] = mapped_column(default=0)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("key", ["ds", "ds_by_where", "b_list"])
async def test_shortcuts_over_other_tables(engine: AsyncEngine, key: str, strategy: Any) -> None:
    """A secondary that is a join, a secondary that is an entity's table, a many-to-one that is a list."""
    plan = LoadPlan(A, load(getattr(A, key), strategy=strategy))
    async with tables(engine, Base.metadata):
        await _fill(engine)
        rows = await same_as_lazy(engine, plan, 1 if strategy == "joined" else 2)
    assert getattr(rows[2], key) == []


@pytest.mark.filterwarnings("ignore:SELECT statement has a cartesian product")
@pytest.mark.parametrize("strategy", [None, "selectin", "subquery"])
async def test_a_third_table_in_the_primary_join(engine: AsyncEngine, strategy: Any) -> None:
    """Another table is pulled into the condition; several of its rows may agree, the target comes once."""
    plan = LoadPlan(A, load(A.cs_with_data, strategy=strategy))
    async with tables(engine, Base.metadata):
        await _fill(engine)
        await fill(engine, D(id=9, c_id=1, data=1))
        await same_as_lazy(engine, plan, 2, by_hand=False)


async def _fill(engine: AsyncEngine) -> None:
    await fill(engine, B(id=1), B(id=2))
    await fill(
        engine, A(id=1, b_id=1, data=1), A(id=2, b_id=1, data=5), A(id=3), C(id=1, b_id=1, data=3), C(id=2, b_id=2)
    )
    await fill(engine, D(id=1, c_id=1, data=1), D(id=2, c_id=1, data=5), D(id=3, c_id=2), D(id=4))


class Tenant(Base):
    __tablename__ = "rare_tenants"
    id: Mapped[int] = mapped_column(primary_key=True)
    docs: Mapped[list["Doc"]] = relationship(order_by="(Doc.number)", viewonly=True)


class Doc(Base):
    """Every foreign key shares the tenant's column; one relationship equates a column beyond its foreign key."""

    __tablename__ = "rare_docs"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "above"], ["rare_docs.tenant_id", "rare_docs.number"]),
        UniqueConstraint("tenant_id", "number", "colour"),
    )
    tenant_id: Mapped[int] = mapped_column(ForeignKey(Tenant.id), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    colour: Mapped[int] = mapped_column(default=0)
    above: Mapped[int | None] = mapped_column()
    tenant: Mapped[Tenant] = relationship(viewonly=True)
    parent: Mapped["Doc | None"] = relationship(remote_side=[tenant_id, number], viewonly=True)
    same_colour: Mapped[list["Doc"]] = relationship(
        primaryjoin=lambda: and_(
            Doc.tenant_id == remote(foreign(Doc.tenant_id)), Doc.colour == remote(foreign(Doc.colour))
        ),
        viewonly=True,
        order_by=number,
    )
    notes: Mapped[list["Remark"]] = relationship(
        primaryjoin=lambda: and_(
            Doc.tenant_id == foreign(Remark.tenant_id),
            Doc.number == foreign(Remark.number),
            Doc.colour == foreign(Remark.colour),
        ),
        viewonly=True,
        order_by="Remark.id",
    )


class Remark(Base):
    """Keys that refer to nothing, as no constraint holds them."""

    __tablename__ = "rare_remarks"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int | None]
    number: Mapped[int | None]
    colour: Mapped[int | None]
    doc: Mapped[Doc | None] = relationship(
        primaryjoin=lambda: and_(Doc.tenant_id == foreign(Remark.tenant_id), Doc.number == foreign(Remark.number)),
        viewonly=True,
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_overlapping_partial_and_dangling_keys(engine: AsyncEngine, strategy: Any) -> None:
    """A shared tenant column, a third column in the condition, keys without a row, keys NULL in part."""
    single = strategy in {None, "joined"}
    async with tables(engine, Base.metadata):
        await fill(engine, Tenant(id=1), Tenant(id=2))
        for tenant in (1, 2):
            await fill(engine, Doc(tenant_id=tenant, number=1), Doc(tenant_id=tenant, number=2, colour=tenant))
            await fill(engine, Doc(tenant_id=tenant, number=3, above=1), Doc(tenant_id=tenant, number=4, above=2))
        keys = [(1, 1, 0), (1, 1, 1), (2, 1, 0), (7, 7, 0), (1, None, 0), (None, None, None)]
        await fill(engine, *(Remark(id=n, tenant_id=t, number=d, colour=c) for n, (t, d, c) in enumerate(keys, 1)))
        for key in ("tenant", "parent", "same_colour", "notes"):
            plan = LoadPlan(Doc, load(key, strategy=strategy))
            to_one = key in {"tenant", "parent"}
            joined = strategy == "joined" or (to_one and strategy is None)
            await same_as_lazy(engine, plan, None if joined else 2)
        remarks = LoadPlan(Remark, load(Remark.doc, load(Doc.parent, strategy=strategy), strategy=strategy))
        # no remark's document has a parent, so its statement has no key to ask for
        found = await same_as_lazy(engine, remarks, 1 if single else 2, by_hand=False)
    assert [remark.doc is not None for remark in found] == [True, True, True, False, False, False]


class Writer(Base):
    __tablename__ = "rare_writers"
    id: Mapped[int] = mapped_column(primary_key=True)
    essays: Mapped[list["Essay"]] = relationship(back_populates="short_writer", order_by="Essay.id")
    short_essays: Mapped[list["Essay"]] = relationship(
        primaryjoin="and_(Writer.id == Essay.writer_id, Essay.pages < 10)",
        back_populates="writer",
        order_by="Essay.id",
        viewonly=True,
        sync_backref=False,
    )


class Essay(Base):
    __tablename__ = "rare_essays"
    id: Mapped[int] = mapped_column(primary_key=True)
    pages: Mapped[int]
    writer_id: Mapped[int] = mapped_column(ForeignKey(Writer.id))
    short_writer: Mapped[Writer | None] = relationship(
        primaryjoin=lambda: and_(Writer.id == foreign(Essay.writer_id), Essay.pages < 10), back_populates="essays"
    )
    writer: Mapped[Writer | None] = relationship(
        back_populates="short_essays", viewonly=True, sync_backref=False, foreign_keys=[writer_id]
    )


@pytest.mark.parametrize("strategy", ["joined", "selectin", "subquery"])
async def test_a_conditional_many_to_one_is_not_set_where_its_condition_fails(
    engine: AsyncEngine, strategy: Any
) -> None:
    """The parent was found by the key alone; the way back asks for more, so it must not be taken for granted."""
    plan = LoadPlan(Writer, load(Writer.essays, strategy=strategy))
    async with tables(engine, Base.metadata):
        await fill(engine, Writer(id=1), Essay(id=1, pages=5, writer_id=1), Essay(id=2, pages=50, writer_id=1))
        writer = await Loader(engine).fetch(plan, 1)
        declared = LoadPlan(Writer, load(Writer.essays, load(Essay.short_writer), strategy=strategy))
        # a deep copy restores the collection through its events, which set the way back, in plain SQLAlchemy too
        await same_as_lazy(engine, declared, None if strategy == "joined" else 2, by_hand=False, deep_copy=False)
    assert vars(writer.essays[1]).get("short_writer") is None  # unsaid is as right as None


@pytest.mark.parametrize("strategy", ["joined", "selectin", "subquery"])
async def test_the_way_back_from_a_conditional_collection_is_set(engine: AsyncEngine, strategy: Any) -> None:
    """What the condition let through was found by the very key of the many-to-one."""
    plan = LoadPlan(Writer, load(Writer.short_essays, load(Essay.writer), strategy=strategy))
    async with tables(engine, Base.metadata):
        await fill(engine, Writer(id=1), Essay(id=1, pages=5, writer_id=1), Essay(id=2, pages=50, writer_id=1))
        writers = await same_as_lazy(engine, plan, None if strategy == "joined" else 2, by_hand=False)
    assert [essay.writer is writers[0] for essay in writers[0].short_essays] == [True]


arrays = MetaData()


class ArrayBase(DeclarativeBase):
    metadata = arrays


class Label(ArrayBase):
    __tablename__ = "rare_labels"
    id: Mapped[int] = mapped_column(primary_key=True)
    things: Mapped[list["Labelled"]] = relationship(
        primaryjoin=lambda: Label.id == any_(foreign(remote(Labelled.label_ids))),
        viewonly=True,
        order_by="Labelled.id",
    )


class Labelled(ArrayBase):
    __tablename__ = "rare_labelled"
    id: Mapped[int] = mapped_column(primary_key=True)
    label_ids: Mapped[list[int] | None] = mapped_column(ARRAY(Integer))
    labels: Mapped[list[Label]] = relationship(
        primaryjoin=lambda: remote(Label.id) == any_(foreign(Labelled.label_ids)),
        viewonly=True,
        uselist=True,
        order_by=Label.id,
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_keys_in_an_array_column(postgres: AsyncEngine, strategy: Any) -> None:
    """PostgreSQL alone: the condition is no equality of columns, in either direction."""
    count = 1 if strategy == "joined" else 2
    async with tables(postgres, arrays):
        await fill(postgres, Label(id=1), Label(id=2), Label(id=3))
        await fill(postgres, Labelled(id=1, label_ids=[2, 1]), Labelled(id=2, label_ids=[]), Labelled(id=3))
        up = LoadPlan(Labelled, load(Labelled.labels, strategy=strategy))
        # SQLAlchemy's own subqueryload would hash the lists
        await same_as_lazy(postgres, up, count, by_hand=strategy != "subquery")
        await same_as_lazy(postgres, LoadPlan(Label, load(Label.things, strategy=strategy)), count)


omitted = Table(
    "rare_omitted",
    Base.metadata,
    Column("left_id", Integer, primary_key=True),
    Column("right_id", Integer, primary_key=True),
)


class Left(Base):
    """The association has rows for parents and targets that are not there; ``omit_join`` is off."""

    __tablename__ = "rare_lefts"
    id: Mapped[int] = mapped_column(primary_key=True)
    rights: Mapped[list["Right"]] = relationship(
        secondary=omitted,
        primaryjoin=lambda: Left.id == foreign(omitted.c.left_id),
        secondaryjoin=lambda: Right.id == foreign(omitted.c.right_id),
        omit_join=False,
        order_by="Right.id.desc()",
        viewonly=True,
    )
    some_right: Mapped["Right | None"] = relationship(
        secondary=omitted,
        primaryjoin=lambda: Left.id == foreign(omitted.c.left_id),
        secondaryjoin=lambda: Right.id == foreign(omitted.c.right_id),
        uselist=False,
        viewonly=True,
    )


class Right(Base):
    __tablename__ = "rare_rights"
    id: Mapped[int] = mapped_column(primary_key=True)


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_an_association_without_constraints(engine: AsyncEngine, strategy: Any) -> None:
    """Rows that lead nowhere are no targets."""
    async with tables(engine, Base.metadata):
        await fill(engine, Left(id=1), Left(id=2), Right(id=1), Right(id=2))
        async with engine.begin() as connection:
            pairs = [(1, 1), (1, 2), (1, 9), (9, 1), (2, 9)]
            await connection.execute(insert(omitted), [{"left_id": a, "right_id": b} for a, b in pairs])
        plan = LoadPlan(Left, load(Left.rights, strategy=strategy))
        rows = await same_as_lazy(engine, plan, 1 if strategy == "joined" else 2)
        assert [right.id for right in rows[0].rights] == [2, 1]
        lone = await Loader(engine).fetch(LoadPlan(Left, load(Left.some_right, strategy=strategy)), 2)
    assert lone.some_right is None
