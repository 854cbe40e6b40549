"""Where a message went, by what PostgreSQL holds and what the processes remember. Pure.

All times are seconds since 1970, each by the clock of the host where it happened.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from libs.common.domain.moment import stamped_at
from libs.common.passages import Act, Passage

STEPS = ("accepted", "queued", "decided", "kept", "stored", "told", "written", "pong", "read")


@dataclass(frozen=True)
class Row:
    """The message as PostgreSQL has it."""

    conversation_id: UUID
    sender_id: UUID
    recipient_id: UUID
    seq: int
    status: str
    created_at: float
    delivered_at: float | None
    read_at: float | None
    deleted_at: float | None


@dataclass(frozen=True)
class Memory:
    """What one process remembers of the message."""

    program: str
    since: float | None
    """From when on it remembers all; None: it does not answer."""
    passages: Sequence[Passage]


@dataclass(frozen=True)
class Step:
    """`at` is None where the step was not reached or its time is not known: `note` says which."""

    name: str
    at: float | None
    note: str


def accepted_at(message_id: UUID) -> float:
    """When its gateway took it: a version 7 id says so, to the millisecond."""
    return stamped_at(message_id) / 1000


def summary(message_id: UUID, row: Row | None, memories: Sequence[Memory]) -> list[Step]:
    """The steps in the order of a message's way; `told` and `written` once for each gateway."""
    seen = _Seen(memories)
    began = accepted_at(message_id)
    queued = seen.first(Act.PUBLISHED, "chat.events.", "Send")
    steps = [
        Step("accepted", began, f"by {queued.program}" if queued else "by its id"),
        _ended("queued", queued, seen, began),
        _of_row("decided", row, lambda row: row.created_at, "its timestamp, by Redis' clock"),
        _ended("kept", seen.first(Act.PUBLISHED, "chat.writes.", "InsertMessage"), seen, began),
        _stored(row, seen, began),
    ]
    for name, act in (("told", Act.PUBLISHED), ("written", Act.TAKEN)):
        found = [
            one
            for title in ("ToUser MESSAGE_RECEIVED", "Answer MESSAGE_SENT")
            for one in seen.all(act, "chat.deliveries.", title)
        ]
        steps += [Step(name, one.passage.at, f"{_to(one)} by {one.program}") for one in found] or [
            Step(name, None, seen.forgotten(began))
        ]
    pong = seen.first(Act.PUBLISHED, "chat.events.", "Delivered")
    steps.append(
        _of_row("pong", row, lambda row: row.delivered_at, f"to {pong.program}" if pong else "")
    )
    steps.append(_of_row("read", row, lambda row: row.read_at, ""))
    if row is not None and row.deleted_at is not None:
        steps.append(Step("deleted", row.deleted_at, ""))
    return steps


def passages(memories: Sequence[Memory]) -> list[tuple[str, Passage]]:
    """Every AMQP message that named it, with who saw it, by time."""
    every = [(memory.program, one) for memory in memories for one in memory.passages]
    return sorted(every, key=lambda pair: pair[1].at)


@dataclass(frozen=True)
class _Sighting:
    program: str
    passage: Passage


class _Seen:
    """What all processes remember together."""

    def __init__(self, memories: Sequence[Memory]) -> None:
        self._memories = memories
        self._every = [_Sighting(program, passage) for program, passage in passages(memories)]

    def all(self, act: Act, queue: str, title: str) -> Iterator[_Sighting]:
        return (
            one
            for one in self._every
            if one.passage.act is act
            and one.passage.queue.startswith(queue)
            and title in one.passage.items
        )

    def first(self, act: Act, queue: str, title: str) -> _Sighting | None:
        return next(self.all(act, queue, title), None)

    def forgotten(self, since: float) -> str:
        """Why there may be nothing: who does not remember that time."""
        names = [one.program for one in self._memories if one.since is None or one.since > since]
        return f"not remembered by {', '.join(names)}" if names else "not seen"


def _ended(name: str, sighting: _Sighting | None, seen: _Seen, began: float) -> Step:
    """A publish that the broker has confirmed, or not."""
    if sighting is None:
        return Step(name, None, seen.forgotten(began))
    passage = sighting.passage
    outcome = (passage.outcome or "not yet confirmed").lower()
    return Step(name, passage.ended_at, f"{passage.queue}, {outcome}, by {sighting.program}")


def _stored(row: Row | None, seen: _Seen, began: float) -> Step:
    """The persister acknowledges what is committed, or buried in chat.dead."""
    taken = seen.first(Act.TAKEN, "chat.writes.", "InsertMessage")
    where = "PostgreSQL has it" if row else "PostgreSQL does not have it"
    if taken is None:
        return Step("stored", None, f"{where}; when: {seen.forgotten(began)}")
    return Step("stored", taken.passage.ended_at, f"{where}, by {taken.program}")


def _of_row(name: str, row: Row | None, get: Callable[[Row], float | None], note: str) -> Step:
    at = None if row is None else get(row)
    if at is None:
        return Step(name, None, "not yet" if row else "PostgreSQL does not have it")
    return Step(name, at, note)


def _to(sighting: _Sighting) -> str:
    """Which gateway, and what for whom."""
    gateway = sighting.passage.queue.removeprefix("chat.deliveries.")
    return f"{gateway}: {', '.join(sighting.passage.items)},"
