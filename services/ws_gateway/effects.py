"""What a session wants done. `connection` performs it, in order."""

from collections.abc import Sequence

from msgspec import UNSET, Struct, UnsetType

from libs.common.protocol.closes import Close
from libs.common.protocol.errors import REFUSALS
from libs.common.protocol.events import Delivered, MarkRead, Send, Sync, Typing
from libs.common.protocol.frames import ClientFrame, Error, ErrorRef, ServerFrame, encode_frame
from services.ws_gateway.wire import text_frame


class Write(Struct, frozen=True):
    """Write `frame`, a whole WebSocket frame with its header."""

    frame: bytes


class Refuse(Struct, frozen=True):
    """Write `frame`, an ERROR."""

    error: str
    frame: bytes


class Ping(Struct, frozen=True):
    """Write a ping."""

    payload: bytes


class Publish(Struct, frozen=True):
    """Tell the router."""

    event: Send | Delivered | MarkRead


class Signal(Struct, frozen=True):
    """Tell the router what may get lost."""

    signal: Typing | Sync


class Enter(Struct, frozen=True):
    """The session is authenticated: register it, then publish its `open_signal`."""


class End(Struct, frozen=True):
    """Close the connection."""

    code: Close
    reason: str


Effect = Write | Refuse | Ping | Publish | Signal | Enter | End
Effects = Sequence[Effect]


def write(frame: ServerFrame) -> Write:
    """A frame of our own."""
    return Write(text_frame(encode_frame(frame)))


def refusal(
    error: str,
    ref: ErrorRef,
    *,
    message: str | None = None,
    retry_after_ms: int | UnsetType = UNSET,
) -> Refuse:
    """The ERROR frame for `error`, a constant of `protocol.errors`."""
    row = REFUSALS[error]
    frame = Error(row.code, error, message or row.message, ref, retry_after_ms)
    return Refuse(error, text_frame(encode_frame(frame)))


def ref_to(frame: ClientFrame) -> ErrorRef:
    """What an ERROR says of the frame that it answers."""
    return ErrorRef(
        str(frame.__struct_config__.tag),
        getattr(frame, "client_message_id", None),
        getattr(frame, "conversation_id", None),
    )
