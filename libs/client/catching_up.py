"""Finds what is missing by `seq`, and says what to SYNC. Pure: time is passed in, in seconds.

docs/protocol.md, "The log: seq, gaps and SYNC", is what it does. It keeps promise 6 on the
client's side, for the conversations that are followed.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple
from uuid import UUID

from libs.client.answers import ANSWER_S
from libs.client.log import Log

GAP_S: Final = 1.0
"""Frames of different kinds may overtake each other: a gap is given so long to close."""


class Question(NamedTuple):
    """A SYNC to send."""

    conversation_id: UUID
    after_seq: int


class CatchingUp:
    """Tell it of all that comes; send what `take` gives, now and whenever `due_at` has come."""

    def __init__(self) -> None:
        self._logs: dict[UUID, Log] = {}
        self._heads: dict[UUID, int] = {}
        self._due: dict[UUID, float] = {}
        """When to ask, or to ask again what got no answer."""
        self._asked: set[UUID] = set()

    def follow(self, conversation_id: UUID, known: int, now: float) -> None:
        """All up to `known` is there: loaded by REST, or kept from last time."""
        self._logs.setdefault(conversation_id, Log()).reach(known)
        if self._is_behind(conversation_id):
            self._ask(conversation_id, now)

    def known(self, conversation_id: UUID) -> int:
        """The number up to which nothing is missing; 0 where nothing was followed."""
        log = self._logs.get(conversation_id)
        return 0 if log is None else log.known

    def begin(self, heads: Mapping[UUID, int], now: float) -> None:
        """CONNECT_SUCCESS: how far each log is. What was asked before gets no answer any more."""
        self._asked.clear()
        self._due.clear()
        self._heads.update(heads)
        for conversation_id in heads:
            if self._is_behind(conversation_id):
                self._ask(conversation_id, now)

    def told(self, conversation_id: UUID, head: int, now: float) -> None:
        """How far the log is by REST: CONNECT_SUCCESS leaves out archived conversations."""
        self._heads[conversation_id] = max(head, self._heads.get(conversation_id, 0))
        if self._is_behind(conversation_id):
            self._ask(conversation_id, now + GAP_S)  # what has just been said is on its way

    def entered(self, conversation_id: UUID, seq: int, now: float) -> None:
        """An entry came."""
        self._heads[conversation_id] = max(seq, self._heads.get(conversation_id, 0))
        log = self._logs.get(conversation_id)
        if log is None:
            return
        log.add(seq)
        if log.has_gap:
            self._ask(conversation_id, now + GAP_S)

    def synced(self, conversation_id: UUID, reached: int, complete: bool, now: float) -> None:
        """SYNC_RESULT. `reached` is its `head`, or, not complete, the last one's `changedSeq`."""
        self._landed(conversation_id)
        log = self._logs.get(conversation_id)
        if log is None:
            return
        log.reach(reached)
        if not complete:
            self._ask(conversation_id, now)
        elif log.has_gap:
            self._ask(conversation_id, now + GAP_S)
        else:
            self._heads[conversation_id] = log.known

    def refused(self, conversation_id: UUID) -> None:
        """An ERROR that a repetition won't mend: it is not asked again before something comes."""
        self._landed(conversation_id)

    def put_off(self, conversation_id: UUID, until: float) -> None:
        """An ERROR that passes (`retryAfterMs`)."""
        self._landed(conversation_id)
        self._ask(conversation_id, until)

    def take(self, now: float) -> list[Question]:
        """What to SYNC now, marked as asked. A gap that has closed meanwhile is none."""
        taken = []
        for conversation_id, at in list(self._due.items()):
            if at > now:
                continue
            self._landed(conversation_id)
            if self._is_behind(conversation_id):
                self._asked.add(conversation_id)
                self._due[conversation_id] = now + ANSWER_S
                taken.append(Question(conversation_id, self.known(conversation_id)))
        return taken

    @property
    def due_at(self) -> float | None:
        """When `take` may have something though nothing else has happened."""
        return min(self._due.values(), default=None)

    def _is_behind(self, conversation_id: UUID) -> bool:
        is_followed = conversation_id in self._logs
        return is_followed and self._heads.get(conversation_id, 0) > self.known(conversation_id)

    def _ask(self, conversation_id: UUID, at: float) -> None:
        """At that moment, unless it is asked already, or sooner."""
        if conversation_id not in self._asked:
            self._due[conversation_id] = min(at, self._due.get(conversation_id, at))

    def _landed(self, conversation_id: UUID) -> None:
        self._asked.discard(conversation_id)
        self._due.pop(conversation_id, None)
