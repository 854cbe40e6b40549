"""/conversations and /conversations/{id}."""

import time
from typing import Final

import falcon
import msgspec

from libs.common.protocol.replies import Refused
from services.rest_api.authentication import caller_of
from services.rest_api.bodies import answer, body_of
from services.rest_api.commands import Commands
from services.rest_api.contract import Conversation, ConversationBirth, CreateConversation, Page
from services.rest_api.pages import NEWEST, cursor_of, flag_in, limit_in, place_of, uuid_in
from services.rest_api.problems import Problem
from services.rest_api.reading import Reading
from services.rest_api.store import Log, Store, moment, moment_or_none

_NEW_CONVERSATION: Final = msgspec.json.Decoder(CreateConversation)


class Conversations:
    """GET: the caller's own, newest activity first. POST: a match's, by one of our services."""

    def __init__(self, reading: Reading, store: Store, commands: Commands) -> None:
        self._reading = reading
        self._store = store
        self._commands = commands

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        limit = limit_in(request)
        archived = flag_in(request, "archived")
        cursor = request.get_param("cursor")
        after = NEWEST if cursor is None else place_of(cursor)
        user_id = caller_of(request).user_id

        self._reading.catch_up(user_id)
        places = self._store.newest_conversations(
            user_id, after, archived=archived, limit=limit + 1
        )
        page = places[:limit]
        items = self._store.conversations([place.conversation_id for place in page], user_id)
        next_cursor = cursor_of(page[-1]) if len(places) > limit else None
        answer(response, Page[Conversation](items, next_cursor))

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        if not caller_of(request).is_service:
            raise Problem("NOT_PERMITTED")
        new = body_of(request, _NEW_CONVERSATION)
        if new.user1_id == new.user2_id:
            raise Problem("SAME_USER")
        reply = self._commands.create_conversation(
            new.match_id, new.user1_id, new.user2_id, time.time_ns() // 1_000_000
        )
        if isinstance(reply, Refused):
            raise Problem(reply.error)
        log = self._reading.log(reply.conversation_id, new.user1_id)
        response.status = 201 if reply.created else 200
        answer(response, _birth(log))


class OneConversation:
    """GET: one of the caller's own."""

    def __init__(self, reading: Reading, store: Store) -> None:
        self._reading = reading
        self._store = store

    def on_get(
        self, request: falcon.Request, response: falcon.Response, conversation_id: str
    ) -> None:
        user_id = caller_of(request).user_id
        log = self._reading.own_log(uuid_in(conversation_id, "conversationId"), user_id)
        (conversation,) = self._store.conversations([log.conversation_id], user_id)
        answer(response, conversation)


def _birth(log: Log) -> ConversationBirth:
    return ConversationBirth(
        conversation_id=log.conversation_id,
        match_id=log.match_id,
        user_ids=(log.user1_id, log.user2_id),
        created_at=moment(log.created_at),
        archived_at=moment_or_none(log.archived_at),
        head=log.head,
    )
