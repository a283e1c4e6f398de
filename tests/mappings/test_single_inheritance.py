"""Single-table inheritance: relationships of and to subclasses, and what mappings load of subclasses by themselves."""

import pytest
from oracle import fill, same_as_lazy
from sqlalchemy import ForeignKey
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, NotFound, NotLoaded, PlanError, load
from support import recording, tables

STRATEGIES = [None, "joined", "selectin", "subquery"]


class Base(DeclarativeBase):
    pass


class Firm(Base):
    __tablename__ = "single_firms"
    id: Mapped[int] = mapped_column(primary_key=True)
    staff: Mapped[list["Person"]] = relationship(back_populates="firm", order_by="Person.id")
    engineers: Mapped[list["Engineer"]] = relationship(viewonly=True, order_by="Engineer.id")
    chief: Mapped["Manager | None"] = relationship(viewonly=True, primaryjoin="Firm.id == foreign(Manager.leads_id)")


class Person(Base):
    __tablename__ = "single_people"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str] = mapped_column(default="")
    firm_id: Mapped[int | None] = mapped_column(ForeignKey(Firm.id))
    boss_id: Mapped[int | None] = mapped_column(ForeignKey("single_people.id"))
    firm: Mapped[Firm | None] = relationship(back_populates="staff")
    boss: Mapped["Manager | None"] = relationship(remote_side="Person.id", back_populates="reports")


class Engineer(Person):
    __mapper_args__ = {"polymorphic_identity": "engineer"}
    language: Mapped[str | None]
    tools: Mapped[list["Tool"]] = relationship(back_populates="owner", order_by="Tool.id", lazy="selectin")


class Manager(Person):
    __mapper_args__ = {"polymorphic_identity": "manager"}
    budget: Mapped[int | None]
    leads_id: Mapped[int | None]
    reports: Mapped[list[Person]] = relationship(back_populates="boss", order_by="Person.id")


class Director(Manager):
    __mapper_args__ = {"polymorphic_identity": "director"}


class Tool(Base):
    __tablename__ = "single_tools"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey(Person.id))
    owner: Mapped[Engineer] = relationship(back_populates="tools")


async def _fill(engine: AsyncEngine) -> None:
    await fill(engine, Firm(id=1), Firm(id=2))
    await fill(engine, Director(id=1, firm_id=1, budget=9, leads_id=1))
    await fill(engine, Manager(id=2, firm_id=1, boss_id=1, budget=5))
    await fill(
        engine,
        Engineer(id=3, firm_id=1, boss_id=2, language="py"),
        Engineer(id=4, firm_id=1, boss_id=2),
        Person(id=5, firm_id=2, boss_id=2),
        Engineer(id=6, boss_id=None),
    )
    await fill(engine, Tool(id=1, owner_id=3), Tool(id=2, owner_id=3), Tool(id=3, owner_id=5))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("key", ["staff", "engineers", "chief"])
async def test_relationships_to_base_and_subclass(engine: AsyncEngine, key: str, strategy: str | None) -> None:
    """A relationship to a subclass brings rows of that subclass, and of those below it, alone.

    Nothing holds a firm to one chief, so options ask for the chiefs separately.
    """
    plan = LoadPlan(Firm, load(getattr(Firm, key), strategy=strategy))  # type: ignore[arg-type]
    joined = strategy == "joined" and key != "chief"
    async with tables(engine, Base.metadata):
        await _fill(engine)
        await same_as_lazy(engine, plan, 1 if joined else 2)


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_relationships_of_the_base_on_a_plan_at_the_subclass(engine: AsyncEngine, strategy: str | None) -> None:
    """Inherited relationships are named on either class."""
    for plan in (
        LoadPlan(Engineer, load(Engineer.firm, strategy=strategy), load(Engineer.boss, strategy=strategy)),  # type: ignore[arg-type]
        LoadPlan(Engineer, load(Person.firm, strategy=strategy), load(Person.boss, strategy=strategy)),  # type: ignore[arg-type]
    ):
        async with tables(engine, Base.metadata):
            await _fill(engine)
            engineers = await same_as_lazy(engine, plan, 1 if strategy in {None, "joined"} else 3, by_hand=False)
        assert [engineer.id for engineer in engineers] == [3, 4, 6]


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_relationship_defined_on_the_subclass(engine: AsyncEngine, strategy: str | None) -> None:
    """A plan that starts at the subclass, with subclasses of it below."""
    plan = LoadPlan(
        Manager,
        load(Manager.reports, load(Person.firm), strategy=strategy),  # type: ignore[arg-type]
    )
    async with tables(engine, Base.metadata):
        await _fill(engine)
        managers = await same_as_lazy(engine, plan, None if strategy == "joined" else 2, by_hand=False)
    assert [type(manager) for manager in managers] == [Director, Manager]
    assert managers[0].reports[0] is managers[1]
    assert managers[0].reports[0].boss is managers[0]


async def test_to_a_subclass_and_on_to_what_only_it_has(engine: AsyncEngine) -> None:
    """``load(Firm.engineers, load(Engineer.tools))``, and from a many-to-one to a subclass."""
    async with tables(engine, Base.metadata):
        await _fill(engine)
        await same_as_lazy(engine, LoadPlan(Firm, load(Firm.engineers, load(Engineer.tools))), 3)
        await same_as_lazy(engine, LoadPlan(Person, load(Person.boss, load(Manager.reports))), 2, by_hand=False)


async def test_a_many_to_one_to_a_subclass_whose_row_is_of_another_class(engine: AsyncEngine) -> None:
    """Tool 3 belongs to a plain person: the relationship is to an engineer, so it is None everywhere."""
    for strategy in ("joined", "selectin", "subquery"):
        plan = LoadPlan(Tool, load(Tool.owner, strategy=strategy))  # type: ignore[arg-type]
        async with tables(engine, Base.metadata):
            await _fill(engine)
            with recording(engine) as statements:
                tools = await Loader(engine).fetch_all(plan, order_by=Tool.id)
        assert len(statements) == (1 if strategy == "joined" else 2)
        assert [tool.owner and tool.owner.id for tool in tools] == [3, 3, None]


async def test_the_row_of_another_class_that_is_in_the_graph_already_is_no_target(engine: AsyncEngine) -> None:
    """The identity map holds the plain person; a relationship to an engineer must not hand it out."""
    plan = LoadPlan(Firm, load(Firm.staff), load(Firm.engineers, load(Engineer.tools, load(Tool.owner))))
    async with tables(engine, Base.metadata):
        await _fill(engine)
        firms = await same_as_lazy(engine, plan, 4, by_hand=False)
    assert firms[1].engineers == []


async def test_subclass_columns_reached_from_the_base_say_so(engine: AsyncEngine) -> None:
    """What a plan of the base does not select raises, where SQLAlchemy would run SQL; other classes are loaded."""
    async with tables(engine, Base.metadata):
        await _fill(engine)
        with recording(engine) as statements:
            person = await Loader(engine).fetch(LoadPlan(Person, name="people"), 3)
    assert len(statements) == 1
    assert isinstance(person, Engineer)
    branches = {"language": "only=[Engineer.language]", "tools": "load(Engineer.tools)"}
    for key, branch in branches.items():
        with pytest.raises(NotLoaded) as caught:
            getattr(person, key)
        assert str(caught.value) == (
            f"LP401: 'Engineer.{key}' is not part of plan 'people' (at its root)\n"
            f"  hint: add on(Engineer, {branch}) to the plan"
        )


async def test_an_eager_relationship_of_the_subclass_that_no_plan_names_emits_nothing(engine: AsyncEngine) -> None:
    """``Engineer.tools`` is mapped ``lazy="selectin"``."""
    async with tables(engine, Base.metadata):
        await _fill(engine)
        for plan, count in (
            (LoadPlan(Person), 1),
            (LoadPlan(Engineer), 1),
            (LoadPlan(Firm, load(Firm.staff)), 2),
            (LoadPlan(Firm, load(Firm.staff, strategy="joined")), 1),
            (LoadPlan(Firm, load(Firm.engineers)), 2),
            (LoadPlan(Tool, load(Tool.owner)), 1),
        ):
            with recording(engine) as statements:
                found = await Loader(engine).fetch_all(plan)
            assert len(statements) == count, plan
            assert found
            assert not any("tools" in vars(each) for each in found)
            await same_as_lazy(engine, plan, count) if plan.entity is not Tool else None


async def test_the_root_is_of_the_class_that_the_plan_names(engine: AsyncEngine) -> None:
    """An id of another class is not found."""
    async with tables(engine, Base.metadata):
        await _fill(engine)
        loader = Loader(engine)
        assert (await loader.fetch(LoadPlan(Manager), 1)).budget == 9
        with pytest.raises(NotFound):
            await loader.fetch(LoadPlan(Engineer), 1)


def test_a_subclass_relationship_on_the_base_is_refused() -> None:
    """SQLAlchemy would load nothing, silently."""
    with pytest.raises(PlanError) as caught:
        LoadPlan(Firm, load(Firm.staff, load(Engineer.tools)))
    assert str(caught.value) == (
        "LP209: 'Engineer.tools' belongs to the subclass 'Engineer', but any 'Person' may be at this place\n"
        "  at: Firm > staff > tools\n"
        "  hint: put it into a branch: on(Engineer, load(Engineer.tools))."
    )
