"""What a session does with frames, deliveries and pongs. Time is an argument."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import jwt
import pytest

from libs.common.protocol.closes import Close
from libs.common.protocol.events import Delivered, MarkRead, Open, Origin, Send, Sync, Typing
from libs.common.tokens import Caller, Secret, Verifier
from services.ws_gateway.allowance import Rates
from services.ws_gateway.backlog import Backlog
from services.ws_gateway.effects import (
    Effect,
    End,
    Enter,
    Ping,
    Publish,
    Refuse,
    Signal,
    Write,
)
from services.ws_gateway.incoming import read_frame
from services.ws_gateway.requests import FORGET_TRY_AFTER_S
from services.ws_gateway.session import MAX_HELD_BYTES, Phase, Session
from services.ws_gateway.terms import Terms
from services.ws_gateway.wire import text_frame

NOW = 1_764_000_000.123
SECRET = "a secret of at least 32 characters"
VERIFIER = Verifier(Secret(SECRET), ("HS256",))
USER, OTHER = UUID(int=0xA), UUID(int=0xB)
CONVERSATION, SECOND = UUID(int=0xC0), UUID(int=0xC1)
CLIENT_MESSAGE = UUID(int=0xD)
SESSION = UUID(int=0xE)
EXPIRES = int(NOW) + 60
RATES = Rates(10, 20, 20, 50)


class Ids:
    """Counts up, so that tests can name the ids to come."""

    def __init__(self) -> None:
        self.last = 0

    def __call__(self) -> UUID:
        self.last += 1
        return UUID(int=self.last)


def new_session(
    max_in_flight: int = 1000, rates: Rates = RATES, backlog: Backlog | None = None
) -> Session:
    backlog = backlog or Backlog(1, most=1000)
    terms = Terms("gateway-1", VERIFIER, 30, max_in_flight, rates, Ids(), backlog)
    return Session(SESSION, terms)


def opening_session(max_in_flight: int = 1000, rates: Rates = RATES) -> Session:
    session = new_session(max_in_flight, rates)
    session.admit(Caller(USER, EXPIRES, is_service=False))
    return session


def open_session(max_in_flight: int = 1000, rates: Rates = RATES) -> Session:
    session = opening_session(max_in_flight, rates)
    session.opened({})
    return session


def token(secret: str = SECRET, **claims: Any) -> str:
    return jwt.encode({"sub": str(USER), "exp": EXPIRES} | claims, secret, algorithm="HS256")


def frame(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind} | fields)


def about(kind: str, **fields: Any) -> str:
    return frame(kind, conversationId=str(CONVERSATION), **fields)


def send_frame(content: object = "hello", **fields: Any) -> str:
    return frame("SEND_MESSAGE", conversationId=str(CONVERSATION), content=content, **fields)


def receive(session: Session, text: str, now: float = NOW) -> Sequence[Effect]:
    return session.receive(read_frame(text), now)


def written(effect: Effect) -> dict[str, Any]:
    """The JSON of a frame that an effect writes."""
    assert isinstance(effect, Write | Refuse)
    payload = effect.frame[effect.frame.index(b'{"') :]
    assert effect.frame == text_frame(payload)
    fields: dict[str, Any] = json.loads(payload)
    return fields


def error_of(effects: Sequence[Effect]) -> str:
    fields = written(effects[0])
    assert fields["type"] == "ERROR"
    return str(fields["error"])


def sent(effects: Sequence[Effect]) -> Send:
    (effect,) = effects
    assert isinstance(effect, Publish)
    assert isinstance(effect.event, Send)
    return effect.event


# --- bad frames: each has its typed answer, and the session stays open --------------------

MARK_AS_READ = {"type": "MARK_AS_READ", "conversationId": str(CONVERSATION)}
BAD_READINGS: dict[str, dict[str, Any]] = {
    "neither": {},
    "both": {"messageIds": [str(CLIENT_MESSAGE)], "upToSeq": 5},
    "of none": {"messageIds": []},
    "of 201": {"messageIds": [str(CLIENT_MESSAGE)] * 201},
    "negative": {"upToSeq": -1},
}
DEEP = '{"type":"PING","x":' + "[" * 20_000 + "]" * 20_000 + "}"
BAD_FRAMES: list[tuple[str, str, str, dict[str, str]]] = [
    ("empty", "", "INVALID_JSON", {}),
    ("not JSON", "hello", "INVALID_JSON", {}),
    ("cut off", '{"type":"PING"', "INVALID_JSON", {}),
    ("two objects", '{"type":"PING"}{"type":"PING"}', "INVALID_JSON", {}),
    ("an array", '[{"type":"PING"}]', "INVALID_JSON", {}),
    ("a number", "1", "INVALID_JSON", {}),
    ("null", "null", "INVALID_JSON", {}),
    ("NaN", '{"type":"PING","x":NaN}', "INVALID_JSON", {}),
    ("too deep", DEEP, "INVALID_JSON", {}),
    ("unclosed and deep", "[" * 60_000, "INVALID_JSON", {}),
    ("no type", "{}", "INVALID_FIELD", {}),
    ("type of the wrong kind", '{"type":1}', "INVALID_FIELD", {}),
    ("unknown type", frame("DANCE"), "UNKNOWN_TYPE", {"type": "DANCE"}),
    ("a server's type", frame("MESSAGE_SENT"), "UNKNOWN_TYPE", {"type": "MESSAGE_SENT"}),
    ("unknown and long", frame("X" * 65), "UNKNOWN_TYPE", {}),
    ("unknown with a lone surrogate", frame("\ud800"), "UNKNOWN_TYPE", {}),
    (
        "missing field",
        frame("SEND_MESSAGE", content="a", clientMessageId=str(CLIENT_MESSAGE)),
        "INVALID_FIELD",
        {"type": "SEND_MESSAGE", "clientMessageId": str(CLIENT_MESSAGE)},
    ),
    (
        "wrong UUID",
        frame("SEND_MESSAGE", content="a", conversationId="nonsense"),
        "INVALID_FIELD",
        {"type": "SEND_MESSAGE", "conversationId": "nonsense"},
    ),
    (
        "content of the wrong kind",
        send_frame(5),
        "INVALID_FIELD",
        {"type": "SEND_MESSAGE", "conversationId": str(CONVERSATION)},
    ),
    (
        "timestamp of the wrong kind",
        send_frame(timestamp=5),
        "INVALID_FIELD",
        {"type": "SEND_MESSAGE", "conversationId": str(CONVERSATION)},
    ),
    *(
        (
            name,
            send_frame(content),
            error,
            {"type": "SEND_MESSAGE", "conversationId": str(CONVERSATION)},
        )
        for name, content, error in [
            ("empty content", "", "CONTENT_EMPTY"),
            ("white space", " \n\t ", "CONTENT_EMPTY"),
            ("4,001 characters", "x" * 4001, "CONTENT_TOO_LONG"),
            ("4,001 emojis", "😀" * 4001, "CONTENT_TOO_LONG"),
            ("U+0000", "a\0b", "CONTENT_NOT_STORABLE"),
            ("a lone surrogate", "a\ud800b", "CONTENT_NOT_STORABLE"),
        ]
    ),
    *(
        (f"MARK_AS_READ: {name}", about("MARK_AS_READ", **fields), "INVALID_FIELD", MARK_AS_READ)
        for name, fields in BAD_READINGS.items()
    ),
    (
        "SYNC of too many",
        about("SYNC", afterSeq=0, limit=201),
        "INVALID_FIELD",
        {"type": "SYNC", "conversationId": str(CONVERSATION)},
    ),
    ("CONNECT twice", frame("CONNECT", token="x"), "ALREADY_CONNECTED", {"type": "CONNECT"}),
]


@pytest.mark.parametrize(
    ("text", "error", "ref"), [row[1:] for row in BAD_FRAMES], ids=[row[0] for row in BAD_FRAMES]
)
def test_a_bad_frame_gets_its_error_and_the_session_goes_on(
    text: str, error: str, ref: dict[str, str]
) -> None:
    session = open_session()
    (effect,) = receive(session, text)
    fields = written(effect)
    assert (fields["type"], fields["code"], fields["error"]) == ("ERROR", 400, error)
    assert fields["ref"] == ref
    assert sent(receive(session, send_frame())).content == "hello"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (frame("SEND_MESSAGE", content="a"), "conversationId"),
        (frame("SEND_MESSAGE", content="a", conversationId="x"), "conversationId"),
        (send_frame(None), "content"),
        (send_frame(clientMessageId=1), "clientMessageId"),
        ("{}", "type"),
    ],
)
def test_an_invalid_field_is_named(text: str, field: str) -> None:
    assert field in written(receive(open_session(), text)[0])["message"]


def test_a_binary_frame_is_not_the_protocol() -> None:
    refusal, end = open_session().receive_binary()
    assert written(refusal)["code"] == 400
    assert isinstance(end, End)
    assert end.code == Close.NOT_THE_PROTOCOL


# --- who is calling ------------------------------------------------------------------------


def test_connect_admits() -> None:
    session = new_session()
    assert receive(session, frame("CONNECT", token=token())) == (Enter(),)
    assert session.phase is Phase.OPENING
    assert session.open_signal() == Open(USER, SESSION, "gateway-1", EXPIRES * 1000)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (frame("CONNECT", token="nonsense"), "TOKEN_INVALID"),
        (frame("CONNECT", token=token("another secret of 32 characters!")), "TOKEN_INVALID"),
        (frame("CONNECT", token=token(sub="nobody")), "TOKEN_INVALID"),
        (frame("CONNECT", token=token(exp=int(NOW))), "TOKEN_EXPIRED"),
        (frame("PING"), "UNAUTHENTICATED"),
        (send_frame(), "UNAUTHENTICATED"),
        (about("MARK_AS_READ", upToSeq=1), "UNAUTHENTICATED"),
        (about("TYPING_START"), "UNAUTHENTICATED"),
        (about("SYNC", afterSeq=0), "UNAUTHENTICATED"),
        (frame("REFRESH_TOKEN", token=token()), "UNAUTHENTICATED"),
    ],
)
def test_who_is_not_authenticated_is_turned_away(text: str, error: str) -> None:
    refusal, end = receive(new_session(), text)
    assert (written(refusal)["code"], written(refusal)["error"]) == (401, error)
    assert end == End(Close.TOKEN, error)


def test_a_frame_that_cannot_be_read_leaves_time_for_connect() -> None:
    session = new_session()
    assert error_of(receive(session, "nonsense")) == "INVALID_JSON"
    assert receive(session, frame("CONNECT", token=token())) == (Enter(),)


def test_a_token_expires() -> None:
    session = open_session()
    assert not session.has_expired(EXPIRES - 0.001)
    assert session.has_expired(EXPIRES)


def test_a_token_that_outlives_the_calendar_can_be_written() -> None:
    session = new_session()
    session.admit(Caller(USER, 10**30, is_service=False))
    assert written(session.opened({})[0])["expiresAt"] == "9999-12-31T23:59:59.000Z"


def test_a_new_token_moves_the_end() -> None:
    session = open_session()
    (effect,) = receive(session, frame("REFRESH_TOKEN", token=token(exp=EXPIRES + 600)))
    assert written(effect) == {"type": "TOKEN_REFRESHED", "expiresAt": "2025-11-24T16:11:00.000Z"}
    assert not session.has_expired(EXPIRES)
    assert session.has_expired(EXPIRES + 600)


def test_a_new_token_before_connect_success() -> None:
    session = opening_session()
    receive(session, frame("REFRESH_TOKEN", token=token(exp=EXPIRES + 600)))
    assert written(session.opened({})[0])["expiresAt"] == "2025-11-24T16:11:00.000Z"


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ("nonsense", "TOKEN_INVALID"),
        (token("another secret of 32 characters!"), "TOKEN_INVALID"),
        (token(sub=str(OTHER)), "TOKEN_INVALID"),
        (token(exp=int(NOW)), "TOKEN_EXPIRED"),
    ],
)
def test_a_bad_new_token_is_final(bad: str, error: str) -> None:
    session = open_session()
    refusal, end = receive(session, frame("REFRESH_TOKEN", token=bad))
    fields = written(refusal)
    assert (fields["code"], fields["error"], fields["ref"]) == (
        401,
        error,
        {"type": "REFRESH_TOKEN"},
    )
    assert end == End(Close.TOKEN, error)
    assert session.has_expired(EXPIRES)


def test_one_session_too_many() -> None:
    refusal, end = opening_session().turn_down("RATE_LIMITED", 1_500)
    fields = written(refusal)
    assert (fields["code"], fields["error"], fields["retryAfterMs"]) == (429, "RATE_LIMITED", 1500)
    assert end == End(Close.TOO_MANY, "RATE_LIMITED")
    refusal, end = opening_session().turn_down("TOO_MANY_CONNECTIONS", None)
    assert "retryAfterMs" not in written(refusal)
    assert end == End(Close.TOO_MANY, "TOO_MANY_CONNECTIONS")


# --- sending -------------------------------------------------------------------------------


def test_a_message_is_stamped_and_published() -> None:
    effects = receive(open_session(), send_frame("  hi  ", clientMessageId=str(CLIENT_MESSAGE)))
    assert sent(effects) == Send(
        CONVERSATION,
        USER,
        UUID(int=1),
        CLIENT_MESSAGE,
        "hi",
        1_764_000_000_123,
        SESSION,
        "gateway-1",
    )


def test_a_message_may_come_before_connect_success() -> None:
    assert sent(receive(opening_session(), send_frame())).sender_id == USER


@pytest.mark.parametrize("content", ["x" * 4000, "😀" * 4000])
def test_4000_characters_are_sent(content: str) -> None:
    assert sent(receive(open_session(), send_frame(content))).content == content


def test_each_try_is_answered_once() -> None:
    session = open_session()
    first = sent(receive(session, send_frame())).try_id
    second = sent(receive(session, send_frame())).try_id
    assert session.answer(second, b"two") == (Write(b"two"),)
    assert session.answer(second, b"two") == ()
    assert session.answer(first, b"one") == (Write(b"one"),)
    assert session.answer(UUID(int=99), b"unknown") == ()


def test_too_many_in_flight() -> None:
    session = open_session(max_in_flight=2)
    oldest = sent(receive(session, send_frame())).try_id
    receive(session, send_frame())
    (effect,) = receive(session, send_frame())
    fields = written(effect)
    assert (fields["code"], fields["error"]) == (429, "TOO_MANY_IN_FLIGHT")
    assert fields["retryAfterMs"] > 0
    session.answer(oldest, b"")
    assert sent(receive(session, send_frame())).content == "hello"


def test_a_lost_answer_does_not_block_for_good() -> None:
    session = open_session(max_in_flight=1)
    receive(session, send_frame())
    assert error_of(receive(session, send_frame())) == "TOO_MANY_IN_FLIGHT"
    assert sent(receive(session, send_frame(), NOW + FORGET_TRY_AFTER_S)).content == "hello"


def test_what_there_is_no_room_for_is_refused_and_goes_nowhere() -> None:
    backlog = Backlog(1, most=1)
    session = new_session(backlog=backlog)
    session.admit(Caller(USER, EXPIRES, is_service=False))
    session.opened({})
    first = sent(receive(session, send_frame())).try_id
    for text in (send_frame(), about("MARK_AS_READ", upToSeq=5)):
        (effect,) = receive(session, text)
        fields = written(effect)
        assert (fields["code"], fields["error"]) == (429, "OVERLOADED")
        assert fields["retryAfterMs"] > 0
    assert isinstance(receive(session, about("SYNC", afterSeq=0))[0], Signal), "it can be lost"
    backlog.answered(first)
    assert sent(receive(session, send_frame())).content == "hello"


# --- reading, typing, catching up ------------------------------------------------------------


ORIGIN = Origin("gateway-1", SESSION, UUID(int=1))
NOW_MS = 1_764_000_000_123


@pytest.mark.parametrize(
    ("fields", "message_ids", "up_to_seq"),
    [
        ({"messageIds": [str(CLIENT_MESSAGE)]}, [CLIENT_MESSAGE], None),
        ({"messageIds": [str(CLIENT_MESSAGE)], "upToSeq": None}, [CLIENT_MESSAGE], None),
        ({"upToSeq": 7}, [], 7),
        ({"upToSeq": 0}, [], 0),
    ],
)
def test_a_reading_is_published_and_answered_once(
    fields: dict[str, Any], message_ids: list[UUID], up_to_seq: int | None
) -> None:
    session = open_session()
    effects = receive(session, about("MARK_AS_READ", **fields))
    read = MarkRead(CONVERSATION, USER, message_ids, up_to_seq, NOW_MS, ORIGIN)
    assert effects == (Publish(read),)
    assert session.answer(ORIGIN.try_id, b"read") == (Write(b"read"),)
    assert session.answer(ORIGIN.try_id, b"read") == ()


def test_which_messages_is_said_in_one_way() -> None:
    (effect,) = receive(open_session(), about("MARK_AS_READ"))
    message = written(effect)["message"]
    assert "messageIds" in message
    assert "upToSeq" in message


def test_a_sync_is_a_signal_and_answered_once() -> None:
    session = open_session()
    effects = receive(session, about("SYNC", afterSeq=7))
    assert effects == (Signal(Sync(CONVERSATION, USER, 7, 200, ORIGIN)),)
    assert session.answer(ORIGIN.try_id, b"result") == (Write(b"result"),)
    assert session.answer(ORIGIN.try_id, b"result") == ()


@pytest.mark.parametrize("kind", ["TYPING_START", "TYPING_STOP"])
def test_typing_is_a_signal_that_nobody_waits_for(kind: str) -> None:
    session = open_session(max_in_flight=1)
    typing = Typing(CONVERSATION, USER, kind == "TYPING_START", SESSION, "gateway-1")
    for _ in range(3):
        assert receive(session, about(kind)) == (Signal(typing),)


@pytest.mark.parametrize(
    "text", [send_frame(), about("MARK_AS_READ", upToSeq=1), about("SYNC", afterSeq=0)]
)
def test_all_that_is_answered_is_in_flight_until_then(text: str) -> None:
    session = open_session(max_in_flight=1)
    receive(session, send_frame())
    assert error_of(receive(session, text)) == "TOO_MANY_IN_FLIGHT"
    session.answer(UUID(int=1), b"")
    assert not isinstance(receive(session, text)[0], Refuse)


@pytest.mark.parametrize(
    ("text", "most"),
    [
        (about("TYPING_START"), 3),
        (about("TYPING_STOP"), 3),
        (about("SYNC", afterSeq=0), 4),
        (about("MARK_AS_READ", upToSeq=1), 5),
    ],
)
def test_who_asks_too_fast_is_told_when_to_ask_again(text: str, most: int) -> None:
    session = open_session(rates=Rates(typing=3, syncs=4, reads=5, others=50))
    for _ in range(most):
        assert not isinstance(receive(session, text)[0], Refuse)
    for _ in range(100):
        (effect,) = receive(session, text)
        fields = written(effect)
        assert (fields["code"], fields["error"]) == (429, "RATE_LIMITED")
        assert fields["ref"] == {
            "type": json.loads(text)["type"],
            "conversationId": str(CONVERSATION),
        }
    assert sent(receive(session, send_frame())).content == "hello", "the session goes on"
    later = NOW + fields["retryAfterMs"] / 1000
    assert not isinstance(receive(session, text, later)[0], Refuse)


def test_ping_is_answered() -> None:
    (effect,) = receive(open_session(), frame("PING"))
    assert written(effect) == {"type": "PONG", "timestamp": "2025-11-24T16:00:00.123Z"}


# --- opening -------------------------------------------------------------------------------


def test_connect_success() -> None:
    (effect,) = opening_session().opened({CONVERSATION: 7})
    assert written(effect) == {
        "type": "CONNECT_SUCCESS",
        "userId": str(USER),
        "conversations": [str(CONVERSATION)],
        "heads": {str(CONVERSATION): 7},
        "sessionId": str(SESSION),
        "expiresAt": "2025-11-24T16:01:00.000Z",
        "heartbeatSeconds": 30,
    }


def test_what_comes_early_follows_connect_success_in_order() -> None:
    session = opening_session()
    try_id = sent(receive(session, send_frame())).try_id
    assert session.entry(b"1", CONVERSATION, UUID(int=51)) == ()
    assert session.answer(try_id, b"2") == ()
    assert session.entry(b"3", CONVERSATION, None) == ()
    assert session.note(b"4") == ()
    success, *held = session.opened({})
    assert written(success)["type"] == "CONNECT_SUCCESS"
    assert [effect for effect in held if isinstance(effect, Write)] == [
        Write(b"1"),
        Write(b"2"),
        Write(b"3"),
        Write(b"4"),
    ]
    assert isinstance(held[1], Ping)


def test_opened_twice_is_opened_once() -> None:
    assert open_session().opened({CONVERSATION: 1}) == ()


def test_what_is_held_back_is_bounded() -> None:
    session = opening_session()
    kibibyte = b"x" * 1024
    for _ in range(MAX_HELD_BYTES // len(kibibyte)):
        assert session.entry(kibibyte, CONVERSATION, None) == ()
    (effect,) = session.entry(b"x", CONVERSATION, None)
    assert isinstance(effect, End)
    assert effect.code == Close.ON_US


# --- promise 5: delivered means that a ping written after the message was answered ----------


def delivered(effects: Sequence[Effect]) -> dict[UUID, list[int]]:
    events = [effect.event for effect in effects if isinstance(effect, Publish)]
    found: dict[UUID, list[int]] = {}
    for event in events:
        assert isinstance(event, Delivered)
        assert (event.user_id, event.delivered_at) == (USER, 1_764_000_000_123)
        found[event.conversation_id] = [message.int for message in event.message_ids]
    return found


def ping_of(effects: Sequence[Effect]) -> bytes:
    last = effects[-1]
    assert isinstance(last, Ping)
    return last.payload


def test_a_pong_confirms_what_was_written_before_its_ping() -> None:
    session = open_session()
    first = session.entry(b"1", CONVERSATION, UUID(int=1))
    assert first[0] == Write(b"1")
    assert session.entry(b"2", CONVERSATION, UUID(int=2)) == (Write(b"2"),)
    assert session.entry(b"3", SECOND, UUID(int=3)) == (Write(b"3"),)
    assert session.entry(b"4", CONVERSATION, UUID(int=4)) == (Write(b"4"),)
    answered = session.pong(ping_of(first), NOW)
    assert delivered(answered) == {CONVERSATION: [1]}
    rest = session.pong(ping_of(answered), NOW)
    assert delivered(rest) == {CONVERSATION: [2, 4], SECOND: [3]}
    assert not session.awaits_pong


def test_a_pong_that_answers_nothing_confirms_nothing() -> None:
    session = open_session()
    assert not session.pong(b"", NOW)
    payload = ping_of(session.entry(b"1", CONVERSATION, UUID(int=1)))
    assert not session.pong(b"else", NOW)
    assert session.awaits_pong
    assert delivered(session.pong(payload, NOW)) == {CONVERSATION: [1]}
    assert not session.pong(payload, NOW)


def test_what_is_not_for_the_recipient_needs_no_pong() -> None:
    assert open_session().entry(b"x", CONVERSATION, None) == (Write(b"x"),)


def test_a_note_needs_no_pong() -> None:
    session = open_session()
    assert session.note(b"x") == (Write(b"x"),)
    assert not session.awaits_pong


def test_a_heartbeat_is_a_ping_like_any_other() -> None:
    session = open_session()
    payload = ping_of(session.heartbeat())
    assert session.awaits_pong
    assert session.heartbeat() == ()
    session.entry(b"1", CONVERSATION, UUID(int=1))
    answered = session.pong(payload, NOW)
    assert delivered(answered) == {}
    assert delivered(session.pong(ping_of(answered), NOW)) == {CONVERSATION: [1]}
