"""When a gateway sheds: the rule alone, and against a queue that it must keep short."""

import itertools
from collections import deque
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.domain.partition import partition_of
from services.ws_gateway.backlog import PROBE_S, Backlog
from services.ws_gateway.settings import GatewaySettings

NOW = 1_764_000_000.0
CONVERSATION = UUID(int=0xC0)
MOST = GatewaySettings.model_fields["backlog"].default
_numbers = itertools.count(1)


def take(backlog: Backlog, count: int, now: float, conversation: UUID = CONVERSATION) -> list[UUID]:
    """Those of so many that were taken."""
    tries = [UUID(int=next(_numbers)) for _ in range(count)]
    return [one for one in tries if backlog.take(conversation, one, now)]


def small(most: int = 3, partitions: int = 1) -> Backlog:
    return Backlog(partitions, most)


def test_so_many_are_taken_and_no_more() -> None:
    backlog = small(most=3)
    assert len(take(backlog, 10, NOW)) == 3
    assert take(backlog, 1, NOW + 0.9 * PROBE_S) == []


def test_each_answer_makes_room_for_one() -> None:
    backlog = small(most=3)
    first, *_ = take(backlog, 3, NOW)
    backlog.answered(first)
    assert len(take(backlog, 10, NOW)) == 1


def test_while_all_is_refused_one_a_second_asks_whether_the_router_is_back() -> None:
    backlog = small(most=3)
    take(backlog, 3, NOW)
    seconds = [NOW + second / 10 for second in range(1, 51)]
    taken = [now - NOW for now in seconds if take(backlog, 1, now)]
    assert [round(at) for at in taken] == [1, 2, 3, 4, 5]


def test_an_answer_covers_those_that_were_lost_before_it() -> None:
    backlog = small(most=3)
    take(backlog, 3, NOW)
    [probe] = take(backlog, 5, NOW + PROBE_S)
    backlog.answered(probe)
    assert len(take(backlog, 20, NOW + PROBE_S)) == 3


def test_what_is_answered_twice_or_not_known_changes_nothing() -> None:
    backlog = small(most=3)
    [first, second, _] = take(backlog, 3, NOW)
    backlog.answered(second)
    for known_no_more in (first, second, UUID(int=0)):
        backlog.answered(known_no_more)
    assert len(take(backlog, 20, NOW)) == 2


def test_a_partition_that_stands_still_stops_no_other() -> None:
    backlog = small(most=3, partitions=2)
    other, still = (
        next(key for key in (UUID(int=n) for n in range(99)) if partition_of(key, 2) == partition)
        for partition in (0, 1)
    )
    take(backlog, 10, NOW, still)
    assert len(take(backlog, 10, NOW, other)) == 3


def test_a_clock_that_is_set_back_locks_nobody_out() -> None:
    backlog = small(most=3)
    take(backlog, 3, NOW)
    assert len(take(backlog, 1, NOW - 3600)) == 1


def test_nobody_sees_a_takeover_at_a_moderate_load() -> None:
    """500 messages/s over 4 partitions by one gateway, and a router away for 3 s."""
    backlog = Backlog(4, MOST)
    assert len(take(backlog, 3 * 500 // 4, NOW)) == 375


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
                self.gateways[number].answered(one)
                self.answered[number] += 1
                self.waits.append(at - began)


@pytest.mark.parametrize("times", [2, 5])
@pytest.mark.parametrize("gateways", [1, 4])
@pytest.mark.parametrize("capacity", [800, 4_000])
def test_at_any_overload_the_wait_is_bounded_and_nothing_stands_idle(
    capacity: int, gateways: int, times: int
) -> None:
    router = Router(capacity, [small(MOST) for _ in range(gateways)])
    offered = [times * capacity // gateways] * gateways
    router.run(NOW, 6, offered)
    bound_s = gateways * MOST / capacity
    assert max(router.waits) <= bound_s + 0.05
    assert sum(router.answered) >= 0.98 * 6 * capacity
    # Over: the queue is empty after the wait of its last, and all is taken at once.
    router.run(NOW + 6, bound_s + 0.1, [0] * gateways)
    assert not router.queue
    router.run(NOW + 9, 2, [capacity // gateways // 2] * gateways)
    assert max(router.waits) <= 0.02


def test_a_gateway_that_comes_late_gets_its_share() -> None:
    router = Router(2_000, [small(MOST), small(MOST)])
    router.run(NOW, 5, [4_000, 0])
    router.run(NOW + 5, 10, [4_000, 4_000])
    assert min(router.answered) >= 0.4 * sum(router.answered)


@given(st.lists(st.sampled_from(["take", "answer", "lose"]), max_size=200))
def test_what_waits_is_known_exactly(steps: list[str]) -> None:
    """Whatever gets lost, in the end there is room for `most`, no more and no less."""
    backlog = small(most=5)
    waiting: list[UUID] = []
    for step in steps:
        if step == "take":
            waiting += take(backlog, 1, NOW)
        elif waiting and step == "answer":
            backlog.answered(waiting.pop(0))
        elif len(waiting) > 1:
            del waiting[0]
    for one in waiting:
        backlog.answered(one)
    assert len(take(backlog, 20, NOW)) == 5
