"""Tokens of an issuer who lists public keys: a real list over HTTP, a gateway and a REST API."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import UUID, uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs
from websockets.exceptions import InvalidStatus

from libs.client.session import Session
from libs.common.domain import trust
from libs.common.domain.trust import COOLDOWN_S
from libs.common.jwks import KeySet
from libs.common.tokens import Undecided
from tests.integration.conftest import System
from tests.integration.own import Own, own_gateway, own_rest
from tests.integration.watching import House, until

SAYS_WHO = {"iss": "https://id.example", "aud": "chat"}
CONNECTS, CALLS = "chat_connects_total", "chat_http_responses_total"
WAITS_FOR_KEYS = "not ready: the issuer's keys"
TERMS = {
    "CHAT_JWT_SECRET": "",
    "CHAT_CONNECTS_PER_MINUTE": "100000",
    "CHAT_JWT_ISSUER": SAYS_WHO["iss"],
    "CHAT_JWT_AUDIENCE": SAYS_WHO["aud"],
}


def as_listed(key: Ed25519PrivateKey, key_id: object) -> dict[str, object]:
    public = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key()))
    return {**public, "kid": key_id, "use": "sig"}


class Issuer:
    """Signs tokens, and lists the keys that are to be trusted."""

    def __init__(self) -> None:
        self.keys: dict[str, Ed25519PrivateKey] = {}
        self.listed: set[str] = set()
        self.asked = 0
        self.spoiled: bytes | None = None
        """All that is answered, in place of HTTP with the list."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                if issuer.spoiled is not None:
                    self.wfile.write(issuer.spoiled)
                    return
                body = issuer.document()
                self.send_response(200 if issuer.listed else 503)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def document(self) -> bytes:
        return json.dumps({"keys": [self._public(name) for name in self.listed]}).encode()

    def _public(self, name: str) -> dict[str, object]:
        return as_listed(self.keys[name], name)

    def token(self, user_id: UUID, key: str, **claims: object) -> str:
        signing = self.keys.setdefault(key, Ed25519PrivateKey.generate())
        payload = {"sub": str(user_id), "exp": int(time.time()) + 600, **SAYS_WHO, **claims}
        return jwt.encode(payload, signing, algorithm="EdDSA", headers={"kid": key})

    def list(self, *names: str) -> None:
        for name in names:
            self.keys.setdefault(name, Ed25519PrivateKey.generate())
        self.listed = set(names)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    yield issuer
    issuer.server.shutdown()
    issuer.server.server_close()


def listed(key_id: object) -> bytes:
    return json.dumps(as_listed(Ed25519PrivateKey.generate(), key_id)).encode()


HTTP = b"HTTP/1.1 200 OK\r\n"
SPOILED = {
    "no HTTP": b"\0\r\n\r\n",
    "nothing": b"",
    "cut in a chunk": HTTP + b'Transfer-Encoding: chunked\r\n\r\n400\r\n{"keys":',
    "cut by its length": HTTP + b'Content-Length: 400\r\n\r\n{"keys":',
    "no UTF-8": HTTP + b"\r\n\xff",
    "nested": HTTP + b"\r\n" + b"[" * 100_000,
    "a list": HTTP + b"\r\n[]",
    "keys are a number": HTTP + b'\r\n{"keys":5}',
    "a kid that is a list": HTTP + b'\r\n{"keys":[%b]}' % listed(["first"]),
    "a number among texts": HTTP + b'\r\n{"keys":[%b,%b]}' % (listed(5), listed("first")),
    "an alg that is a list": HTTP + b'\r\n{"keys":[{"kty":"OKP","crv":"Ed25519","alg":[]}]}',
}


async def refused(gateway: Own, token: str) -> int:
    """The status of the handshake's answer."""
    with pytest.raises(InvalidStatus) as answer:
        await Session.open(gateway.url, token)
    return answer.value.response.status_code


async def called(rest: Own, token: str) -> int:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as client:
        return (await client.get(f"{rest.base}/unread", timeout=20)).status_code


@pytest.mark.parametrize("spoiled", SPOILED)
async def test_whatever_is_answered_the_list_is_asked_for_again(
    issuer: Issuer, spoiled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "COOLDOWN_S", 0.0)
    issuer.spoiled = SPOILED[spoiled]
    keys = KeySet(issuer.url, ("EdDSA",))
    keys.start()
    try:
        await until(lambda: is_true(issuer.asked > 0), 5, "it asked")
        issuer.list("first")
        issuer.spoiled = None
        await until(lambda: is_true(is_found(keys, "first")), 5, "it asked again")
    finally:
        keys.stop()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(issuer: Issuer, status: int) -> None:
    """https says who answers; where the answer leads to, it doesn't."""
    issuer.list("first")
    issuer.spoiled = b"HTTP/1.1 %d Elsewhere\r\nLocation: /keys?moved\r\n\r\n" % status
    keys = KeySet(issuer.url, ("EdDSA",))
    with capture_logs() as said:
        keys._fetch()
    assert issuer.asked == 1
    assert not keys.are_known
    assert "redirect" in said[0]["reason"]


async def is_true(fact: bool) -> bool:
    return fact


def is_found(keys: KeySet, key_id: str) -> bool:
    try:
        return keys.find(key_id, "EdDSA") is not None
    except Undecided:
        return False


async def test_keys_come_rotate_and_go(system: System, house: House, issuer: Issuer) -> None:
    """Nobody restarts anything."""
    anna = uuid4()
    terms = TERMS | {"CHAT_JWKS_URL": issuer.url}
    gateway_of, rest_of = own_gateway(house.stack, **terms), own_rest(house.stack, **terms)
    async with gateway_of as gateway, rest_of as rest:
        for own in (gateway, rest):
            await until(partial(own.says, WAITS_FOR_KEYS), 20, "it waits for keys")
        assert await refused(gateway, issuer.token(anna, "first")) == 503
        assert await called(rest, issuer.token(anna, "first")) == 503

        issuer.list("first")
        await asyncio.gather(gateway.ready(), rest.ready())
        await let_in(gateway, rest, issuer.token(anna, "first"))

        asked = issuer.asked
        strange = issuer.token(anna, "second")
        ours = await counts(gateway, CONNECTS, "failed"), await counts(rest, CALLS, "5xx")
        assert await refused(gateway, strange) == 503, "it is being asked for"
        session = await Session.connect(gateway.url)
        await session.send_frame({"type": "CONNECT", "token": strange})
        assert (await session.wait_closed()).code == 4500
        assert await called(rest, strange) == 503
        assert await counts(gateway, CONNECTS, "undecided") == 1, "by CONNECT it never began"
        assert await counts(rest, CALLS, "undecided") == 1
        assert ours == (
            await counts(gateway, CONNECTS, "failed"),
            await counts(rest, CALLS, "5xx"),
        ), "a stranger's invention burns no objective"
        issuer.list("first", "second")
        await until(lambda: is_in(gateway, strange), COOLDOWN_S + 5, "the new key is known")
        await until(lambda: is_served(rest, strange), COOLDOWN_S + 5, "the new key is known")
        assert issuer.asked <= asked + 4, "asked again and again"

        issuer.list("second")
        await until(
            lambda: is_out(gateway, issuer.token(anna, "first"), issuer.token(anna, "other")),
            COOLDOWN_S + 15,
            "the old key is no longer trusted",
        )
        await let_in(gateway, rest, issuer.token(anna, "second"))
        assert await refused(gateway, system.token(anna, lasts_s=600, **SAYS_WHO)) == 401, (
            "a secret's"
        )
        for wrong in ({"iss": "https://evil.example"}, {"aud": "mail"}):
            assert await refused(gateway, issuer.token(anna, "second", **wrong)) == 401
            assert await called(rest, issuer.token(anna, "second", **wrong)) == 401


async def counts(own: Own, metric: str, label: str) -> float:
    """Of what has any label with this value."""
    families = text_string_to_metric_families(await own.probe("/metrics"))
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == metric and label in sample.labels.values()
    )


async def let_in(gateway: Own, rest: Own, token: str) -> None:
    async with await Session.open(gateway.url, token):
        pass
    assert await called(rest, token) == 200


async def is_in(gateway: Own, token: str) -> bool:
    try:
        async with await Session.open(gateway.url, token):
            return True
    except InvalidStatus as answer:
        if answer.response.status_code == 503:
            return False
        raise


async def is_served(rest: Own, token: str) -> bool:
    status = await called(rest, token)
    assert status in (200, 503)
    return status == 200


async def is_out(gateway: Own, withdrawn: str, stranger: str) -> bool:
    """An unknown key makes the gateway ask, and so hear of what is withdrawn."""
    with pytest.raises(InvalidStatus):
        await Session.open(gateway.url, stranger)
    try:
        async with await Session.open(gateway.url, withdrawn):
            return False
    except InvalidStatus as answer:
        return answer.response.status_code == 401
