"""Both applications' tables and rows, on both databases."""

import uuid
from collections.abc import AsyncIterator
from datetime import date

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel_models import ADA, Essay, Hero, HeroTeamLink, Item, League, Team, Template, User

from support import tables


@pytest.fixture
async def template(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Users and their items."""
    async with tables(engine, Template.metadata):
        async with AsyncSession(engine) as session:
            ada = User(id=ADA, email="ada@example.org", full_name="Ada", hashed_password="x")
            bob = User(id=uuid.UUID(int=2), email="bob@example.org", hashed_password="y", is_active=False)
            items = [Item(id=uuid.UUID(int=n), title=f"item {n}", description=f"of {n}") for n in (10, 11, 12)]
            ada.items = items
            session.add_all([ada, bob])
            await session.commit()
        yield engine


@pytest.fixture
async def league(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Teams, heroes, and who trains where since when."""
    async with tables(engine, League.metadata):
        async with AsyncSession(engine) as session:
            boss = Hero(id=1, name="Deadpond", secret_name="Dive", age=40, biography="long")
            helper = Hero(id=2, name="Spider", secret_name="Pedro", boss=boss)
            other = Hero(id=3, name="Black", secret_name="T", boss=boss)
            force = Team(id=1, name="Force")
            preventers = Team(id=2, name="Preventers")
            links = [
                HeroTeamLink(team=force, hero=boss),
                HeroTeamLink(team=force, hero=helper, is_training=True, since=date(2026, 1, 2)),
                HeroTeamLink(team=preventers, hero=helper),
            ]
            session.add_all([boss, helper, other, force, preventers, *links, Essay(id=1, title="t", text="body")])
            await session.commit()
        yield engine
