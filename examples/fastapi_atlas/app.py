"""The application: opens the service at start-up, and answers the errors of all routes."""

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
    """The state that the lifespan passes to each request, as ``request.state``."""

    service: Service


def create_app(settings: Settings) -> FastAPI:
    """Return the application. It opens nothing before it starts. If a plan is wrong, it does not start."""

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
    """Answer an error of a fetch, or a NotLoaded that a route has raised."""
    return _json(problem_of(cast("LoadPlanError", error)))


async def answer_bad_response(_request: Request, error: Exception) -> JSONResponse:
    """Answer the error of a response model that could not read its entity.

    pydantic turns NotLoaded into its own error with the same text. FastAPI turns that error into this one.
    """
    return _json(internal_problem(error))


def _json(problem: Problem) -> JSONResponse:
    body: Any = problem
    return JSONResponse(body, problem["status"], media_type=MEDIA_TYPE)
