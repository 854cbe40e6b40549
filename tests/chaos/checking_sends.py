"""What became of what was sent (promises 1, 3, 4)."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from uuid import UUID

from tests.chaos.evidence import Operation, Row
from tests.chaos.indexed import Found, Indexed, identity_of, short, told


def acknowledged_is_stored(indexed: Indexed) -> Iterator[Found]:
    """Promise 1: what MESSAGE_SENT was told of is a row, with all that was told and sent."""
    for sends in indexed.sends.values():
        for send in sends:
            if send.outcome != "ok" or send.answer is None:
                continue
            row = indexed.rows.get(send.answer["messageId"])
            if row is None:
                yield send.conversation, f"{send.answer} is lost: {told(send)}"
            elif wrong := _unlike(send, row):
                yield send.conversation, f"{short(row)}: {wrong}; {told(send)}"


def _unlike(send: Operation, row: Row) -> str:
    assert send.answer is not None
    content = "" if row.deleted_at else send.content.strip()
    pairs = {
        "seq": (send.answer["seq"], row.seq),
        "timestamp": (send.answer["timestamp"], row.timestamp),
        "sender": (send.user, row.sender),
        "conversation": (send.conversation, row.conversation),
        "clientMessageId": (send.client_message_id, row.client_message_id),
        "content": (content, row.content),
    }
    return ", ".join(
        f"{name} {sent!r} is stored as {stored!r}"
        for name, (sent, stored) in pairs.items()
        if sent != stored
    )


def refused_is_not_stored(indexed: Indexed) -> Iterator[Found]:
    """Promise 10: what was refused for good has not happened.

    Of what two devices sent, one refusal says nothing.
    """
    stored = {identity_of(row): row for row in indexed.evidence.rows}
    for identity, sends in indexed.sends.items():
        row = stored.get(identity)
        if row is not None and all(send.outcome == "failed" for send in sends):
            yield row.conversation, f"{short(row)} was refused: {sends[0].answer}; {told(sends[0])}"


def one_message_once(indexed: Indexed) -> Iterator[Found]:
    """Promise 4: all tries of one message are one row, and all of them are told the same."""
    rows: defaultdict[tuple[UUID, UUID], list[Row]] = defaultdict(list)
    for row in indexed.evidence.rows:
        if row.client_message_id is not None:
            rows[row.sender, row.client_message_id].append(row)
    for (_, client_id), same in rows.items():
        if len(same) > 1:
            doubles = " and ".join(map(short, same))
            yield same[0].conversation, f"clientMessageId {client_id} is {doubles}"
    for (_, name), sends in indexed.sends.items():
        answers = {
            (send.answer["messageId"], send.answer["seq"])
            for send in sends
            if send.outcome == "ok" and send.answer is not None
        }
        if len(answers) > 1 and sends[0].client_message_id is not None:
            tries = "; ".join(map(told, sends))
            yield sends[0].conversation, f"clientMessageId {name} is told as {answers}: {tries}"


def nothing_out_of_thin_air(indexed: Indexed) -> Iterator[Found]:
    """Every row was sent by its sender, in its conversation.

    Without a clientMessageId a row is known by its content, and there are no more rows than
    tries. Undecided: a deleted one without an id, where its sender has another whose answer
    was lost.
    """
    doubtful = {
        (send.user, send.conversation)
        for sends in indexed.sends.values()
        for send in sends
        if send.client_message_id is None and send.outcome != "ok"
    }
    counts: Counter[tuple[UUID, UUID | str]] = Counter()
    for row in indexed.evidence.rows:
        if row.client_message_id is None and row.deleted_at is not None:
            is_known = str(row.message_id) in indexed.answered
            if not is_known and (row.sender, row.conversation) not in doubtful:
                yield row.conversation, f"nobody sent {short(row)}"
            continue
        identity = identity_of(row)
        sends = indexed.sends.get(identity, [])
        if all(send.conversation != row.conversation for send in sends):
            yield row.conversation, f"nobody sent {short(row)}: {identity[1]!r} of {row.sender}"
            continue
        counts[identity] += 1
        tries = sum(max(1, len(send.sessions)) for send in sends)
        if row.client_message_id is None and counts[identity] > tries:
            yield row.conversation, f"{short(row)} was sent {tries} times only: {row.content!r}"


def one_answer_a_try(indexed: Indexed) -> Iterator[Found]:
    """Promise 4: one MESSAGE_SENT per try."""
    tries: Counter[tuple[str, int, str | None, str]] = Counter()
    for sends in indexed.sends.values():
        for send in sends:
            client_id = str(send.client_message_id) if send.client_message_id else None
            for session in send.sessions:
                tries[send.device, session, client_id, str(send.conversation)] += 1
    for item in indexed.heard:
        if item.frame["type"] == "MESSAGE_SENT":
            conversation = item.frame["conversationId"]
            try_of = (item.device, item.session, item.frame["clientMessageId"], conversation)
            tries[try_of] -= 1
            if tries[try_of] < 0:
                detail = f"{item.device}/{item.session} at {item.at:.3f}: {item.frame}"
                yield UUID(conversation), f"one answer more than tries: {detail}"


def a_session_keeps_its_order(indexed: Indexed) -> Iterator[Found]:
    """Promise 3: messages that one session sends keep the order in which it sent them.

    Only of what was tried once is it known which try was taken: a repetition stands where the
    try stood that came through. So it is of what two devices sent.
    """
    by_identity = {identity_of(row): row for row in indexed.evidence.rows}
    sessions: defaultdict[tuple[str, int, UUID | None], list[Operation]] = defaultdict(list)
    for sends in indexed.sends.values():
        if len(sends) == 1 and len(sends[0].sessions) == 1:
            [send] = sends
            sessions[send.device, send.sessions[0], send.conversation].append(send)
    for (device, session, conversation), sends in sessions.items():
        before: Row | None = None
        for send in sorted(sends, key=lambda one: one.order):
            row = by_identity.get(identity_of(send))
            if row is None and send.answer is not None and send.outcome == "ok":
                row = indexed.rows.get(send.answer["messageId"])
            if row is None:
                continue
            if before is not None and row.seq < before.seq:
                detail = f"{device}/{session} wrote {short(row)} after {short(before)}"
                yield conversation, f"{detail}; {told(send)}"
            before = row


RULES = (
    acknowledged_is_stored,
    refused_is_not_stored,
    one_message_once,
    nothing_out_of_thin_air,
    one_answer_a_try,
    a_session_keeps_its_order,
)
