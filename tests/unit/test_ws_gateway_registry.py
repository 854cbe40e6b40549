"""Who gets an entry, and who has had it."""

from uuid import UUID

from libs.common.protocol.deliveries import ToUser
from services.ws_gateway.registry import Registry

A, B = UUID(int=0xA), UUID(int=0xB)
ONE, TWO, THREE = UUID(int=1), UUID(int=2), UUID(int=3)
CONVERSATION, SECOND = UUID(int=0xC0), UUID(int=0xC1)


def two_users() -> Registry[str]:
    registry: Registry[str] = Registry()
    registry.add(A, ONE, "a1")
    registry.add(A, TWO, "a2")
    registry.add(B, THREE, "b")
    return registry


def entry(
    seq: int, user: UUID = A, conversation: UUID = CONVERSATION, but: UUID | None = None
) -> ToUser:
    return ToUser(user, conversation, seq, b"", except_session_id=but)


def test_an_entry_goes_to_all_sessions_of_its_user() -> None:
    assert two_users().recipients(entry(1)) == ["a1", "a2"]


def test_but_not_to_the_one_that_sent_it() -> None:
    assert two_users().recipients(entry(1, but=ONE)) == ["a2"]


def test_what_was_written_is_not_written_again() -> None:
    registry = two_users()
    assert registry.recipients(entry(5))
    assert not registry.recipients(entry(5))
    assert not registry.recipients(entry(4))
    assert registry.recipients(entry(6))
    assert registry.recipients(entry(5, conversation=SECOND))
    assert registry.recipients(entry(5, user=B))


def test_strangers_get_nothing() -> None:
    assert not two_users().recipients(entry(1, user=UUID(int=0xF)))


def test_the_last_session_takes_its_users_memory_along() -> None:
    registry = two_users()
    registry.recipients(entry(5))
    assert registry.remove(A, ONE)
    assert not registry.remove(A, ONE)
    assert not registry.recipients(entry(5))
    assert registry.remove(A, TWO)
    assert registry.users() == [(B, [THREE])]
    registry.add(A, ONE, "a1")
    assert registry.recipients(entry(5)) == ["a1"]
    assert registry.session(ONE) == "a1"
    assert registry.session(TWO) is None


def test_a_users_members() -> None:
    registry = two_users()
    assert registry.members(A) == ["a1", "a2"]
    registry.remove(A, ONE)
    assert registry.members(A) == ["a2"]
    registry.remove(A, TWO)
    assert not registry.members(A)
