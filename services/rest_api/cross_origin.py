"""CORS: which web pages of other origins may call. None, unless a setting names them."""

from collections.abc import Sequence
from typing import Any

import falcon

_EXPOSED = ("ETag", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-Id")


class CrossOrigin(falcon.CORSMiddleware[Any, Any]):
    """Falcon's, and the word to caches that the answer depends on who asks.

    No credentials: tokens are sent by the page's own code, never by the browser.
    """

    def __init__(self, origins: Sequence[str]) -> None:
        super().__init__("*" if "*" in origins else origins, expose_headers=_EXPOSED)

    def process_response(
        self,
        request: falcon.Request,
        response: falcon.Response,
        resource: object,
        succeeded: bool,
    ) -> None:
        response.append_header("Vary", "Origin")
        super().process_response(request, response, resource, succeeded)
