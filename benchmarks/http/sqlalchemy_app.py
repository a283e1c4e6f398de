"""FastAPI on SQLAlchemy: loader options by hand, and loadplan."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeAlias

import msgspec
from fastapi import FastAPI, Response
from sqlalchemy import URL, select
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.orm import joinedload, selectinload

from benchmarks.http.answers import OrderAnswer, OrderStruct
from benchmarks.rivals.rival import POOL
from benchmarks.shop import Line, Order
from loadplan import Loader, LoadPlan, load

ENTITIES = LoadPlan(Order, load(Order.customer), load(Order.lines, load(Line.product)), name="order page")
PYDANTIC = LoadPlan(Order, into=OrderAnswer)
MSGSPEC = LoadPlan(Order, into=OrderStruct)

AddRoutes: TypeAlias = Callable[[FastAPI, AsyncEngine], None]


def add_options(app: FastAPI, engine: AsyncEngine) -> None:
    """Write the routes as an application without loadplan does: statements with options, built in each request."""
    new_session = async_sessionmaker(engine, expire_on_commit=False)

    @app.get("/orders/{key}", response_model=OrderAnswer)
    async def order(key: int) -> Any:
        statement = select(Order).where(Order.id == key)
        async with new_session() as session:
            found = await session.scalars(
                statement.options(joinedload(Order.customer), selectinload(Order.lines).joinedload(Line.product))
            )
            return found.one()

    @app.get("/orders", response_model=list[OrderAnswer])
    async def orders(limit: int) -> Any:
        statement = select(Order).order_by(Order.id).limit(limit)
        async with new_session() as session:
            found = await session.scalars(
                statement.options(joinedload(Order.customer), selectinload(Order.lines).joinedload(Line.product))
            )
            return found.all()


def add_entities(app: FastAPI, engine: AsyncEngine) -> None:
    """Write the routes with a plan of entities."""
    loader = Loader(engine)

    @app.get("/orders/{key}", response_model=OrderAnswer)
    async def order(key: int) -> Any:
        return await loader.fetch(ENTITIES, key)

    @app.get("/orders", response_model=list[OrderAnswer])
    async def orders(limit: int) -> Any:
        return await loader.fetch_all(ENTITIES, order_by=Order.id, limit=limit)


def add_pydantic(app: FastAPI, engine: AsyncEngine) -> None:
    """Write the routes with a plan whose results are the answers."""
    loader = Loader(engine)

    @app.get("/orders/{key}")
    async def order(key: int) -> OrderAnswer:
        return await loader.fetch(PYDANTIC, key)

    @app.get("/orders")
    async def orders(limit: int) -> list[OrderAnswer]:
        return await loader.fetch_all(PYDANTIC, order_by=Order.id, limit=limit)


def add_msgspec(app: FastAPI, engine: AsyncEngine) -> None:
    """Write the routes with a plan of msgspec structs, which msgspec writes as JSON."""
    loader = Loader(engine)

    def answer(content: object) -> Response:
        return Response(msgspec.json.encode(content), media_type="application/json")

    @app.get("/orders/{key}")
    async def order(key: int) -> Response:
        found = await loader.fetch(MSGSPEC, key)
        return answer(found)

    @app.get("/orders")
    async def orders(limit: int) -> Response:
        found = await loader.fetch_all(MSGSPEC, order_by=Order.id, limit=limit)
        return answer(found)


ROUTES: Mapping[str, AddRoutes] = {
    "options": add_options,
    "entities": add_entities,
    "pydantic": add_pydantic,
    "msgspec": add_msgspec,
}


def application(kind: str, url: URL) -> FastAPI:
    """Return the application of a kind on the database of a URL."""
    engine = create_async_engine(url, pool_size=POOL, max_overflow=0)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)
    ROUTES[kind](app, engine)
    return app
