"""The WebSocket protocol of DESIGN.md, section 4: one type a frame.

`type` comes first and names the frame; fields are camelCase on the wire. Times are RFC 3339
UTC strings with milliseconds, ids are UUIDs.
"""

from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from libs.common.protocol.messages import Message
from libs.common.protocol.units import Seq

MESSAGES_MOST: Final = 200
"""Ids in one MARK_AS_READ, and messages that one SYNC asks for."""


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


class RefreshToken(_Frame, tag="REFRESH_TOKEN", frozen=True):
    token: str


class MarkAsRead(_Frame, tag="MARK_AS_READ", frozen=True):
    """Either `message_ids` or `up_to_seq`."""

    conversation_id: UUID
    message_ids: Annotated[list[UUID], Meta(min_length=1, max_length=MESSAGES_MOST)] | None = None
    up_to_seq: Seq | None = None


class TypingStart(_Frame, tag="TYPING_START", frozen=True):
    conversation_id: UUID


class TypingStop(_Frame, tag="TYPING_STOP", frozen=True):
    conversation_id: UUID


class Sync(_Frame, tag="SYNC", frozen=True):
    conversation_id: UUID
    after_seq: Seq
    limit: Annotated[int, Meta(ge=1, le=MESSAGES_MOST)] = MESSAGES_MOST


class Ping(_Frame, tag="PING", frozen=True):
    pass


ClientFrame = (
    Connect | RefreshToken | SendMessage | MarkAsRead | TypingStart | TypingStop | Sync | Ping
)
CLIENT_FRAME_TYPES: Final = frozenset(
    str(frame.__struct_config__.tag) for frame in ClientFrame.__args__
)


# --- server → client ---------------------------------------------------------------------


class ConnectSuccess(_Frame, tag="CONNECT_SUCCESS", frozen=True):
    user_id: UUID
    conversations: list[UUID]
    heads: dict[UUID, int]
    """Where each log stands: a client that knows less asks for the rest."""
    session_id: UUID
    expires_at: str
    heartbeat_seconds: int


class TokenRefreshed(_Frame, tag="TOKEN_REFRESHED", frozen=True):
    expires_at: str


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


class MessageRead(_Frame, tag="MESSAGE_READ", frozen=True):
    """An entry of the log; or no entry, but the answer to a MARK_AS_READ with nothing left to read.

    Then `message_ids` is empty, `message_id` null, and `seq` the log's head.
    """

    conversation_id: UUID
    message_id: UUID | None
    """The newest of `message_ids`."""
    message_ids: list[UUID]
    reader_id: UUID
    read_at: str
    seq: int


class MessageDeleted(_Frame, tag="MESSAGE_DELETED", frozen=True):
    conversation_id: UUID
    message_id: UUID
    deleted_at: str
    seq: int


class ConversationCreated(_Frame, tag="CONVERSATION_CREATED", frozen=True):
    conversation_id: UUID
    match_id: UUID
    user_ids: list[UUID]
    created_at: str
    seq: int


class ConversationArchived(_Frame, tag="CONVERSATION_ARCHIVED", frozen=True):
    conversation_id: UUID
    archived_at: str
    seq: int


class UserTypes(_Frame, tag="TYPING_START", frozen=True):
    conversation_id: UUID
    user_id: UUID
    expires_in_ms: int
    """Then the typing has ended, whether or not TYPING_STOP has come."""


class UserStoppedTyping(_Frame, tag="TYPING_STOP", frozen=True):
    conversation_id: UUID
    user_id: UUID
    expires_in_ms: int
    """Always 0."""


class UserOnline(_Frame, tag="USER_ONLINE", frozen=True):
    conversation_id: UUID
    user_id: UUID


class UserOffline(_Frame, tag="USER_OFFLINE", frozen=True):
    conversation_id: UUID
    user_id: UUID
    last_seen_at: str


class SyncResult(_Frame, tag="SYNC_RESULT", frozen=True):
    """Every message created or changed after the asked `seq`, in the order of its newest entry.

    It holds whole entries, so it may be longer than the limit by the messages of its last one.
    Not `complete`: ask again after the `changedSeq` of the last message.
    """

    conversation_id: UUID
    messages: list[Message]
    head: int
    complete: bool


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
    | TokenRefreshed
    | MessageSent
    | MessageReceived
    | MessageDelivered
    | MessageRead
    | MessageDeleted
    | ConversationCreated
    | ConversationArchived
    | UserTypes
    | UserStoppedTyping
    | UserOnline
    | UserOffline
    | SyncResult
    | Pong
    | Reconnect
    | Error
)

_encoder = msgspec.json.Encoder()
encode_frame = _encoder.encode
"""ServerFrame → the bytes of a text frame. A frame is encoded once, however many get it."""
