"""That nothing which came has ended a process, a worker or a task."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.integration.watching import House

FAILURES = ('"exception":', "Traceback", "worker failed")
"""In a role's log: what somebody has not foreseen."""
FORESEEN = '"event breaks a rule"'
"""It is set aside alone (promise 9), with the rule's exception."""
FENCED = '"exc_type":"Superseded"'
"""One conversation in two partitions, which only a generator makes whose ids come again: the fence
of sequence numbers sends one of the workers back."""


@contextmanager
def unharmed(house: House, *foreseen: str) -> Iterator[None]:
    """The same processes afterwards, and none has logged another exception meanwhile."""
    pids = house.stack.pids()
    logs = [house.stack.layout.log(program) for program in house.stack.admin_ports()]
    sizes = {log: log.stat().st_size for log in logs}
    yield
    assert house.stack.pids() == pids, "a process ended"
    for log in logs:
        news = log.read_bytes()[sizes[log] :].decode(errors="replace")
        expected = (FORESEEN, *foreseen)
        lines = [line for line in news.splitlines() if not any(one in line for one in expected)]
        failed = [line for line in lines if any(word in line for word in FAILURES)]
        assert failed == [], log.name
