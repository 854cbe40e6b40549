"""The development endpoint: what it gives, to whom, and that production has none."""

import httpx
import pytest

from local import development
from local.development_api import app
from tests.integration.conftest import System

ANNA = "11111111-1111-4111-8111-111111111111"


async def ask(system: System, path: str, body: object, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=system.base, timeout=30) as client:
        return await client.post(f"/development/{path}", json=body, headers=headers)


async def test_a_token_is_good_for_the_service(system: System) -> None:
    issued = (await ask(system, "tokens", {"userId": ANNA})).json()
    async with httpx.AsyncClient(timeout=30) as client:
        headers = {"Authorization": f"Bearer {issued['token']}"}
        unread = await client.get(f"{system.base}/unread", headers=headers)
    assert unread.status_code == 200


@pytest.mark.parametrize("path", ["tokens", "matches", "gateway-kills"])
async def test_a_page_from_elsewhere_is_refused(system: System, path: str) -> None:
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}):
        refused = await ask(system, path, {"userId": ANNA}, **headers)
        assert refused.status_code == 403, headers


@pytest.mark.parametrize("path", ["tokens", "matches", "gateway-kills"])
async def test_a_bad_body_is_told(system: System, path: str) -> None:
    refused = await ask(system, path, {"userId": "Anna"})
    assert refused.status_code == 400
    assert "description" in refused.json()


async def test_a_session_that_nobody_has(system: System) -> None:
    body = {"userId": ANNA, "sessionId": ANNA}
    assert (await ask(system, "gateway-kills", body)).status_code == 404


def test_production_has_none() -> None:
    assert development.port_in({development.NAME: 1}, {"CHAT_ENV": "production"}) is None
    for environ in ({}, {"CHAT_ENV": "production"}):
        with pytest.raises(RuntimeError, match="only with CHAT_ENV=development"):
            app(environ)
