"""FastAPI on Tortoise ORM."""

# pyright: reportMissingImports=false

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from pydantic import field_validator
from sqlalchemy import URL
from tortoise.contrib.fastapi import RegisterTortoise
from tortoise.query_utils import Prefetch

from benchmarks.http.answers import LineAnswer, OrderAnswer
from benchmarks.rivals.tortoise_orm import configuration
from benchmarks.rivals.tortoise_orm.shop_models import Line, Order


class TortoiseOrder(OrderAnswer):
    """Opens the collection, which is an object of Tortoise's own."""

    lines: list[LineAnswer]

    @field_validator("lines", mode="before")
    @classmethod
    def as_list(cls, lines: Any) -> list[Any]:
        """Return the lines that were prefetched."""
        return list(lines)


def query() -> Any:
    """Return the query of all orders, built in each request."""
    lines = Prefetch("lines", Line.all().order_by("id").select_related("product"))
    return Order.all().select_related("customer").prefetch_related(lines)


def application(_: str, url: URL) -> FastAPI:
    """Return the application on the database of a URL."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with RegisterTortoise(app, config=configuration(url)):
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/orders/{key}", response_model=TortoiseOrder)
    async def order(key: int) -> Any:
        return await query().get(id=key)

    @app.get("/orders", response_model=list[TortoiseOrder])
    async def orders(limit: int) -> Any:
        return await query().order_by("id").limit(limit)

    return app
