"""HTTP as it should be: HEAD, OPTIONS, gzip, ETag, CORS, caching, request ids."""

import gzip
from typing import Any

import falcon
import pytest
from falcon.testing import TestClient
from pydantic import ValidationError

from libs.common.tokens import Secret, Verifier
from services.rest_api import problems
from services.rest_api.access_log import AccessLog
from services.rest_api.authentication import Authentication
from services.rest_api.bodies import answer
from services.rest_api.compression import Compression, accepts_gzip
from services.rest_api.contract import Page
from services.rest_api.cross_origin import CrossOrigin
from services.rest_api.lately import MOST, Lately
from services.rest_api.problems import Problem
from services.rest_api.routing import Router
from services.rest_api.settings import RestSettings
from services.rest_api.validation import Validation

ORIGIN = "https://app.example"


class Letters:
    """Public, so that what is tested needs no token."""

    is_public = True
    has_etag = True

    def __init__(self) -> None:
        self.items = ["short"]

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        answer(response, Page[str](self.items, None))

    def on_delete(self, request: falcon.Request, response: falcon.Response) -> None:
        response.status = 204


class Refusing:
    is_public = True
    has_etag = True

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        raise Problem("NOT_PARTICIPANT")


class Guarded(Letters):
    is_public = False


letters = Letters()


@pytest.fixture
def client() -> TestClient:
    letters.items = ["short"]
    app: falcon.App[Any, Any] = falcon.App(router=Router())
    for layer in (AccessLog(), CrossOrigin([ORIGIN]), Compression(), Validation()):
        app.add_middleware(layer)
    app.add_middleware(Authentication(Verifier(Secret("s" * 32), ("HS256",))))
    problems.install(app)
    app.add_route("/letters", letters)
    app.add_route("/refusing", Refusing())
    app.add_route("/guarded", Guarded())
    return TestClient(app)


def test_head_is_get_without_its_body(client: TestClient) -> None:
    for path in ("/letters", "/refusing", "/nowhere", "/guarded"):
        got, head = client.simulate_get(path), client.simulate_head(path)
        assert (head.status_code, head.content) == (got.status_code, b"")
        assert dict(head.headers) == dict(got.headers), path
        assert int(head.headers["content-length"]) == len(got.content)


def test_options_needs_no_token_and_tells_what_is_allowed(client: TestClient) -> None:
    result = client.simulate_options("/guarded")
    assert result.status_code == 200
    assert set(result.headers["allow"].split(", ")) == {"DELETE", "GET", "HEAD"}
    assert client.simulate_options("/nowhere").status_code == 404


def test_other_methods_are_405_with_what_is_allowed(client: TestClient) -> None:
    result = client.simulate_put("/letters")
    assert (result.status_code, result.json["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert {"DELETE", "GET", "HEAD"} <= set(result.headers["allow"].split(", "))


def test_a_trailing_slash_is_another_address(client: TestClient) -> None:
    assert client.simulate_get("/letters/").status_code == 404


def test_only_long_answers_are_compressed(client: TestClient) -> None:
    headers = {"Accept-Encoding": "br, gzip;q=0.5"}
    short = client.simulate_get("/letters", headers=headers)
    assert "content-encoding" not in short.headers
    assert "Accept-Encoding" in short.headers["vary"]
    letters.items = ["long"] * 1000
    plain = client.simulate_get("/letters")
    packed = client.simulate_get("/letters", headers=headers)
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.content) == plain.content
    assert int(packed.headers["content-length"]) == len(packed.content) < len(plain.content)
    assert packed.headers["etag"] == plain.headers["etag"]


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0, *", False),
        ("*", True),
        ("*;q=0", False),
        ("br", False),
        ("identity;q=1, *;q=0", False),
        ("gzip;q=x", False),
    ],
)
def test_whether_gzip_is_accepted(header: str | None, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted


def test_what_is_unchanged_is_not_sent_again(client: TestClient) -> None:
    first = client.simulate_get("/letters")
    etag = first.headers["etag"]
    assert etag.startswith('W/"')
    assert first.headers["cache-control"] == "private, no-cache"
    for known in (etag, f'"other", {etag}', etag.removeprefix("W/"), "*"):
        again = client.simulate_get("/letters", headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag
        assert again.headers["cache-control"] == "private, no-cache"
        assert "Accept-Encoding" in again.headers["vary"]
        assert "content-type" not in again.headers
    head = client.simulate_head("/letters", headers={"If-None-Match": etag})
    assert head.status_code == 304
    letters.items = ["new"]
    changed = client.simulate_get("/letters", headers={"If-None-Match": etag})
    assert (changed.status_code, changed.json["items"]) == (200, ["new"])
    assert changed.headers["etag"] != etag


def test_a_problem_is_not_kept(client: TestClient) -> None:
    result = client.simulate_get("/refusing", headers={"If-None-Match": "*"})
    assert result.status_code == 403
    assert result.headers["cache-control"] == "no-store"
    assert "etag" not in result.headers


def test_a_preflight_of_an_allowed_origin(client: TestClient) -> None:
    result = client.simulate_options(
        "/guarded",
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "DELETE",
            "Access-Control-Request-Headers": "authorization",
        },
    )
    assert result.status_code == 200
    assert result.headers["access-control-allow-origin"] == ORIGIN
    assert "DELETE" in result.headers["access-control-allow-methods"]
    assert result.headers["access-control-allow-headers"] == "authorization"
    assert "access-control-allow-credentials" not in result.headers


def test_an_allowed_origin_may_read_answers_and_problems(client: TestClient) -> None:
    for path in ("/letters", "/refusing", "/guarded"):
        result = client.simulate_get(path, headers={"Origin": ORIGIN})
        assert result.headers["access-control-allow-origin"] == ORIGIN
        assert "Retry-After" in result.headers["access-control-expose-headers"]
        assert "Origin" in result.headers["vary"]


def test_other_origins_may_not(client: TestClient) -> None:
    for headers in ({"Origin": "https://evil.example"}, {}):
        result = client.simulate_get("/letters", headers=headers)
        assert "access-control-allow-origin" not in result.headers
        assert "Origin" in result.headers["vary"]


def test_a_request_id_comes_back(client: TestClient) -> None:
    for path in ("/letters", "/refusing"):
        result = client.simulate_get(path, headers={"X-Request-Id": "4f2a-1"})
        assert result.headers["x-request-id"] == "4f2a-1"
    odd = client.simulate_get("/letters", headers={"X-Request-Id": "a b"})
    assert "x-request-id" not in odd.headers


def settings(**values: object) -> RestSettings:
    servers = {
        "amqp_url": "amqp://x/",
        "redis_url": "redis://x/",
        "database_url": "postgresql://x/",
        "jwt_secret": "s" * 32,
    }
    return RestSettings.model_validate(servers | values)


def test_origins() -> None:
    assert settings().origins == ()
    assert settings(allowed_origins="*").origins == ("*",)
    two = "https://a.example, http://localhost:3000"
    assert settings(allowed_origins=two).origins == ("https://a.example", "http://localhost:3000")
    for wrong in ("a.example", "https://a.example/", "https://*.example", "*, https://a.example"):
        with pytest.raises(ValidationError):
            settings(allowed_origins=wrong)


def test_lately() -> None:
    now = 0.0
    lately = Lately(10, lambda: now)
    assert [lately.is_first("a"), lately.is_first("a"), lately.is_first("b")] == [True, False, True]
    now = 10.0
    assert lately.is_first("a")
    assert all(lately.is_first(number) for number in range(MOST))
    assert lately.is_first("a"), "it remembers only so many"
