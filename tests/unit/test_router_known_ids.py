"""The filter that spares PostgreSQL a question about each new message."""

from uuid import UUID, uuid4

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


def test_new_ids_hardly_ever_look_known() -> None:
    """Each that does stops its conversation while PostgreSQL is away. About 5 of 100,000 do; with
    half the bits and hashes more than 1,000."""
    known = filled([uuid4() for _ in range(LONG)])
    assert sum(known.perhaps(ANNA, uuid4()) for _ in range(100_000)) < 100


def test_of_a_log_too_long_to_be_read_all_is_perhaps_known() -> None:
    known = KnownIds()
    known.add_everything()
    assert known.perhaps(ANNA, uuid4())
