"""A database for the atlas, on the embedded server that all tests share."""

import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import URL, ForeignKey, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from web_atlas import API_KEYS, WORLD, key
from web_server import served

from atlas.database import ensure_atlas
from embedded_postgres import start
from fastapi_atlas.app import create_app
from fastapi_atlas.service import Settings
from loadplan import LoadPlan, load


@pytest.fixture(scope="session")
async def atlas_url() -> AsyncIterator[URL]:
    """Make an empty database of the atlas tests' own; each process that runs tests has another."""
    server = start("tests")
    name = f"loadplan_atlas_{uuid.uuid4().hex[:12]}"
    admin = create_async_engine(server, isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield server.set(database=name)
    finally:
        async with admin.connect() as connection:
            await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        await admin.dispose()


@pytest.fixture
async def atlas_engine(atlas_url: URL) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(atlas_url)
    yield engine
    await engine.dispose()


@pytest.fixture(scope="session")
async def web_url(database_url: URL, drivername: str) -> URL:
    """A database with the atlas in it, which the tests of the web examples read."""
    engine = create_async_engine(database_url)
    await ensure_atlas(engine)
    await engine.dispose()
    return database_url.set(drivername=drivername)


@pytest.fixture(scope="session")
def web_settings(web_url: URL) -> Settings:
    return Settings(web_url, cursor_key=b"secret", api_keys=API_KEYS, pool_size=3, max_rows=2_000)


@pytest.fixture(scope="session")
async def web_base(web_settings: Settings) -> AsyncIterator[str]:
    """The application on FastAPI, served; its URL."""
    async with served(create_app(web_settings)) as base:
        yield base


@pytest.fixture(scope="session")
async def client(web_base: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client that may see everything."""
    async with httpx.AsyncClient(base_url=web_base, headers=key(WORLD), timeout=30) as client:
        yield client


@pytest.fixture
def unfinished_plan() -> Iterator[LoadPlan[Any]]:
    """A plan that is written before its mappers can be configured, and is wrong."""

    class Base(DeclarativeBase):
        pass

    class Order(Base):
        __tablename__ = "orders"
        id: Mapped[int] = mapped_column(primary_key=True)
        lines: Mapped[list["Line"]] = relationship("Line")

    plan = LoadPlan(Order, load("linse"), name="order page")

    class Line(Base):
        __tablename__ = "lines"
        id: Mapped[int] = mapped_column(primary_key=True)
        order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))

    yield plan  # and with it the classes, which the registry alone does not keep
    Base.registry.dispose()
