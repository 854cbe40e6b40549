"""The limit of calls, over all processes: as many apps as there might be, on one Redis.

`make test` starts its stack without that limit, which most tests would run into.
"""

import os
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import falcon
import jwt
import pytest
from falcon.testing import Result, TestClient

from libs.common.cache import BlockingCache
from libs.common.tokens import Secret, Verifier
from services.rest_api import problems
from services.rest_api.authentication import Authentication
from services.rest_api.rate_limit import RateLimit
from services.rest_api.soft_cache import SoftCache

SECRET = "s" * 32
MOST = 3


class Here:
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        response.text = "here"


class Open(Here):
    is_public = True


def process(cache: BlockingCache) -> TestClient:
    app: falcon.App[Any, Any] = falcon.App()
    app.add_middleware(Authentication(Verifier(Secret(SECRET), ("HS256",))))
    app.add_middleware(RateLimit(SoftCache(cache), MOST))
    problems.install(app)
    app.add_route("/here", Here())
    app.add_route("/open", Open())
    return TestClient(app)


def as_user(user: UUID, **claims: object) -> dict[str, str]:
    payload = {"sub": str(user), "exp": int(time.time()) + 60, **claims}
    return {"Authorization": f"Bearer {jwt.encode(payload, SECRET, 'HS256')}"}


@pytest.fixture
def processes() -> Iterator[list[TestClient]]:
    caches = [BlockingCache(os.environ["CHAT_REDIS_URL"]) for _ in range(2)]
    yield [process(cache) for cache in caches]
    for cache in caches:
        cache.close()


def burst(processes: list[TestClient]) -> tuple[dict[str, str], list[Result]]:
    """A fresh user's calls in less than the second, in turn: two more than allowed."""
    for _ in range(10):
        user, began = as_user(uuid4()), time.monotonic()
        answers = [processes[n % 2].simulate_get("/here", headers=user) for n in range(MOST + 2)]
        if time.monotonic() - began < 0.9:
            return user, answers
    raise AssertionError("this machine is too slow to call so often in a second")


def test_a_user_has_so_many_calls_whichever_process_answers(processes: list[TestClient]) -> None:
    user, answers = burst(processes)
    assert [answer.status_code for answer in answers] == [200] * MOST + [429] * 2
    assert [answer.headers["ratelimit"] for answer in answers] == [
        f'"calls";r={left};t=1' for left in (2, 1, 0, 0, 0)
    ]
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"calls";q=3;w=1'}
    refused = answers[-1]
    assert refused.json["code"] == "RATE_LIMITED"
    assert refused.headers["retry-after"] == "1"
    other = processes[0].simulate_get("/here", headers=as_user(uuid4()))
    assert (other.status_code, other.headers["ratelimit"]) == (200, '"calls";r=2;t=1')
    time.sleep(int(refused.headers["retry-after"]))
    assert processes[0].simulate_get("/here", headers=user).status_code == 200


def test_services_and_public_addresses_have_no_limit(processes: list[TestClient]) -> None:
    service = as_user(uuid4(), scope="service")
    for path, headers in (("/here", service), ("/open", {})):
        for _ in range(3 * MOST):
            answer = processes[0].simulate_get(path, headers=headers)
            assert answer.status_code == 200
            assert "ratelimit" not in answer.headers


def test_nobody_is_limited_while_redis_is_away() -> None:
    away = BlockingCache("redis://127.0.0.1:1/0")
    alone = process(away)
    user = as_user(uuid4())
    for _ in range(3 * MOST):
        answer = alone.simulate_get("/here", headers=user)
        assert answer.status_code == 200
        assert "ratelimit" not in answer.headers
    away.close()
