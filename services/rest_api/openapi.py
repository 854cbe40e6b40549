"""OpenAPI 3.1 of the REST API, made from `operations` and the contract's own types. Pure."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from libs.common.protocol import messages
from libs.common.protocol.asyncapi import VERSION
from libs.common.protocol.errors import REFUSALS
from libs.common.protocol.schemas import camel, ref_to, schemas
from services.rest_api import contract
from services.rest_api.contract import ProblemDetails
from services.rest_api.operations import JSON, OPERATIONS, Body, Operation

BASE: Final = "/api/chat"
PROBLEM: Final = "application/problem+json"

_OF_ANY: Final = ("INTERNAL", "UNAVAILABLE")
_OF_A_CALLER: Final = (
    "UNAUTHENTICATED",
    "TOKEN_INVALID",
    "TOKEN_EXPIRED",
    "TOKEN_REVOKED",
    "RATE_LIMITED",
)
_OF_THE_EDGE: Final = {
    413: ("TOO_LARGE", "A request body is at most 64 KiB."),
    414: ("URI_TOO_LONG", "An address is at most 16 KiB."),
    502: ("BAD_GATEWAY", "The service did not answer; try again."),
    504: ("TIMEOUT", "The service took too long; try again."),
}
"""What the edge answers where no process of the API does (local/edge.py has the same)."""

_ABOUT: Final = """\
History, reading, deleting, search and counts for the two users of a conversation, and new
conversations for the match service. What happens live comes by WebSocket: see asyncapi.json.

- JSON, camelCase. Times are RFC 3339, UTC, with milliseconds. Ids are UUIDs. Fields that a client
  doesn't know it ignores: new ones may come at any time.
- A refused call is answered with RFC 9457 problem+json; `code` is a constant to decide by.
- A conversation or message of others is 403, one that does not exist 404.
- Pages are `{items, nextCursor}`; `nextCursor` is null at the end.
- What a caller was told is done is there when it reads next.
- Every call may be repeated safely, also those that change something. 429 and 5xx say by
  `Retry-After` when; then repeat it.
- HEAD answers as GET does, without the body. OPTIONS and 405 name an address' methods in `Allow`.
"""

_SECURITY: Final = {
    "user": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "`sub` is the user's UUID; `exp` is required.",
    },
    "service": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": 'The same with `scope: "service"`: one of our own services.',
    },
}

_TEXT: Final = {"type": "string"}
_SECONDS: Final = {"type": "integer", "minimum": 0}
_HEADERS: Final = {
    "Allow": {"description": "The methods of this address.", "required": True, "schema": _TEXT},
    "ETag": {"description": "For `If-None-Match`.", "required": True, "schema": _TEXT},
    "Retry-After": {
        "description": "Seconds until a repetition makes sense.",
        "required": True,
        "schema": _SECONDS,
    },
    "WWW-Authenticate": {
        "description": "RFC 6750.",
        "required": True,
        "schema": {"type": "string", "pattern": "^Bearer"},
    },
    "RateLimit": {
        "description": "`r` calls are left now, all of them after `t` seconds without any "
        "(draft-ietf-httpapi-ratelimit-headers-10). Not for services.",
        "schema": {"type": "string", "pattern": '^"calls";r=[0-9]+;t=[0-9]+$'},
    },
    "RateLimit-Policy": {
        "description": "`q` calls of one user in `w` seconds.",
        "schema": {"type": "string", "pattern": '^"calls";q=[0-9]+;w=[0-9]+$'},
    },
}
_OF_STATUS: Final = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    **dict.fromkeys((429, 502, 503, 504), ("Retry-After",)),
}
_OF_A_CALL: Final = ("RateLimit", "RateLimit-Policy")


_FOUND_IN: Final = {
    "createConversation": {"conversationId": "$response.body#/conversationId"},
    "listConversations": {"conversationId": "$response.body#/items/0/conversationId"},
    "listMessages": {"messageId": "$response.body#/items/0/messageId"},
    "searchMessages": {
        "conversationId": "$response.body#/items/0/conversationId",
        "messageId": "$response.body#/items/0/messageId",
    },
    "syncConversation": {"messageId": "$response.body#/messages/0/messageId"},
}
"""By operation, what its answer names that others take: their links."""


def document() -> dict[str, Any]:
    """The whole of it, as JSON has it; each call makes a new one."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        path = paths.setdefault(address(operation), {})
        path[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Chat: REST API", "version": VERSION, "description": _ABOUT},
        "servers": [{"url": BASE, "description": "At the edge."}],
        "security": [{"user": []}],
        "tags": [{"name": name} for name in dict.fromkeys(row.tag for row in OPERATIONS)],
        "paths": paths,
        "components": {
            "schemas": schemas([*_types(), ProblemDetails], (messages, contract)),
            "responses": _shared(),
            "headers": _HEADERS,
            "securitySchemes": _SECURITY,
        },
    }


def address(operation: Operation) -> str:
    """The path with its names as clients read them."""
    return "/".join(
        "{" + camel(part[1:-1]) + "}" if part.startswith("{") else part
        for part in operation.path.split("/")
    )


def names_in(operation: Operation) -> list[str]:
    """Of its path, as clients read them."""
    return [camel(part[1:-1]) for part in operation.path.split("/") if part.startswith("{")]


def _types() -> list[Any]:
    found: list[Body] = []
    for operation in OPERATIONS:
        found += [*operation.answers.values(), operation.body]
    return [body for body in dict.fromkeys(found) if body and not isinstance(body, str)]


def _operation(operation: Operation) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": _parameters(operation),
        "responses": _answers(operation) | _refusals(operation),
    }
    if operation.description:
        made["description"] = operation.description
    if operation.body is not None:
        made["requestBody"] = {"required": True, "content": _content(operation.body)}
    if operation.is_public:
        made["security"] = []
    elif operation.needs_service:
        made["security"] = [{"service": []}]
    return made


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    path = [
        {"name": name, "in": "path", "required": True, "schema": _UUID}
        for name in names_in(operation)
    ]
    query = [
        {
            "name": parameter.name,
            "in": "query",
            "required": parameter.required,
            "description": parameter.meaning,
            "schema": parameter.schema,
        }
        for parameter in operation.query
    ]
    return [*path, *query, *([_IF_NONE_MATCH] if operation.has_etag else ())]


_UUID: Final = {"type": "string", "format": "uuid"}
_IF_NONE_MATCH: Final = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of what the client has: 304 when it is still that.",
    "schema": {"type": "string"},
}


# --- answers -----------------------------------------------------------------------------


def _answers(operation: Operation) -> dict[str, Any]:
    own = ("ETag",) if operation.has_etag else ()
    always = () if operation.is_public else _OF_A_CALL
    made = {
        str(status): _response(HTTPStatus(status).phrase, (*own, *always), _content(body))
        for status, body in operation.answers.items()
    }
    if links := _links(operation):
        for response in made.values():
            response["links"] = links
    if operation.has_etag:
        made["304"] = _response(HTTPStatus.NOT_MODIFIED.phrase, (*own, *always), None)
    return made


def _links(operation: Operation) -> dict[str, Any]:
    """What can be asked next, with what this answer names."""
    found = _FOUND_IN.get(operation.name, {})
    return {
        other.name: {"operationId": other.name, "parameters": {name: found[name]}}
        for other in OPERATIONS
        for name in names_in(other)
        if name in found
    }


def _content(body: Body) -> dict[str, Any] | None:
    match body:
        case None:
            return None
        case str():
            return {body: {"schema": {"type": "object"} if body == JSON else {"type": "string"}}}
        case _:
            return {JSON: {"schema": ref_to(body)}}


def _response(
    description: str, headers: Iterable[str], content: dict[str, Any] | None
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "description": description,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
    }
    if content is not None:
        made["content"] = content
    return made


# --- refusals ----------------------------------------------------------------------------


def _refusals(operation: Operation) -> dict[str, Any]:
    own = {status: _problem(status, errors) for status, errors in _by_status(operation).items()}
    shared = {
        status: {"$ref": f"#/components/responses/{_shared_name(status)}"}
        for status in _shared_statuses(operation)
    }
    return {str(status): response for status, response in sorted((own | shared).items())}


def _by_status(operation: Operation) -> dict[int, list[str]]:
    """The errors of its own by status, in the order of the table of refusals."""
    errors = {*operation.errors}
    if operation.query or "{" in operation.path:
        errors.add("INVALID_FIELD")
    if operation.body is not None:
        errors |= {"INVALID_JSON", "INVALID_FIELD"}
    if operation.needs_service:
        errors.add("NOT_PERMITTED")
    return _grouped(errors)


def _grouped(errors: Iterable[str]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for refusal in REFUSALS.values():
        if refusal.error in errors:
            found.setdefault(refusal.code, []).append(refusal.error)
    return found


def _shared_statuses(operation: Operation) -> list[int]:
    found = [414, 502, 504, *_grouped(_OF_ANY)]
    if not operation.is_public:
        found += _grouped(_OF_A_CALLER)
    if operation.body is not None:
        found.append(413)
    return found


def _shared() -> dict[str, Any]:
    """The responses that many calls have, and those of an address or a method that isn't there."""
    ours = _grouped((*_OF_ANY, *_OF_A_CALLER, "NOT_FOUND", "METHOD_NOT_ALLOWED"))
    edges = {status: [error] for status, (error, _) in _OF_THE_EDGE.items()}
    both = sorted((ours | edges).items())
    return {_shared_name(status): _problem(status, errors) for status, errors in both}


def _shared_name(status: int) -> str:
    # Not the status' phrase: Python's changes from version to version.
    return f"Problem{status}"


def _problem(status: int, errors: list[str]) -> dict[str, Any]:
    said = {row.error: row.message for row in REFUSALS.values()} | dict(_OF_THE_EDGE.values())
    schema = {
        "allOf": [
            ref_to(ProblemDetails),
            {"properties": {"status": {"const": status}, "code": {"enum": errors}}},
        ]
    }
    return _response(
        "\n".join(f"- `{error}`: {said[error]}" for error in errors),
        (*_OF_STATUS.get(status, ()), *(() if status in _OF_THE_EDGE else _OF_A_CALL)),
        {PROBLEM: {"schema": schema}},
    )
