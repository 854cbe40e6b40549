"""What Redis says has been told: the heads that the router raises (`freshness` weighs them)."""

from uuid import UUID

from libs.common.domain.heads import head_in, heads_in, is_warm
from libs.common.domain.partition import partition_of
from libs.common.keys import HEADS, WARM
from services.rest_api.soft_cache import SoftCache


class Heads:
    """Never fails, as `SoftCache`. What can't be read counts as lost; the router mends it."""

    def __init__(self, cache: SoftCache, partitions: int) -> None:
        self._cache = cache
        self._partitions = partitions

    def of_conversation(self, conversation_id: UUID, user_id: UUID) -> tuple[int | None, bool]:
        """Its head as this user was told, None where Redis has none, and whether it is warm."""
        partition = partition_of(conversation_id, self._partitions)
        answers = self._cache.run(
            ("HGET", HEADS(user_id), str(conversation_id)), ("GET", WARM(partition))
        )
        if answers is None:
            return None, False
        head, warm = answers
        try:
            return None if head is None else head_in(head), is_warm(warm)
        except ValueError:
            return None, False

    def of_user(self, user_id: UUID) -> tuple[dict[UUID, int], list[bool]]:
        """Conversation → head as far as Redis has them, and by partition whether it is warm."""
        partitions = range(self._partitions)
        warm_marks = (("GET", WARM(partition)) for partition in partitions)
        answers = self._cache.run(("HGETALL", HEADS(user_id)), *warm_marks)
        if answers is None:
            return {}, [False for _ in partitions]
        fields, *warm = answers
        try:
            return heads_in(fields), [is_warm(value) for value in warm]
        except ValueError:
            return {}, [False for _ in partitions]
