"""/messages/search."""

import falcon
import msgspec

from libs.common.protocol.messages import Message
from services.rest_api.authentication import caller_of
from services.rest_api.bodies import answer
from services.rest_api.contract import Page, SearchHit
from services.rest_api.finding import BEGINNING, Finding, Wanted
from services.rest_api.highlight import Highlighter
from services.rest_api.pages import (
    BEFORE_ALL_IDS,
    Place,
    asked_in,
    cursor_of,
    id_in,
    limit_in,
    place_in,
    time_in,
)
from services.rest_api.problems import Problem
from services.rest_api.reading import Reading


class Search:
    """GET: the messages of the caller's own conversations that have what is asked, newest first."""

    def __init__(self, reading: Reading, finding: Finding) -> None:
        self._reading = reading
        self._finding = finding

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        limit = limit_in(request)
        asked = asked_in(request)
        if asked is None:
            raise Problem("INVALID_FIELD", "q is missing: what to look for.")
        wanted = Wanted(
            asked,
            conversation_id=id_in(request, "conversationId"),
            sender_id=id_in(request, "senderId"),
            since=time_in(request, "after") or BEGINNING,
        )
        start = place_in(request)
        before = time_in(request, "before")
        if before is not None:
            start = min(start, Place(before, BEFORE_ALL_IDS))
        user_id = caller_of(request).user_id
        if wanted.conversation_id is None:
            self._reading.catch_up(user_id)
        else:
            self._reading.own_log(wanted.conversation_id, user_id)

        found, next_place = self._finding.messages(user_id, wanted, start, limit)
        highlighter = Highlighter(asked)
        hits = [_hit(message, highlighter) for message in found]
        answer(
            response, Page[SearchHit](hits, None if next_place is None else cursor_of(next_place))
        )


def _hit(message: Message, highlighter: Highlighter) -> SearchHit:
    highlight = highlighter.spans(message.content or "")
    return SearchHit(*msgspec.structs.astuple(message), highlight=highlight)
