"""Bytes ↔ batches. One AMQP message carries many items: a msgpack array of tagged arrays."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

import msgspec

from libs.common.protocol.deliveries import Delivery
from libs.common.protocol.events import Event, Signal
from libs.common.protocol.matches import Match
from libs.common.protocol.replies import Reply
from libs.common.protocol.revocations import Revoke
from libs.common.protocol.writes import Typing, Write

T = TypeVar("T")

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes of any kind; RecursionError for what is nested too deep."""

_QUOTED: Final = re.compile("'.*'", re.DOTALL)

PART_BYTES: Final = 1 << 20
"""RabbitMQ 4 closes a channel on a body above 16 MiB; long ones also hold up what is behind."""

_BATCH_OF_ONE: Final = b"\x91"
"""msgpack's array of length 1: a dead letter can be put back into its queue as it is."""

_encoder = msgspec.msgpack.Encoder(uuid_format="bytes")


@dataclass(frozen=True, slots=True)
class Malformed:
    """A part of a body that is no item of its queue: for `chat.dead`, with the reason."""

    body: bytes
    reason: str


def reason_of(error: Exception) -> str:
    """Why a body can't be read, for logs and `chat.dead`: where, and what was expected.

    Never what was there, which may be somebody's message: msgspec quotes a tag that it doesn't
    know, and a UnicodeDecodeError holds all of it.
    """
    return f"{type(error).__name__}: {_QUOTED.sub('…', str(error))}"


class Codec(Generic[T]):
    """Batches of one union of types."""

    def __init__(self, union: Any) -> None:  # noqa: ANN401 - no type for a union of types
        self._batch: msgspec.msgpack.Decoder[list[T]] = msgspec.msgpack.Decoder(list[union])
        self._item: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(union)
        self._raw = msgspec.msgpack.Decoder(list[msgspec.Raw])

    def encode(self, items: Iterable[T]) -> bytes:
        return _encoder.encode(items if isinstance(items, list) else list(items))

    def encode_parts(self, items: Sequence[T]) -> list[bytes]:
        """The items in as few bodies of up to PART_BYTES as halving gives; mostly one."""
        body = _encoder.encode(items)
        if len(body) <= PART_BYTES or len(items) == 1:
            return [body]
        half = len(items) // 2
        return self.encode_parts(items[:half]) + self.encode_parts(items[half:])

    def decode(self, body: bytes) -> tuple[list[T], list[Malformed]]:
        """The items in order, and what is none: one bad item never spoils its neighbours."""
        try:
            return self._batch.decode(body), []
        except UNREADABLE as error:
            return self._one_by_one(body, error)

    def _one_by_one(self, body: bytes, error: Exception) -> tuple[list[T], list[Malformed]]:
        try:
            raws = self._raw.decode(body)
        except UNREADABLE:
            return [], [Malformed(body, reason_of(error))]
        items: list[T] = []
        malformed: list[Malformed] = []
        for raw in raws:
            try:
                items.append(self._item.decode(raw))
            except UNREADABLE as reason:
                malformed.append(Malformed(_BATCH_OF_ONE + bytes(raw), reason_of(reason)))
        return items, malformed

    def naming(self, body: bytes, message_id: UUID) -> list[T]:
        """The items in which this id is, as bytes or, in a frame, as text."""
        names = (message_id.bytes, str(message_id).encode())
        if not any(name in body for name in names):
            return []
        items, _ = self.decode(body)
        return [item for item in items if any(name in self.encode([item]) for name in names)]


EVENTS: Codec[Event] = Codec(Event)
SIGNALS: Codec[Signal] = Codec(Signal)
DELIVERIES: Codec[Delivery] = Codec(Delivery)
WRITES: Codec[Write] = Codec(Write)
REPLIES: Codec[Reply] = Codec(Reply)
TYPING: Codec[Typing] = Codec(Typing)
MATCH = msgspec.json.Decoder(Match)
REVOKE = msgspec.json.Decoder(Revoke)
