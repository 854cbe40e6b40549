"""How often a user may call, over all processes of this role."""

from math import ceil
from typing import Any
from uuid import uuid4

import falcon

from libs.common.keys import RATE
from libs.common.limits import Limit, permits
from libs.common.tokens import Caller
from services.rest_api.problems import Problem
from services.rest_api.soft_cache import SoftCache

KIND = "calls"


class RateLimit:
    """Falcon middleware, behind `Authentication`.

    Services are not limited; nor is anybody while Redis is away, as the limit only protects us.

    The headers are those of draft-ietf-httpapi-ratelimit-headers-10: `r` calls are left, and after
    `t` seconds without any there are `q` again.
    """

    def __init__(self, cache: SoftCache, calls_per_second: int) -> None:
        self._cache = cache
        self._limit = Limit(KIND, calls_per_second)
        self._window_s = self._limit.window_ms // 1000
        self._policy = f'"{KIND}";q={self._limit.most};w={self._window_s}'

    def process_resource(
        self,
        request: falcon.Request,
        response: falcon.Response,
        _resource: object,
        _parameters: dict[str, Any],
    ) -> None:
        """Raises Problem RATE_LIMITED."""
        caller: Caller | None = request.context.get("caller")
        if caller is None or caller.is_service:
            return
        answers = self._cache.run(
            self._limit.command(caller.user_id, [uuid4().bytes]),
            ("ZCOUNT", RATE(KIND, caller.user_id), 0, "+inf"),
        )
        if answers is None:
            return
        (permit,) = permits(answers[0])
        left = max(0, self._limit.most - answers[1])
        response.set_header("RateLimit-Policy", self._policy)
        response.set_header("RateLimit", f'"{KIND}";r={left};t={self._window_s}')
        if permit.granted_at is None:
            raise Problem(
                "RATE_LIMITED",
                "Too many calls in too short a time. Repeat after Retry-After.",
                headers={"Retry-After": str(ceil(permit.retry_after_ms / 1000))},
            )
