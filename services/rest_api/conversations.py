"""/conversations and /conversations/{id}."""

import time
from typing import Final

import falcon
import msgspec

from libs.common.domain import permission
from services.rest_api.authentication import caller_of
from services.rest_api.bodies import answer, body_of
from services.rest_api.commands import Commands
from services.rest_api.contract import Conversation, ConversationBirth, CreateConversation, Page
from services.rest_api.finding import Finding
from services.rest_api.pages import asked_in, cursor_of, flag_in, limit_in, place_in, uuid_in
from services.rest_api.presence import Presence
from services.rest_api.problems import Problem
from services.rest_api.reading import Reading
from services.rest_api.store import Log, Store, moment, moment_or_none

_NEW_CONVERSATION: Final = msgspec.json.Decoder(CreateConversation)


class Conversations:
    """GET: the caller's own, newest activity first; with `q` those in which a message has it.

    POST: a match's, by one of our services.
    """

    has_etag = True

    def __init__(
        self,
        reading: Reading,
        store: Store,
        presence: Presence,
        finding: Finding,
        commands: Commands,
    ) -> None:
        self._reading = reading
        self._store = store
        self._presence = presence
        self._finding = finding
        self._commands = commands

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        limit = limit_in(request)
        archived = flag_in(request, "archived")
        after = place_in(request)
        asked = asked_in(request)
        user_id = caller_of(request).user_id

        self._reading.catch_up(user_id)
        among = None if asked is None else self._finding.conversations(user_id, asked)
        places = self._store.newest_conversations(
            user_id, after, archived=archived, among=among, limit=limit + 1
        )
        page = places[:limit]
        items = self._store.conversations([place.id for place in page], user_id)
        next_cursor = cursor_of(page[-1]) if len(places) > limit else None
        answer(response, Page[Conversation](self._presence.shown_in(items), next_cursor))

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        if error := permission.creation_refusal(is_service=caller_of(request).is_service):
            raise Problem(error)
        new = body_of(request, _NEW_CONVERSATION)
        if new.user1_id == new.user2_id:
            raise Problem("SAME_USER")
        reply = self._commands.create_conversation(
            new.match_id, new.user1_id, new.user2_id, time.time_ns() // 1_000_000
        )
        log = self._reading.log(reply.conversation_id, new.user1_id)
        response.status = 201 if reply.created else 200
        answer(response, _birth(log))


class OneConversation:
    """GET: one of the caller's own. DELETE: archives it, for both."""

    has_etag = True

    def __init__(
        self, reading: Reading, store: Store, presence: Presence, commands: Commands
    ) -> None:
        self._reading = reading
        self._store = store
        self._presence = presence
        self._commands = commands

    def on_get(
        self, request: falcon.Request, response: falcon.Response, conversation_id: str
    ) -> None:
        user_id = caller_of(request).user_id
        log = self._reading.own_log(uuid_in(conversation_id, "conversationId"), user_id)
        found = self._store.conversations([log.conversation_id], user_id)
        (conversation,) = self._presence.shown_in(found)
        answer(response, conversation)

    def on_delete(
        self, request: falcon.Request, response: falcon.Response, conversation_id: str
    ) -> None:
        user_id = caller_of(request).user_id
        log = self._reading.own_log(uuid_in(conversation_id, "conversationId"), user_id)
        self._commands.archive_conversation(
            log.conversation_id, user_id, time.time_ns() // 1_000_000
        )
        response.status = 204


def _birth(log: Log) -> ConversationBirth:
    return ConversationBirth(
        conversation_id=log.conversation_id,
        match_id=log.match_id,
        user_ids=(log.user1_id, log.user2_id),
        created_at=moment(log.created_at),
        archived_at=moment_or_none(log.archived_at),
        head=log.head,
    )
