"""One conversation as its partition's router knows it. Pure: no clock, no I/O."""

import itertools
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from libs.common.domain.status import Status
from services.router.known_ids import KnownIds

REMEMBERED: Final = 128
"""Messages of a conversation whose state is at hand; older ones are looked up when named. More
than one user can send while the other's pongs are on their way."""


ENTRY_MOST: Final = 50
"""Messages that one entry of a log changes. SYNC sends whole entries, so this bounds its frames:
50 messages of 4,000 characters stay below what a gateway may hold for a client (1 MiB)."""


@dataclass(slots=True, eq=False)
class Message:
    """What the rules need of a message: all but its content."""

    message_id: UUID
    sender_id: UUID
    client_message_id: UUID | None
    seq: int
    created_at: int
    status: Status = Status.SENT
    delivered_at: int | None = None
    changed_seq: int = 0
    read_at: int | None = None
    deleted_at: int | None = None

    @property
    def identity(self) -> UUID:
        """What makes two tries the same message, together with the sender (promise 4)."""
        return self.client_message_id or self.message_id

    @property
    def is_unread(self) -> bool:
        return self.status < Status.READ and self.deleted_at is None


@dataclass(slots=True, eq=False)
class Conversation:
    """Its log's head, the newest of its messages, and what its users have not read.

    One router at a time owns a partition, so this is the truth between two loads; what it
    says was either read from PostgreSQL behind a barrier or decided here.
    """

    conversation_id: UUID
    match_id: UUID
    user1_id: UUID
    user2_id: UUID
    created_at: int
    archived_at: int | None = None
    archived_seq: int = 0
    head: int = 0
    claimed: int = 0
    """The head that Redis was last told: see `sequence.claim`."""
    read_up_to: tuple[int, int] = (0, 0)
    """By user: see `writes.MarkRead`."""
    unread: list[int] = field(default_factory=lambda: [0, 0])
    """By user: how many of the other's messages are neither READ nor deleted."""
    stored_by: int = 0
    """The number of the barrier that says PostgreSQL has its newest change: see `Memory`."""
    older_ids: KnownIds | None = None
    """Of the messages that aren't remembered; None while there are none."""
    _messages: dict[UUID, Message] = field(default_factory=dict)
    _looked_up: dict[UUID, Message] = field(default_factory=dict)
    """Older ones that this batch has needed."""
    _identities: dict[tuple[UUID, UUID], Message] = field(default_factory=dict)

    @property
    def is_archived(self) -> bool:
        return self.archived_at is not None

    def other(self, user_id: UUID) -> UUID:
        return self.user2_id if user_id == self.user1_id else self.user1_id

    def place(self, user_id: UUID) -> int:
        """Of a user in `read_up_to` and `unread`."""
        return 0 if user_id == self.user1_id else 1

    def message(self, message_id: UUID) -> Message | None:
        """Among those at hand."""
        return self._messages.get(message_id) or self._looked_up.get(message_id)

    def messages_to(self, user_id: UUID) -> list[Message]:
        """The other's messages that are at hand, in order."""
        known = itertools.chain(self._looked_up.values(), self._messages.values())
        return sorted(
            (message for message in known if message.sender_id != user_id),
            key=lambda message: message.seq,
        )

    def unread_by(self, user_id: UUID) -> list[Message]:
        """Of those at hand, in order; fewer than `unread` says where older ones are unread too."""
        return [message for message in self.messages_to(user_id) if message.is_unread]

    def has_older_unread(self, user_id: UUID) -> bool:
        """Whether some of what the user has not read is not at hand."""
        unread = self.unread[self.place(user_id)]
        return unread > 0 and unread > len(self.unread_by(user_id))

    def raise_read_mark(self, user_id: UUID, mark: int) -> None:
        """All up to here is read; it never falls."""
        place = self.place(user_id)
        marks = list(self.read_up_to)
        marks[place] = max(marks[place], mark)
        self.read_up_to = (marks[0], marks[1])

    def find_read_mark(self, user_id: UUID) -> None:
        """After a reading: raises the mark as far as is known."""
        if not self.unread[self.place(user_id)]:
            self.raise_read_mark(user_id, self.head)
        elif not self.has_older_unread(user_id):
            self.raise_read_mark(user_id, self.unread_by(user_id)[0].seq - 1)

    def same(self, sender_id: UUID, identity: UUID) -> Message | None:
        """The message at hand of which this is a further try."""
        return self._identities.get((sender_id, identity))

    def perhaps_older(self, sender_id: UUID, identity: UUID) -> bool:
        """Whether only PostgreSQL can tell if this message came before."""
        return (
            self.older_ids is not None
            and (sender_id, identity) not in self._identities
            and self.older_ids.perhaps(sender_id, identity)
        )

    def remember(self, message: Message) -> None:
        """A new message, or one of the newest."""
        self._messages[message.message_id] = message
        self._identities[message.sender_id, message.identity] = message

    def look_up(self, message: Message) -> None:
        """An older message, at hand until the batch is done."""
        self._looked_up[message.message_id] = message
        self._identities[message.sender_id, message.identity] = message

    def forget_oldest(self) -> None:
        """Keeps `REMEMBERED`. Not within a batch: what it has looked up must still be there."""
        for message in self._looked_up.values():
            self._identities.pop((message.sender_id, message.identity), None)
        self._looked_up.clear()
        while len(self._messages) > REMEMBERED:
            message = self._messages.pop(next(iter(self._messages)))
            self._identities.pop((message.sender_id, message.identity), None)
            self.older_ids = self.older_ids or KnownIds()
            self.older_ids.add(message.sender_id, message.identity)
