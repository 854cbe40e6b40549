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
HEADERS = {"RateLimit": '"calls";r=9;t=1', "RateLimit-Policy": '"calls";q=10;w=1', "ETag": '"1"'}
UNREAD: dict[str, Any] = {"total": 0, "conversations": {}}


def problem(status: int, code: str) -> dict[str, Any]:
    return {"type": "about:blank", "title": "T", "status": status, "detail": "D", "code": code}


def answered(
    call: str,
    status: int,
    body: object = None,
    headers: dict[str, str] | None = None,
    media_type: str = "application/json",
) -> str | None:
    method, path = call.split()
    return CONTRACT.complaint(
        httpx.Response(
            status,
            headers={**HEADERS, "Content-Type": media_type} if headers is None else headers,
            request=httpx.Request(method, f"http://edge{BASE}{path}"),
            content=b"" if body is None else json.dumps(body).encode(),
        )
    )


PROBLEM = "application/problem+json"


def test_what_is_documented_is_allowed() -> None:
    assert answered("GET /unread", 200, UNREAD) is None
    assert answered("HEAD /unread", 200) is None
    assert answered("GET /unread", 304) is None
    assert answered("OPTIONS /unread", 204, headers={"Allow": "GET"}) is None
    said = problem(404, "MESSAGE_NOT_FOUND")
    assert answered("GET /messages/7", 404, said, media_type=PROBLEM) is None


def test_what_is_not_there_is_not_there() -> None:
    nothing = problem(404, "NOT_FOUND")
    assert answered("GET /nothing", 404, nothing, media_type=PROBLEM) is None
    assert "and yet 200" in str(answered("GET /nothing", 200, UNREAD))
    never = problem(405, "METHOD_NOT_ALLOWED")
    headers = {"Content-Type": PROBLEM, "Allow": "GET"}
    assert answered("POST /unread", 405, never, headers) is None
    assert "and yet 200" in str(answered("POST /unread", 200, UNREAD))


@pytest.mark.parametrize(
    ("status", "body", "media_type", "complaint"),
    [
        (418, UNREAD, "application/json", "undocumented status 418"),
        (200, UNREAD, "text/plain", "undocumented content type"),
        (200, UNREAD | {"more": 1}, "application/json", "more"),
        (200, {"total": 0}, "application/json", "conversations"),
        (200, UNREAD | {"total": "0"}, "application/json", "/total"),
        (304, UNREAD, "application/json", "a body where none is documented"),
        (401, problem(401, "NOT_SENDER"), PROBLEM, "/code"),
        (429, problem(429, "RATE_LIMITED"), PROBLEM, "no header Retry-After"),
    ],
)
def test_a_drift_is_noticed(status: int, body: object, media_type: str, complaint: str) -> None:
    headers = {**HEADERS, "Content-Type": media_type, "WWW-Authenticate": "Bearer"}
    assert complaint in str(answered("GET /unread", status, body, headers))


def test_an_undocumented_parameter_is_noticed() -> None:
    assert "['more']" in str(answered("GET /unread?more=1", 200, UNREAD))


def test_an_address_without_names_goes_first() -> None:
    said = answered("GET /messages/search?q=x", 200, {"items": [], "nextCursor": None})
    assert said is None


def test_what_a_background_task_saw_is_judged_once() -> None:
    watch = ContractWatch()
    watch.frame(Received({"type": "NEWS"}, at=0.0))
    with pytest.raises(AssertionError, match="undocumented type"):
        watch.judge()
    watch.judge()
