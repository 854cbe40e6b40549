"""A batch's events against the rules, in order; what they need beforehand."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import structlog

from libs.common.domain.permit import Permit
from libs.common.protocol.codec import EVENTS, Malformed
from libs.common.protocol.events import (
    ArchiveConversation,
    CreateConversation,
    DeleteMessage,
    Delivered,
    Event,
    MarkRead,
    RemoveMatch,
    Send,
)
from services.router import rules
from services.router.memory import Memory
from services.router.rules.decisions import Decisions

Permits = Mapping[tuple[UUID, UUID, UUID], Permit]
"""By sender, conversation and `Send.identity`, of what would be new messages."""
NOT_NEEDED: Final = Permit(None)
"""Of a try that is refused, or answered without one."""

log = structlog.get_logger()


def new_messages(
    happened: Sequence[Event], memory: Memory
) -> dict[UUID, dict[tuple[UUID, UUID], Send]]:
    """What would be new: by sender, by conversation and `Send.identity`, the first try of each."""
    tries: dict[UUID, dict[tuple[UUID, UUID], Send]] = {}
    for event in happened:
        if isinstance(event, Send) and rules.needs_permit(
            event, memory.conversation(event.conversation_id)
        ):
            message = (event.conversation_id, event.identity)
            tries.setdefault(event.sender_id, {}).setdefault(message, event)
    return tries


def decide(
    happened: Sequence[Event], memory: Memory, permits: Permits
) -> tuple[Decisions, list[Malformed]]:
    """Applies the rules in order. An event that breaks one is set aside, alone (promise 9)."""
    decided = Decisions()
    poisonous: list[Malformed] = []
    for event in happened:
        try:
            _apply(event, memory, permits, decided)
        except Exception as error:
            log.exception("event breaks a rule", event_type=type(event).__name__)
            poisonous.append(Malformed(EVENTS.encode([event]), repr(error)))
    return decided, poisonous


def _apply(event: Event, memory: Memory, permits: Permits, decided: Decisions) -> None:
    match event:
        case Send():
            message = (event.sender_id, event.conversation_id, event.identity)
            permit = permits.get(message, NOT_NEEDED)
            rules.send(event, memory.conversation(event.conversation_id), permit, decided)
        case Delivered():
            rules.delivered(event, memory.conversation(event.conversation_id), decided)
        case MarkRead():
            rules.mark_read(event, memory.conversation(event.conversation_id), decided)
        case DeleteMessage():
            rules.delete(event, memory.conversation(event.conversation_id), decided)
        case ArchiveConversation():
            rules.archive(event, memory.conversation(event.conversation_id), decided)
        case RemoveMatch():
            rules.remove_match(event, memory.of_match(event.match_id), decided)
        case CreateConversation():
            known = memory.of_match(event.match_id)
            conversation = rules.create(event, known, decided)
            if conversation is not None and known is None:
                memory.keep(conversation)
