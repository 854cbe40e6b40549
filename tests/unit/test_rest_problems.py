"""Every way a call can fail, as a client sees it."""

import time
from typing import Any
from uuid import UUID

import falcon
import jwt
import msgspec
import psycopg
import pytest
from falcon.testing import Result, TestClient
from psycopg_pool import PoolTimeout

from libs.common.tokens import Secret, Verifier
from services.rest_api import problems
from services.rest_api.authentication import Authentication, caller_of
from services.rest_api.bodies import MOST_BYTES, answer, body_of
from services.rest_api.commands import Unanswered
from services.rest_api.contract import CreateConversation, Page
from services.rest_api.problems import Problem

SECRET = "s" * 32
USER = UUID(int=1)


class Raising:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        raise self._error


class Echo:
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        answer(response, Page[UUID]([caller_of(request).user_id], None))

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        answer(response, body_of(request, msgspec.json.Decoder(CreateConversation)))


def client(resource: object, *, authenticated: bool = False) -> TestClient:
    app: falcon.App[Any, Any] = falcon.App()
    if authenticated:
        app.add_middleware(Authentication(Verifier(Secret(SECRET), ("HS256",))))
    problems.install(app)
    app.add_route("/here", resource)
    return TestClient(app)


def assert_problem(result: Result, status: int, code: str) -> None:
    assert result.status_code == status
    assert result.headers["content-type"] == "application/problem+json"
    assert set(result.json) == {"type", "title", "status", "detail", "code"}
    assert (result.json["status"], result.json["code"]) == (status, code)


@pytest.mark.parametrize(
    "error",
    [Unanswered("TimeoutError"), PoolTimeout(), psycopg.OperationalError("secret address")],
)
def test_a_server_away_is_503_with_when_to_come_back(error: Exception) -> None:
    result = client(Raising(error)).simulate_get("/here")
    assert_problem(result, 503, "UNAVAILABLE")
    assert result.headers["retry-after"] == "1"
    assert "secret" not in result.text


def test_an_error_of_ours_is_500_and_tells_nothing() -> None:
    result = client(Raising(KeyError("secret"))).simulate_get("/here")
    assert_problem(result, 500, "INTERNAL")
    assert "secret" not in result.text


def test_a_refusal_has_its_own_status_and_constant() -> None:
    result = client(Raising(Problem("NOT_PARTICIPANT"))).simulate_get("/here")
    assert_problem(result, 403, "NOT_PARTICIPANT")


def test_no_such_address_and_no_such_method() -> None:
    assert_problem(client(Echo()).simulate_get("/there"), 404, "NOT_FOUND")
    result = client(Echo()).simulate_delete("/here")
    assert_problem(result, 405, "METHOD_NOT_ALLOWED")
    assert "GET" in result.headers["allow"]


def token(**claims: object) -> str:
    return jwt.encode({"sub": str(USER), "exp": int(time.time()) + 60} | claims, SECRET, "HS256")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "UNAUTHENTICATED"),
        ("", "UNAUTHENTICATED"),
        ("Bearer", "UNAUTHENTICATED"),
        ("Basic dTpw", "UNAUTHENTICATED"),
        ("Bearer nope", "TOKEN_INVALID"),
        (f"Bearer {token(sub='nobody')}", "TOKEN_INVALID"),
        (f"Bearer {token(exp=1)}", "TOKEN_EXPIRED"),
    ],
)
def test_who_does_not_say_who_it_is_gets_401(header: str | None, code: str) -> None:
    headers = {} if header is None else {"Authorization": header}
    result = client(Echo(), authenticated=True).simulate_get("/here", headers=headers)
    assert_problem(result, 401, code)
    assert result.headers["www-authenticate"].startswith("Bearer")


def test_a_good_token_names_its_subject() -> None:
    headers = {"Authorization": f"bearer {token()}"}
    result = client(Echo(), authenticated=True).simulate_get("/here", headers=headers)
    assert result.json == {"items": [str(USER)], "nextCursor": None}


@pytest.mark.parametrize(
    ("body", "media_type", "code"),
    [
        (b"{", "application/json", "INVALID_JSON"),
        (b"\xff", "application/json", "INVALID_JSON"),
        (b"", "application/json", "INVALID_JSON"),
        (b"{}", "text/plain", "INVALID_JSON"),
        (b'"' + b"x" * MOST_BYTES + b'"', "application/json", "INVALID_JSON"),
        (b"{}", "application/json", "INVALID_FIELD"),
        (b"[]", "application/json; charset=utf-8", "INVALID_FIELD"),
    ],
)
def test_a_bad_body_is_400(body: bytes, media_type: str, code: str) -> None:
    headers = {"Content-Type": media_type}
    result = client(Echo()).simulate_post("/here", body=body, headers=headers)
    assert_problem(result, 400, code)
