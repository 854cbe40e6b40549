"""One log line and one measurement for each call; never a token, an id or a content."""

import re
import time
from typing import Final

import falcon
import structlog

from libs.common.metrics import HTTP_CALLS, HTTP_IN_PROGRESS, HTTP_RESPONSES

_REQUEST_ID: Final = re.compile(r"[\w.-]{1,64}", re.ASCII)
_RESPONSES: Final = {digit: HTTP_RESPONSES.labels(f"{digit}xx") for digit in range(1, 6)}
_UNDECIDED: Final = HTTP_RESPONSES.labels("undecided")
_METHODS: Final = frozenset(falcon.HTTP_METHODS)

log = structlog.get_logger()


class AccessLog:
    """Falcon middleware; the outermost, so that its time is the whole call's."""

    def process_request(self, request: falcon.Request, response: falcon.Response) -> None:
        request.context.started = time.monotonic()
        HTTP_IN_PROGRESS.inc()
        # Given by the edge; every line of this call bears it, and the answer gives it back.
        request_id = request.get_header("X-Request-Id", default="")
        if _REQUEST_ID.fullmatch(request_id):
            response.set_header("X-Request-Id", request_id)
            structlog.contextvars.bind_contextvars(request_id=request_id)

    def process_response(
        self,
        request: falcon.Request,
        response: falcon.Response,
        _resource: object,
        _succeeded: bool,
    ) -> None:
        seconds = time.monotonic() - request.context.started
        HTTP_IN_PROGRESS.dec()
        # A caller may invent methods and addresses; the labels stay few.
        method = request.method if request.method in _METHODS else "other"
        route = request.uri_template or "none"
        status = response.status_code
        HTTP_CALLS.labels(method, route, status).observe(seconds)
        is_undecided = getattr(request.context, "is_undecided", False)
        (_UNDECIDED if is_undecided else _RESPONSES[status // 100]).inc()
        log.info("call", method=method, route=route, status=status, ms=round(seconds * 1000, 1))
        structlog.contextvars.clear_contextvars()
