"""What the tests hold against the contracts: each kind of drift is noticed."""

import json
from typing import Any

import httpx
import pytest

from libs.client.session import Received
from services.rest_api.openapi import BASE
from tests.contracts.responses import ResponseContract
from tests.contracts.watch import ContractWatch

CONTRACT = ResponseContract()
LIMITS = {"RateLimit": '"calls";r=9;t=1', "RateLimit-Policy": '"calls";q=10;w=1'}
TAG = {"ETag": 'W/"1"'}
JSON, PROBLEM = "application/json", "application/problem+json"
UNREAD: dict[str, Any] = {"total": 0, "conversations": {}}


def problem(status: int, code: str) -> dict[str, Any]:
    return {"type": "about:blank", "title": "T", "status": status, "detail": "D", "code": code}


def answered(
    call: str,
    status: int,
    body: object = None,
    headers: dict[str, str] | None = None,
    media_type: str = JSON,
) -> str | None:
    method, path = call.split()
    return CONTRACT.complaint(
        httpx.Response(
            status,
            headers={"Content-Type": media_type, **(headers or {})},
            request=httpx.Request(method, f"http://edge{BASE}{path}"),
            content=b"" if body is None else json.dumps(body).encode(),
        )
    )


PROBLEM = "application/problem+json"


def test_what_is_documented_is_allowed() -> None:
    assert answered("GET /unread", 200, UNREAD, TAG) is None
    assert answered("GET /unread", 200, UNREAD, TAG | LIMITS) is None
    assert answered("HEAD /unread", 200, headers=TAG) is None
    assert answered("GET /unread", 304, headers=TAG) is None
    assert answered("OPTIONS /unread", 204, headers={"Allow": "GET"}) is None
    said = problem(404, "MESSAGE_NOT_FOUND")
    assert answered("GET /messages/7", 404, said, LIMITS, PROBLEM) is None


def test_what_is_not_there_is_not_there() -> None:
    nothing = problem(404, "NOT_FOUND")
    assert answered("GET /nothing", 404, nothing, media_type=PROBLEM) is None
    assert "and yet 200" in str(answered("GET /nothing", 200, UNREAD))
    never = problem(405, "METHOD_NOT_ALLOWED")
    assert answered("POST /unread", 405, never, {"Allow": "GET"}, PROBLEM) is None
    assert "and yet 200" in str(answered("POST /unread", 200, UNREAD))


@pytest.mark.parametrize(
    ("status", "body", "media_type", "headers", "complaint"),
    [
        (418, UNREAD, JSON, {}, "undocumented status 418"),
        (403, problem(403, "NOT_PARTICIPANT"), PROBLEM, {}, "undocumented status 403"),
        (200, UNREAD, "text/plain", TAG, "undocumented content type"),
        (200, UNREAD | {"more": 1}, JSON, TAG, "more"),
        (200, {"total": 0}, JSON, TAG, "conversations"),
        (200, UNREAD | {"total": "0"}, JSON, TAG, "/total"),
        (200, UNREAD, JSON, {}, "no header ETag"),
        (200, UNREAD, JSON, TAG | {"RateLimit": "many"}, "header RateLimit"),
        (200, UNREAD, JSON, TAG | {"Retry-After": "1"}, "undocumented header Retry-After"),
        (304, UNREAD, JSON, TAG, "a body where none is documented"),
        (401, problem(401, "NOT_SENDER"), PROBLEM, {"WWW-Authenticate": "Bearer"}, "/code"),
        (429, problem(429, "RATE_LIMITED"), PROBLEM, {}, "no header Retry-After"),
    ],
)
def test_a_drift_is_noticed(
    status: int, body: object, media_type: str, headers: dict[str, str], complaint: str
) -> None:
    assert complaint in str(answered("GET /unread", status, body, headers, media_type))


def test_an_undocumented_parameter_is_noticed() -> None:
    assert "['more']" in str(answered("GET /unread?more=1", 200, UNREAD, TAG))


def test_an_address_without_names_goes_first() -> None:
    nothing: dict[str, Any] = {"items": [], "nextCursor": None}
    assert answered("GET /messages/search?q=x", 200, nothing) is None


def test_what_a_background_task_saw_is_judged_once() -> None:
    watch = ContractWatch()
    watch.frame(Received({"type": "NEWS"}, at=0.0))
    with pytest.raises(AssertionError, match="undocumented type"):
        watch.judge()
    watch.judge()
