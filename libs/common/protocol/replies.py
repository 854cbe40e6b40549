"""Replies: the answers to commands and barriers, sent to the asker's own reply queue."""

from uuid import UUID

from msgspec import Struct


class _Reply(Struct, frozen=True, array_like=True):
    correlation_id: str


class BarrierPassed(_Reply, tag="barrier", frozen=True):
    """Everything that was in the partition's write queue before the barrier is stored."""


class ConversationReady(_Reply, tag="conversation", frozen=True):
    """The match's conversation; `created` is false when it had one already."""

    conversation_id: UUID
    created: bool


class Done(_Reply, tag="done", frozen=True):
    """The command's effect is kept, now or by an earlier try."""


class Refused(_Reply, tag="refused", frozen=True):
    """The command can't be done; `error` is a constant of `protocol.errors`."""

    error: str


Reply = BarrierPassed | ConversationReady | Done | Refused
