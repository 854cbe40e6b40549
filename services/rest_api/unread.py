"""/unread."""

from uuid import UUID

import falcon

from libs.common.domain.heads import COMPLETE, COUNTED_AT, LOADING
from libs.common.keys import UNREAD
from libs.common.metrics import CACHE
from services.rest_api.authentication import caller_of
from services.rest_api.bodies import answer
from services.rest_api.contract import Unread
from services.rest_api.hints import Hints
from services.rest_api.reading import Reading
from services.rest_api.soft_cache import SoftCache
from services.rest_api.store import Store


class UnreadCounts:
    """GET: from Redis where the router keeps all counts of the user, else from PostgreSQL."""

    has_etag = True

    def __init__(self, cache: SoftCache, reading: Reading, store: Store, hints: Hints) -> None:
        self._cache = cache
        self._reading = reading
        self._store = store
        self._hints = hints

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        user_id = caller_of(request).user_id
        counts = self._cached(user_id)
        CACHE.labels("unread", "miss" if counts is None else "hit").inc()
        if counts is None:
            self._hints.recall(user_id)
            self._reading.catch_up(user_id)
            counts = self._store.unread(user_id)
        # In one order: the same counts are the same answer.
        answer(response, Unread(sum(counts.values()), dict(sorted(counts.items()))))

    def _cached(self, user_id: UUID) -> dict[UUID, int] | None:
        answers = self._cache.run(("HGETALL", UNREAD(user_id)))
        if answers is None or COMPLETE not in answers[0]:
            return None
        try:
            return {
                UUID(field.decode()): int(count)
                for field, count in answers[0].items()
                if field not in (COMPLETE, LOADING) and not field.startswith(COUNTED_AT.encode())
            }
        except ValueError:
            return None
