"""SQLModel classes: what a type checker must accept of them, and with which type. Checked, never run."""

from typing import Protocol, assert_type

from sqlmodel.ext.asyncio.session import AsyncSession

from loadplan import Load, Loader, LoadPlan, load
from sqlmodel import Field, Relationship, SQLModel, col


class Team(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str
    heroes: list["Hero"] = Relationship(back_populates="team")


class Hero(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str
    age: int | None = None
    team_id: int | None = Field(default=None, foreign_key="team.id")
    team: Team | None = Relationship(back_populates="heroes")


class Named(Protocol):
    @property
    def name(self) -> str: ...


assert_type(load(Team.heroes), Load[Hero])
assert_type(load(Hero.team), Load[Team])
assert_type(load(col(Team.heroes)), Load[Hero])
assert_type(load(col(Hero.team)), Load[Team])
assert_type(load(Team.heroes, only=[col(Hero.name)], order_by=col(Hero.name), limit=3), Load[Hero])
assert_type(load(Team.heroes, only=[Hero.name, Hero.age], order_by=col(Hero.name).desc()), Load[Hero])
assert_type(load(Team.heroes, where=Hero.name == "x", order_by=Hero.name), Load[Hero])
assert_type(load(Team.heroes, where=col(Hero.age) > 3, order_by=[col(Hero.age), Hero.name]), Load[Hero])
assert_type(load(Team.heroes, LoadPlan(Hero)), Load[Hero])
assert_type(load(Hero.team, only=[col(Team.name)], strategy="selectin"), Load[Team])
assert_type(load(col(Team.heroes), defer=[col(Hero.age)], order_by=[col(Hero.name), col(Hero.id).desc()]), Load[Hero])
assert_type(
    load(col(Hero.team), load(col(Team.heroes), limit=3, order_by=col(Hero.id)), only=[col(Team.name)]), Load[Team]
)
assert_type(LoadPlan(Team, load(Team.heroes, load(Hero.team)), only=[Team.name]), LoadPlan[Team])
assert_type(LoadPlan(Hero, load(Hero.team, LoadPlan(Team)), defer=[col(Hero.age)], name="hero"), LoadPlan[Hero])


async def fetches(session: AsyncSession) -> None:
    loader = Loader(session)
    assert_type(await loader.fetch(LoadPlan(Team), 1), Team)
    assert_type(await loader.fetch_all(LoadPlan(Hero), col(Hero.age) > 3, order_by=col(Hero.name)), list[Hero])
    hero, heroes = await loader.fetch(LoadPlan(Hero), 1), await loader.fetch_many(LoadPlan(Hero), [1])
    assert_type(await loader.extend(hero, load(Hero.team), only=[Hero.age]), Hero)
    assert_type(await loader.extend(heroes, only=[Hero.age, col(Hero.name)]), list[Hero])
    assert_type(await loader.extend(heroes, LoadPlan(Hero, load(Hero.team))), list[Hero])
    assert_type(await loader.fetch(LoadPlan(Hero, typed=Named, only=[Hero.name]), 1), Named)
    assert_type(await loader.fetch(LoadPlan(Hero, typed=Named, only=[col(Hero.name)]), 1), Named)


load(Hero.id)  # type: ignore  # pyright: ignore
load(col(Hero.name))  # type: ignore  # pyright: ignore
load(Hero)  # type: ignore  # pyright: ignore
load(Team.heroes, LoadPlan(Team))  # type: ignore  # pyright: ignore
load(Team.heroes, only="name")  # type: ignore  # pyright: ignore
load(Team.heroes, where="name")  # type: ignore  # pyright: ignore
LoadPlan(Team, Team.heroes)  # type: ignore  # pyright: ignore
LoadPlan(Team, load(Hero.age))  # type: ignore  # pyright: ignore
LoadPlan(Hero, load(Hero.team, LoadPlan(Hero)))  # type: ignore  # pyright: ignore
LoadPlan(Hero, only=Hero.name)  # type: ignore  # pyright: ignore
