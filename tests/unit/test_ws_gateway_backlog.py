"""When a gateway sheds: the rule alone, and against a queue that it must keep short."""

import itertools
from collections import deque
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.domain.partition import partition_of
from services.ws_gateway.backlog import PROBE_S, Backlog

NOW = 1_764_000_000.0
CONVERSATION = UUID(int=0xC0)
WITHIN_S = 0.4
_numbers = itertools.count(1)


def take(backlog: Backlog, count: int, now: float, conversation: UUID = CONVERSATION) -> list[UUID]:
    """Those of so many that were taken."""
    tries = [UUID(int=next(_numbers)) for _ in range(count)]
    return [one for one in tries if backlog.take(conversation, one, now)]


def small(least: int = 3, partitions: int = 1) -> Backlog:
    return Backlog(partitions, within_s=WITHIN_S, least=least)


def test_at_rest_so_many_are_taken_and_no_more() -> None:
    backlog = small(least=3)
    taken = take(backlog, 10, NOW)
    assert len(taken) == 3
    assert take(backlog, 1, NOW + 0.9 * PROBE_S) == []


def test_as_many_more_as_were_answered_lately() -> None:
    backlog = small(least=3)
    for one in take(backlog, 3, NOW):
        backlog.answered(one, NOW)
    assert len(take(backlog, 20, NOW)) == 3 + 3
    # Twice the span later nobody knows of those answers any more.
    assert take(backlog, 20, NOW + 2.1 * WITHIN_S) == []


def test_while_all_is_refused_one_a_second_asks_whether_the_router_is_back() -> None:
    backlog = small(least=3)
    take(backlog, 3, NOW)
    seconds = [NOW + second / 10 for second in range(1, 51)]
    taken = [now - NOW for now in seconds if take(backlog, 1, now)]
    assert [round(at) for at in taken] == [1, 2, 3, 4, 5]


def test_an_answer_covers_those_that_were_lost_before_it() -> None:
    backlog = small(least=3)
    take(backlog, 3, NOW)
    [probe] = take(backlog, 5, NOW + PROBE_S)
    backlog.answered(probe, NOW + PROBE_S)
    assert len(take(backlog, 20, NOW + PROBE_S)) == 3 + 4


def test_what_is_answered_twice_or_not_known_changes_nothing() -> None:
    backlog = small(least=3)
    [first, second, _] = take(backlog, 3, NOW)
    backlog.answered(second, NOW)
    for known_no_more in (first, second, UUID(int=0)):
        backlog.answered(known_no_more, NOW)
    assert len(take(backlog, 20, NOW)) == 3 + 2 - 1


def test_a_partition_that_stands_still_stops_no_other() -> None:
    backlog = small(least=3, partitions=2)
    other, still = (
        next(key for key in (UUID(int=n) for n in range(99)) if partition_of(key, 2) == partition)
        for partition in (0, 1)
    )
    take(backlog, 10, NOW, still)
    assert len(take(backlog, 10, NOW, other)) == 3


def test_a_clock_that_is_set_back_locks_nobody_out() -> None:
    backlog = small(least=3)
    take(backlog, 3, NOW)
    assert len(take(backlog, 1, NOW - 3600)) == 1


# --- against a queue -----------------------------------------------------------------------


class Router:
    """One queue, first come first served, `capacity` a second, for several gateways."""

    def __init__(self, capacity: int, gateways: list[Backlog]) -> None:
        self.capacity = capacity
        self.gateways = gateways
        self.queue: deque[tuple[UUID, int, float]] = deque()
        self.answered = [0] * len(gateways)
        self.waits: list[float] = []

    def run(self, now: float, seconds: float, offered: list[int]) -> None:
        """Each gateway is offered so many a second, spread over ticks of 10 ms."""
        self.answered, self.waits = [0] * len(self.gateways), []
        for tick in range(round(seconds * 100)):
            at = now + tick / 100
            for number, backlog in enumerate(self.gateways):
                for one in take(backlog, offered[number] // 100, at):
                    self.queue.append((one, number, at))
            for _ in range(min(len(self.queue), self.capacity // 100)):
                one, number, began = self.queue.popleft()
                self.gateways[number].answered(one, at)
                self.answered[number] += 1
                self.waits.append(at - began)


@pytest.mark.parametrize("times", [2, 5])
@pytest.mark.parametrize("gateways", [1, 4])
@pytest.mark.parametrize("capacity", [800, 4_000])
def test_at_any_overload_the_wait_is_bounded_and_nothing_stands_idle(
    capacity: int, gateways: int, times: int
) -> None:
    least = 100
    router = Router(capacity, [small(least) for _ in range(gateways)])
    offered = [times * capacity // gateways] * gateways
    router.run(NOW, 6, offered)
    bound_s = 2 * WITHIN_S + gateways * least / capacity
    assert max(router.waits) <= bound_s + 0.05
    assert sum(router.answered) >= 0.98 * 6 * capacity
    # Over: the queue is empty after the wait of its last, and all is taken at once.
    router.run(NOW + 6, bound_s + 0.1, [0] * gateways)
    assert not router.queue
    router.run(NOW + 9, 2, [capacity // gateways // 2] * gateways)
    assert max(router.waits) <= 0.02


def test_a_gateway_that_comes_late_gets_its_share() -> None:
    first, late = small(100), small(100)
    router = Router(2_000, [first, late])
    router.run(NOW, 5, [4_000, 0])
    router.run(NOW + 5, 10, [4_000, 4_000])
    router.run(NOW + 15, 5, [4_000, 4_000])
    assert min(router.answered) >= 0.4 * sum(router.answered)


@given(st.lists(st.sampled_from(["take", "answer", "lose"]), max_size=200))
def test_what_waits_is_known_exactly(steps: list[str]) -> None:
    """Whatever gets lost, in the end room is for `least`, no more and no less."""
    backlog = small(least=5)
    waiting: list[UUID] = []
    for step in steps:
        if step == "take":
            waiting += take(backlog, 1, NOW)
        elif waiting and step == "answer":
            backlog.answered(waiting.pop(0), NOW)
        elif len(waiting) > 1:
            del waiting[0]
    for one in waiting:
        backlog.answered(one, NOW)
    assert len(take(backlog, 20, NOW + 2.1 * WITHIN_S)) == 5
