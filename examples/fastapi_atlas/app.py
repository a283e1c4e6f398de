"""The application: what is opened at start-up, and what an error means, for all routes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypedDict, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import ResponseValidationError
from fastapi.responses import JSONResponse

from fastapi_atlas.problems import MEDIA_TYPE, Problem, internal_problem, problem_of
from fastapi_atlas.routes import router
from fastapi_atlas.service import Service, Settings, open_service
from loadplan import LoadPlanError


class State(TypedDict):
    """What the lifespan hands to each request, as ``request.state``."""

    service: Service


def create_app(settings: Settings) -> FastAPI:
    """Return the application. Nothing is opened before it starts; with a wrong plan it does not start."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
        async with open_service(settings) as service:
            yield {"service": service}

    app = FastAPI(title="Atlas", lifespan=lifespan)
    app.include_router(router)
    app.add_exception_handler(LoadPlanError, answer_load_plan_error)
    app.add_exception_handler(ResponseValidationError, answer_bad_response)
    return app


async def answer_load_plan_error(_request: Request, error: Exception) -> JSONResponse:
    """Answer whatever a fetch raised, and every NotLoaded that a route ran into."""
    return _json(problem_of(cast("LoadPlanError", error)))


async def answer_bad_response(_request: Request, error: Exception) -> JSONResponse:
    """Answer where the response model could not read its entity.

    pydantic makes an error of its own out of NotLoaded, with its text, and FastAPI makes this one out of that.
    """
    return _json(internal_problem(error))


def _json(problem: Problem) -> JSONResponse:
    body: Any = problem
    return JSONResponse(body, problem["status"], media_type=MEDIA_TYPE)
