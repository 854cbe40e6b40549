"""What the tests of the whole running system share. `make test` starts it and sets CHAT_*."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import asyncpg
import httpx
import jwt
import pytest

from libs.client.attending import TokenSource
from libs.client.session import Session, Via
from tests.contracts.watch import ContractWatch

WATCH: Final = ContractWatch()
"""Hears every frame of every session, and every response to `System.rest`."""


class System:
    """The running system as its users meet it: at the edge, with tokens."""

    def __init__(self, variables: Mapping[str, str] = os.environ) -> None:
        """Of the stack under test, or of another by its variables."""
        self.edge = variables["CHAT_EDGE_URL"]
        self.secret = variables["CHAT_JWT_SECRET"]
        self.base = f"{self.edge}/api/chat"
        self.socket_url = f"{self.base}/ws".replace("http", "ws", 1)

    def token(self, user_id: UUID, *, lasts_s: float = 3600, **claims: object) -> str:
        now = int(time.time())
        payload = {"sub": str(user_id), "iat": now, "exp": now + int(lasts_s), **claims}
        return jwt.encode(payload, self.secret, algorithm="HS256")

    def tokens(self, user_id: UUID) -> TokenSource:
        """For a device, a new one each time."""

        async def token(*, fresh: bool) -> str:
            return self.token(user_id)

        return token

    def service_token(self) -> str:
        return self.token(uuid4(), scope="service")

    async def open(
        self,
        user_id: UUID,
        *,
        via: Via = "header",
        url: str | None = None,
        scope: str | None = None,
    ) -> Session:
        token = self.token(user_id) if scope is None else self.token(user_id, scope=scope)
        return await Session.open(url or self.socket_url, token, via=via)

    def rest(self, user_id: UUID | None = None) -> httpx.AsyncClient:
        """A client of the REST API as this user, or as a service."""
        token = self.service_token() if user_id is None else self.token(user_id)
        return httpx.AsyncClient(
            base_url=self.base,
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
            event_hooks={"response": [WATCH.response]},
        )

    async def conversation(self, user1_id: UUID, user2_id: UUID) -> UUID:
        """A new conversation of these two, made as the match service would."""
        body = {"matchId": str(uuid4()), "user1Id": str(user1_id), "user2Id": str(user2_id)}
        async with self.rest() as service:
            response = await service.post("/conversations", json=body)
        assert response.status_code == 201, response.text
        return UUID(response.json()["conversationId"])

    async def history(self, user_id: UUID, conversation_id: UUID) -> list[dict[str, object]]:
        """The whole of it, oldest first, page by page."""
        messages: list[dict[str, object]] = []
        after = "0"
        async with self.rest(user_id) as rest:
            while True:
                path = f"/conversations/{conversation_id}/messages?after={after}&limit=100"
                page = await read(rest, path)
                messages += page["items"]
                if page["nextCursor"] is None:
                    return messages
                after = page["nextCursor"]


async def read(rest: httpx.AsyncClient, path: str) -> dict[str, Any]:
    """What GET answers; 503 is waited out as its Retry-After says, for half a minute."""
    async with asyncio.timeout(30):
        while True:
            response = await rest.get(path)
            if response.status_code != 503:
                assert response.status_code == 200, response.text
                answer: dict[str, Any] = response.json()
                return answer
            await asyncio.sleep(float(response.headers["Retry-After"]))


@pytest.fixture(scope="session", autouse=True)
def _watching() -> Iterator[None]:
    WATCH.start()
    yield
    WATCH.stop()


@pytest.fixture(autouse=True)
def _keeps_the_contracts(_watching: None) -> Iterator[None]:
    """Fails a test in which anything came that the contracts don't allow."""
    yield
    WATCH.complaints.clear()


@pytest.fixture
async def empty_database() -> AsyncIterator[str]:
    """The address of one on the same server, without a table."""
    parts = urlsplit(os.environ["CHAT_DATABASE_URL"])
    drop = "DROP DATABASE IF EXISTS chat_empty WITH (FORCE)"
    server = await asyncpg.connect(urlunsplit(parts))
    try:
        await server.execute(drop)
        await server.execute("CREATE DATABASE chat_empty")
        yield urlunsplit(parts._replace(path="/chat_empty"))
        await server.execute(drop)
    finally:
        await server.close()
