"""What Redis says has been told: the heads that the router raises (`freshness` weighs them)."""

from typing import Any
from uuid import UUID

import structlog

from libs.common.cache import BlockingCache, CacheError
from libs.common.domain.heads import WARM_VALUE, heads_in
from libs.common.domain.partition import partition_of
from libs.common.keys import HEADS, WARM

log = structlog.get_logger()


class Heads:
    """Never fails: a Redis that is away says as little as an empty one."""

    def __init__(self, cache: BlockingCache, partitions: int) -> None:
        self._cache = cache
        self._partitions = partitions

    def of_conversation(self, conversation_id: UUID, user_id: UUID) -> tuple[int | None, bool]:
        """Its head as this user was told, None where Redis has none, and whether it is warm."""
        partition = partition_of(conversation_id, self._partitions)
        answers = self._run(
            ("HGET", HEADS(user_id), str(conversation_id)), ("GET", WARM(partition))
        )
        if answers is None:
            return None, False
        head, warm = answers
        return None if head is None else int(head), warm == WARM_VALUE

    def of_user(self, user_id: UUID) -> tuple[dict[UUID, int], list[bool]]:
        """Conversation → head as far as Redis has them, and by partition whether it is warm."""
        partitions = range(self._partitions)
        answers = self._run(("HGETALL", HEADS(user_id)), *(("GET", WARM(p)) for p in partitions))
        if answers is None:
            return {}, [False for _ in partitions]
        fields, *warm = answers
        return heads_in(fields), [value == WARM_VALUE for value in warm]

    def _run(self, *commands: tuple[str, ...]) -> list[Any] | None:
        """Their answers, in order; None when Redis is away."""
        try:
            return self._cache.run(*commands)
        except CacheError as error:
            log.warning("redis is away: reading behind a barrier", reason=str(error))
            return None
