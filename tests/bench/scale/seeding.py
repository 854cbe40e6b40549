"""Conversations and messages that are there beforehand, straight into PostgreSQL.

Ids are numbers, so that a load knows them without reading any: conversation `n` is of sender
`n // each` (see `Seed.receiver` for the other user). They rise as version 7 ids do.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final
from uuid import UUID

import asyncpg

from tests.bench.generator import PADDING, SeededPair

WRITERS: Final = 2
"""Connections that insert side by side: one a core."""
CHUNK_ROWS: Final = 250_000


class Kind(IntEnum):
    """The second group of an id, so that no two kinds share one."""

    SENDER = 1
    RECEIVER = 2
    CONVERSATION = 3
    MATCH = 4
    MESSAGE = 5
    CLIENT_MESSAGE = 6


def seeded_id(kind: Kind, number: int) -> UUID:
    return UUID(int=kind << 80 | 7 << 76 | 8 << 60 | number)


@dataclass(frozen=True, slots=True)
class Seed:
    """`conversations` of `messages` each; the first `pairs` senders write to the first receivers.

    Raises ValueError where the senders don't come out even.
    """

    conversations: int
    messages: int
    pairs: int
    each: int = 1
    """Conversations of a sender, and of a receiver."""
    long_messages: int = 0
    """Of one more conversation, `LONG`, between two more users."""

    def __post_init__(self) -> None:
        if self.conversations % (self.pairs * self.each):
            raise ValueError(f"{self} has a sender with fewer conversations than others")

    @property
    def rows(self) -> int:
        """Messages in all."""
        return self.conversations * self.messages + self.long_messages

    def receiver(self, conversation: int) -> int:
        """Each `pairs` senders have as many receivers to themselves, each sender `each`."""
        sender, nth = divmod(conversation, self.each)
        block, place = divmod(sender, self.pairs)
        return block * self.pairs + (place + nth) % self.pairs

    def chunks(self) -> Iterator[range]:
        """Conversations by their numbers, about CHUNK_ROWS messages each."""
        size = max(1, CHUNK_ROWS // max(1, self.messages))
        for start in range(0, self.conversations, size):
            yield range(start, min(start + size, self.conversations))


LONG: Final = 1 << 24
"""The number of the long conversation, and of its two users."""


def _id(kind: Kind, number: str) -> str:
    return f"('00000000-{kind:04x}-7000-8000-' || lpad(to_hex({number}), 12, '0'))::uuid"


# $1 to $2: conversations; $3: messages of each; $4, $5: Seed.each and Seed.pairs.
_RECEIVER: Final = "c / $4 / $5 * $5 + (c / $4 % $5 + c % $4) % $5"
_CONVERSATIONS: Final = f"""
INSERT INTO conversations (id, match_id, user1_id, user2_id, created_at, head, last_message_id,
                           last_message_seq, last_activity_at, user1_read_seq, user2_read_seq)
SELECT {_id(Kind.CONVERSATION, "c")}, {_id(Kind.MATCH, "c")}, {_id(Kind.SENDER, "c / $4")},
       {_id(Kind.RECEIVER, _RECEIVER)}, now() - interval '1 year', $3 + 1,
       {_id(Kind.MESSAGE, "c * $3 + $3 - 1")}, $3 + 1,
       now() - interval '1 year' + $3 * interval '20 s', $3 + 1, $3 + 1
FROM (SELECT c, $3::bigint, $4::bigint, $5::bigint
      FROM generate_series($1::bigint, $2::bigint) AS c) AS wanted
"""
_MESSAGES: Final = f"""
INSERT INTO messages (id, conversation_id, sender_id, client_message_id, content, status,
                      created_at, delivered_at, read_at, seq, changed_seq)
SELECT {_id(Kind.MESSAGE, "k")}, {_id(Kind.CONVERSATION, "c")},
       CASE m % 2 WHEN 0 THEN {_id(Kind.SENDER, "c / $4")} ELSE {_id(Kind.RECEIVER, _RECEIVER)} END,
       {_id(Kind.CLIENT_MESSAGE, "k")}, $6, 'READ', at, at, at, m + 2, m + 2
FROM (SELECT k, k / $3::bigint AS c, k % $3 AS m, $4::bigint, $5::bigint,
             now() - interval '1 year' + k % $3 * interval '20 s' AS at
      FROM generate_series($1::bigint * $3, ($2::bigint + 1) * $3 - 1) AS k) AS wanted
"""


async def sow(database_url: str, seed: Seed) -> float:
    """Into empty tables, and ANALYZE; returns the seconds it took."""
    began = time.perf_counter()
    chunks = list(seed.chunks())
    await asyncio.gather(
        *(_insert(database_url, chunks[writer::WRITERS], seed) for writer in range(WRITERS))
    )
    if seed.long_messages:
        alone = Seed(1, seed.long_messages, 1)
        await _insert(database_url, [range(LONG, LONG + 1)], alone)
    database = await asyncpg.connect(database_url)
    await database.execute("VACUUM ANALYZE conversations, messages")
    await database.execute("CHECKPOINT")
    await database.close()
    return time.perf_counter() - began


async def _insert(database_url: str, chunks: list[range], seed: Seed) -> None:
    database = await asyncpg.connect(database_url)
    # No look-up of each row's conversation: they are there, and it takes as long as the rest.
    await database.execute("SET session_replication_role = replica; SET synchronous_commit = off")
    for chunk in chunks:
        shape = (chunk[0], chunk[-1], seed.messages, seed.each, seed.pairs)
        await database.execute(_CONVERSATIONS, *shape)
        await database.execute(_MESSAGES, *shape, PADDING.decode())
    await database.close()


def pairs_of(seed: Seed) -> list[SeededPair]:
    """The first `seed.pairs`, for a generator that shall walk over all their conversations."""
    return [
        SeededPair(
            seeded_id(Kind.SENDER, number),
            seeded_id(Kind.RECEIVER, number),
            [seeded_id(Kind.CONVERSATION, number * seed.each + nth) for nth in range(seed.each)],
        )
        for number in range(seed.pairs)
    ]
