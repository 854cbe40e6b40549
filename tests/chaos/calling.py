"""Calls of the REST API that take no for an answer only when it is one."""

import asyncio
from contextlib import suppress
from time import perf_counter
from typing import Final, NamedTuple
from uuid import UUID

import httpx

from tests.chaos.evidence import Frame, Outcome
from tests.chaos.recorder import shared
from tests.integration.conftest import System

PAUSE_S: Final = 1.0
"""Before the next try, where no Retry-After says how long."""


class Answer(NamedTuple):
    """What became of a call, with all its tries."""

    outcome: Outcome
    body: Frame | None
    """Of `ok`: empty where there is none. Of `failed`: the problem."""

    def expected(self, what: str) -> Frame:
        """The body. Raises AssertionError when it isn't there."""
        assert self.outcome == "ok", f"{what}: {self.outcome} {self.body}"
        assert self.body is not None
        return self.body


class Caller:
    """All users' calls by the edge. Use `async with`."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._http = system.rest()
        self._tokens: dict[UUID, str] = {}

    async def call(
        self,
        user: UUID | None,
        method: str,
        path: str,
        *,
        body: Frame | None = None,
        patience_s: float = 60.0,
    ) -> Answer:
        """As this user, or as a service. 429, 5xx and broken connections are waited out.

        After `patience_s` it is `unknown`, or `failed` when every try was refused with 429.
        """
        until = perf_counter() + patience_s
        headers = {} if user is None else {"Authorization": f"Bearer {self._token(user)}"}
        is_sure = True
        while True:
            wait_s = PAUSE_S
            try:
                response = await self._http.request(method, path, json=body, headers=headers)
            except httpx.TransportError:
                is_sure = False
            else:
                status = response.status_code
                if status < 300:
                    return Answer("ok", shared(response.json()) if response.content else {})
                if status < 500 and status != 429:
                    # A try before it may have been carried out all the same.
                    return Answer("failed" if is_sure else "unknown", response.json())
                is_sure = is_sure and status == 429
                with suppress(ValueError):
                    wait_s = float(response.headers.get("Retry-After", PAUSE_S))
            if perf_counter() + wait_s > until:
                return Answer("failed" if is_sure else "unknown", None)
            await asyncio.sleep(wait_s)

    def _token(self, user: UUID) -> str:
        if user not in self._tokens:
            self._tokens[user] = self._system.token(user, lasts_s=24 * 3600)
        return self._tokens[user]

    async def __aenter__(self) -> "Caller":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._http.aclose()
