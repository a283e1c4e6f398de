"""Shapes of two public applications: the FastAPI template (users, items), and teams whose link has columns."""

import uuid
from datetime import date

from sqlalchemy import Column, Text
from sqlalchemy.orm import deferred, registry

from sqlmodel import Field, Relationship, SQLModel

#: Whose items the tests read.
ADA = uuid.UUID(int=1)


class Template(SQLModel, registry=registry()):
    """The base of the first application."""


class Owned(SQLModel):
    """A mixin that is no table: whose row it is."""

    owner_id: uuid.UUID = Field(foreign_key="user.id", nullable=False, ondelete="CASCADE")


class UserBase(SQLModel):
    email: str = Field(unique=True, index=True, max_length=255)
    is_active: bool = True
    full_name: str | None = Field(default=None, max_length=255)


class User(UserBase, Template, table=True):
    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    hashed_password: str
    items: list["Item"] = Relationship(back_populates="owner", cascade_delete=True)


class ItemBase(SQLModel):
    title: str = Field(min_length=1, max_length=255)
    description: str | None = Field(default=None, max_length=255)


class Item(ItemBase, Owned, Template, table=True):
    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    owner: User | None = Relationship(back_populates="items")


class UserPublic(UserBase):
    id: uuid.UUID


class ItemPublic(ItemBase):
    id: uuid.UUID
    owner_id: uuid.UUID


class ItemWithOwner(ItemPublic):
    owner: UserPublic


class ItemsPublic(SQLModel):
    data: list[ItemPublic]
    count: int


class Shelf(SQLModel):
    """A response model that holds tables, as some applications have it."""

    users: list[User]


class League(SQLModel, registry=registry()):
    """The base of the second application."""


class HeroTeamLink(League, table=True):
    team_id: int | None = Field(default=None, foreign_key="team.id", primary_key=True)
    hero_id: int | None = Field(default=None, foreign_key="hero.id", primary_key=True)
    is_training: bool = False
    since: date | None = None
    team: "Team" = Relationship(back_populates="hero_links")
    hero: "Hero" = Relationship(back_populates="team_links")


class Team(League, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(index=True)
    headquarters: str = "Sharp Tower"
    hero_links: list[HeroTeamLink] = Relationship(back_populates="team")
    heroes: list["Hero"] = Relationship(
        link_model=HeroTeamLink, sa_relationship_kwargs={"viewonly": True, "order_by": "Hero.name", "lazy": "selectin"}
    )


class Hero(League, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(index=True)
    secret_name: str
    age: int | None = None
    biography: str | None = Field(default=None, sa_column=Column("biography", Text))
    boss_id: int | None = Field(default=None, foreign_key="hero.id")
    team_links: list[HeroTeamLink] = Relationship(back_populates="hero")
    boss: "Hero" = Relationship(
        back_populates="helpers", sa_relationship_kwargs={"remote_side": "Hero.id", "lazy": "joined"}
    )
    helpers: list["Hero"] = Relationship(back_populates="boss")


ESSAY_TEXT = Column("text", Text, nullable=False)


class Essay(League, table=True):
    """A column that the mapping itself defers."""

    __mapper_args__ = {"properties": {"text": deferred(ESSAY_TEXT)}}
    id: int | None = Field(default=None, primary_key=True)
    title: str
    text: str = Field(default="", sa_column=ESSAY_TEXT)
