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
    """The tries of each partition that wait for their answer, of all sessions of one gateway.

    At most `most` of them, for each partition on its own; but for the probes. What that is worth:

    - Where the routers decide `r` tries/s of a partition and `g` gateways are busy, the last one
      taken waits `g * most / r` seconds. With 500, two gateways and 1,000/s: one second.
    - A router's death that silences its partitions for 3 s is not seen by anybody at a moderate
      load: of 500 messages/s over 4 partitions 3 s x 125/s = 375 wait, less than 500, even when
      one gateway has them all. Beyond that load senders get their 429 until the takeover.
    - It costs no throughput as long as `most` exceeds rate x latency: 500 is 50 ms of 10,000/s.
    """

    def __init__(self, partitions: int, most: int) -> None:
        self._lanes = [_Lane() for _ in range(partitions)]
        self._most = most
        self._waiting: dict[UUID, _Lane] = {}

    @property
    def waiting(self) -> int:
        """How many, over all partitions."""
        return len(self._waiting)

    def take(self, conversation_id: UUID, try_id: UUID, now: float) -> bool:
        """Whether the try may go to the router. If so it waits from now on."""
        lane = self._lanes[partition_of(conversation_id, len(self._lanes))]
        # A clock that was set back locks nobody out.
        if len(lane.tries) >= self._most and 0 <= now - lane.newest_at < PROBE_S:
            return False
        lane.tries.append(try_id)
        lane.newest_at = now
        self._waiting[try_id] = lane
        return True

    def answered(self, try_id: UUID) -> None:
        """The router has decided this try, and so has seen all before it: a partition keeps order.

        Those before it have been answered, were answered to nobody (a full queue), or wait aside
        for PostgreSQL, which the router bounds itself. Tries that are not known, such as a SYNC's
        or those answered before, change nothing.
        """
        lane = self._waiting.pop(try_id, None)
        if lane is None:
            return
        while (oldest := lane.tries.popleft()) != try_id:
            del self._waiting[oldest]


class _Lane:
    """Of one partition."""

    __slots__ = ("newest_at", "tries")

    def __init__(self) -> None:
        self.tries: deque[UUID] = deque()
        """Those that wait, the oldest first."""
        self.newest_at = 0.0
