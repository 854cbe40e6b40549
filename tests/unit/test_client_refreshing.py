"""When a client shows a newer token (libs/client/refreshing.py)."""

import pytest

from libs.client.refreshing import refresh_in_s


@pytest.mark.parametrize(
    ("left_s", "in_s"),
    [
        pytest.param(3600, 3540, id="a minute before its end"),
        pytest.param(120, 60, id="both the same"),
        pytest.param(10, 5, id="a short one at half its time"),
    ],
)
def test_a_newer_token_is_shown_in_time(left_s: float, in_s: float) -> None:
    assert refresh_in_s(left_s) == in_s
