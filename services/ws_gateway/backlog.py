"""How much may wait for the router: the rule by which a gateway sheds load. Pure.

`now` is in seconds since 1970. All is O(1) for each try, on average.
"""

from collections import deque
from typing import Final
from uuid import UUID

from libs.common.domain.partition import partition_of

PROBE_S: Final = 1.0
"""Where all is refused, one try is taken so often: its answer tells that the router is back, and
covers those whose answers were lost."""


class Backlog:
    """The tries of each partition that wait for their answer, of all sessions of a gateway.

    A try is taken while fewer wait than were answered in the last `within_s`, and `least` more.
    Where answers come at a steady rate, `waiting / rate` is the time that the next try waits: so
    the first part bounds it to `within_s`, whatever the system can carry. `least` lets a quiet
    partition begin, carries bursts and short outages, and lets a gateway that has little of a busy
    partition get its share.
    """

    def __init__(self, partitions: int, *, within_s: float, least: int) -> None:
        self._lanes = [_Lane(within_s, least) for _ in range(partitions)]
        self._waiting: dict[UUID, _Lane] = {}

    def take(self, conversation_id: UUID, try_id: UUID, now: float) -> bool:
        """Whether the try may go to the router. If so it waits from now on."""
        lane = self._lanes[partition_of(conversation_id, len(self._lanes))]
        if not lane.has_room(now):
            return False
        lane.add(try_id, now)
        self._waiting[try_id] = lane
        return True

    def answered(self, try_id: UUID, now: float) -> None:
        """The router has decided this try, and so all before it: a partition keeps their order.

        Tries that are not known, such as a SYNC's or those answered before, change nothing.
        """
        lane = self._waiting.pop(try_id, None)
        if lane is not None:
            for lost in lane.answered(try_id, now):
                del self._waiting[lost]


class _Lane:
    """Of one partition."""

    __slots__ = ("_before", "_began", "_least", "_newest_at", "_now", "_tries", "_within_s")

    def __init__(self, within_s: float, least: int) -> None:
        self._within_s = within_s
        self._least = least
        self._tries: deque[UUID] = deque()
        """Those that wait, the oldest first."""
        self._newest_at = 0.0
        # Answers are counted in spans of `within_s`: a sliding window to within its second half.
        self._began = 0.0
        self._now = 0
        self._before = 0

    def has_room(self, now: float) -> bool:
        waiting = len(self._tries)
        return (
            waiting < self._least
            or waiting < self._least + self._lately(now)
            or not 0 <= now - self._newest_at < PROBE_S
        )

    def add(self, try_id: UUID, now: float) -> None:
        self._tries.append(try_id)
        self._newest_at = now

    def answered(self, try_id: UUID, now: float) -> list[UUID]:
        """The tries before it, which nobody has answered."""
        self._roll(now)
        lost: list[UUID] = []
        while (oldest := self._tries.popleft()) != try_id:
            lost.append(oldest)
        self._now += 1 + len(lost)
        return lost

    def _lately(self, now: float) -> float:
        """How many were answered in the last `within_s`, about."""
        self._roll(now)
        return self._now + self._before * (1 - (now - self._began) / self._within_s)

    def _roll(self, now: float) -> None:
        spans = (now - self._began) / self._within_s
        if 0 <= spans < 1:
            return
        # A clock that was set back begins anew, too.
        self._before = self._now if 1 <= spans < 2 else 0
        self._now = 0
        self._began = self._began + self._within_s if 1 <= spans < 2 else now
