"""What `make trace` makes of what is stored and remembered (local/whereabouts.py)."""

from uuid import UUID, uuid4

from uuid_utils.compat import uuid7

from libs.common.passages import Act, Passage
from local.whereabouts import STEPS, Memory, Row, Step, accepted_at, passages, summary

MESSAGE = UUID(int=uuid7().int)
BEGAN = accepted_at(MESSAGE)


def row(delivered_at: float | None = None) -> Row:
    return Row(uuid4(), uuid4(), uuid4(), 2, "SENT", BEGAN + 0.002, delivered_at, None, None)


def passage(after_s: float, act: Act, queue: str, *items: str, took_s: float = 0.001) -> Passage:
    at = BEGAN + after_s
    outcome = "CONFIRMED" if act is Act.PUBLISHED else ""
    return Passage(at, act, queue, items, at + took_s, outcome)


WHOLE = [
    Memory("gateway-1", BEGAN - 9, [passage(0.001, Act.PUBLISHED, "chat.events.0", "Send")]),
    Memory(
        "gateway-2",
        BEGAN - 9,
        [
            passage(0.006, Act.TAKEN, "chat.deliveries.g2", "ToUser MESSAGE_RECEIVED"),
            passage(0.009, Act.PUBLISHED, "chat.events.0", "Delivered"),
        ],
    ),
    Memory(
        "router-1",
        BEGAN - 9,
        [
            passage(0.002, Act.TAKEN, "chat.events.0", "Send"),
            passage(0.003, Act.PUBLISHED, "chat.writes.0", "InsertMessage"),
            passage(0.005, Act.PUBLISHED, "chat.deliveries.g2", "ToUser MESSAGE_RECEIVED"),
            passage(0.005, Act.PUBLISHED, "chat.deliveries.g1", "Answer MESSAGE_SENT"),
        ],
    ),
    Memory(
        "persister-1",
        BEGAN - 9,
        [passage(0.004, Act.TAKEN, "chat.writes.0", "InsertMessage", took_s=0.1)],
    ),
]


def steps(row_: Row | None, memories: list[Memory]) -> dict[str, list[Step]]:
    found: dict[str, list[Step]] = {}
    for step in summary(MESSAGE, row_, memories):
        found.setdefault(step.name, []).append(step)
    return found


def after_ms(step: Step) -> float | None:
    return None if step.at is None else round((step.at - BEGAN) * 1000)


def test_all_steps_have_their_times_and_places() -> None:
    found = steps(row(delivered_at=BEGAN + 0.008), WHOLE)
    assert tuple(found) == STEPS
    times = {name: [after_ms(step) for step in of_name] for name, of_name in found.items()}
    assert times == {
        "accepted": [0],
        "queued": [2],
        "decided": [2],
        "kept": [4],
        "stored": [104],
        "told": [5, 5],
        "written": [6],
        "pong": [8],
        "read": [None],
    }
    assert found["accepted"][0].note == "by gateway-1"
    assert found["kept"][0].note == "chat.writes.0, confirmed, by router-1"
    assert found["told"][0].note == "g2: ToUser MESSAGE_RECEIVED, by router-1"
    assert found["pong"][0].note == "to gateway-2"
    assert found["read"][0].note == "not yet"


def test_what_nobody_remembers_is_not_called_lost() -> None:
    """The row says that it was stored; who has forgotten when is named."""
    found = steps(row(), [Memory("gateway-1", None, []), Memory("router-1", BEGAN + 60, [])])
    assert found["queued"][0].note == "not remembered by gateway-1, router-1"
    assert found["stored"][0].note.startswith("PostgreSQL has it; when: not remembered")
    assert found["decided"][0].at is not None


def test_what_everybody_would_remember_was_not_seen() -> None:
    found = steps(None, [Memory("gateway-1", BEGAN - 60, [])])
    assert found["queued"][0].note == "not seen"
    assert found["stored"][0].note == "PostgreSQL does not have it; when: not seen"


def test_a_publish_that_nobody_confirmed() -> None:
    lost = Passage(BEGAN, Act.PUBLISHED, "chat.events.0", ["Send"], None, "")
    [queued] = steps(None, [Memory("gateway-1", BEGAN - 9, [lost])])["queued"]
    assert queued == Step("queued", None, "chat.events.0, not yet confirmed, by gateway-1")


def test_passages_of_all_processes_are_in_order() -> None:
    times = [one.at for _, one in passages(WHOLE)]
    assert times == sorted(times)
    assert len(times) == 8
