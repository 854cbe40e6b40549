"""The WebSocket protocol of DESIGN.md, section 4: one type a frame.

`type` comes first and names the frame; fields are camelCase on the wire. Times are RFC 3339
UTC strings with milliseconds, ids are UUIDs.
"""

from typing import Final
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct, UnsetType


class _Frame(Struct, frozen=True, tag_field="type", rename="camel", omit_defaults=True):
    pass


# --- client → server ---------------------------------------------------------------------


class Connect(_Frame, tag="CONNECT", frozen=True):
    token: str


class SendMessage(_Frame, tag="SEND_MESSAGE", frozen=True):
    conversation_id: UUID
    content: str
    client_message_id: UUID | None = None
    timestamp: str | None = None
    """The client's own clock. Accepted and ignored: order is `seq`'s, never a clock's."""


class Ping(_Frame, tag="PING", frozen=True):
    pass


ClientFrame = Connect | SendMessage | Ping
CLIENT_FRAME_TYPES: Final = frozenset({"CONNECT", "SEND_MESSAGE", "PING"})


# --- server → client ---------------------------------------------------------------------


class ConnectSuccess(_Frame, tag="CONNECT_SUCCESS", frozen=True):
    user_id: UUID
    conversations: list[UUID]
    heads: dict[UUID, int]
    """Where each log stands: a client that knows less asks for the rest."""
    session_id: UUID
    expires_at: str
    heartbeat_seconds: int


class MessageSent(_Frame, tag="MESSAGE_SENT", frozen=True):
    client_message_id: UUID | None
    message_id: UUID
    conversation_id: UUID
    seq: int
    timestamp: str


class MessageReceived(_Frame, tag="MESSAGE_RECEIVED", frozen=True):
    message_id: UUID
    conversation_id: UUID
    sender_id: UUID
    content: str
    timestamp: str
    seq: int
    client_message_id: UUID | UnsetType = UNSET
    """Only in the frames for the sender's own other sessions."""


class MessageDelivered(_Frame, tag="MESSAGE_DELIVERED", frozen=True):
    conversation_id: UUID
    message_id: UUID
    """The newest of `message_ids`."""
    message_ids: list[UUID]
    delivered_at: str
    seq: int


class ConversationCreated(_Frame, tag="CONVERSATION_CREATED", frozen=True):
    conversation_id: UUID
    match_id: UUID
    user_ids: list[UUID]
    created_at: str
    seq: int


class Pong(_Frame, tag="PONG", frozen=True):
    timestamp: str


class Reconnect(_Frame, tag="RECONNECT", frozen=True):
    after_ms: int
    reason: str


class ErrorRef(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Which frame an ERROR answers; only what could be read of it."""

    type: str | None = None
    client_message_id: str | UUID | None = None
    conversation_id: str | UUID | None = None


class Error(_Frame, tag="ERROR", frozen=True):
    code: int
    error: str
    message: str
    ref: ErrorRef
    retry_after_ms: int | UnsetType = UNSET


ServerFrame = (
    ConnectSuccess
    | MessageSent
    | MessageReceived
    | MessageDelivered
    | ConversationCreated
    | Pong
    | Reconnect
    | Error
)

_encoder = msgspec.json.Encoder()
encode_frame = _encoder.encode
"""ServerFrame → the bytes of a text frame. A frame is encoded once, however many get it."""
