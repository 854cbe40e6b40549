"""/conversations/{id}/messages."""

from uuid import UUID

import falcon

from libs.common.keys import RECENT_MOST
from libs.common.protocol.messages import Message
from services.rest_api.authentication import caller_of
from services.rest_api.bodies import answer
from services.rest_api.contract import Page
from services.rest_api.pages import SEQ_MOST, limit_in, number_in, uuid_in
from services.rest_api.problems import Problem
from services.rest_api.reading import Reading
from services.rest_api.recent import Recent
from services.rest_api.store import Store


class History:
    """GET: a page by seq, newest first with `before` or with neither, oldest first with `after`."""

    has_etag = True

    def __init__(self, reading: Reading, store: Store, recent: Recent) -> None:
        self._reading = reading
        self._store = store
        self._recent = recent

    def on_get(
        self, request: falcon.Request, response: falcon.Response, conversation_id: str
    ) -> None:
        limit = limit_in(request)
        before = number_in(request, "before", least=0, most=SEQ_MOST)
        after = number_in(request, "after", least=0, most=SEQ_MOST)
        if before is not None and after is not None:
            raise Problem("INVALID_FIELD", "Send before or after, not both.")
        wanted = uuid_in(conversation_id, "conversationId")
        user_id = caller_of(request).user_id

        if before is None and after is None and limit <= RECENT_MOST:
            newest = self._recent.newest(wanted, user_id)
            items = newest.messages[:limit]
            has_more = newest.has_older or len(newest.messages) > limit
        else:
            # One more than asked for tells whether there is a next page.
            found = self._read(wanted, user_id, before, after, limit + 1)
            items, has_more = found[:limit], len(found) > limit
        answer(response, Page[Message](items, str(items[-1].seq) if has_more else None))

    def _read(
        self,
        conversation_id: UUID,
        user_id: UUID,
        before: int | None,
        after: int | None,
        limit: int,
    ) -> list[Message]:
        self._reading.own_log(conversation_id, user_id)
        if after is not None:
            return self._store.messages_after(conversation_id, after, limit, user_id)
        seq = SEQ_MOST if before is None else before
        return self._store.messages_before(conversation_id, seq, limit, user_id)
