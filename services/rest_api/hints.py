"""Hints to other roles that make later reads faster. Lost ones do no harm: they come again."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final
from uuid import UUID

from libs.common import topology
from libs.common.domain.partition import partition_of
from libs.common.protocol.codec import SIGNALS, WRITES
from libs.common.protocol.events import Recall
from libs.common.protocol.writes import Index
from services.rest_api.commands import Commands
from services.rest_api.lately import Lately

AGAIN_S: Final = 10.0
INDEXED_AT_ONCE: Final = 200
"""Conversations that one search has indexed: others want theirs, too."""


class Hints:
    """For any thread. Returns at once."""

    def __init__(self, commands: Commands, partitions: int) -> None:
        self._commands = commands
        self._partitions = partitions
        self._lately = Lately(AGAIN_S)

    def recall(self, user_id: UUID) -> None:
        """The router shall bring HEADS and UNREAD of this user back to Redis."""
        if self._lately.is_first((Recall, user_id)):
            queue = topology.signals(partition_of(user_id, self._partitions)).name
            self._commands.tell(queue, SIGNALS.encode([Recall(user_id)]), lasting=False)

    def index(self, conversation_ids: Iterable[UUID]) -> None:
        """The persister shall index these conversations' messages; the first ones of many."""
        by_partition: defaultdict[int, list[Index]] = defaultdict(list)
        room = INDEXED_AT_ONCE
        for conversation_id in conversation_ids:
            if not room:
                break
            if self._lately.is_first((Index, conversation_id)):
                partition = partition_of(conversation_id, self._partitions)
                by_partition[partition].append(Index(conversation_id))
                room -= 1
        for partition, indexes in by_partition.items():
            queue = topology.writes(partition).name
            self._commands.tell(queue, WRITES.encode(indexes), lasting=True)
