"""What the rules decide: writes, what the users are told, and replies."""

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from msgspec import UNSET, UnsetType

from libs.common.protocol import frames
from libs.common.protocol.errors import REFUSALS
from libs.common.protocol.events import Origin, ReplyTo
from libs.common.protocol.replies import Done, Refused, Reply
from libs.common.protocol.writes import Entry
from services.router.conversation import Conversation


@dataclass(frozen=True, slots=True)
class Announcement:
    """An entry of a log that every session of a user gets, but `except_session_id`."""

    user_id: UUID
    conversation_id: UUID
    seq: int
    frame: frames.ServerFrame
    message_id: UUID | None = None
    """Set for the recipient of a message: see `deliveries.ToUser`."""
    except_session_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """MESSAGE_SENT, MESSAGE_READ or ERROR for one try of one session."""

    gateway_id: str
    session_id: UUID
    try_id: UUID
    frame: frames.ServerFrame


@dataclass(slots=True)
class Decisions:
    """What a batch of events shall bring about, in order."""

    writes: list[Entry] = field(default_factory=list)
    notices: list[Announcement | Answered] = field(default_factory=list)
    """In the order of the log: a session must not see the number of its own message before
    another's smaller one."""
    replies: list[tuple[str, Reply]] = field(default_factory=list)
    """Reply queue and reply."""
    changed: dict[UUID, Conversation] = field(default_factory=dict)
    """Conversations whose log grew."""
    recounted: dict[tuple[UUID, UUID], Conversation] = field(default_factory=dict)
    """By user and conversation: where the number of unread messages is news."""
    deleted: dict[UUID, int] = field(default_factory=dict)
    """By conversation, the newest entry that took a content away."""
    created: dict[UUID, Conversation] = field(default_factory=dict)
    archived: set[UUID] = field(default_factory=set)
    duplicates: int = 0

    @property
    def announcements(self) -> list[Announcement]:
        return [notice for notice in self.notices if isinstance(notice, Announcement)]

    @property
    def answers(self) -> list[Answered]:
        return [notice for notice in self.notices if isinstance(notice, Answered)]

    def grow(self, conversation: Conversation, write: Entry) -> None:
        """Appends an entry to the log: `write` has the number after the head."""
        self.writes.append(write)
        conversation.head = write.seq
        self.changed[conversation.conversation_id] = conversation

    def announce_to_both(
        self,
        conversation: Conversation,
        seq: int,
        frame: frames.ServerFrame,
        except_session_id: UUID | None = None,
    ) -> None:
        for user_id in (conversation.user1_id, conversation.user2_id):
            self.notices.append(
                Announcement(
                    user_id,
                    conversation.conversation_id,
                    seq,
                    frame,
                    except_session_id=except_session_id,
                )
            )

    def recount(self, conversation: Conversation, user_id: UUID) -> None:
        """The user's number of unread messages is news."""
        self.recounted[user_id, conversation.conversation_id] = conversation

    def answer(self, origin: Origin | None, frame: frames.ServerFrame) -> None:
        """To the session that asked, if one did."""
        if origin is not None:
            self.notices.append(
                Answered(origin.gateway_id, origin.session_id, origin.try_id, frame)
            )

    def reply(self, to: ReplyTo | None, make: Callable[[str], Reply] = Done) -> None:
        """To the command's asker, if there is one; `make` gets the asker's number."""
        if to is not None:
            self.replies.append((to.queue, make(to.correlation_id)))

    def refuse(
        self, error: str, ref: frames.ErrorRef, *, origin: Origin | None, reply_to: ReplyTo | None
    ) -> None:
        """Tells whoever asked."""
        self.answer(origin, refusal(error, ref))
        self.reply(reply_to, lambda number: Refused(number, error))


def refusal(
    error: str, ref: frames.ErrorRef, retry_after_ms: int | UnsetType = UNSET
) -> frames.Error:
    """The ERROR frame for `error`, a constant of `protocol.errors`."""
    row = REFUSALS[error]
    return frames.Error(row.code, row.error, row.message, ref, retry_after_ms)
