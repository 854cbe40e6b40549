"""What the campaign holds against the rows must be able to fail."""

from uuid import uuid4

import pytest

from tests.chaos.__main__ import Verdict, judge

CHAT = uuid4()
TOLD = {CHAT: {"one": 2, "two": 4}}


@pytest.mark.parametrize(
    ("stored", "verdict"),
    [
        ([(2, "one"), (4, "two")], Verdict(2, 0, 0, 0)),
        ([(2, "one"), (4, "two"), (6, "never acknowledged")], Verdict(2, 0, 0, 0)),
        ([(2, "one")], Verdict(2, 1, 0, 0)),
        ([(2, "one"), (4, "two"), (6, "two")], Verdict(2, 0, 1, 0)),
        ([(2, "two"), (4, "one")], Verdict(2, 0, 0, 2)),
    ],
)
def test_each_wrong_is_counted(stored: list[tuple[int, str]], verdict: Verdict) -> None:
    assert judge(TOLD, {CHAT: stored}) == verdict
    assert verdict.is_good == (verdict[1:] == (0, 0, 0))
