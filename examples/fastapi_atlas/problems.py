"""Turns errors into HTTP answers, in one place for all routes and frameworks.

If the client can mend the error, the answer has the LP code and the message. If only a developer can mend it, the log
has the error with its place and hint, and the client learns only that the service failed.
"""

import http
import logging
from typing import Any, NotRequired, TypedDict

from loadplan import CursorError, IdentityError, LoadPlanError, NotFound, ParameterError, TooManyRows

log = logging.getLogger("atlas")

MEDIA_TYPE = "application/problem+json"

STATUS: dict[type[LoadPlanError], int] = {
    NotFound: 404,
    IdentityError: 422,
    ParameterError: 422,
    CursorError: 422,
    TooManyRows: 400,  # 413 is about the size of the request, not of the answer
}
"""The HTTP status of each error. All other errors are defects of the service: NotLoaded, PlanError, ViewError."""


class Problem(TypedDict):
    """The body of an answer in the form of RFC 9457. ``code`` and ``missing`` are additions of this service."""

    title: str
    status: int
    detail: NotRequired[str]
    code: NotRequired[str]
    missing: NotRequired[list[Any]]


def problem_of(error: LoadPlanError) -> Problem:
    """Return the body of the answer for an error. If the error is a defect of the service, log it."""
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    if status == 500:
        return internal_problem(error)
    body = Problem(title=_title(status), status=status, detail=error.message, code=error.code)
    if isinstance(error, NotFound) and error.missing:
        body["missing"] = list(error.missing)
    return body


def internal_problem(error: Exception) -> Problem:
    """Log an error, and return a body that tells the client only that the service failed."""
    log.error("%s", error, exc_info=error)
    return Problem(title=_title(500), status=500)


def _title(status: int) -> str:
    return http.HTTPStatus(status).phrase
