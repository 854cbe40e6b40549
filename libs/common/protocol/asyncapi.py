"""AsyncAPI 3.0 of the WebSocket protocol, made from the frames' own types. Pure.

It describes the service: what it `receive`s is what clients send.
"""

from http import HTTPStatus
from typing import Any, Final, NamedTuple, get_args

from msgspec import Struct

from libs.common.protocol import frames, messages
from libs.common.protocol.closes import Close
from libs.common.protocol.errors import REFUSALS
from libs.common.protocol.frames import ClientFrame, ServerFrame
from libs.common.protocol.schemas import Schema, ref_to, schemas, sentence

VERSION: Final = "1.0.0"
"""Of the protocol, `chat.v1`, and of the REST API beside it."""
PATH: Final = "/api/chat/ws"


class Exchange(NamedTuple):
    """A client's frame, what answers it, and the errors of its own that may answer instead."""

    frame: type[Struct]
    answer: type[Struct] | None
    errors: tuple[str, ...]


_OF_A_CONVERSATION: Final = ("CONVERSATION_NOT_FOUND", "NOT_PARTICIPANT", "RATE_LIMITED")
_OF_A_TOKEN: Final = ("TOKEN_INVALID", "TOKEN_EXPIRED", "TOKEN_REVOKED")

EXCHANGES: Final = (
    Exchange(
        frames.Connect,
        frames.ConnectSuccess,
        (*_OF_A_TOKEN, "ALREADY_CONNECTED", "RATE_LIMITED", "TOO_MANY_CONNECTIONS"),
    ),
    Exchange(frames.RefreshToken, frames.TokenRefreshed, _OF_A_TOKEN),
    Exchange(
        frames.SendMessage,
        frames.MessageSent,
        (
            *_OF_A_CONVERSATION,
            "CONTENT_EMPTY",
            "CONTENT_NOT_STORABLE",
            "CONTENT_TOO_LONG",
            "CONVERSATION_ARCHIVED",
            "OVERLOADED",
            "TOO_MANY_IN_FLIGHT",
        ),
    ),
    Exchange(
        frames.MarkAsRead,
        frames.MessageRead,
        (
            *_OF_A_CONVERSATION,
            "MESSAGE_NOT_FOUND",
            "NOT_RECIPIENT",
            "OVERLOADED",
            "TOO_MANY_IN_FLIGHT",
        ),
    ),
    Exchange(frames.TypingStart, None, (*_OF_A_CONVERSATION, "CONVERSATION_ARCHIVED")),
    Exchange(frames.TypingStop, None, (*_OF_A_CONVERSATION, "CONVERSATION_ARCHIVED")),
    Exchange(
        frames.Sync,
        frames.SyncResult,
        (*_OF_A_CONVERSATION, "TOO_MANY_IN_FLIGHT", "INTERNAL"),
    ),
    Exchange(frames.Ping, frames.Pong, ()),
)

ERRORS_OF_ANY: Final = (
    "INVALID_JSON",
    "UNKNOWN_TYPE",
    "INVALID_FIELD",
    "CONTENT_NOT_STORABLE",
    "UNAUTHENTICATED",
    "TOKEN_EXPIRED",
    "TOKEN_REVOKED",
    "INTERNAL",
)
"""What may answer a frame of any type, or come unasked."""

HANDSHAKE_ERRORS: Final = (
    *_OF_A_TOKEN,
    "ORIGIN_NOT_ALLOWED",
    "NOT_FOUND",
    "TOO_MANY_FROM_ADDRESS",
    "HEADERS_TOO_LARGE",
    "GATEWAY_FULL",
    "UNAVAILABLE",
)
"""HTTP answers instead of 101, as problem+json."""

ONLY_ANSWERS: Final = (
    frames.TokenRefreshed,
    frames.MessageSent,
    frames.SyncResult,
    frames.Pong,
)
"""Never sent but as the answer to a frame."""

_CLOSES: Final = {
    Close.DONE: "Done, in peace.",
    Close.GONE: "The client or the server goes away. Come back with jittered backoff.",
    Close.TOO_BIG: "A frame was larger than 64 KiB. Come back; send less.",
    Close.RESTARTING: "The server restarts. Come back after RECONNECT's `after_ms`.",
    Close.NOT_THE_PROTOCOL: "Not this protocol, such as a binary frame. Final: mend the client.",
    Close.TOKEN: "The token is missing, bad, expired or revoked. Final: get a new one first.",
    Close.TOO_SLOW: "Too slow a reader, or no pong. Come back with jittered backoff.",
    Close.TOO_MANY: "Too many connections of one user. Come back when others have ended.",
    Close.ON_US: "Something failed on our side. Come back with jittered backoff.",
}

_ABOUT: Final = """\
Real-time chat between two matched users: JSON text frames, one object each, `type` first.

- Times are RFC 3339, UTC, with milliseconds. Ids are UUIDs. Fields that a receiver doesn't know it
  ignores: new ones may come at any time.
- A frame is at most 64 KiB. `content` is 1 to 4,000 characters after trimming.
- Every conversation is one log. Whatever lasts (a message, a delivery, a reading, a deletion, an
  archiving) is an entry with the next `seq`: dense, from 1, the same for both users and all their
  devices. A client that finds a number missing asks for it by SYNC.
- A refused frame is answered by ERROR, whose `ref` says which it was. The session goes on, unless
  a close follows.
"""

_AUTHENTICATION: Final = """\
Any one of:

1. the header `Authorization: Bearer` and the token;
2. for browsers, the subprotocols `chat.v1` and `bearer.` followed by the token; only `chat.v1` is
   echoed;
3. a first frame CONNECT within 5 s of the handshake.

Never the query string. The token is a JWT whose `sub` is the user's UUID. A bad one is answered in
the handshake with HTTP 401, in a frame with ERROR 401 and close 4401.
"""


def document() -> dict[str, Any]:
    """The whole of it, as JSON has it; each call makes a new one."""
    kinds = [*get_args(ClientFrame), *get_args(ServerFrame)]
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Chat: WebSocket protocol", "version": VERSION, "description": _ABOUT},
        "defaultContentType": "application/json",
        "servers": {
            "edge": {
                "host": "localhost:8080",
                "protocol": "ws",
                "description": "Where `make run` serves it.",
                "security": [{"$ref": "#/components/securitySchemes/bearer"}],
            }
        },
        "channels": {"chat": _channel(kinds)},
        "operations": _receiving() | _sending(),
        "components": {
            "messages": {kind.__name__: _message(kind) for kind in kinds},
            "schemas": _schemas(kinds),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": _AUTHENTICATION,
                }
            },
        },
        "x-close-codes": [
            {"code": code.value, "meaning": sentence(_CLOSES[code])} for code in Close
        ],
        "x-errors": [
            {"code": REFUSALS[error].code, "error": error, "message": REFUSALS[error].message}
            for error in errors()
        ],
        "x-handshake-errors": [
            {
                "status": REFUSALS[error].code,
                "title": HTTPStatus(REFUSALS[error].code).phrase,
                "code": error,
            }
            for error in HANDSHAKE_ERRORS
        ],
    }


def errors() -> list[str]:
    """Every constant that an ERROR frame may hold, in the order of the table of refusals."""
    possible = {*ERRORS_OF_ANY, *(error for exchange in EXCHANGES for error in exchange.errors)}
    return [error for error in REFUSALS if error in possible]


def wire_type(kind: type[Struct]) -> str:
    """What `type` is in a frame of this kind."""
    return str(kind.__struct_config__.tag)


def _channel(kinds: list[type[Struct]]) -> dict[str, Any]:
    token = {"type": "string", "description": "One of the three ways to authenticate."}
    return {
        "address": PATH,
        "title": "A session: one connection of one user",
        "messages": {
            kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"} for kind in kinds
        },
        "bindings": {
            "ws": {
                "method": "GET",
                "headers": {
                    "type": "object",
                    "properties": {"Authorization": token, "Sec-WebSocket-Protocol": token},
                },
                "bindingVersion": "0.1.0",
            }
        },
    }


def _receiving() -> dict[str, Any]:
    return {
        f"receive{exchange.frame.__name__}": {
            "action": "receive",
            "channel": {"$ref": "#/channels/chat"},
            "summary": _summary(exchange.frame),
            "messages": [_in_channel(exchange.frame)],
            "reply": {
                "channel": {"$ref": "#/channels/chat"},
                "messages": [_in_channel(kind) for kind in (exchange.answer, frames.Error) if kind],
            },
            "x-errors": [*exchange.errors],
        }
        for exchange in EXCHANGES
    }


def _sending() -> dict[str, Any]:
    return {
        f"send{kind.__name__}": {
            "action": "send",
            "channel": {"$ref": "#/channels/chat"},
            "summary": _summary(kind),
            "messages": [_in_channel(kind)],
        }
        for kind in get_args(ServerFrame)
        if kind not in ONLY_ANSWERS
    }


def _message(kind: type[Struct]) -> dict[str, Any]:
    return {
        "name": wire_type(kind),
        "title": wire_type(kind),
        "summary": _summary(kind),
        "description": sentence(kind.__doc__),
        "payload": ref_to(kind),
    }


def _schemas(kinds: list[type[Struct]]) -> dict[str, Schema]:
    found = schemas(kinds, (messages, frames))
    error = found["Error"]["properties"]
    error["error"]["enum"] = errors()
    error["code"]["enum"] = sorted({REFUSALS[name].code for name in errors()})
    return found


def _in_channel(kind: type[Struct]) -> dict[str, str]:
    return {"$ref": f"#/channels/chat/messages/{kind.__name__}"}


def _summary(kind: type[Struct]) -> str:
    return sentence(kind.__doc__).partition("\n")[0]
