"""Reading by the REST API as one user. Every GET may be repeated, so passing refusals are."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Final

import httpx

from libs.client.answers import REPEAT_S
from libs.client.attending import TokenSource

TRIES: Final = 5
TIMEOUT_S: Final = 15.0


class Unanswered(Exception):
    """The service refused, or could not be reached; its text is for the user."""


class Rest:
    """Use it as `async with`."""

    def __init__(self, base: str, token: TokenSource) -> None:
        """`base` ends in /api/chat."""
        self._http = httpx.AsyncClient(base_url=base, timeout=TIMEOUT_S)
        self._token = token

    async def get(self, path: str, query: Mapping[str, str | int] | None = None) -> dict[str, Any]:
        """The object that the service answers. Raises Unanswered."""
        for tries in range(1, TRIES + 1):
            response = await self._try(path, query, fresh=tries > 1)
            if response is not None and response.is_success:
                answer: dict[str, Any] = response.json()
                return answer
            if tries == TRIES or (response is not None and not _is_passing(response.status_code)):
                break
            await asyncio.sleep(_pause_s(response))
        raise Unanswered(_reason(response))

    async def every(self, path: str, query: Mapping[str, str | int]) -> AsyncIterator[Any]:
        """The items of all pages, page by page. Raises Unanswered."""
        cursor: dict[str, str | int] = {}
        while True:
            page = await self.get(path, {**query, **cursor})
            for item in page["items"]:
                yield item
            if page["nextCursor"] is None:
                return
            cursor = {"cursor": page["nextCursor"]}

    async def _try(
        self, path: str, query: Mapping[str, str | int] | None, *, fresh: bool
    ) -> httpx.Response | None:
        try:
            headers = {"Authorization": f"Bearer {await self._token(fresh=fresh)}"}
            return await self._http.get(path, params=query, headers=headers)
        except (OSError, httpx.TransportError):
            return None  # the network, which may be back for the next try

    async def __aenter__(self) -> "Rest":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.aclose()


def _is_passing(status: int) -> bool:
    return status in (401, 429) or status >= 500


def _pause_s(response: httpx.Response | None) -> float:
    after = response.headers.get("Retry-After", "") if response is not None else ""
    return float(after) if after.isdecimal() else REPEAT_S


def _reason(response: httpx.Response | None) -> str:
    if response is None:
        return "The service can't be reached."
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError):
        return f"The service answered {response.status_code} {response.reason_phrase}."
