"""What has passed this process's AMQP channels lately: where a message went, asked afterwards.

Bodies are kept as they are and read only when somebody asks (`/trace` on the admin port), so a
message costs nothing here, and an AMQP message, which carries many, half a microsecond.
"""

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Struct

from libs.common.protocol.codec import (
    DELIVERIES,
    EVENTS,
    REPLIES,
    SIGNALS,
    UNREADABLE,
    WRITES,
    Codec,
)
from libs.common.topology import kind_of

KEPT_BYTES: Final = 8 << 20
now: Final = time.time
ENTRY_BYTES: Final = 250
"""Of one entry besides its body, about."""


_CODECS: Final[Mapping[str, Codec[Any]]] = {
    "events": EVENTS,
    "signals": SIGNALS,
    "deliveries": DELIVERIES,
    "writes": WRITES,
    "replies": REPLIES,
}
"""By `topology.kind_of` a queue."""


class Act(Enum):
    """What was done with an AMQP message."""

    PUBLISHED = "published"
    SETTLED = "settled"
    """The broker confirmed, refused or returned what was published."""
    TAKEN = "taken"
    ACKNOWLEDGED = "acknowledged"


class Entry(NamedTuple):
    """One act. `at` in seconds since 1970 by this host's clock."""

    at: float
    act: Act
    channel: int
    tag: int
    is_multiple: bool = False
    """It stands for all smaller tags of the channel as well."""
    body: bytes = b""
    queue: str = ""
    outcome: str = ""


class Passage(Struct, frozen=True, rename="camel"):
    """One AMQP message that named what was asked for. Times in seconds since 1970."""

    at: float
    act: Act
    queue: str
    items: Sequence[str]
    """What in it named it, such as `Send` or `ToUser MESSAGE_RECEIVED`."""
    ended_at: float | None
    """When it was settled or acknowledged; None: not yet, or never."""
    outcome: str


class Passages:
    """The newest entries, up to so many bytes. Written by one loop, read from any thread."""

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        """With 0 it keeps nothing."""
        self.most_bytes = most_bytes
        self.since = now()
        """From when on all is remembered, in seconds since 1970."""
        self._entries: deque[Entry] = deque()
        self._bytes = 0

    def add(self, entry: Entry) -> None:
        self._bytes += len(entry.body) + ENTRY_BYTES
        self._entries.append(entry)
        while self._bytes > self.most_bytes:
            oldest = self._entries.popleft()
            self._bytes -= len(oldest.body) + ENTRY_BYTES
            self.since = oldest.at

    def of(self, message_id: UUID) -> list[Passage]:
        """All AMQP messages with an item that names this message, in order."""
        entries = self._copy()
        return [
            Passage(entry.at, entry.act, entry.queue, items, *_end(entry, entries[number:]))
            for number, entry in enumerate(entries)
            if entry.body and (items := named_in(entry.queue, entry.body, message_id))
        ]

    def _copy(self) -> Sequence[Entry]:
        while True:
            try:
                return tuple(self._entries)
            except RuntimeError:  # It was changed meanwhile.
                continue


def _end(entry: Entry, later: Sequence[Entry]) -> tuple[float | None, str]:
    """When and how the AMQP message's way ended here."""
    act = Act.SETTLED if entry.act is Act.PUBLISHED else Act.ACKNOWLEDGED
    for other in _acts(later, act, entry.channel):
        if other.tag == entry.tag or (other.is_multiple and other.tag > entry.tag):
            return other.at, other.outcome
    return None, ""


def _acts(entries: Sequence[Entry], act: Act, channel: int) -> Iterator[Entry]:
    return (one for one in entries if one.act is act and one.channel == channel)


def named_in(queue: str, body: bytes, message_id: UUID) -> list[str]:
    """What names this message in the body of an AMQP message of `queue`: types of items.

    With an item that holds a frame, the frame's type behind it.
    """
    codec = _CODECS.get(kind_of(queue))
    return [] if codec is None else [_title(item) for item in codec.naming(body, message_id)]


def _title(item: object) -> str:
    frame = getattr(item, "frame", None)
    try:
        kind = msgspec.json.decode(frame, type=_Typed).type if frame else ""
    except UNREADABLE:
        kind = "?"
    return f"{type(item).__name__} {kind}".rstrip()


class _Typed(Struct):
    type: str


PASSAGES: Final = Passages()
"""This process's."""
