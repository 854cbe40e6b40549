"""One conversation as its partition's router knows it. Pure: no clock, no I/O."""

from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from libs.common.domain.status import Status
from services.router.known_ids import KnownIds

REMEMBERED: Final = 128
"""Messages of a conversation whose state is at hand; older ones are looked up when named. More
than one user can send while the other's pongs are on their way."""


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

    @property
    def identity(self) -> UUID:
        """What makes two tries the same message, together with the sender (promise 4)."""
        return self.client_message_id or self.message_id


@dataclass(slots=True, eq=False)
class Conversation:
    """Its log's head, and the newest of its messages.

    One router at a time owns a partition, so this is the truth between two loads; what it
    says was either read from PostgreSQL behind a barrier or decided here.
    """

    conversation_id: UUID
    match_id: UUID
    user1_id: UUID
    user2_id: UUID
    created_at: int
    archived_at: int | None = None
    head: int = 0
    claimed: int = 0
    """The head that Redis was last told: see `sequence.claim`."""
    older_ids: KnownIds | None = None
    """Of the messages that aren't remembered; None while there are none."""
    _messages: dict[UUID, Message] = field(default_factory=dict)
    _identities: dict[tuple[UUID, UUID], Message] = field(default_factory=dict)

    def has(self, user_id: UUID) -> bool:
        return user_id in (self.user1_id, self.user2_id)

    def other(self, user_id: UUID) -> UUID:
        return self.user2_id if user_id == self.user1_id else self.user1_id

    def message(self, message_id: UUID) -> Message | None:
        """Among the remembered ones."""
        return self._messages.get(message_id)

    def same(self, sender_id: UUID, client_message_id: UUID | None, try_id: UUID) -> Message | None:
        """The remembered message of which this is a further try."""
        return self._identities.get((sender_id, client_message_id or try_id))

    def perhaps_older(self, sender_id: UUID, identity: UUID) -> bool:
        """Whether only PostgreSQL can tell if this message came before."""
        return (
            self.older_ids is not None
            and (sender_id, identity) not in self._identities
            and self.older_ids.perhaps(sender_id, identity)
        )

    def remember(self, message: Message) -> None:
        self._messages[message.message_id] = message
        self._identities[message.sender_id, message.identity] = message

    def forget_oldest(self) -> None:
        """Keeps `REMEMBERED`. Not within a batch: what it has looked up must still be there."""
        while len(self._messages) > REMEMBERED:
            message = self._messages.pop(next(iter(self._messages)))
            self._identities.pop((message.sender_id, message.identity), None)
            self.older_ids = self.older_ids or KnownIds()
            self.older_ids.add(message.sender_id, message.identity)
