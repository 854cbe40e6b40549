"""The WebSocket protocol of DESIGN.md, section 4: one type a frame.

`type` comes first and names the frame; fields are camelCase on the wire. Times are RFC 3339
UTC strings with milliseconds, ids are UUIDs.
"""

from typing import TYPE_CHECKING, Annotated, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from libs.common.protocol.messages import Message
from libs.common.protocol.units import Seq, Timestamp

MESSAGES_MOST: Final = 200
"""Ids in one MARK_AS_READ, and messages that one SYNC asks for."""


class _Frame(Struct, frozen=True, tag_field="type", rename="camel", omit_defaults=True):
    pass


# --- client → server ---------------------------------------------------------------------


class Connect(_Frame, tag="CONNECT", frozen=True):
    """The first frame of a session that no header or subprotocol has authenticated; within 5 s."""

    token: str


class SendMessage(_Frame, tag="SEND_MESSAGE", frozen=True):
    """A message for the other user.

    Repeated with the same `client_message_id`, over any connection, it stays one message.
    """

    conversation_id: UUID
    content: str
    """1 to 4,000 characters after trimming. Kept in Unicode's NFC and without control characters
    but tab and newline, so what comes back may differ from what was sent. At most 30 combining
    marks in a row."""
    client_message_id: UUID | None = None
    """The client's own id of the message. Without it a repetition would be a second message."""
    timestamp: str | None = None
    """The client's own clock. Accepted and ignored: order is `seq`'s, never a clock's."""


class RefreshToken(_Frame, tag="REFRESH_TOKEN", frozen=True):
    """A newer token of the same user: the session lives on until that one expires."""

    token: str


class MarkAsRead(_Frame, tag="MARK_AS_READ", frozen=True):
    """Either `message_ids` or `up_to_seq`."""

    conversation_id: UUID
    message_ids: Annotated[list[UUID], Meta(min_length=1, max_length=MESSAGES_MOST)] | None = None
    up_to_seq: Seq | None = None


class TypingStart(_Frame, tag="TYPING_START", frozen=True):
    """The user is typing. Repeat it every few seconds: it ends by itself."""

    conversation_id: UUID


class TypingStop(_Frame, tag="TYPING_STOP", frozen=True):
    """The user has stopped typing."""

    conversation_id: UUID


class Sync(_Frame, tag="SYNC", frozen=True):
    """What is new in a log after the last `seq` that this client knows."""

    conversation_id: UUID
    after_seq: Seq
    limit: Annotated[int, Meta(ge=1, le=MESSAGES_MOST)] = MESSAGES_MOST


class Ping(_Frame, tag="PING", frozen=True):
    """Is the connection alive? For clients that can't send a WebSocket ping."""


ClientFrame = (
    Connect | RefreshToken | SendMessage | MarkAsRead | TypingStart | TypingStop | Sync | Ping
)
CLIENT_FRAME_TYPES: Final = frozenset(
    str(frame.__struct_config__.tag) for frame in ClientFrame.__args__
)


# --- server → client ---------------------------------------------------------------------


class ConnectSuccess(_Frame, tag="CONNECT_SUCCESS", frozen=True):
    """The session is authenticated. What happens from now on is delivered live."""

    user_id: UUID
    conversations: list[UUID]
    heads: dict[UUID, int]
    """Where each log stands: a client that knows less asks for the rest."""
    session_id: UUID
    expires_at: Timestamp
    heartbeat_seconds: int


class TokenRefreshed(_Frame, tag="TOKEN_REFRESHED", frozen=True):
    """The session lives until the new token expires."""

    expires_at: Timestamp


class MessageSent(_Frame, tag="MESSAGE_SENT", frozen=True):
    """The answer to a SEND_MESSAGE: the message is kept, whatever fails from now on.

    For the sending session. The sender's other sessions get MESSAGE_RECEIVED.
    """

    client_message_id: UUID | None
    message_id: UUID
    conversation_id: UUID
    seq: int
    timestamp: Timestamp


class MessageReceived(_Frame, tag="MESSAGE_RECEIVED", frozen=True):
    """A message: the other user's, or one that this user sent in another session."""

    message_id: UUID
    conversation_id: UUID
    sender_id: UUID
    content: str
    timestamp: Timestamp
    seq: int
    client_message_id: UUID | UnsetType = UNSET
    """Only in the frames for the sender's own other sessions."""


class MessageDelivered(_Frame, tag="MESSAGE_DELIVERED", frozen=True):
    """Messages have reached a device of their recipient: its WebSocket stack said so."""

    conversation_id: UUID
    message_id: UUID
    """The newest of `message_ids`."""
    message_ids: list[UUID]
    delivered_at: Timestamp
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
    read_at: Timestamp
    seq: int


class MessageDeleted(_Frame, tag="MESSAGE_DELETED", frozen=True):
    """A message is gone for both users; what is left of it is a tombstone without content."""

    conversation_id: UUID
    message_id: UUID
    deleted_at: Timestamp
    seq: int


class ConversationCreated(_Frame, tag="CONVERSATION_CREATED", frozen=True):
    """A match has got its conversation."""

    conversation_id: UUID
    match_id: UUID
    user_ids: list[UUID]
    created_at: Timestamp
    seq: int


class ConversationArchived(_Frame, tag="CONVERSATION_ARCHIVED", frozen=True):
    """The conversation is read only from now on, for both users."""

    conversation_id: UUID
    archived_at: Timestamp
    seq: int


class UserTypes(_Frame, tag="TYPING_START", frozen=True):
    """The other user is typing."""

    conversation_id: UUID
    user_id: UUID
    expires_in_ms: int
    """Then the typing has ended, whether or not TYPING_STOP has come."""


class UserStoppedTyping(_Frame, tag="TYPING_STOP", frozen=True):
    """The other user has stopped typing."""

    conversation_id: UUID
    user_id: UUID
    expires_in_ms: int
    """Always 0."""


class UserOnline(_Frame, tag="USER_ONLINE", frozen=True):
    """The other user has a session."""

    conversation_id: UUID
    user_id: UUID


class UserOffline(_Frame, tag="USER_OFFLINE", frozen=True):
    """The other user's last session ended. It ends their typing, too."""

    conversation_id: UUID
    user_id: UUID
    last_seen_at: Timestamp


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
    """The answer to a PING, with the server's clock."""

    timestamp: Timestamp


class Reconnect(_Frame, tag="RECONNECT", frozen=True):
    """The server is about to close this connection (1012): come back after that time."""

    after_ms: int
    reason: str


if TYPE_CHECKING:
    _Quoted = str | UUID
else:
    _Quoted = str
"""An id as the client wrote it, or as it was read: in JSON, and so in the contract, a string."""


class ErrorRef(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Which frame an ERROR answers; only what could be read of it."""

    type: str | None = None
    client_message_id: _Quoted | None = None
    conversation_id: _Quoted | None = None


class Error(_Frame, tag="ERROR", frozen=True):
    """A frame was refused, or the session; `ref` says which.

    `error` is a constant to decide by, `message` a sentence for developers.
    """

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
