"""What the campaign holds against the rows must be able to fail."""

from uuid import UUID, uuid4

import pytest

from tests.chaos.evidence import Injection
from tests.chaos.verdict import Stored, Told, Verdict, judge, late, table

ONE, TWO, OTHER = ((uuid4(), uuid4()) for _ in range(3))
"""clientMessageId and messageId."""


def row(ids: tuple[UUID, UUID], seq: int) -> Stored:
    return Stored(*ids, seq)


TOLD = [Told(10.0, *ONE, 2), Told(20.0, *TWO, 4)]


@pytest.mark.parametrize(
    ("stored", "verdict"),
    [
        ([row(ONE, 2), row(TWO, 4)], Verdict(2, 0, 0, 0)),
        ([row(ONE, 2), row(TWO, 4), row(OTHER, 6)], Verdict(2, 0, 0, 0)),
        ([row(ONE, 2)], Verdict(2, 1, 0, 0)),
        ([row(ONE, 2), row(TWO, 4), row((TWO[0], OTHER[1]), 6)], Verdict(2, 0, 1, 0)),
        ([row(TWO, 2), row(ONE, 4)], Verdict(2, 0, 0, 2)),
    ],
)
def test_each_wrong_is_counted(stored: list[Stored], verdict: Verdict) -> None:
    assert judge(TOLD, stored) == verdict
    assert verdict.is_good == (verdict[1:] == (0, 0, 0))


def test_what_was_acknowledged_counts_for_the_fault_that_had_hold_of_it() -> None:
    run = Injection(
        fault="router killed",
        detail="",
        is_alone=True,
        target_s=3.0,
        began=15.0,
        lifted=16.0,
        flows_after_s=1.0,
        stored_after_s=5.0,
        untouched_closed=[],
    )
    *_, line = table([run], TOLD, [row(ONE, 2)])
    assert line.split() == [
        "router",
        "killed",
        "1",
        "1",
        "1",
        "0",
        "0",
        "1.00",
        "1.00",
        "5.00",
        "5.00",
        "5.00",
        "3",
    ]


@pytest.mark.parametrize(
    ("alone", "target_s", "after_s", "is_late"),
    [
        (True, 5.0, 5.1, True),
        (True, 5.0, 4.9, False),
        (False, 5.0, 5.1, False),  # Who was held up by which of them can't be told.
        (True, None, 60.0, False),
        (True, 5.0, None, False),  # That it never was is a violation already.
    ],
)
def test_who_misses_its_target(
    alone: bool, target_s: float | None, after_s: float | None, is_late: bool
) -> None:
    run = Injection(
        fault="Redis stalled 10 s",
        detail="",
        is_alone=alone,
        target_s=target_s,
        began=1.0,
        lifted=11.0,
        flows_after_s=after_s,
        stored_after_s=after_s,
        untouched_closed=[],
    )
    assert bool(list(late([run]))) is is_late
