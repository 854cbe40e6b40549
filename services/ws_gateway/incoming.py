"""What a client sent: text → a frame, or what is wrong with it, as precisely as can be told."""

import json
from typing import Final, NoReturn

import msgspec
from msgspec import Struct

from libs.common.protocol.errors import REFUSALS
from libs.common.protocol.frames import CLIENT_FRAME_TYPES, ClientFrame, ErrorRef

_REF_CHARACTERS: Final = 64
"""What is longer is no id and no type: not worth sending back."""

_decoder: Final[msgspec.json.Decoder[ClientFrame]] = msgspec.json.Decoder(ClientFrame)


class BadFrame(Struct, frozen=True):
    """A frame that can't be processed, with what its ERROR says."""

    error: str
    """A constant of `protocol.errors`."""
    message: str
    ref: ErrorRef


def read_frame(text: str) -> ClientFrame | BadFrame:
    """Never raises: any text is one or the other."""
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError as error:
        return _explain(text, f"{error}.")
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        # JSON to the standard library's reader, but not to msgspec: a lone surrogate.
        return _explain(text, "A string holds a lone surrogate.")


def _explain(text: str, reason: str) -> BadFrame:
    """The second, lenient look: only here, so that good frames don't pay for it."""
    try:
        fields = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return _bad("INVALID_JSON", ErrorRef())
    if not isinstance(fields, dict):
        return _bad("INVALID_JSON", ErrorRef())
    ref = ErrorRef(
        type=_short(fields.get("type")),
        client_message_id=_short(fields.get("clientMessageId")),
        conversation_id=_short(fields.get("conversationId")),
    )
    kind = fields.get("type")
    if isinstance(kind, str) and kind not in CLIENT_FRAME_TYPES:
        return _bad("UNKNOWN_TYPE", ref)
    if not _is_unicode(fields.get("content")):
        return _bad("CONTENT_NOT_STORABLE", ref)
    return BadFrame("INVALID_FIELD", reason, ref)


def _bad(error: str, ref: ErrorRef) -> BadFrame:
    return BadFrame(error, REFUSALS[error].message, ref)


def _short(value: object) -> str | None:
    """What can be sent back of a field."""
    if isinstance(value, str) and len(value) <= _REF_CHARACTERS and _is_unicode(value):
        return value
    return None


def _is_unicode(value: object) -> bool:
    """False for a string with a lone surrogate."""
    if not isinstance(value, str):
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse_constant(name: str) -> NoReturn:
    """NaN and Infinity are Python's, not JSON's."""
    raise ValueError(name)
