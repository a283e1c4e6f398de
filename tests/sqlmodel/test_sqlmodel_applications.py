"""Plans over SQLModel's table models: what is loaded, by whose session, under which filters."""

from datetime import date
from typing import Any

import pytest
from sqlalchemy import Column, ForeignKey, Integer, Table, event, inspect
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlalchemy.orm import Session, registry, with_loader_criteria
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel_models import (
    ADA,
    Hero,
    HeroTeamLink,
    Item,
    ItemWithOwner,
    Owned,
    Team,
    User,
    UserPublic,
)

from loadplan import Loader, LoadPlan, NotLoaded, PlanError, load, on
from sqlmodel import Field, SQLModel, col
from support import in_one, recording, tables

USER_PAGE = LoadPlan(User, load(User.items, order_by=col(Item.title).desc(), limit=2), name="user page")
TEAM_PAGE = LoadPlan(
    Team,
    load(Team.hero_links, load(HeroTeamLink.hero, load(Hero.boss)), order_by=col(HeroTeamLink.hero_id)),
    load(Team.heroes, only=[Hero.name]),
    name="team page",
)


async def test_users_and_items(template: AsyncEngine) -> None:
    with recording(template) as statements:
        user = await Loader(template).fetch(USER_PAGE, ADA)
    assert [item.title for item in user.items] == ["item 12", "item 11"]
    assert user.items[0].owner is user
    assert len(statements.selects) == in_one(template, 2)
    item = await Loader(template).fetch_one(LoadPlan(Item, load(Item.owner)), col(Item.title) == "item 10")
    assert item.owner is not None
    assert item.owner.email == "ada@example.org"
    assert ItemWithOwner.model_validate(item).owner.full_name == "Ada"
    with pytest.raises(NotLoaded, match=r"add load\(User.items\) under load\(Item.owner\)"):
        _ = item.owner.items


async def test_models_without_a_table_are_views(template: AsyncEngine) -> None:
    views = await Loader(template).fetch_all(LoadPlan(Item, into=ItemWithOwner), order_by=col(Item.title), limit=1)
    assert isinstance(views[0], ItemWithOwner)
    assert isinstance(views[0].owner, UserPublic)
    assert views[0].owner.is_active
    entity = await Loader(template).fetch(LoadPlan.for_schema(Item, ItemWithOwner), views[0].id)
    assert ItemWithOwner.model_validate(entity) == views[0]


async def test_a_link_that_carries_columns(league: AsyncEngine) -> None:
    with recording(league) as statements:
        force, preventers = await Loader(league).fetch_many(TEAM_PAGE, [1, 2])
    assert [(link.hero.name, link.is_training, link.since) for link in force.hero_links] == [
        ("Deadpond", False, None),
        ("Spider", True, date(2026, 1, 2)),
    ]
    assert [hero.name for hero in force.heroes] == ["Deadpond", "Spider"]
    assert force.hero_links[1].hero.boss is force.hero_links[0].hero
    assert preventers.heroes[0] is force.heroes[1]
    assert len(statements.selects) == in_one(league, 3)


async def test_trees_and_names_of_relationships(league: AsyncEngine) -> None:
    """Targets in quotes, ``sa_relationship_kwargs``, and the mapping's own ``lazy=``, which sends nothing."""
    with recording(league) as statements:
        boss = await Loader(league).fetch(LoadPlan(Hero, load("helpers", order_by=col(Hero.name), depth="all")), 1)
    assert [hero.name for hero in boss.helpers] == ["Black", "Spider"]
    assert boss.helpers[0].helpers == []
    assert all("LEFT OUTER JOIN" not in sql for sql in statements.selects)


async def test_sessions_of_sqlmodel(template: AsyncEngine) -> None:
    async with AsyncSession(template) as session:
        known = await session.get(User, ADA)
        assert known is not None
        known.full_name = "Countess"
        user = await Loader(session).fetch(USER_PAGE, ADA)
        assert user is not known
        assert user.full_name == "Countess"
        assert not session.is_modified(known)
        await session.rollback()
    maker = async_sessionmaker(template, class_=AsyncSession)
    assert (await Loader(maker).fetch(USER_PAGE, ADA)).full_name == "Ada"


async def test_going_back_into_a_session(league: AsyncEngine) -> None:
    hero = await Loader(league).fetch(LoadPlan(Hero, only=[col(Hero.name)]), 2)
    hero.age = 17
    async with AsyncSession(league) as session:
        session.add(hero)
        await session.commit()
    again = await Loader(league).fetch(LoadPlan(Hero), 2)
    assert (again.age, again.secret_name) == (17, "Pedro")


async def test_filters_on_a_mixin_that_is_no_table(template: AsyncEngine) -> None:
    """SQLModel takes a mixin's fields off the class, so the lambda of with_loader_criteria finds none there."""

    class OwnRows(Session):
        pass

    def mapped_by(mixin: type[Any]) -> list[Any]:
        return [each.class_ for each in inspect(Item).registry.mappers if issubclass(each.class_, mixin)]

    @event.listens_for(OwnRows, "do_orm_execute")
    def own_rows(state: Any) -> None:
        rules = [
            with_loader_criteria(each, each.owner_id == state.session.info["owner"], include_aliases=True)
            for each in mapped_by(Owned)
        ]
        state.statement = state.statement.options(*rules)

    for owner, count in ((ADA, 3), (None, 0)):
        loader = Loader(async_sessionmaker(template, sync_session_class=OwnRows, info={"owner": owner}))
        assert len(await loader.fetch_all(LoadPlan(Item))) == count
        assert len((await loader.fetch(LoadPlan(User, load(User.items)), ADA)).items) == count
        assert len(await loader.fetch_all(LoadPlan(Item, into=ItemWithOwner))) == count


# --- inheritance ----------------------------------------------------------------------------------------------------


class Staff(SQLModel, registry=registry()):
    pass


class Employee(Staff, table=True):
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "employee"}
    id: int | None = Field(default=None, primary_key=True)
    kind: str = "employee"
    name: str


class Manager(Employee):
    """SQLModel maps no subclass of a table; SQLAlchemy does, by hand."""

    level: int | None = None


class Assistant(Employee, table=True):
    """What SQLModel makes of ``table=True`` below a table: a class that is not mapped."""

    __tablename__ = "staff_assistant"
    desk: int | None = None


MANAGERS = Table(
    "manager", Staff.metadata, Column("id", ForeignKey("employee.id"), primary_key=True), Column("level", Integer)
)
inspect(Employee).registry.map_imperatively(Manager, MANAGERS, inherits=Employee, polymorphic_identity="manager")


async def test_inheritance_between_table_models(engine: AsyncEngine) -> None:
    async with tables(engine, Staff.metadata):
        async with AsyncSession(engine) as session:
            session.add_all([Employee(id=1, name="Eve"), Manager(id=2, name="Max", kind="manager", level=3)])
            await session.commit()
        plan = LoadPlan(Employee, on(Manager), name="staff")
        eve, max_ = await Loader(engine).fetch_all(plan, order_by=col(Employee.id))
        assert isinstance(max_, Manager)
        assert max_.model_dump() == {"id": 2, "kind": "manager", "name": "Max", "level": 3}
        assert eve.model_dump() == {"id": 1, "kind": "employee", "name": "Eve"}
        _, max_ = await Loader(engine).fetch_all(LoadPlan(Employee, name="names"), order_by=col(Employee.id))
        with pytest.raises(NotLoaded, match=r"add on\(Manager, only=\[Manager.level\]\) to the plan"):
            max_.model_dump()


def test_a_subclass_that_sqlmodel_does_not_map() -> None:
    with pytest.raises(PlanError, match="is not a mapped class") as caught:
        LoadPlan(Assistant)
    assert caught.value.problems[0].hint == (
        "SQLModel maps no subclass of 'Employee', with or without table=True. Map 'Assistant' by hand: "
        "registry.map_imperatively(Assistant, table, inherits=Employee)."
    )


def test_a_model_without_a_table() -> None:
    class Badge(SQLModel):
        name: str

    with pytest.raises(PlanError, match=r"hint: add table=True: class Badge\(SQLModel, table=True\)"):
        LoadPlan(Badge)
