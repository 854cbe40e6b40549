"""One message as the terminal chat has it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

Fields = Mapping[str, Any]
"""A frame, or an object of the REST API."""

_RANK: Final = {"SENT": 0, "DELIVERED": 1, "READ": 2}


@dataclass(frozen=True, slots=True)
class Message:
    """As REST has it. `status` is SENT, DELIVERED or READ."""

    message_id: str
    sender_id: UUID
    content: str
    timestamp: datetime
    seq: int
    status: str = "SENT"
    is_deleted: bool = False

    @classmethod
    def of(cls, fields: Fields) -> "Message":
        """Of a REST object, a SYNC_RESULT's item or a MESSAGE_RECEIVED."""
        return cls(
            fields["messageId"],
            UUID(fields["senderId"]),
            fields["content"] or "",
            datetime.fromisoformat(fields["timestamp"]),
            fields["seq"],
            fields.get("status", "SENT"),
            fields.get("deletedAt") is not None,
        )


def merged(before: Message | None, after: Message) -> Message:
    """Two views of one message: a status only rises, and what is deleted stays so."""
    if before is None:
        return after
    is_deleted = before.is_deleted or after.is_deleted
    return replace(
        after,
        status=max(before.status, after.status, key=_RANK.__getitem__),
        is_deleted=is_deleted,
        content="" if is_deleted else after.content,
    )


def is_unread_by(message: Message, me: UUID) -> bool:
    """Whether the user has it still to read."""
    return message.sender_id != me and message.status != "READ" and not message.is_deleted
