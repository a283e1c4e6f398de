"""What an error means in HTTP: said once, for all routes and whatever the framework.

What the client can mend is told to the client: LP codes with their sentence. What only a developer can mend is told to
the log, with place and hint; the client learns that it was not its fault.
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
    TooManyRows: 400,  # 413 speaks of what the client sent, not of what it asked for
}
"""Everything else is a defect of the service: NotLoaded, PlanError, a view that its row does not fit."""


class Problem(TypedDict):
    """The body, as RFC 9457 has it; ``code`` and ``missing`` are additions of ours."""

    title: str
    status: int
    detail: NotRequired[str]
    code: NotRequired[str]
    missing: NotRequired[list[Any]]


def problem_of(error: LoadPlanError) -> Problem:
    """Return the body that an error is answered with; logs those that are the service's own."""
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    if status == 500:
        return internal_problem(error)
    body = Problem(title=_title(status), status=status, detail=error.message, code=error.code)
    if isinstance(error, NotFound) and error.missing:
        body["missing"] = list(error.missing)
    return body


def internal_problem(error: Exception) -> Problem:
    """Return the body that says no more than that it went wrong here; what went wrong goes to the log."""
    log.error("%s", error, exc_info=error)
    return Problem(title=_title(500), status=500)


def _title(status: int) -> str:
    return http.HTTPStatus(status).phrase
