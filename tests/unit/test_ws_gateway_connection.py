"""The shell: bytes in, bytes out, and what the clock does. The client is `websockets`' own."""

import asyncio
import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import jwt
import pytest
from prometheus_client import REGISTRY
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import OPEN, Event
from websockets.uri import parse_uri

from libs.common.content import Incoming
from libs.common.protocol.codec import DELIVERIES, Malformed
from libs.common.protocol.deliveries import Delivery, Note, ToSession
from libs.common.protocol.events import Send, Typing
from libs.common.tokens import Secret, Verifier
from services.ws_gateway.admission import Admission, Limits
from services.ws_gateway.allowance import Rates
from services.ws_gateway.arrival import Arrival
from services.ws_gateway.backlog import Backlog
from services.ws_gateway.connection import Connection
from services.ws_gateway.deliveries import Deliveries
from services.ws_gateway.entrance import Entrance
from services.ws_gateway.gateway import Gateway
from services.ws_gateway.registry import Registry
from services.ws_gateway.session import Phase
from services.ws_gateway.stream import Stream
from services.ws_gateway.sweep import (
    CLOSE_WITHIN_S,
    CONNECT_WITHIN_S,
    HANDSHAKE_WITHIN_S,
    OPEN_WITHIN_S,
    REPEAT_OPEN_AFTER_S,
    check,
    check_arrival,
)
from services.ws_gateway.terms import Terms
from services.ws_gateway.wire import text_frame

PONG_WITHIN_S = 20.0
SECRET = "a secret of at least 32 characters"
USER = UUID(int=0xA)
CONVERSATION = UUID(int=0xC0)


class Transport:
    """What is used of one; remembers each system call."""

    def __init__(self) -> None:
        self.protocol: asyncio.Protocol | None = None
        self.writes: list[bytes] = []
        self.ended = self.aborted = self.is_paused = False

    def write(self, data: bytes) -> None:
        if self.ended:
            raise RuntimeError("Cannot call write() after write_eof()")  # uvloop's
        self.writes.append(data)

    def write_eof(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        pass

    def get_extra_info(self, name: str) -> tuple[str, int]:
        assert name == "peername"
        return "127.0.0.1", 5

    def is_closing(self) -> bool:
        return self.aborted

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def set_protocol(self, protocol: asyncio.Protocol) -> None:
        self.protocol = protocol


class House:
    """The gateway and its incarnation, as far as a connection sees them; the clock is ours."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.now = 1000.0
        self.events: list[Send] = []
        self.signals: list[Typing] = []
        self.entered: list[Connection] = []
        self.left: list[Connection] = []
        self.asked: list[Connection] = []
        self.dirty: list[Stream] = []
        self.soon: list[Callable[[], None]] = []
        """What the loop does in its next turn."""
        terms = Terms(
            "gateway-1",
            Verifier(Secret(SECRET), ("HS256",)),
            30,
            1000,
            Rates(10, 20, 20, 50),
            lambda: UUID(int=1),
            Backlog(1, most=1000),
        )
        self.gateway = SimpleNamespace(
            loop=SimpleNamespace(time=lambda: self.now, call_soon=self.soon.append),
            settings=SimpleNamespace(
                max_buffered_bytes=1 << 20, heartbeat_seconds=30, max_connection_age_s=0
            ),
            arrivals=set(),
            connections=set(),
            entrance=Entrance((), (), Admission(limits or Limits(10, 10, 10, 10))),
            congested=False,
            flush_soon=self.dirty.append,
            gone=lambda _: None,
            incarnation=SimpleNamespace(
                terms=terms,
                publishing=SimpleNamespace(event=self.events.append, signal=self.signals.append),
                enter=self.entered.append,
                leave=self.left.append,
                ask=self.asked.append,
            ),
        )


class Client:
    """One connection with a client at its other end."""

    def __init__(
        self, house: House, url: str = "ws://x/api/chat/ws", token: str | None = None
    ) -> None:
        self._arrive(house, url)
        request = self.protocol.connect()
        if token is not None:
            request.headers["Authorization"] = f"Bearer {token}"
        self.protocol.send_request(request)
        self.response = cast(Response, self.exchange()[0])

    @classmethod
    def of(cls, house: House) -> "Client":
        """One that has said nothing."""
        client = cls.__new__(cls)
        client._arrive(house, "ws://x/api/chat/ws")
        return client

    def _arrive(self, house: House, url: str) -> None:
        self.house = house
        self.transport = Transport()
        self.protocol = ClientProtocol(parse_uri(url))
        self.transport.protocol = self.arrival = Arrival(cast(Gateway, house.gateway))
        self.arrival.connection_made(cast(asyncio.Transport, self.transport))

    @property
    def connection(self) -> Connection:
        """Of a client whose handshake was good."""
        assert isinstance(self.transport.protocol, Connection)
        return self.transport.protocol

    def send(self, data: bytes) -> None:
        assert self.transport.protocol is not None
        self.transport.protocol.data_received(data)

    def vanish(self) -> None:
        assert self.transport.protocol is not None
        self.transport.protocol.connection_lost(None)

    def exchange(self) -> list[Event]:
        """Both ways, once; what the client got."""
        for data in self.protocol.data_to_send():
            if data:
                self.send(data)
        return self.got()

    def got(self) -> list[Event]:
        while self.house.dirty:
            self.house.dirty.pop().flush()
        written, self.transport.writes = self.transport.writes, []
        for data in written:
            self.protocol.receive_data(data)
        return self.protocol.events_received()

    def pass_time(self, seconds: float) -> list[Event]:
        self.house.now += seconds
        check(self.connection, self.house.now, time.time(), heartbeat_s=30, pong_s=PONG_WITHIN_S)
        return self.got()


def token(seconds: float = 60) -> str:
    now = time.time()
    return jwt.encode({"sub": str(USER), "iat": now, "exp": now + seconds}, SECRET, "HS256")


def opened(house: House) -> Client:
    client = Client(house, token=token())
    client.connection.perform(client.connection.session.opened({}))
    client.got()
    return client


def close_code(client: Client) -> int:
    assert client.protocol.close_rcvd is not None
    return client.protocol.close_rcvd.code


def send_message(content: str = "hello") -> bytes:
    fields = {"type": "SEND_MESSAGE", "conversationId": str(CONVERSATION), "content": content}
    return json.dumps(fields).encode()


def frame_json(event: Event) -> dict[str, Any]:
    assert isinstance(event, Frame)
    fields: dict[str, Any] = json.loads(bytes(event.data))
    return fields


# --- handshake -----------------------------------------------------------------------------


def test_a_token_in_the_header_enters_at_once() -> None:
    house = House()
    client = Client(house, token=token())
    assert client.response.status_code == 101
    assert house.entered == [client.connection]
    assert client.connection.session.phase is Phase.OPENING


@pytest.mark.parametrize(
    ("url", "bearer", "status"),
    [
        ("ws://x/elsewhere", None, 404),
        ("ws://x/api/chat/ws", "nonsense", 401),
        ("ws://x/api/chat/ws", token(-1), 401),
    ],
)
def test_a_refused_handshake_ends_the_stream(url: str, bearer: str | None, status: int) -> None:
    house = House()
    client = Client(house, url, bearer)
    assert client.response.status_code == status
    assert "code" in json.loads(client.response.body)
    assert client.transport.ended
    assert not house.entered
    client.vanish()
    assert not house.left


def test_whatever_becomes_of_a_connection_it_gives_its_place_back() -> None:
    house = House(Limits(2, 2, 2, 10))
    admission = house.gateway.entrance.admission
    good, bad = Client(house, token=token()), Client(house, token="nonsense")
    waiting = Client(house)
    cut = Client.of(house)
    assert cut.transport.aborted, "two strangers are here"
    bad.vanish()
    third = Client(house, token=token())
    assert third.response.status_code == 503
    assert json.loads(third.response.body)["code"] == "GATEWAY_FULL"
    waiting.connection.perform(waiting.connection.session.turn_away("TOKEN_INVALID"))
    for client in (good, waiting, cut, third):
        client.vanish()
    assert admission.is_empty
    assert not house.gateway.arrivals


@pytest.mark.parametrize(
    "line",
    [
        b"x" * 1024,
        b"GET / HTTP/1.1\r\nX: 1\r\n",
        b"X: 1\r\n" * 99,
        # Neither a long line nor too many of them: the protocol waits for the end.
        b"X: " + b"y" * 200 + b"\r\n",
    ],
)
def test_a_request_without_end_is_answered_once(line: bytes) -> None:
    client = Client.of(House())
    client.send(b"GET / HTTP/1.1\r\n")
    for _ in range(900):
        client.send(line)
    client.house.dirty.pop().flush()
    client.arrival.eof_received()
    while client.house.dirty:
        client.house.dirty.pop().flush()
    [answer] = client.transport.writes
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert answer.count(b"HTTP/1.1") == answer.count(b'"HEADERS_TOO_LARGE"') == 1
    assert client.transport.ended


@pytest.mark.parametrize("still_congested", [True, False])
def test_who_comes_in_congestion_is_read_once_it_is_over(still_congested: bool) -> None:
    """Also when it ends in the very turn in which the client comes."""
    house = House()
    house.gateway.congested = True
    client = Client.of(house)
    house.gateway.congested = still_congested
    for act in house.soon:
        act()
    assert client.transport.is_paused is still_congested


def test_what_came_with_the_request_is_read_after_it() -> None:
    house = House()
    client = Client.of(house)
    request = client.protocol.connect()
    request.headers["Authorization"] = f"Bearer {token()}"
    client.protocol.send_request(request)
    early = ClientProtocol(parse_uri("ws://x/api/chat/ws"), state=OPEN)
    early.send_text(send_message())
    early.send_text(send_message("again"))
    client.send(b"".join(client.protocol.data_to_send() + early.data_to_send()))
    assert [event.content for event in house.events] == ["hello", "again"]
    assert house.entered == [client.connection]


def test_without_a_broker_there_is_no_session() -> None:
    house = House()
    house.gateway.incarnation = None
    client = Client(house, token=token())
    assert client.response.status_code == 503
    assert int(client.response.headers["Retry-After"]) > 0


# --- frames --------------------------------------------------------------------------------


def test_what_is_written_in_one_turn_leaves_in_one_call() -> None:
    client = opened(House())
    for _ in range(3):
        client.connection.write(text_frame(b"x"))
    client.house.dirty.pop().flush()
    assert client.transport.writes == [text_frame(b"x") * 3]


def test_a_fragmented_message_is_one_message() -> None:
    house = House()
    client = opened(house)
    text = send_message("é")
    client.protocol.send_text(text[:20], fin=False)
    client.protocol.send_ping(b"between")
    client.protocol.send_continuation(text[20:60], fin=False)
    client.protocol.send_continuation(text[60:], fin=True)
    (pong,) = client.exchange()
    assert isinstance(pong, Frame)
    assert pong.opcode is Opcode.PONG
    assert [event.content for event in house.events] == ["é"]


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([b"x" * 65 * 1024], 1009),
        ([b"x" * 40_000, b"x" * 30_000], 1009),
        ([b"\xff\xfe"], 1007),
        ([b'{"type":"PING","x":"\xc3', b'"}'], 1007),
    ],
)
def test_what_is_no_text_message_closes(parts: list[bytes], code: int) -> None:
    house = House()
    client = opened(house)
    client.protocol.send_text(parts[0], fin=len(parts) == 1)
    for part in parts[1:]:
        client.protocol.send_continuation(part, fin=True)
    client.exchange()
    assert close_code(client) == code
    assert house.left == [client.connection]


def test_64_kib_are_read() -> None:
    client = opened(House())
    client.protocol.send_text(b" " * (64 * 1024))
    (error,) = client.exchange()
    assert frame_json(error)["error"] == "INVALID_JSON"


def test_a_binary_frame_gets_an_error_and_4400() -> None:
    client = opened(House())
    client.protocol.send_binary(b"x")
    error, _ = client.exchange()
    assert frame_json(error)["code"] == 400
    assert close_code(client) == 4400


def test_what_came_before_the_clients_close_is_published() -> None:
    house = House()
    client = opened(house)
    client.protocol.send_text(send_message())
    client.protocol.send_close(1000)
    data = b"".join(client.protocol.data_to_send())
    client.connection.data_received(data)
    client.got()
    assert len(house.events) == 1
    assert close_code(client) == 1000
    assert house.left == [client.connection]
    client.connection.write(text_frame(b"late"))
    assert not client.house.dirty


def test_a_slow_reader_is_closed() -> None:
    house = House()
    client = opened(house)
    client.connection.pause_writing()
    client.got()
    assert close_code(client) == 4408
    assert house.left == [client.connection]


# --- time ----------------------------------------------------------------------------------


def test_a_handshake_has_a_deadline() -> None:
    client = Client.of(House())
    check_arrival(client.arrival, client.house.now + HANDSHAKE_WITHIN_S - 1)
    assert not client.transport.aborted
    check_arrival(client.arrival, client.house.now + HANDSHAKE_WITHIN_S + 1)
    assert client.transport.aborted


def test_who_was_turned_away_has_a_deadline_of_its_own() -> None:
    client = Client.of(House())
    client.house.now += HANDSHAKE_WITHIN_S - 1
    client.send(b"GET / HTTP/1.1\r\n\r\n")
    check_arrival(client.arrival, client.house.now + CLOSE_WITHIN_S - 1)
    assert not client.transport.aborted
    check_arrival(client.arrival, client.house.now + CLOSE_WITHIN_S + 1)
    assert client.transport.aborted


def test_connect_has_a_deadline() -> None:
    client = Client(House())
    assert client.pass_time(CONNECT_WITHIN_S - 1) == []
    error, _ = client.pass_time(2)
    assert frame_json(error)["error"] == "UNAUTHENTICATED"
    assert close_code(client) == 4401


def test_open_is_repeated_and_then_given_up() -> None:
    house = House()
    client = Client(house, token=token())
    client.pass_time(REPEAT_OPEN_AFTER_S + 1)
    assert house.asked == []
    client.connection.asked_at = house.now
    client.pass_time(REPEAT_OPEN_AFTER_S + 1)
    assert house.asked == [client.connection]
    client.pass_time(OPEN_WITHIN_S)
    assert close_code(client) == 4500


def test_a_silent_client_is_pinged_and_then_closed() -> None:
    client = opened(House())
    (ping,) = client.pass_time(31)
    assert isinstance(ping, Frame)
    assert ping.opcode is Opcode.PING
    client.protocol.data_to_send()  # the pong gets lost
    assert client.pass_time(PONG_WITHIN_S - 1) == []
    client.pass_time(2)
    assert close_code(client) == 4408
    client.pass_time(CLOSE_WITHIN_S + 1)
    assert client.transport.aborted


def test_a_client_that_answers_stays() -> None:
    client = opened(House())
    client.pass_time(31)
    client.exchange()
    assert client.pass_time(PONG_WITHIN_S + 1) == []
    assert not client.connection.ended


def test_an_expired_token_ends_the_session() -> None:
    client = opened(House())
    client.house.now += 10
    check(
        client.connection, client.house.now, time.time() + 61, heartbeat_s=30, pong_s=PONG_WITHIN_S
    )
    error, _ = client.got()
    assert frame_json(error)["error"] == "TOKEN_EXPIRED"
    assert close_code(client) == 4401


def test_pauses_of_ours_don_t_excuse_a_silent_client() -> None:
    """However often we stop to read it: only what we didn't listen to counts for nothing."""
    client = opened(House())
    client.pass_time(31)
    client.protocol.data_to_send()  # the pong gets lost
    for _ in range(4):
        paused_at = client.house.now
        client.connection.pause_reading()
        client.house.now += PONG_WITHIN_S
        client.connection.resume_reading(paused_at, client.house.now)
        assert client.pass_time(PONG_WITHIN_S / 4 - 0.1) == []
    client.pass_time(1)
    assert close_code(client) == 4408


def test_a_refresh_that_we_did_not_read_in_time_still_counts() -> None:
    client = opened(House())
    client.house.now += 10
    paused_at = client.house.now
    client.connection.pause_reading()
    client.house.now += 30
    client.connection.resume_reading(paused_at, client.house.now)
    check(
        client.connection, client.house.now, time.time() + 61, heartbeat_s=30, pong_s=PONG_WITHIN_S
    )
    assert client.got() == []
    refresh(client)
    assert frame_json(client.exchange()[0])["type"] == "TOKEN_REFRESHED"
    client.house.now += 10
    check(
        client.connection, client.house.now, time.time() + 61, heartbeat_s=30, pong_s=PONG_WITHIN_S
    )
    assert client.got() == []


def refresh(client: Client) -> None:
    fields = {"type": "REFRESH_TOKEN", "token": token(3600)}
    client.protocol.send_text(json.dumps(fields).encode())


def test_a_refreshed_token_keeps_the_session() -> None:
    client = opened(House())
    refresh(client)
    (answer,) = client.exchange()
    assert frame_json(answer)["type"] == "TOKEN_REFRESHED"
    client.house.now += 10
    check(
        client.connection, client.house.now, time.time() + 61, heartbeat_s=30, pong_s=PONG_WITHIN_S
    )
    assert client.got() == []
    check(
        client.connection,
        client.house.now,
        time.time() + 3601,
        heartbeat_s=30,
        pong_s=PONG_WITHIN_S,
    )
    error, _ = client.got()
    assert frame_json(error)["error"] == "TOKEN_EXPIRED"


def test_a_signal_is_published() -> None:
    house = House()
    client = opened(house)
    fields = {"type": "TYPING_START", "conversationId": str(CONVERSATION)}
    client.protocol.send_text(json.dumps(fields).encode())
    assert client.exchange() == []
    assert [signal.conversation_id for signal in house.signals] == [CONVERSATION]


# --- deliveries ----------------------------------------------------------------------------


def test_notes_reach_every_session_of_a_user_and_to_session_one() -> None:
    clients = [opened(House()) for _ in range(2)]
    registry: Registry[Connection] = Registry()
    for number, client in enumerate(clients):
        registry.add(USER, UUID(int=number), client.connection)
    buried: list[Malformed] = []
    backlog = Backlog(1, most=1000)
    deliveries = Deliveries(registry, backlog, buried.append, lambda: None)
    strangers = UUID(int=0xF)
    batch: list[Delivery] = [
        Note(strangers, b'{"n":0}'),
        Note(USER, b'{"n":1}'),
        ToSession(strangers, b'{"n":2}'),
        ToSession(UUID(int=1), b'{"n":3}'),
    ]
    deliveries.receive(Incoming(DELIVERIES.encode(batch), 1, False, ""))
    got = [[frame_json(event)["n"] for event in client.got()] for client in clients]
    assert got == [[1], [1, 3]]
    assert buried == []


# --- what is counted -----------------------------------------------------------------------


def counted(metric: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(metric, labels) or 0.0


def begin_without_a_broker(house: House) -> None:
    house.gateway.incarnation = None
    Client(house, token=token())


def begin_well(house: House) -> None:
    client = Client(house, token=token())
    client.connection.opened({})
    client.connection.opened({})  # a repeated Open signal may be answered twice


def begin_for_too_long(house: House) -> None:
    Client(house, token=token()).pass_time(OPEN_WITHIN_S + 1)


def begin_once_too_often(house: House) -> None:
    connection = Client(house, token=token()).connection
    connection.perform(connection.session.turn_down("TOO_MANY_CONNECTIONS", None))


def begin_and_go(house: House) -> None:
    Client(house, token=token()).vanish()


@pytest.mark.parametrize(
    ("begin", "outcome"),
    [
        (begin_without_a_broker, "failed"),
        (begin_well, "opened"),
        (begin_for_too_long, "failed"),
        (begin_once_too_often, "refused"),
        (begin_and_go, "abandoned"),
    ],
)
def test_a_session_counts_once_by_how_it_began(
    begin: Callable[[House], None], outcome: str
) -> None:
    outcomes = ("opened", "failed", "refused", "abandoned")
    before = {one: counted("chat_connects_total", outcome=one) for one in outcomes}
    begin(House())
    after = {one: counted("chat_connects_total", outcome=one) for one in outcomes}
    assert {one for one in outcomes if after[one] != before[one]} == {outcome}
    assert after[outcome] - before[outcome] == 1


def test_a_bad_token_is_no_session() -> None:
    before = counted("chat_connects_total", outcome="refused")
    Client(House(), token=token(-1))
    assert counted("chat_connects_total", outcome="refused") == before


def test_who_is_too_slow_counts_once_by_why() -> None:
    buffer = counted("chat_slow_closes_total", cause="buffer")
    pong = counted("chat_slow_closes_total", cause="pong")
    full = opened(House())
    full.connection.pause_writing()
    full.connection.pause_writing()
    silent = opened(House())
    silent.pass_time(31)
    silent.protocol.data_to_send()
    silent.pass_time(PONG_WITHIN_S + 1)
    assert counted("chat_slow_closes_total", cause="buffer") == buffer + 1
    assert counted("chat_slow_closes_total", cause="pong") == pong + 1
