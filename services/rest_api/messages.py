"""/conversations/{id}/messages, /messages/{id} and /messages/by-client-id/{clientMessageId}."""

from collections.abc import Callable
from functools import partial
from uuid import UUID

import falcon

from libs.common.protocol.messages import Message
from services.rest_api.authentication import caller_of
from services.rest_api.bodies import answer
from services.rest_api.contract import Page
from services.rest_api.pages import SEQ_MOST, limit_in, number_in, uuid_in
from services.rest_api.problems import Problem
from services.rest_api.reading import Reading
from services.rest_api.store import Store


class History:
    """GET: a page by seq, newest first with `before` or with neither, oldest first with `after`."""

    def __init__(self, reading: Reading, store: Store) -> None:
        self._reading = reading
        self._store = store

    def on_get(
        self, request: falcon.Request, response: falcon.Response, conversation_id: str
    ) -> None:
        limit = limit_in(request)
        before = number_in(request, "before", least=0, most=SEQ_MOST)
        after = number_in(request, "after", least=0, most=SEQ_MOST)
        if before is not None and after is not None:
            raise Problem("INVALID_FIELD", "Send before or after, not both.")
        user_id = caller_of(request).user_id
        log = self._reading.own_log(uuid_in(conversation_id, "conversationId"), user_id)

        if after is not None:
            read, seq = self._store.messages_after, after
        else:
            read, seq = self._store.messages_before, SEQ_MOST if before is None else before
        # One more than asked for tells whether there is a next page.
        found = read(log.conversation_id, seq, limit + 1, user_id)
        items = found[:limit]
        next_cursor = str(items[-1].seq) if len(found) > limit else None
        answer(response, Page[Message](items, next_cursor))


class OneMessage:
    """GET: a message of one of the caller's conversations."""

    def __init__(self, reading: Reading, store: Store) -> None:
        self._reading = reading
        self._store = store

    def on_get(self, request: falcon.Request, response: falcon.Response, message_id: str) -> None:
        wanted = uuid_in(message_id, "messageId")
        user_id = caller_of(request).user_id
        find = partial(self._store.message, wanted, user_id)
        answer(response, find_fresh(self._reading, user_id, find))


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
