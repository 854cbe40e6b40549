"""Events: what the gateways and the REST API tell the router.

Fields are only ever appended, with defaults: old and new releases run side by side in a
rollout. Times are by the sender's clock.
"""

from typing import Final
from uuid import UUID

from msgspec import Struct

from libs.common.protocol.units import Moment, Seq

ERASURE: Final = "erasure"
"""Of a deletion: a person's data goes."""
RETENTION: Final = "retention"
"""Of a deletion: it was kept for long enough."""


class _Event(Struct, frozen=True, array_like=True):
    pass


class Send(_Event, tag="send", frozen=True):
    """A user sends a message. In `chat.events.{p}` of the conversation."""

    conversation_id: UUID
    sender_id: UUID
    try_id: UUID
    """Version 7, stamped by the gateway for each try; a message's id is its first try's."""
    client_message_id: UUID | None
    content: str
    accepted_at: Moment
    """When its gateway took it; the message's own time is its permit's (decision 0016)."""
    session_id: UUID
    gateway_id: str

    @property
    def identity(self) -> UUID:
        """What makes two tries of one sender the same message (promise 4)."""
        return self.client_message_id or self.try_id


class Delivered(_Event, tag="delivered", frozen=True):
    """The recipient's WebSocket stack answered a ping written after these messages (promise 5)."""

    conversation_id: UUID
    user_id: UUID
    message_ids: list[UUID]
    delivered_at: Moment


class ReplyTo(Struct, frozen=True, array_like=True):
    """Where the answer to a command goes: a reply queue and the caller's own number for it."""

    queue: str
    correlation_id: str


class Origin(Struct, frozen=True, array_like=True):
    """The try of a session that an `Answer` goes to."""

    gateway_id: str
    session_id: UUID
    try_id: UUID


class MarkRead(_Event, tag="read", frozen=True):
    """A user has read these messages, or all of the other's up to `up_to_seq`."""

    conversation_id: UUID
    user_id: UUID
    message_ids: list[UUID]
    """Empty where `up_to_seq` says which."""
    up_to_seq: Seq | None
    read_at: Moment
    origin: Origin | None = None
    """Of a session's MARK_AS_READ."""
    reply_to: ReplyTo | None = None
    """Of a command of the REST API."""


class DeleteMessage(_Event, tag="delete", frozen=True):
    """A user takes back a message: the content goes, a tombstone stays."""

    conversation_id: UUID
    user_id: UUID
    message_id: UUID
    deleted_at: Moment
    reply_to: ReplyTo | None = None
    because: str | None = None
    """Of an operator's: ERASURE or RETENTION. None: the sender's own doing."""


class ArchiveConversation(_Event, tag="archive", frozen=True):
    """A user ends a conversation, for both."""

    conversation_id: UUID
    user_id: UUID
    archived_at: Moment
    reply_to: ReplyTo | None = None


class RemoveMatch(_Event, tag="remove", frozen=True):
    """A match is no more, so its conversation is archived. In `chat.events.{p}` of the match."""

    match_id: UUID
    archived_at: Moment


class CreateConversation(_Event, tag="create", frozen=True):
    """Two users are matched. In `chat.events.{p}` of the match."""

    conversation_id: UUID
    """Its id if the match has none yet: version 7, drawn by `id_beside` the match's."""
    match_id: UUID
    user1_id: UUID
    user2_id: UUID
    created_at: Moment
    reply_to: ReplyTo | None = None


Event = (
    Send
    | Delivered
    | MarkRead
    | DeleteMessage
    | ArchiveConversation
    | CreateConversation
    | RemoveMatch
)


class Open(_Event, tag="open", frozen=True):
    """A session was authenticated and wants CONNECT_SUCCESS. In `chat.signals.{p}` of the user."""

    user_id: UUID
    session_id: UUID
    gateway_id: str
    expires_at: Moment


class Here(_Event, tag="here", frozen=True):
    """This user's sessions were registered anew, as Redis was emptied: no news to anybody.

    In `chat.signals.{p}` of the user.
    """

    user_id: UUID


class Recall(_Event, tag="recall", frozen=True):
    """A reader missed what Redis should hold of this user. In `chat.signals.{p}` of the user."""

    user_id: UUID


class Typing(_Event, tag="typing", frozen=True):
    """TYPING_START or TYPING_STOP. In `chat.signals.{p}` of the conversation."""

    conversation_id: UUID
    user_id: UUID
    is_typing: bool
    session_id: UUID
    gateway_id: str


class Sync(_Event, tag="sync", frozen=True):
    """A session wants what changed after a number. In `chat.signals.{p}` of the conversation."""

    conversation_id: UUID
    user_id: UUID
    after_seq: Seq
    limit: int
    origin: Origin


Signal = Open | Here | Recall | Typing | Sync
