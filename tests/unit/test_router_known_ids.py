"""The filter that spares PostgreSQL a question about each new message."""

from uuid import UUID, uuid4

import pytest

from services.router import known_ids
from services.router.known_ids import KnownIds

ANNA = uuid4()
LONG = 20_000


def filled(ids: list[UUID]) -> KnownIds:
    known = KnownIds()
    for one in ids:
        known.add(ANNA, one)
    return known


def test_what_was_added_is_known() -> None:
    ids = [uuid4() for _ in range(LONG)]
    known = filled(ids)
    assert all(known.perhaps(ANNA, one) for one in ids)


def test_new_ids_do_not_look_known() -> None:
    """Each that did would stop its conversation while PostgreSQL is away."""
    known = filled([uuid4() for _ in range(LONG)])
    assert not any(known.perhaps(ANNA, uuid4()) for _ in range(100_000))


def test_what_was_added_in_one_go_is_known_too() -> None:
    ids = [uuid4() for _ in range(LONG)]
    known = filled(ids[:2])
    known.add_all(b"".join(ANNA.bytes + one.bytes for one in ids[2:]))
    known.add(ANNA, last := uuid4())
    assert all(known.perhaps(ANNA, one) for one in [*ids, last])
    assert not known.perhaps(uuid4(), last)


def test_full_chunks_are_still_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_ids, "CHUNK_MOST", 3)
    ids = [uuid4() for _ in range(10)]
    known = filled(ids)
    assert all(known.perhaps(ANNA, one) for one in ids)


def test_of_a_log_too_long_to_be_read_all_is_perhaps_known() -> None:
    known = KnownIds()
    known.add_everything()
    assert known.perhaps(ANNA, uuid4())
