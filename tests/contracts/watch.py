"""Every frame and every response of the tests is held against the contracts, wherever it comes."""

from typing import Final

import httpx

from libs.client.session import Received, Session
from tests.contracts.frames import FrameContract
from tests.contracts.responses import ResponseContract

MOST: Final = 20
"""Complaints that are kept: a drift repeats itself."""


class ContractWatch:
    """Collects, so that it is found also where a background task or a retry would swallow it."""

    def __init__(self) -> None:
        self._frames = FrameContract()
        self._responses = ResponseContract()
        self.complaints: list[str] = []

    def start(self) -> None:
        Session.on_any_frame = self.frame

    def stop(self) -> None:
        Session.on_any_frame = None

    def frame(self, received: Received) -> None:
        self._note(self._frames.complaint(received.frame))

    async def response(self, answer: httpx.Response) -> None:
        """An event hook of httpx."""
        await answer.aread()
        self._note(self._responses.complaint(answer))

    def _note(self, complaint: str | None) -> None:
        if complaint is not None and len(self.complaints) < MOST:
            self.complaints.append(complaint)

    def judge(self) -> None:
        """Raises AssertionError for what came since the last time."""
        found, self.complaints = self.complaints, []
        assert not found, "against the contracts:\n" + "\n".join(found)
