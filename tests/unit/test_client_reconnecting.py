"""When a client comes back, and when it doesn't (libs/client/reconnecting.py)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.client.reconnecting import (
    CROWDED_S,
    MOST_S,
    Backoff,
    End,
    Reconnecting,
    code_of,
    may_come_back,
)

BROKEN = End(1006)
TOKEN = End(4401)


def test_pauses_double_up_to_half_a_minute_with_jitter_and_begin_anew() -> None:
    backoff = Backoff()
    pauses = [backoff.pause_s(BROKEN, 1) for _ in range(12)]
    assert pauses[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert pauses[-1] == MOST_S == 30
    assert backoff.pause_s(BROKEN, 0) == 15
    backoff.reset()
    assert backoff.pause_s(BROKEN, 0) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("end", "chance", "pause"),
    [
        pytest.param(End(1012, after_s=3.21), 0.5, 3.21, id="RECONNECT: that is its slot"),
        pytest.param(End(1012, after_s=0), 0.5, 0, id="RECONNECT: now"),
        pytest.param(End(None, after_s=7), 0, 7, id="Retry-After of a handshake's 503"),
        pytest.param(End(None, after_s=2), 1, 3, id="which all get the same of: spread"),
        pytest.param(End(4429), 1, CROWDED_S, id="too many connections: some seconds"),
        pytest.param(End(4429), 0, CROWDED_S / 2, id="also the shortest"),
        pytest.param(End(4429, after_s=20), 1, 20, id="it has asked for longer"),
    ],
)
def test_who_is_told_when_to_come_back_comes_then(end: End, chance: float, pause: float) -> None:
    assert Backoff().pause_s(end, chance) == pytest.approx(pause)


def test_only_4400_and_4401_are_final() -> None:
    codes = [1000, 1001, 1006, 1009, 1012, 4400, 4401, 4408, 4429, 4500]
    assert [code for code in codes if not may_come_back(code)] == [4400, 4401]
    assert may_come_back(None)


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, 4401), (400, 4400), (404, 4400), (429, 4429), (408, None), (502, None), (503, None)],
)
def test_a_refused_handshake_means_what_a_close_does(status: int, code: int | None) -> None:
    assert code_of(status) == code


def test_a_refused_token_is_followed_by_one_try_with_a_fresh_one() -> None:
    reconnecting = Reconnecting()
    assert not Reconnecting().wants_fresh_token
    assert reconnecting.pause_s(TOKEN, 1) == pytest.approx(0.1)
    assert reconnecting.wants_fresh_token
    assert reconnecting.pause_s(TOKEN, 1) is None


def test_a_broken_line_in_between_forgives_no_refused_token() -> None:
    reconnecting = Reconnecting()
    reconnecting.pause_s(TOKEN, 1)
    assert reconnecting.pause_s(BROKEN, 1) == pytest.approx(0.2)
    assert reconnecting.wants_fresh_token
    assert reconnecting.pause_s(TOKEN, 1) is None


def test_a_session_that_began_forgives_what_was_before() -> None:
    reconnecting = Reconnecting()
    reconnecting.pause_s(TOKEN, 1)
    reconnecting.connected()
    assert not reconnecting.wants_fresh_token
    assert reconnecting.pause_s(TOKEN, 1) == pytest.approx(0.1)


def test_a_wrong_client_ends_at_once() -> None:
    assert Reconnecting().pause_s(End(4400), 1) is None


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([None, 1001, 1006, 1012, 4408, 4429, 4500]), st.floats(0, 1))
    ),
    st.floats(0.1, 30),
)
def test_it_never_hurries_and_never_waits_longer_than_allowed(
    ends: list[tuple[int | None, float]], most_s: float
) -> None:
    reconnecting = Reconnecting(most_s)
    for code, chance in ends:
        pause = reconnecting.pause_s(End(code), chance)
        assert pause is not None
        assert 0.05 <= pause <= max(most_s, CROWDED_S)
