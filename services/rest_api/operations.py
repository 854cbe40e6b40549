"""Every call of the REST API as data (DESIGN.md, section 5): what it takes and what may answer.

`openapi` makes the contract of it. A test holds it against the routes of `wsgi`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from msgspec import Struct

from libs.common.protocol.frames import MESSAGES_MOST
from libs.common.protocol.messages import Message
from libs.common.protocol.schemas import Schema
from services.rest_api.asked import MOST_CHARACTERS, MOST_TERMS
from services.rest_api.contract import (
    Conversation,
    ConversationBirth,
    CreateConversation,
    Page,
    SearchHit,
    SyncPage,
    Unread,
)
from services.rest_api.pages import LIMIT_DEFAULT, LIMIT_MOST, SEQ_MOST

JSON: Final = "application/json"
HTML: Final = "text/html; charset=utf-8"

Body = type[Struct] | str | None
"""A type of the contract; a media type for what has no type; None for no body."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One of the query."""

    name: str
    schema: Schema
    meaning: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One method at one address. `{names}` in `path` are UUIDs, camelCase in the contract."""

    method: str
    path: str
    name: str
    summary: str
    answers: Mapping[int, Body]
    description: str = ""
    query: tuple[Parameter, ...] = ()
    body: type[Struct] | None = None
    errors: tuple[str, ...] = ()
    """Those of its own; what may befall any call is `openapi`'s to add."""
    tag: str = "conversations"
    is_public: bool = False
    """Without a token."""
    needs_service: bool = False
    has_etag: bool = False
    """Answers with an ETag, and 304 to If-None-Match."""


def _seq(name: str, meaning: str, *, required: bool = False) -> Parameter:
    schema = {"type": "integer", "minimum": 0, "maximum": SEQ_MOST}
    return Parameter(name, schema, meaning, required)


def _uuid(name: str, meaning: str) -> Parameter:
    return Parameter(name, {"type": "string", "format": "uuid"}, meaning)


def _time(name: str, meaning: str) -> Parameter:
    return Parameter(name, {"type": "string", "format": "date-time"}, meaning)


def _asked(meaning: str, *, required: bool) -> Parameter:
    schema = {"type": "string", "minLength": 1, "maxLength": MOST_CHARACTERS}
    return Parameter("q", schema, meaning, required)


def _limit(most: int, default: int) -> Parameter:
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return Parameter("limit", schema, "How many at most.")


_LIMIT: Final = _limit(LIMIT_MOST, LIMIT_DEFAULT)
_CURSOR: Final = Parameter(
    "cursor", {"type": "string"}, "`nextCursor` of the page before. Absent: the first page."
)
_OF_A_CONVERSATION: Final = ("NOT_PARTICIPANT", "CONVERSATION_NOT_FOUND")
_OF_A_MESSAGE: Final = ("NOT_PARTICIPANT", "MESSAGE_NOT_FOUND")

OPERATIONS: Final = (
    Operation(
        "GET",
        "/conversations",
        "listConversations",
        "The caller's conversations, newest activity first",
        {200: Page[Conversation]},
        query=(
            _asked("Only those in which a message matches, as in a search.", required=False),
            Parameter("archived", {"type": "boolean"}, "Only those that are archived, or are not."),
            _LIMIT,
            _CURSOR,
        ),
        has_etag=True,
    ),
    Operation(
        "POST",
        "/conversations",
        "createConversation",
        "A match gets its conversation",
        {201: ConversationBirth, 200: ConversationBirth},
        "201 when it was made, 200 when the match has one already: safe to repeat.",
        body=CreateConversation,
        errors=("SAME_USER", "MATCH_CONFLICT"),
        needs_service=True,
    ),
    Operation(
        "GET",
        "/conversations/{conversation_id}",
        "getConversation",
        "One of the caller's conversations",
        {200: Conversation},
        errors=_OF_A_CONVERSATION,
        has_etag=True,
    ),
    Operation(
        "DELETE",
        "/conversations/{conversation_id}",
        "archiveConversation",
        "Archive it, for both users",
        {204: None},
        "Its messages can still be read, marked as read and deleted. Safe to repeat.",
        errors=_OF_A_CONVERSATION,
    ),
    Operation(
        "GET",
        "/conversations/{conversation_id}/messages",
        "listMessages",
        "Its messages by `seq`",
        {200: Page[Message]},
        "Newest first with `before` or with neither; oldest first with `after`. Never both. "
        "`nextCursor` is the next page's `before` or `after`.",
        query=(
            _LIMIT,
            _seq("before", "Only messages with a lower `seq`."),
            _seq("after", "Only messages with a higher `seq`."),
        ),
        errors=_OF_A_CONVERSATION,
        has_etag=True,
    ),
    Operation(
        "GET",
        "/conversations/{conversation_id}/sync",
        "syncConversation",
        "What SYNC gives: every message created or changed after a `seq`",
        {200: SyncPage},
        "In the order of each message's newest entry. Not `complete`: ask again after the "
        "`changedSeq` of the last message.",
        query=(
            _seq("after", "The last `seq` that the caller knows.", required=True),
            _limit(MESSAGES_MOST, MESSAGES_MOST),
        ),
        errors=_OF_A_CONVERSATION,
    ),
    Operation(
        "GET",
        "/messages/{message_id}",
        "getMessage",
        "One message",
        {200: Message},
        errors=_OF_A_MESSAGE,
        tag="messages",
        has_etag=True,
    ),
    Operation(
        "DELETE",
        "/messages/{message_id}",
        "deleteMessage",
        "Delete a message that the caller sent",
        {204: None},
        "Its content is gone for both users, the tombstone stays. Safe to repeat.",
        errors=(*_OF_A_MESSAGE, "NOT_SENDER"),
        tag="messages",
    ),
    Operation(
        "PUT",
        "/messages/{message_id}/read",
        "markMessageRead",
        "Mark a message as read that the caller received",
        {204: None},
        "Safe to repeat.",
        errors=(*_OF_A_MESSAGE, "NOT_RECIPIENT"),
        tag="messages",
    ),
    Operation(
        "GET",
        "/messages/by-client-id/{client_message_id}",
        "getSentMessage",
        "What became of a send: the message, or 404 when it is not kept",
        {200: Message},
        errors=("MESSAGE_NOT_FOUND",),
        tag="messages",
    ),
    Operation(
        "GET",
        "/messages/search",
        "searchMessages",
        "Search the caller's conversations, newest first",
        {200: Page[SearchHit]},
        'Words and parts of words in any script, `"phrases"`, `-exclusions`, `or` between them; '
        f"{MOST_TERMS} words and exclusions at most. "
        "`highlight` has what matched, as code points of `content`. Deleted messages never match.",
        query=(
            _asked("What to look for.", required=True),
            _uuid("conversationId", "Only in this conversation."),
            _uuid("senderId", "Only what this user sent."),
            _time("before", "Only what was sent before."),
            _time("after", "Only what was sent after."),
            _LIMIT,
            _CURSOR,
        ),
        errors=_OF_A_CONVERSATION,
        tag="messages",
    ),
    Operation(
        "GET",
        "/unread",
        "getUnread",
        "How many messages the caller has not read",
        {200: Unread},
        tag="messages",
        has_etag=True,
    ),
    Operation(
        "GET",
        "/openapi.json",
        "getOpenapi",
        "This contract",
        {200: JSON},
        tag="contracts",
        is_public=True,
        has_etag=True,
    ),
    Operation(
        "GET",
        "/asyncapi.json",
        "getAsyncapi",
        "The WebSocket protocol's contract",
        {200: JSON},
        tag="contracts",
        is_public=True,
        has_etag=True,
    ),
    Operation(
        "GET",
        "/docs",
        "getDocs",
        "Both contracts as a page for people",
        {200: HTML},
        tag="contracts",
        is_public=True,
        has_etag=True,
    ),
)
