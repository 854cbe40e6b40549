"""Has this conversation seen this message before? A filter that can say "surely not"."""

from typing import Final
from uuid import UUID

BITS_PER_ID: Final = 32
HASHES: Final = 8
"""With 32 bits an id and 8 hashes 6 of a million new ids look known. Each costs its conversation a
look-up, and stops it while PostgreSQL is away: with 16 bits and 4 hashes it was 1 of 400."""
FIRST_CAPACITY: Final = 512
MOST_CAPACITY: Final = 1 << 16


class KnownIds:
    """Bloom filters over the identities of a conversation's messages that aren't at hand.

    Promise 4 asks about every message whether it came before, at any time. The newest messages
    are in memory; for the rest PostgreSQL would have to be asked about each new message. This
    spares it: an id that is not in here is new for certain. A chance likeness costs a look-up,
    never a duplicate.
    """

    __slots__ = ("_everything", "_filters")

    def __init__(self) -> None:
        self._filters: list[_Filter] = []
        """Each twice as large as the one before; only the last has room."""
        self._everything = False

    def add(self, sender_id: UUID, identity: UUID) -> None:
        if not self._filters:
            self._filters.append(_Filter(FIRST_CAPACITY))
        elif not self._filters[-1].room:
            self._filters.append(_Filter(min(self._filters[-1].capacity * 2, MOST_CAPACITY)))
        self._filters[-1].add(_digest(sender_id, identity))

    def add_everything(self) -> None:
        """From now on every id is perhaps known: for logs too long to be read whole."""
        self._everything = True

    def perhaps(self, sender_id: UUID, identity: UUID) -> bool:
        """False: never added. True: added, or a chance likeness."""
        if self._everything or not self._filters:
            return self._everything
        digest = _digest(sender_id, identity)
        return any(known.perhaps(digest) for known in self._filters)


class _Filter:
    __slots__ = ("_bits", "_mask", "capacity", "room")

    def __init__(self, capacity: int) -> None:
        """For a power of two of ids."""
        self.capacity = self.room = capacity
        self._bits = bytearray(capacity * BITS_PER_ID // 8)
        self._mask = capacity * BITS_PER_ID - 1

    def add(self, digest: int) -> None:
        self.room -= 1
        for position in self._positions(digest):
            self._bits[position >> 3] |= 1 << (position & 7)

    def perhaps(self, digest: int) -> bool:
        return all(
            self._bits[position >> 3] & (1 << (position & 7))
            for position in self._positions(digest)
        )

    def _positions(self, digest: int) -> list[int]:
        # Double hashing (Kirsch and Mitzenmacher).
        first, step = digest & 0xFFFFFFFF, (digest >> 32) | 1
        return [(first + number * step) & self._mask for number in range(HASHES)]


def _digest(sender_id: UUID, identity: UUID) -> int:
    # The hash of bytes is keyed by process: no client can choose ids that look known.
    return hash(sender_id.bytes + identity.bytes)
