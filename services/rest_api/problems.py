"""Errors as RFC 9457 `application/problem+json`: the one place that says which is which."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import falcon
import msgspec
import psycopg
import structlog
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from libs.common.metrics import REFUSED
from libs.common.protocol.errors import REFUSALS
from libs.common.tokens import KeyPending, Undecided
from services.rest_api.commands import CommandRefused, Unanswered
from services.rest_api.contract import ProblemDetails

MEDIA_PROBLEM: Final = "application/problem+json"
RETRY_AFTER_S: Final = 1

_AWAY: Final[tuple[type[Exception], ...]] = (
    Unanswered,
    Undecided,
    PoolTimeout,
    PoolClosed,
    TooManyRequests,
    psycopg.OperationalError,
    psycopg.InterfaceError,
)
"""What ends when a server is back: the same call, repeated, is then answered."""

_OF_FALCON: Final = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}

log = structlog.get_logger()


class Problem(Exception):
    """A call is refused. `error` is a constant of `protocol.errors`."""

    def __init__(
        self, error: str, detail: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """`detail` says more than the constant's own sentence. It never quotes the caller."""
        super().__init__(error)
        self.refusal = REFUSALS[error]
        self.detail = detail or self.refusal.message
        self.headers = dict(headers or {})


def install(app: "falcon.App[Any, Any]") -> None:
    """Whatever is raised in `app` becomes a problem; falcon takes the most specific handler."""
    app.add_error_handler(Exception, _answer_unexpected)
    app.add_error_handler(falcon.HTTPError, _answer_falcon)
    for away in _AWAY:
        app.add_error_handler(away, _answer_away)
    app.add_error_handler(KeyPending, _answer_undecided)
    app.add_error_handler(CommandRefused, _answer_refused)
    app.add_error_handler(Problem, _answer_problem)


def _answer_problem(
    _request: falcon.Request, response: falcon.Response, problem: Problem, _: dict[str, Any]
) -> None:
    write(response, problem)


def _answer_refused(
    _request: falcon.Request, response: falcon.Response, refused: CommandRefused, _: dict[str, Any]
) -> None:
    write(response, Problem(refused.error))


def _answer_falcon(
    _request: falcon.Request, response: falcon.Response, error: falcon.HTTPError, _: dict[str, Any]
) -> None:
    status = falcon.http_status_to_code(error.status)
    known = _OF_FALCON.get(
        status, "INVALID_FIELD" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "INTERNAL"
    )
    headers = error.headers
    write(response, Problem(known, headers=dict(headers) if headers else None))


def _answer_away(
    request: falcon.Request, response: falcon.Response, error: Exception, _: dict[str, Any]
) -> None:
    log.warning("a server is away", route=request.uri_template, reason=type(error).__name__)
    write(response, Problem("UNAVAILABLE", headers={"Retry-After": str(RETRY_AFTER_S)}))


def _answer_undecided(
    request: falcon.Request, response: falcon.Response, _error: Exception, _: dict[str, Any]
) -> None:
    """The same, but nothing is away: `AccessLog` doesn't hold it against us."""
    request.context.is_undecided = True
    write(response, Problem("UNAVAILABLE", headers={"Retry-After": str(RETRY_AFTER_S)}))


def _answer_unexpected(
    request: falcon.Request, response: falcon.Response, error: Exception, _: dict[str, Any]
) -> None:
    log.error("a call failed", route=request.uri_template, exc_info=error)
    write(response, Problem("INTERNAL"))


def write(response: falcon.Response, problem: Problem) -> None:
    """Makes `problem` the answer."""
    refusal = problem.refusal
    REFUSED.labels(refusal.error).inc()
    details = ProblemDetails(
        type="about:blank",
        title=HTTPStatus(refusal.code).phrase,
        status=refusal.code,
        detail=problem.detail,
        code=refusal.error,
    )
    response.status = refusal.code
    response.content_type = MEDIA_PROBLEM
    response.data = msgspec.json.encode(details)
    response.set_header("Cache-Control", "no-store")
    response.set_headers(problem.headers)
