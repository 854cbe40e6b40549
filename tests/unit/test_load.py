"""What the load test's users know of each other, and whom they may load."""

from uuid import UUID, uuid4

import pytest

from libs.common.protocol.errors import REFUSALS
from tests.load.failure import Failure
from tests.load.pairs import Pair, Shown, WaitingRoom
from tests.load.session import refusal
from tests.load.target import Target


@pytest.mark.parametrize(
    "host",
    ["ws://localhost:8080", "http://localhost:8080/", "ws://user@localhost:8080"],
)
def test_both_addresses_of_an_edge(host: str) -> None:
    target = Target.of(host, is_mine=False)
    assert target == Target("http://localhost:8080/api/chat", "ws://localhost:8080/api/chat/ws")


def test_an_address_keeps_its_encryption_and_brackets() -> None:
    assert Target.of("wss://[::1]", is_mine=False).rest_url == "https://[::1]/api/chat"


@pytest.mark.parametrize(
    "host",
    [
        "ws://chat.example.org",
        "ws://localhost.example.org",
        "ws://localhost@example.org",
        "ws://127.0.0.1@10.0.0.7",
        "ws://10.0.0.7:8080",
        "ws://0.0.0.0:8080",
        "ws://2130706433",
    ],
)
def test_another_machine_is_loaded_only_by_its_owner(host: str) -> None:
    with pytest.raises(ValueError, match="is another machine"):
        Target.of(host, is_mine=False)
    Target.of(host, is_mine=True)


@pytest.mark.parametrize("host", ["", "localhost:8080", "ftp://localhost", "ws://", "ws://[::1"])
def test_what_is_no_address(host: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - or urllib's own
        Target.of(host, is_mine=True)


def test_two_who_enter_are_a_pair_and_a_seat_that_is_left_is_taken_first() -> None:
    room = WaitingRoom()
    anna, ben, carla = room.enter(), room.enter(), room.enter()
    assert anna.other is ben
    assert ben.other is anna
    assert carla.pair is not anna.pair
    room.leave(ben)
    assert room.enter() is ben
    assert room.enter() is carla.other


def test_a_conversation_is_created_once_and_again_after_a_failure() -> None:
    pair, created = Pair(), uuid4()
    outcomes: list[UUID | Failure] = [Failure("UNAVAILABLE"), created]

    def create(of: Pair) -> UUID:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Failure):
            raise outcome
        return outcome

    with pytest.raises(Failure, match="UNAVAILABLE"):
        pair.conversation_id(create)
    assert [pair.conversation_id(create) for _ in range(2)] == [created, created]


def test_what_is_known_has_no_gap() -> None:
    seat = Pair().seats[0]
    seen = []
    for seq in (1, 3, 4, 2, 7):
        seat.has(seq)
        seen.append(seat.known_seq)
    assert seen == [1, 1, 1, 4, 4]
    seat.has_all(6)
    assert seat.known_seq == 7
    seat.has_all(3)
    assert seat.known_seq == 7


def test_a_message_arrives_once() -> None:
    anna, ben = Pair().seats
    client_id = str(uuid4())
    anna.messages[client_id] = shown = Shown()
    assert ben.arrived(f"{client_id} hello") is shown
    assert ben.arrived(f"{client_id} hello") is None


def test_failures_are_named_by_the_problems_code() -> None:
    assert repr(refusal(401, b'{"code": "TOKEN_INVALID"}')) in REFUSALS
    assert repr(refusal(502, b"<html>")) == "HTTP 502"
