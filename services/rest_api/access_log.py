"""One log line and one measurement for each call; never a token, an id or a content."""

import time
from typing import Final

import falcon
import structlog

from libs.common.metrics import HTTP_CALLS

_METHODS: Final = frozenset(falcon.HTTP_METHODS)

log = structlog.get_logger()


class AccessLog:
    """Falcon middleware; the outermost, so that its time is the whole call's."""

    def process_request(self, request: falcon.Request, _response: falcon.Response) -> None:
        request.context.started = time.monotonic()

    def process_response(
        self,
        request: falcon.Request,
        response: falcon.Response,
        _resource: object,
        _succeeded: bool,
    ) -> None:
        seconds = time.monotonic() - request.context.started
        # A caller may invent methods and addresses; the labels stay few.
        method = request.method if request.method in _METHODS else "other"
        route = request.uri_template or "none"
        status = response.status_code
        HTTP_CALLS.labels(method, route, status).observe(seconds)
        log.info("call", method=method, route=route, status=status, ms=round(seconds * 1000, 1))
