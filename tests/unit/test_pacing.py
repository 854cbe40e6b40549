"""How long a batch's publisher rests (libs/common/domain/pacing.py)."""

import pytest

from libs.common.domain.pacing import ENOUGH, REST_MOST_S, rest_s


@pytest.mark.parametrize(
    ("items", "took_s", "pacing_s", "rest"),
    [
        pytest.param(1, 0.0, 0.002, 0.002, id="quick: until the pacing interval has passed"),
        pytest.param(1, 0.0015, 0.002, 0.0015, id="what is left of the interval is less"),
        pytest.param(1, 0.01, 0.002, 0.01, id="slow and small: as long as it took"),
        pytest.param(ENOUGH - 1, 0.01, 0.002, 0.01, id="not yet enough"),
        pytest.param(1, 10.0, 0.002, REST_MOST_S, id="held up by an outage: no second one"),
        pytest.param(ENOUGH, 0.03, 0.002, 0.0, id="enough: no rest"),
        pytest.param(ENOUGH, 0.0, 0.002, 0.002, id="but never faster than the interval"),
    ],
)
def test_rest(items: int, took_s: float, pacing_s: float, rest: float) -> None:
    assert rest_s(items, took_s, pacing_s) == pytest.approx(rest)
