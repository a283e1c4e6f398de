"""``on(Subclass, ...)``: what subclasses add, one statement a branch, in all three kinds of inheritance."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import ForeignKey
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.ext.declarative import ConcreteBase
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, NotLoaded, PlanError, load, on
from support import batches_of_roots, recording, tables


class Base(DeclarativeBase):
    pass


class Firm(Base):
    __tablename__ = "shb_firms"
    id: Mapped[int] = mapped_column(primary_key=True)
    workers: Mapped[list["Worker"]] = relationship(order_by="Worker.id")
    cars: Mapped[list["Car"]] = relationship(order_by="Car.id")
    papers: Mapped[list["Paper"]] = relationship(order_by="Paper.id", viewonly=True)


class Worker(Base):
    """Joined."""

    __tablename__ = "shb_workers"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "worker"}
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    firm_id: Mapped[int] = mapped_column(ForeignKey("shb_firms.id"))


class Engineer(Worker):
    __tablename__ = "shb_engineers"
    __mapper_args__ = {"polymorphic_identity": "engineer"}
    id: Mapped[int] = mapped_column(ForeignKey("shb_workers.id"), primary_key=True)
    language: Mapped[str]
    tools: Mapped[list["Tool"]] = relationship(order_by="Tool.id", foreign_keys="Tool.engineer_id")


class Boss(Worker):
    __tablename__ = "shb_bosses"
    __mapper_args__ = {"polymorphic_identity": "boss"}
    id: Mapped[int] = mapped_column(ForeignKey("shb_workers.id"), primary_key=True)
    budget: Mapped[int]
    motto: Mapped[str]
    tools: Mapped[list["Tool"]] = relationship(order_by="Tool.id", foreign_keys="Tool.boss_id")


class Chief(Boss):
    __tablename__ = "shb_chiefs"
    __mapper_args__ = {"polymorphic_identity": "chief"}
    id: Mapped[int] = mapped_column(ForeignKey("shb_bosses.id"), primary_key=True)
    yacht: Mapped[str]


class Tool(Base):
    __tablename__ = "shb_tools"
    id: Mapped[int] = mapped_column(primary_key=True)
    engineer_id: Mapped[int | None] = mapped_column(ForeignKey("shb_engineers.id"))
    boss_id: Mapped[int | None] = mapped_column(ForeignKey("shb_bosses.id"))


class Car(Base):
    """Single table."""

    __tablename__ = "shb_cars"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "car"}
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    firm_id: Mapped[int] = mapped_column(ForeignKey("shb_firms.id"))


class Truck(Car):
    __mapper_args__ = {"polymorphic_identity": "truck"}
    load_kg: Mapped[int | None]
    boss_id: Mapped[int | None] = mapped_column(ForeignKey("shb_bosses.id"))
    driver: Mapped["Boss | None"] = relationship()


class Paper(ConcreteBase, Base):
    """Concrete: every table counts from one."""

    __tablename__ = "shb_papers"
    __mapper_args__ = {"polymorphic_identity": "paper", "concrete": True}
    id: Mapped[int] = mapped_column(primary_key=True)
    firm_id: Mapped[int] = mapped_column(ForeignKey("shb_firms.id"))


class Contract(Paper):
    __tablename__ = "shb_contracts"
    __mapper_args__ = {"polymorphic_identity": "contract", "concrete": True}
    id: Mapped[int] = mapped_column(primary_key=True)
    firm_id: Mapped[int] = mapped_column(ForeignKey("shb_firms.id"))
    amount: Mapped[int]
    signer_id: Mapped[int | None] = mapped_column(ForeignKey("shb_workers.id"))
    signer: Mapped[Worker | None] = relationship()


@pytest.fixture
async def firms(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Two firms with a worker of each kind, cars and papers; papers of the two tables share their ids."""
    async with tables(engine, Base.metadata):
        async with AsyncSession(engine) as session, session.begin():
            session.add_all([Firm(id=1), Firm(id=2)])
            await session.flush()
            for start, firm in ((0, 1), (10, 2)):
                session.add_all(
                    [
                        Worker(id=start + 1, firm_id=firm),
                        Engineer(id=start + 2, firm_id=firm, language="py", tools=[Tool(id=start + 1)]),
                        Engineer(id=start + 3, firm_id=firm, language="c", tools=[]),
                        Boss(id=start + 4, firm_id=firm, budget=4, motto="go", tools=[Tool(id=start + 2)]),
                        Chief(id=start + 5, firm_id=firm, budget=5, motto="on", yacht="y", tools=[Tool(id=start + 3)]),
                        Car(id=start + 1, firm_id=firm),
                        Truck(id=start + 2, firm_id=firm, load_kg=7, boss_id=start + 4),
                        Truck(id=start + 3, firm_id=firm, load_kg=8),
                    ]
                )
                await session.flush()
            session.add_all(Paper(id=number, firm_id=1 + number % 2) for number in range(1, 7))
            session.add_all(
                Contract(id=number, firm_id=2 - number % 2, amount=-number, signer_id=2) for number in range(1, 7)
            )
        yield engine


async def test_several_branches_on_one_edge_come_with_the_rows_of_their_base(firms: AsyncEngine) -> None:
    """Firms, workers with what two branches add, and the tools below each: four statements for any number of rows."""
    plan = LoadPlan(
        Firm,
        load(Firm.workers, on(Engineer, load(Engineer.tools)), on(Boss, load(Boss.tools), only=[Boss.budget])),
        name="firm",
    )
    with recording(firms) as statements:
        found = await Loader(firms).fetch_all(plan, order_by=Firm.id)
    assert len(statements.selects) == 4 == Loader(firms).explain(plan, roots=None).statements
    for start, firm in zip((0, 10), found, strict=True):
        worker, first, second, boss, chief = firm.workers
        assert [type(each) for each in firm.workers] == [Worker, Engineer, Engineer, Boss, Chief]
        assert (first.language, second.language, boss.budget, chief.budget) == ("py", "c", 4, 5)
        assert [[tool.id - start for tool in each.tools] for each in (first, second, boss, chief)] == [
            [1],
            [],
            [2],
            [3],
        ]
        with pytest.raises(NotLoaded) as caught:
            _ = boss.motto
        assert "'Boss.motto' is not part of plan 'firm' (at Firm.workers)" in str(caught.value)
        with pytest.raises(NotLoaded) as caught:
            _ = chief.yacht
        assert "add on(Chief, only=[Chief.yacht]) under load(Firm.workers)" in str(caught.value)
        assert worker.kind == "worker"


async def test_one_name_in_two_branches_may_have_two_shapes(firms: AsyncEngine) -> None:
    """``Engineer.tools`` and ``Boss.tools`` are two relationships of two classes; they share a name alone."""
    plan = LoadPlan(
        Firm,
        load(
            Firm.workers,
            on(Engineer, load(Engineer.tools, where=Tool.id < 0)),
            on(Boss, load(Boss.tools, order_by=Tool.id.desc(), limit=1)),
        ),
    )
    firm = await Loader(firms).fetch(plan, 1)
    assert [[tool.id for tool in each.tools] for each in firm.workers[1:]] == [[], [], [2], [3]]


async def test_nested_branches(firms: AsyncEngine) -> None:
    plan = LoadPlan(Firm, load(Firm.workers, on(Boss, on(Chief, only=[Chief.yacht]), load(Boss.tools))))
    with recording(firms) as statements:
        firm = await Loader(firms).fetch(plan, 1)
    assert len(statements.selects) == Loader(firms).explain(plan).statements <= 3
    boss, chief = firm.workers[3:]
    assert (boss.budget, chief.budget, chief.yacht) == (4, 5, "y")
    assert [tool.id for tool in chief.tools] == [3]
    with pytest.raises(NotLoaded):
        _ = firm.workers[1].language


async def test_of_type_is_a_branch(firms: AsyncEngine) -> None:
    plan = LoadPlan(Firm, load(Firm.workers.of_type(Engineer), load(Engineer.tools), only=[Engineer.language]))
    same = LoadPlan(Firm, load(Firm.workers, on(Engineer, load(Engineer.tools), only=[Engineer.language])))
    loader = Loader(firms)
    assert [each.sql for each in loader.explain(plan).sql] == [each.sql for each in loader.explain(same).sql]
    firm = await loader.fetch(plan, 2)
    assert [each.id for each in firm.workers] == [11, 12, 13, 14, 15]
    assert [each.language for each in firm.workers[1:3]] == ["py", "c"]


async def test_single_table(firms: AsyncEngine) -> None:
    plan = LoadPlan(Firm, load(Firm.cars, on(Truck, load(Truck.driver, on(Chief)))))
    with recording(firms) as statements:
        firm = await Loader(firms).fetch(plan, 1)
    assert len(statements.selects) == Loader(firms).explain(plan).statements <= 2
    car, first, second = firm.cars
    assert (type(car), first.load_kg, second.load_kg) == (Car, 7, 8)
    assert (first.driver.budget, second.driver) == (4, None)
    sealed = await Loader(firms).fetch(LoadPlan(Firm, load(Firm.cars)), 1)
    for name in ("load_kg", "driver"):
        with pytest.raises(NotLoaded, match=f"on\\(Truck, .*Truck.{name}"):
            getattr(sealed.cars[1], name)


async def test_concrete(firms: AsyncEngine) -> None:
    plan = LoadPlan(Firm, load(Firm.papers, on(Contract, load(Contract.signer))))
    with recording(firms) as statements:
        firm = await Loader(firms).fetch(plan, 1)
    assert len(statements.selects) == Loader(firms).explain(plan).statements <= 2
    expected = {(Paper, number) for number in (2, 4, 6)} | {(Contract, number) for number in (1, 3, 5)}
    assert {(type(each), each.id) for each in firm.papers} == expected
    for each in firm.papers:
        if isinstance(each, Contract):
            assert (each.amount, each.signer.id) == (-each.id, 2)


async def test_a_limit_over_concrete_tables_whose_ids_meet(firms: AsyncEngine) -> None:
    """Paper 2 is of firm 1, contract 2 of firm 2: a join by id alone would bring the stranger in."""
    plan = LoadPlan(Firm, load(Firm.papers, order_by=Paper.id, limit=2))
    for firm in await Loader(firms).fetch_all(plan):
        assert all(each.firm_id == firm.id for each in firm.papers)
        assert [each.id for each in firm.papers] == [1, 2]


@pytest.mark.parametrize("limit", [None, 3])
async def test_no_statement_for_a_branch_without_rows(firms: AsyncEngine, limit: int | None) -> None:
    plan = LoadPlan(
        Firm,
        load(Firm.workers, on(Chief, load(Chief.tools)), where=Worker.id < 4, order_by=Worker.id, limit=limit),
    )
    with recording(firms) as statements:
        firm = await Loader(firms).fetch(plan, 1)
    assert len(statements.selects) == 2
    assert [each.id for each in firm.workers] == [1, 2, 3]


@pytest.mark.parametrize("call", ["all", "page", "stream"])
async def test_branches_at_the_root(firms: AsyncEngine, call: str) -> None:
    plan = LoadPlan(Worker, on(Engineer, load(Engineer.tools)), on(Boss), name="workers")
    loader = Loader(firms)
    with recording(firms) as statements:
        if call == "all":
            found = await loader.fetch_all(plan, order_by=Worker.id)
        elif call == "page":
            found = (await loader.fetch_page(plan, Worker.id, 50)).items
        else:
            found = [each async for each in loader.stream(plan, order_by=Worker.id)]
    assert len(statements.selects) == 1 + (batches_of_roots(firms, 1) if call == "stream" else 1)
    values: list[Any] = [getattr(each, "language", None) if isinstance(each, Engineer) else None for each in found]
    assert values == [None, "py", "c", None, None] * 2
    assert [each.budget for each in found if isinstance(each, Boss)] == [4, 5] * 2


async def test_a_branch_of_a_stranger_is_refused() -> None:
    with pytest.raises(PlanError) as caught:
        LoadPlan(Firm, load(Firm.workers, on(Truck)))
    assert str(caught.value) == (
        "LP210: 'Truck' is not a subclass of 'Worker'\n"
        "  at: Firm > workers > on(Truck)\n"
        "  hint: Subclasses of Worker: Engineer, Boss, Chief."
    )
