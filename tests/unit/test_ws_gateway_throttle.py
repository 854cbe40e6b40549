"""Frames that are limited nowhere else: who sends too many is refused, and in the end closed."""

import pytest
from websockets.frames import Frame, Opcode

from libs.common.protocol.closes import Close
from services.ws_gateway.allowance import Rates
from services.ws_gateway.effects import Effect, End, Publish, Refuse, Write
from services.ws_gateway.throttle import EXCESS
from services.ws_gateway.upgrade import MAX_MESSAGE_BYTES
from tests.unit.test_ws_gateway_connection import Client, House, opened
from tests.unit.test_ws_gateway_session import (
    NOW,
    about,
    error_of,
    frame,
    new_session,
    open_session,
    receive,
    send_frame,
    token,
    written,
)

MOST = 5
RATES = Rates(typing=1000, syncs=4, reads=1000, others=MOST)
ANSWERED = {
    "PING": frame("PING"),
    "no JSON": "x",
    "unknown": frame("DANCE"),
    "a token": frame("REFRESH_TOKEN", token=token()),
}
LED_TO_NOTHING = {
    "CONNECT": frame("CONNECT", token="x"),
    "empty": send_frame("  "),
    "too fast": about("SYNC", afterSeq=0),
    "no field": about("MARK_AS_READ"),
}


def ended(effects: list[Effect]) -> bool:
    """By what is final for now, not for ever."""
    ends = [one for one in effects if isinstance(one, End)]
    assert all(end == End(Close.TOO_MANY, "RATE_LIMITED") for end in ends)
    return bool(ends)


@pytest.mark.parametrize("text", ANSWERED.values(), ids=ANSWERED)
def test_so_many_are_answered_the_others_told_when(text: str) -> None:
    session = open_session(rates=RATES)
    first = [list(receive(session, text)) for _ in range(MOST)]
    assert "RATE_LIMITED" not in str(first)
    (refused,) = receive(session, text)
    fields = written(refused)
    assert (fields["code"], fields["error"]) == (429, "RATE_LIMITED")
    assert 0 < fields["retryAfterMs"] <= 1000
    later = NOW + fields["retryAfterMs"] / 1000
    assert "RATE_LIMITED" not in str(receive(session, text, later))


def test_they_share_one_limit_and_no_other_frame_does() -> None:
    session = open_session(rates=RATES)
    for _ in range(MOST):
        assert isinstance(receive(session, frame("PING"))[0], Write)
    assert error_of(receive(session, "x")) == "RATE_LIMITED"
    assert isinstance(receive(session, send_frame())[0], Publish)


def test_a_signature_is_not_checked_for_who_asks_too_often() -> None:
    session = open_session(rates=RATES)
    for _ in range(MOST):
        receive(session, frame("PING"))
    (refused,) = receive(session, frame("REFRESH_TOKEN", token="not even one"))
    assert written(refused)["error"] == "RATE_LIMITED", "else it ended with 4401"


@pytest.mark.parametrize(
    "text", [*ANSWERED.values(), *LED_TO_NOTHING.values()], ids=[*ANSWERED, *LED_TO_NOTHING]
)
def test_who_goes_on_is_closed(text: str) -> None:
    session = open_session(rates=RATES)
    most = MOST * EXCESS + MOST + 1
    tries = [tries for tries in range(1, most + 1) if ended([*receive(session, text)])]
    assert tries
    assert tries[0] > MOST * EXCESS


@pytest.mark.parametrize("text", [*ANSWERED.values(), *LED_TO_NOTHING.values()])
def test_who_waits_as_told_never_is(text: str) -> None:
    session = open_session(rates=RATES)
    now = NOW
    for _ in range(MOST * EXCESS * 3):
        (effect,) = receive(session, text, now)
        if isinstance(effect, Write | Refuse):
            now += written(effect).get("retryAfterMs", 200) / 1000


def test_before_connect_it_is_the_same() -> None:
    session = new_session(rates=RATES)
    assert any(ended([*receive(session, "x")]) for _ in range(MOST * EXCESS + MOST + 1))


def test_frames_for_the_router_are_not_counted() -> None:
    session = open_session(rates=RATES, max_in_flight=10_000)
    for _ in range(MOST * EXCESS * 3):
        assert isinstance(receive(session, send_frame())[0], Publish)


# --- WebSocket's own frames -----------------------------------------------------------------


def flood(client: Client, opcode: Opcode, data: bytes, *, fin: bool, size: int) -> None:
    """One read that is full of them."""
    one = Frame(opcode, data, fin=fin).serialize(mask=True)
    client.connection.data_received(one * size)


@pytest.mark.parametrize("opcode", [Opcode.PING, Opcode.PONG])
def test_control_frames(opcode: Opcode) -> None:
    client = opened(House())
    flood(client, opcode, b"", fin=True, size=50 * EXCESS)
    assert not client.connection.ended
    flood(client, opcode, b"", fin=True, size=100)
    client.got()
    assert client.protocol.close_rcvd is not None
    assert client.protocol.close_rcvd.code == Close.TOO_MANY


def test_fragments_without_end() -> None:
    client = opened(House())
    flood(client, Opcode.TEXT, b"", fin=False, size=1)
    flood(client, Opcode.CONT, b"", fin=False, size=50 * EXCESS + 100)
    client.got()
    assert client.protocol.close_rcvd is not None
    assert client.protocol.close_rcvd.code == Close.TOO_MANY


def test_a_pong_that_answers_costs_nothing() -> None:
    house = House()
    client = opened(house)
    for _ in range(50 * EXCESS * 2):
        client.connection.perform(client.connection.session.heartbeat())
        client.exchange()
        client.exchange()
    assert not client.connection.ended
    assert not client.connection.session.awaits_pong


def test_one_read_is_not_processed_to_its_end_when_it_is_a_flood() -> None:
    client = opened(House())
    flood(client, Opcode.PING, b"", fin=True, size=40_000)
    assert client.connection.ended
    while client.house.dirty:
        client.house.dirty.pop().flush()
    pongs = b"".join(client.transport.writes).count(b"\x8a\x00")
    assert 50 * EXCESS < pongs < 50 * EXCESS + (MAX_MESSAGE_BYTES + 8192) // 6 + 1


def test_after_the_end_only_so_much_is_read() -> None:
    client = opened(House())
    client.connection.end(Close.ON_US, "")
    flood(client, Opcode.PING, b"x" * 100, fin=True, size=600)
    assert not client.transport.is_paused
    flood(client, Opcode.PING, b"x" * 100, fin=True, size=60)
    assert client.transport.is_paused
