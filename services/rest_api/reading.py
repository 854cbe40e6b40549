"""Reads in which everything is there that anybody was told before (DESIGN.md, section 5).

Each brings PostgreSQL up to date where it has to, then leaves the reading proper to `Store`:
the head is read before what it counts, so what is read next is at least as new.
"""

from uuid import UUID

from libs.common.domain import permission
from libs.common.domain.heads import is_behind
from libs.common.domain.partition import partition_of
from libs.common.domain.permission import Act
from services.rest_api.commands import Commands
from services.rest_api.freshness import partitions_behind
from services.rest_api.heads import Heads
from services.rest_api.problems import Problem
from services.rest_api.store import Log, Store


class Reading:
    """For any thread. Raises, besides what each says, what `Store` raises."""

    def __init__(self, store: Store, heads: Heads, commands: Commands, partitions: int) -> None:
        self._store = store
        self._heads = heads
        self._commands = commands
        self._partitions = partitions

    def log(self, conversation_id: UUID, user_id: UUID) -> Log:
        """A conversation with all that this user of it was told; others may see it a flush later.

        Raises Problem CONVERSATION_NOT_FOUND, Unanswered.
        """
        told, warm = self._heads.of_conversation(conversation_id, user_id)
        log = self._store.log(conversation_id)
        if is_behind(told, log.head if log else None, warm=warm):
            self._commands.pass_barriers([partition_of(conversation_id, self._partitions)])
            log = self._store.log(conversation_id)
        if log is None:
            raise Problem("CONVERSATION_NOT_FOUND")
        return log

    def own_log(self, conversation_id: UUID, user_id: UUID) -> Log:
        """The same for one of its two users. Raises Problem NOT_PARTICIPANT besides."""
        log = self.log(conversation_id, user_id)
        if error := permission.refusal(Act.READ, user_id, log):
            raise Problem(error)
        return log

    def catch_up(self, user_id: UUID) -> None:
        """Returns when PostgreSQL has all that was told of the user's conversations.

        Raises Unanswered.
        """
        told, warm = self._heads.of_user(user_id)
        stored = self._store.heads(list(told))
        behind = partitions_behind(told, stored, warm)
        if behind:
            self._commands.pass_barriers(behind)
