"""What a campaign leaves behind to be judged: who did what, who heard what, what is stored.

Plain data, written to a file as JSON, so that a verdict can be had again and again. Times are
seconds of this machine's monotonic clock (`time.perf_counter` of the one process that holds all
clients), so that "before" and "after" mean something.
"""

from pathlib import Path
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import msgspec

Frame = dict[str, Any]

Kind = Literal["connect", "send", "read", "delete", "sync", "history", "look"]
"""`read` and `delete` by WebSocket or REST; `history` is a page by REST, `look` one message."""

Outcome = Literal["ok", "failed", "unknown"]
"""As the client knows it. `failed`: refused for good (4xx), so it must not have happened;
`unknown`: no answer, or 500: it may have happened."""


NEWEST: Final = 30


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a client wanted, with all its tries."""

    user: UUID
    device: str
    """Unique in a campaign."""
    kind: Kind
    conversation: UUID | None
    """None of a `connect`."""
    began: float
    ended: float
    """When the outcome was known; of `unknown`, when the client gave up."""
    outcome: Outcome
    sessions: list[int] = []
    """Numbers of the device's sessions, one for each try by WebSocket, in order."""
    order: int = 0
    """Of `send`: the place among what this device sent, as it was written to the socket."""
    client_message_id: UUID | None = None
    content: str = ""
    message_ids: list[UUID] = []
    up_to_seq: int | None = None
    is_newest: bool = False
    """Of `history`: it asked for the newest page."""
    answer: Frame | None = None
    """Of `ok`: the frame, or the body of the response. Of `failed`: the ERROR or the problem."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """One frame that came. CONNECT_SUCCESS is each session's first."""

    at: float
    user: UUID
    device: str
    session: int
    """Number of the device's session, from 0."""
    frame: Frame


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a session, as its client saw it."""

    at: float
    user: UUID
    device: str
    session: int
    code: int | None
    reason: str
    by_client: bool
    """Whether the client ended it."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `messages`."""

    message_id: UUID
    conversation: UUID
    sender: UUID
    client_message_id: UUID | None
    content: str
    status: str
    seq: int
    changed_seq: int
    timestamp: str
    delivered_at: str | None
    read_at: str | None
    deleted_at: str | None


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `conversations`."""

    conversation: UUID
    users: tuple[UUID, UUID]
    head: int
    archived_seq: int | None


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What REST tells a user of a conversation in the end, oldest first: `Message` objects."""

    user: UUID
    conversation: UUID
    head: int
    unread: int
    """`unreadCount` of the conversation's own object."""
    messages: list[Frame]
    newest: list[Frame]
    """The page of NEWEST messages that clients ask for first, newest first."""


class Synced(msgspec.Struct, frozen=True, kw_only=True):
    """All that SYNC tells a user after a number in the end, page after page."""

    user: UUID
    conversation: UUID
    after: int
    head: int
    messages: list[Frame]


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What a device showed its user in the end: folded from SYNC and live frames, by messageId.

    `shown` holds status, content, deletedAt and seq of each message: see `view`.
    """

    user: UUID
    device: str
    conversation: UUID
    head: int
    shown: dict[str, Frame]


class Unread(msgspec.Struct, frozen=True, kw_only=True):
    """GET /unread in the end."""

    user: UUID
    total: int
    conversations: dict[str, int]


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One message of `chat.dead`."""

    source: str
    reason: str
    body: str
    is_explained: bool
    """Whether a fault of the campaign has put the poison there."""


class Injection(msgspec.Struct, frozen=True, kw_only=True):
    """One fault, as it was done."""

    fault: str
    detail: str
    """Whom it hit, with which numbers."""
    is_alone: bool
    """Whether no other fault was about."""
    target_s: float | None
    """How soon all should be stored again after it was lifted; None: nothing was promised."""
    began: float
    lifted: float
    """When the fault itself was over: of a kill the kill, of an outage its end."""
    flows_after_s: float | None
    """From `lifted` until in every partition messages are accepted and delivered; None: never."""
    stored_after_s: float | None
    """The same, until they are stored as well."""
    untouched_closed: list[str]
    """Sessions that were closed though the fault didn't touch them."""


class Violation(NamedTuple):
    """A promise that was not kept."""

    rule: str
    conversation: UUID | None
    detail: str


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """All of a campaign."""

    seed: int
    operations: list[Operation]
    heard: list[Heard]
    closed: list[Closed]
    injections: list[Injection]
    rows: list[Row]
    conversations: list[Conversation]
    histories: list[History]
    synced: list[Synced]
    snapshots: list[Snapshot]
    unread: list[Unread]
    dead: list[DeadLetter]
    queued: dict[str, int]
    """Messages still in each lasting queue, when nothing had been sent for a while."""


def save(evidence: Evidence, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.encode(evidence))


def load(file: Path) -> Evidence:
    """Raises msgspec.ValidationError, FileNotFoundError."""
    return msgspec.json.decode(file.read_bytes(), type=Evidence)
