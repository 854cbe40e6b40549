"""Events: what the gateways and the REST API tell the router.

Fields are only ever appended, with defaults: old and new releases run side by side in a
rollout. Times are by the sender's clock.
"""

from uuid import UUID

from msgspec import Struct

from libs.common.protocol.units import Moment


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
    session_id: UUID
    gateway_id: str


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


class CreateConversation(_Event, tag="create", frozen=True):
    """Two users are matched. In `chat.events.{p}` of the match."""

    conversation_id: UUID
    """Its id if the match has none yet: version 7, drawn by `id_beside` the match's."""
    match_id: UUID
    user1_id: UUID
    user2_id: UUID
    created_at: Moment
    reply_to: ReplyTo | None = None


Event = Send | Delivered | CreateConversation


class Open(_Event, tag="open", frozen=True):
    """A session was authenticated and wants CONNECT_SUCCESS. In `chat.signals.{p}` of the user."""

    user_id: UUID
    session_id: UUID
    gateway_id: str
    expires_at: Moment


Signal = Open
