"""Every refusal a client can meet: a constant, the service description's code, a sentence.

`code` is an HTTP status; the WebSocket's ERROR frame and REST's problem+json share the list,
so a client needs one table for both.
"""

from typing import Final, NamedTuple


class Refusal(NamedTuple):
    """One row of the table. `message` says what was wrong and what to do."""

    code: int
    error: str
    message: str


_ROWS: Final = (
    Refusal(400, "INVALID_JSON", "The frame is not a JSON object. Send one object per text frame."),
    Refusal(400, "UNKNOWN_TYPE", "There is no frame of this type."),
    Refusal(400, "INVALID_FIELD", "A field is missing or of the wrong kind."),
    Refusal(400, "CONTENT_EMPTY", "content is empty after trimming. Send 1 to 4,000 characters."),
    Refusal(400, "CONTENT_TOO_LONG", "content is longer than 4,000 characters. Split it."),
    Refusal(
        400,
        "CONTENT_NOT_STORABLE",
        "content holds U+0000, a lone surrogate or over 30 combining marks in a row. Remove it.",
    ),
    Refusal(400, "ALREADY_CONNECTED", "This session is authenticated. CONNECT comes once."),
    Refusal(400, "SAME_USER", "A conversation is between two different users."),
    Refusal(400, "MATCH_CONFLICT", "This match already has a conversation of other users."),
    Refusal(401, "UNAUTHENTICATED", "Authenticate first: header, subprotocol or CONNECT."),
    Refusal(401, "TOKEN_INVALID", "The token's signature or claims are not valid. Get a new one."),
    Refusal(401, "TOKEN_EXPIRED", "The token has expired. Get a new one and connect again."),
    Refusal(
        401, "TOKEN_REVOKED", "The token was revoked. Sign in again and connect with a new one."
    ),
    Refusal(403, "NOT_PARTICIPANT", "You are not one of this conversation's two users."),
    Refusal(403, "NOT_SENDER", "Only its sender may delete a message."),
    Refusal(403, "NOT_RECIPIENT", "Only its recipient may mark a message as read."),
    Refusal(403, "NOT_PERMITTED", "This call needs a token with scope service."),
    Refusal(403, "CONVERSATION_ARCHIVED", "The conversation is archived: read only."),
    Refusal(403, "ORIGIN_NOT_ALLOWED", "Web pages of this origin may not connect here."),
    Refusal(404, "CONVERSATION_NOT_FOUND", "There is no conversation with this id."),
    Refusal(404, "MESSAGE_NOT_FOUND", "There is no message with this id."),
    Refusal(404, "NOT_FOUND", "There is nothing at this address."),
    Refusal(405, "METHOD_NOT_ALLOWED", "This address takes other methods: see the header Allow."),
    Refusal(429, "TOO_MANY_IN_FLIGHT", "Too many unanswered messages. Wait for MESSAGE_SENT."),
    Refusal(429, "RATE_LIMITED", "Too many in too short a time. Repeat after retryAfterMs."),
    Refusal(429, "OVERLOADED", "More comes than can be handled: not accepted. Repeat it later."),
    Refusal(429, "TOO_MANY_CONNECTIONS", "You have too many connections. Close one, then retry."),
    Refusal(
        429,
        "TOO_MANY_FROM_ADDRESS",
        "Too many connections from your network. Repeat after Retry-After.",
    ),
    Refusal(
        431,
        "HEADERS_TOO_LARGE",
        "A header is longer than 8 KiB, or all are than 16. Send fewer cookies or a shorter token.",
    ),
    Refusal(500, "INTERNAL", "Something failed on our side. Repeat with the same clientMessageId."),
    Refusal(503, "GATEWAY_FULL", "This server is full. Repeat after Retry-After."),
    Refusal(503, "UNAVAILABLE", "A part of the service is away. Repeat after Retry-After."),
)

REFUSALS: Final[dict[str, Refusal]] = {row.error: row for row in _ROWS}
"""By constant."""
