"""/conversations/{id}/sync."""

import falcon

from libs.common.protocol.frames import MESSAGES_MOST
from services.rest_api.authentication import caller_of
from services.rest_api.bodies import answer
from services.rest_api.contract import SyncPage
from services.rest_api.pages import SEQ_MOST, number_in, uuid_in
from services.rest_api.problems import Problem
from services.rest_api.reading import Reading
from services.rest_api.store import Store


class Sync:
    """GET: what SYNC gives."""

    def __init__(self, reading: Reading, store: Store) -> None:
        self._reading = reading
        self._store = store

    def on_get(
        self, request: falcon.Request, response: falcon.Response, conversation_id: str
    ) -> None:
        after = number_in(request, "after", least=0, most=SEQ_MOST)
        limit = number_in(request, "limit", least=1, most=MESSAGES_MOST) or MESSAGES_MOST
        if after is None:
            raise Problem("INVALID_FIELD", "after is missing: the last seq that you know.")
        user_id = caller_of(request).user_id
        log = self._reading.own_log(uuid_in(conversation_id, "conversationId"), user_id)
        # Beyond the head there is nothing, and SQL's arithmetic has an end.
        messages = self._store.messages_changed_after(
            log.conversation_id, min(after, log.head), limit, user_id
        )
        head = max(log.head, messages[-1].changed_seq) if messages else log.head
        complete = len(messages) < limit
        answer(response, SyncPage(log.conversation_id, messages, head, complete))
