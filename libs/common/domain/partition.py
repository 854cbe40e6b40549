"""Which partition a conversation, match or user belongs to.

The partition is the unit of order and of work sharing (DESIGN.md, section 2). P is fixed for
a deployment: changing it would move conversations between queues and reorder them.
"""

from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID
from zlib import crc32

MOST: Final = 256
"""So many at most: each costs two quorum queues."""


def partition_of(key: UUID, partitions: int) -> int:
    """The partition, 0 to `partitions` - 1, of a conversation, match or user id.

    CRC-32 rather than `hash()`: every process in every release must agree.
    """
    return crc32(key.bytes) % partitions


def id_beside(other: UUID, new_id: Callable[[], UUID], partitions: int) -> UUID:
    """A new id in the partition of `other`; draws `partitions` ids on average.

    A conversation lives in the partition of its match, so that one router, in order, sees
    every event about a match and "twice the same match" needs no lock between partitions.
    """
    partition = partition_of(other, partitions)
    while True:
        candidate = new_id()
        if partition_of(candidate, partitions) == partition:
            return candidate


def fair_share(member: str, members: Sequence[str], partitions: int) -> frozenset[int]:
    """The partitions that `member` should own while `members` are alive: equal up to one.

    Every replica computes this alone from the same sorted list. Two that disagree for a moment
    only both subscribe: the single active consumer of the queue decides who works.
    """
    ranks = sorted({*members, member})
    own = ranks.index(member)
    return frozenset(range(own, partitions, len(ranks)))
