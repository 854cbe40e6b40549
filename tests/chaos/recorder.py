"""Gathers what all devices do and hear, while it happens."""

import sys
from typing import Any
from uuid import UUID

from tests.chaos.evidence import Closed, Frame, Heard, Operation

NOT_KEPT = frozenset({"PONG", "TYPING_START", "TYPING_STOP", "USER_ONLINE", "USER_OFFLINE"})
"""Worth nothing later, and nothing is promised of them that a history could show: left out."""
_SHORT = 64
"""Longer texts are hardly ever the same twice."""


class Recorder:
    """One campaign's. Everything is kept in memory: some 0.7 KB a frame."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.heard: list[Heard] = []
        self.closed: list[Closed] = []

    def ended(self, operation: Operation) -> None:
        self.operations.append(operation)

    def hear(self, at: float, user: UUID, device: str, session: int, frame: Frame) -> Frame:
        """The frame to go on with in the place of the one given: it shares its texts."""
        frame = shared(frame)
        if frame["type"] not in NOT_KEPT:
            self.heard.append(Heard(at=at, user=user, device=device, session=session, frame=frame))
        return frame

    def close(self, closed: Closed) -> None:
        self.closed.append(closed)


def shared(value: Any) -> Any:
    """The same JSON value with one copy of each short text in the process.

    An id comes in a dozen frames, a key in every one: this takes memory to a third.
    """
    if isinstance(value, str):
        return sys.intern(value) if len(value) < _SHORT else value
    if isinstance(value, dict):
        return {sys.intern(key): shared(held) for key, held in value.items()}
    if isinstance(value, list):
        return [shared(held) for held in value]
    return value
