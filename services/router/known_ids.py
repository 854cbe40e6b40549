"""Has this conversation seen this message before? A filter that can say "surely not"."""

from typing import Final
from uuid import UUID

BITS_PER_ID: Final = 16
HASHES: Final = 4
"""With 16 bits an id and 4 hashes 0.24 % of new ids look known and cost a look-up."""
MAX_BITS: Final = 1 << 19


class KnownIds:
    """A Bloom filter over the identities of a conversation's messages that aren't at hand.

    Promise 4 asks about every message whether it came before, at any time. The newest messages
    are in memory; for the rest PostgreSQL would have to be asked about each new message. This
    spares it: an id that is not in here is new for certain. Full filters answer "perhaps" more
    often, which costs a look-up, never a duplicate.
    """

    __slots__ = ("_bits", "_mask")

    def __init__(self, expected: int) -> None:
        """Room for `expected` ids and as many again."""
        size = 1 << max(10, (expected * 2 * BITS_PER_ID - 1).bit_length())
        size = min(size, MAX_BITS)
        self._bits = bytearray(size // 8)
        self._mask = size - 1

    def add(self, sender_id: UUID, identity: UUID) -> None:
        for position in self._positions(sender_id, identity):
            self._bits[position >> 3] |= 1 << (position & 7)

    def saturate(self) -> None:
        """From now on everything is perhaps known: for logs too long to be read whole."""
        self._bits[:] = b"\xff" * len(self._bits)

    def perhaps(self, sender_id: UUID, identity: UUID) -> bool:
        """False: never added. True: added, or a chance likeness."""
        return all(
            self._bits[position >> 3] & (1 << (position & 7))
            for position in self._positions(sender_id, identity)
        )

    def _positions(self, sender_id: UUID, identity: UUID) -> list[int]:
        # Double hashing (Kirsch and Mitzenmacher); bytes have a keyed hash, so that no client
        # can choose ids that look known.
        digest = hash(sender_id.bytes + identity.bytes)
        first, step = digest & 0xFFFFFFFF, (digest >> 32) | 1
        return [(first + number * step) & self._mask for number in range(HASHES)]
