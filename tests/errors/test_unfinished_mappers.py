"""Plans written before all models are imported: nothing is spoilt, and they are checked at their first use."""

from typing import Any, ClassVar

import pytest
from sqlalchemy import ForeignKey
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from loadplan import Loader, LoadPlan, PlanError, load
from support import tables


def fresh_base() -> Any:
    """A registry of its own, as each test spoils or completes it; it keeps its classes, which registries do not."""

    class Base(DeclarativeBase):
        kept: ClassVar[list[type]] = []

        def __init_subclass__(cls, **keywords: Any) -> None:
            Base.kept.append(cls)
            super().__init_subclass__(**keywords)

    return Base


def early(base: Any, prefix: str) -> Any:
    """A model whose relationship names a class that is not there yet."""

    class Country(base):  # type: ignore[misc]
        __tablename__ = f"err_{prefix}_countries"
        id: Mapped[int] = mapped_column(primary_key=True)
        cities: Mapped[list[Any]] = relationship("City", back_populates="country", order_by="City.id")

    return Country


def late(base: Any, prefix: str) -> Any:
    class City(base):  # type: ignore[misc]
        __tablename__ = f"err_{prefix}_cities"
        id: Mapped[int] = mapped_column(primary_key=True)
        country_id: Mapped[int] = mapped_column(ForeignKey(f"err_{prefix}_countries.id"))
        country: Mapped[Any] = relationship("Country", back_populates="cities")

    return City


async def works(engine: AsyncEngine, base: Any, plan: LoadPlan[Any], country: Any, city: Any) -> None:
    async with tables(engine, base.metadata):
        async with AsyncSession(engine) as session:
            session.add(country(id=1, cities=[city(id=1), city(id=2)]))
            await session.commit()
        found = await Loader(engine).fetch(plan, 1)
        assert [each.id for each in found.cities] == [1, 2]
        assert found.cities[0].country is found


async def test_a_plan_before_the_model_is_complete_works_later(engine: AsyncEngine) -> None:
    base = fresh_base()
    country = early(base, "late")
    plan = LoadPlan(country, load(country.cities))
    by_name = LoadPlan(country, load("cities"))
    assert repr(plan) == "LoadPlan(Country, load(Country.cities))"
    assert hash(plan) == hash(LoadPlan(country, load(country.cities)))
    city = late(base, "late")
    await works(engine, base, plan, country, city)
    await works(engine, base, by_name, country, city)


async def test_a_plan_used_too_early_says_so_and_spoils_nothing(engine: AsyncEngine) -> None:
    """LP208 at the first use; once the module is imported the very same plan works."""
    base = fresh_base()
    country = early(base, "soon")
    plan = LoadPlan(country, load(country.cities), name="countries")
    with pytest.raises(PlanError) as caught:
        await Loader(engine).fetch(plan, 1)
    assert caught.value.code == "LP208"
    assert caught.value.message == "the mapping around 'Country' is not complete"
    assert caught.value.path == ("countries",)
    assert caught.value.hint == "import the module of that class before you use the plan."
    assert "City" in (caught.value.detail or "")
    with pytest.raises(PlanError):
        Loader(engine).check(plan)
    city = late(base, "soon")
    await works(engine, base, plan, country, city)


def test_a_wrong_name_is_found_at_the_first_use() -> None:
    base = fresh_base()
    country = early(base, "wrong")
    plan = LoadPlan(country, load("citys"))
    late(base, "wrong")
    loader = Loader(create_async_engine("sqlite+aiosqlite://"))
    for _ in range(2):
        with pytest.raises(PlanError) as caught:
            loader.check(plan, LoadPlan(country))
        assert str(caught.value) == (
            "LP201: 'Country' has no relationship 'citys'\n"
            "  at: Country > citys\n"
            "  hint: did you mean 'cities'? Relationships of Country: cities."
        )


def test_what_needs_no_mapper_is_refused_at_once() -> None:
    base = fresh_base()
    country = early(base, "shape")
    wrong: Any = load
    with pytest.raises(PlanError) as caught:
        LoadPlan(country, wrong("cities", strategy="lazy"))
    assert caught.value.code == "LP105"


def test_a_complete_model_is_checked_where_the_plan_is_written() -> None:
    base = fresh_base()
    country = early(base, "whole")
    late(base, "whole")
    with pytest.raises(PlanError) as caught:
        LoadPlan(country, load("citys"))
    assert caught.value.code == "LP201"


def test_check_reports_every_plan(sqlite: AsyncEngine) -> None:
    base = fresh_base()
    country = early(base, "check")
    plans = [LoadPlan(country, load(name), name=name) for name in ("citys", "towns", "cities")]
    late(base, "check")
    with pytest.raises(PlanError) as caught:
        Loader(sqlite).check(*plans)
    assert [problem.path for problem in caught.value.problems] == [("citys", "citys"), ("towns", "towns")]


def test_an_expression_in_a_string_may_name_what_is_still_to_come() -> None:
    base = fresh_base()

    class Parent(base):  # type: ignore[misc]
        __tablename__ = "err_expr_parents"
        id: Mapped[int] = mapped_column(primary_key=True)
        kids: Mapped[list[Any]] = relationship(
            "Kid", primaryjoin="and_(Parent.id == foreign(Kid.parent_id), Kid.age > 3)", viewonly=True
        )

    LoadPlan(Parent, load("kids"))

    class Kid(base):  # type: ignore[misc]
        __tablename__ = "err_expr_kids"
        id: Mapped[int] = mapped_column(primary_key=True)
        parent_id: Mapped[int]
        age: Mapped[int]

    assert Loader(create_async_engine("sqlite+aiosqlite://")).explain(LoadPlan(Parent, load("kids"))).statements == 2


def test_a_mapping_that_is_broken_for_good_says_so() -> None:
    """Mended by nobody: SQLAlchemy's own words are the detail."""
    base = fresh_base()

    class Left(base):  # type: ignore[misc]
        __tablename__ = "err_broken_left"
        id: Mapped[int] = mapped_column(primary_key=True)
        rights: Mapped[list[Any]] = relationship("Right")

    class Right(base):  # type: ignore[misc]
        __tablename__ = "err_broken_right"
        id: Mapped[int] = mapped_column(primary_key=True)

    with pytest.raises(PlanError) as caught:
        LoadPlan(Left, load("rights"))
    assert caught.value.code == "LP208"
    assert "Could not determine join condition" in (caught.value.detail or "")
