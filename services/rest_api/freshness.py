"""Read-your-writes: may PostgreSQL lack what somebody was told already? Pure.

The router raises a head in Redis, in HEADS of both users, once the entry's write is confirmed
and before it lets the entry be known; the persister stores it up to a flush (100 ms) later. So a
reader that asks Redis first and PostgreSQL second knows whether PostgreSQL is behind. Then a
barrier through the partition's write queue, answered when all before it is stored, makes
PostgreSQL the truth. Redis is a cache (promise 8): where it may have lost a head (its partition
isn't *warm*), the reader takes the barrier instead.

HEADS rather than SEQ: a number is claimed in SEQ before its write is queued, so SEQ runs ahead of
what was told, and one claimed before a FLUSHALL is not raised again when it is told after it.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from libs.common.domain.heads import is_behind
from libs.common.domain.partition import partition_of


def partitions_behind(
    told: Mapping[UUID, int], stored: Mapping[UUID, int], warm: Sequence[bool]
) -> frozenset[int]:
    """The partitions that need a barrier before a user's conversations are read.

    `told` and `stored` are conversation → head; `warm` is by partition. One that isn't warm may
    hold a conversation that Redis has forgotten.
    """
    cold = {partition for partition, is_warm in enumerate(warm) if not is_warm}
    late = {
        partition_of(conversation_id, len(warm))
        for conversation_id, head in told.items()
        if is_behind(head, stored.get(conversation_id), warm=True)
    }
    return frozenset(cold | late)
