"""When all sessions are registered anew."""

from services.ws_gateway.pulse import AGAIN_AFTER, SLEPT_MS, Pulse

ALIVE = [False] * (2 * AGAIN_AFTER)


def beats(pulse: Pulse) -> list[bool]:
    """What ordinary beats, a second apart, say."""
    return [pulse.felt(1_000) for _ in ALIVE]


def living() -> Pulse:
    pulse = Pulse()
    assert not pulse.felt(None), "the very first sign"
    assert beats(pulse) == ALIVE
    return pulse


def test_redis_was_emptied() -> None:
    pulse = living()
    assert pulse.felt(None)
    assert beats(pulse) == ALIVE


def test_a_gateway_that_slept_is_registered_anew_and_once_more() -> None:
    """Routers that held it dead may still be at it the first time."""
    pulse = living()
    assert not pulse.felt(SLEPT_MS)
    assert pulse.felt(SLEPT_MS + 1)
    again = beats(pulse)
    assert again.count(True) == 1
    assert again[AGAIN_AFTER - 1]
    assert beats(pulse) == ALIVE


def test_a_sign_without_an_answer_may_have_hidden_the_loss() -> None:
    pulse = living()
    pulse.missed()
    assert pulse.felt(1_000)
    assert beats(pulse).count(True) == 1


def test_redis_clock_was_set_back() -> None:
    assert not living().felt(-3_600_000)
