"""How many searches run at once."""

from contextlib import ExitStack
from uuid import uuid4

import pytest

from services.rest_api import search_room
from services.rest_api.problems import Problem
from services.rest_api.search_room import SearchRoom


def test_one_user_has_half_and_all_have_no_more_than_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search_room, "WAIT_S", 0)
    room, anna = SearchRoom(connections=8), uuid4()
    with ExitStack() as running:
        for user in (anna, anna, uuid4()):
            running.enter_context(room.of(user))
        with pytest.raises(Problem, match="RATE_LIMITED") as refused, room.of(anna):
            pass
        assert refused.value.headers == {"Retry-After": "1"}
        running.enter_context(room.of(uuid4()))
        with pytest.raises(Problem, match="UNAVAILABLE") as refused, room.of(uuid4()):
            pass
        assert refused.value.headers == {"Retry-After": "1"}
    with room.of(anna), room.of(anna), room.of(uuid4()):
        "what was refused took no room, what is done gave it back"


def test_one_connection_is_enough() -> None:
    room = SearchRoom(connections=1)
    with pytest.raises(ZeroDivisionError), room.of(uuid4()):
        _ = 1 / 0
    with room.of(uuid4()):
        "it was given back"
