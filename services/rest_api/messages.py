"""/messages/{id}, /messages/{id}/read and /messages/by-client-id/{clientMessageId}."""

import time
from collections.abc import Callable
from functools import partial
from uuid import UUID

import falcon

from libs.common.protocol.messages import Message
from services.rest_api.authentication import caller_of
from services.rest_api.bodies import answer
from services.rest_api.commands import Commands
from services.rest_api.pages import uuid_in
from services.rest_api.problems import Problem
from services.rest_api.reading import Reading
from services.rest_api.store import Store


class OneMessage:
    """GET: a message of one of the caller's conversations. DELETE: one that the caller sent."""

    has_etag = True

    def __init__(self, reading: Reading, store: Store, commands: Commands) -> None:
        self._reading = reading
        self._store = store
        self._commands = commands

    def on_get(self, request: falcon.Request, response: falcon.Response, message_id: str) -> None:
        answer(response, _own_message(request, message_id, self._reading, self._store))

    def on_delete(
        self, request: falcon.Request, response: falcon.Response, message_id: str
    ) -> None:
        message = _own_message(request, message_id, self._reading, self._store)
        self._commands.delete_message(
            message.conversation_id,
            message.message_id,
            caller_of(request).user_id,
            time.time_ns() // 1_000_000,
        )
        response.status = 204


class ReadMark:
    """PUT: the caller has read this message."""

    def __init__(self, reading: Reading, store: Store, commands: Commands) -> None:
        self._reading = reading
        self._store = store
        self._commands = commands

    def on_put(self, request: falcon.Request, response: falcon.Response, message_id: str) -> None:
        message = _own_message(request, message_id, self._reading, self._store)
        self._commands.mark_read(
            message.conversation_id,
            message.message_id,
            caller_of(request).user_id,
            time.time_ns() // 1_000_000,
        )
        response.status = 204


class SentMessage:
    """GET: what became of a send whose answer was lost."""

    def __init__(self, reading: Reading, store: Store) -> None:
        self._reading = reading
        self._store = store

    def on_get(
        self, request: falcon.Request, response: falcon.Response, client_message_id: str
    ) -> None:
        wanted = uuid_in(client_message_id, "clientMessageId")
        user_id = caller_of(request).user_id
        find = partial(self._store.message_by_client_id, wanted, user_id)
        answer(response, find_fresh(self._reading, user_id, find))


def _own_message(
    request: falcon.Request, message_id: str, reading: Reading, store: Store
) -> Message:
    """As `find_fresh`, by the id in the address."""
    wanted = uuid_in(message_id, "messageId")
    user_id = caller_of(request).user_id
    return find_fresh(reading, user_id, partial(store.message, wanted, user_id))


def find_fresh(reading: Reading, user_id: UUID, find: Callable[[], Message | None]) -> Message:
    """What `find` gives once PostgreSQL has all that was told of it, to one of its two users.

    Raises Problem MESSAGE_NOT_FOUND, NOT_PARTICIPANT; Unanswered.
    """
    located = find()
    if located is None:
        # Its conversation is unknown, so all of the caller's must be there.
        reading.catch_up(user_id)
        located = find()
    if located is None:
        raise Problem("MESSAGE_NOT_FOUND")
    # Found, but perhaps as it was before it was delivered, read or deleted.
    reading.own_log(located.conversation_id, user_id)
    message = find()
    if message is None:
        raise Problem("MESSAGE_NOT_FOUND")
    return message
