"""Whose tokens count no more."""

import asyncio
import time
from typing import cast
from uuid import UUID, uuid4

import jwt
import msgspec
import pytest

from libs.common.broker import Channel
from libs.common.domain import revocation
from libs.common.domain.revocation import RevocationList, Subject, name_of, subject_of
from libs.common.protocol.codec import REVOKE
from libs.common.revocation_keys import RevocationKeys
from libs.common.revocations import Revocations
from libs.common.tokens import InvalidToken, Secret, Undecided, Verifier

ANNA, BEN = uuid4(), uuid4()
SECRET = "0123456789abcdef" * 4


def test_of_a_user_what_was_issued_until_then_and_nobody_else() -> None:
    known = RevocationList()
    assert not known.refuses(ANNA, 99, None)
    assert known.add(ANNA, 100)
    assert known.refuses(ANNA, 99, None)
    assert known.refuses(ANNA, 100, "a")
    assert not known.refuses(ANNA, 101, None)
    assert not known.refuses(BEN, 99, None)


def test_what_does_not_say_when_it_was_issued_may_be_old() -> None:
    known = RevocationList()
    known.add(ANNA, 100)
    assert known.refuses(ANNA, None, None)
    assert not known.refuses(BEN, None, None)


def test_a_token_by_its_id_and_no_other_of_its_user() -> None:
    known = RevocationList()
    known.add("a", 100)
    assert known.refuses(ANNA, 500, "a")
    assert not known.refuses(ANNA, 50, "b")
    assert not known.refuses(ANNA, 50, None)


def test_a_users_id_is_no_tokens_id() -> None:
    known = RevocationList()
    known.add(str(ANNA), 100)
    assert not known.refuses(ANNA, 50, None)
    known.add(BEN, 100)
    assert not known.refuses(ANNA, 50, str(BEN))


def test_the_newest_time_of_a_user_holds_in_whatever_order() -> None:
    known = RevocationList()
    assert [known.add(ANNA, at) for at in (100, 300, 200, 300)] == [True, True, False, False]
    assert known.refuses(ANNA, 300, None)
    assert len(known) == 1


def test_what_is_too_old_to_matter_is_forgotten() -> None:
    known = RevocationList()
    known.add(ANNA, 100)
    known.add("a", 101)
    assert known.forget(101) == 0
    assert dict(known.items()) == {"a": 101}
    known.add("late", 50)
    known.forget(101)
    assert dict(known.items()) == {"a": 101}


def test_beyond_the_bound_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocation, "MOST", 2)
    known = RevocationList()
    for subject, at in (("a", 5), ("b", 3), ("c", 4)):
        known.add(subject, at)
    assert known.forget(0) == 1
    assert dict(known.items()) == {"a": 5, "c": 4}


@pytest.mark.parametrize("subject", [ANNA, "a", "user:a", "token:ü"])
def test_names_in_redis(subject: UUID | str) -> None:
    assert subject_of(name_of(subject).encode()) == subject


@pytest.mark.parametrize("name", [b"", b"user:anna", b"\xff", b"else:1"])
def test_foreign_names_in_redis(name: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whichever
        subject_of(name)


# ---------------------------------------------------------------- what is published


def test_a_message_names_a_user_or_a_token() -> None:
    assert REVOKE.decode(f'{{"userId":"{ANNA}","later":1}}').user_id == ANNA
    assert REVOKE.decode('{"tokenId":"a"}').token_id == "a"
    moment = REVOKE.decode(f'{{"userId":"{ANNA}","revokedAt":"2026-01-01T00:00:00.000Z"}}')
    assert moment.revoked_at is not None
    assert moment.revoked_at.timestamp() == 1_767_225_600


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{}",
        "[]",
        f'{{"userId":"{ANNA}","tokenId":"a"}}',
        '{"userId":"anna"}',
        '{"tokenId":""}',
        f'{{"tokenId":"{"x" * 256}"}}',
        '{"tokenId":5}',
        f'{{"userId":"{ANNA}","revokedAt":"2026-01-01T00:00:00"}}',
        f'{{"userId":"{ANNA}","revokedAt":"soon"}}',
    ],
)
def test_what_is_no_message(body: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        REVOKE.decode(body)


# ---------------------------------------------------------------- tokens


def token(**claims: object) -> str:
    return jwt.encode({"sub": str(ANNA), "exp": 2_000, **claims}, SECRET, "HS256")


def error_of(verifier: Verifier, bad: str, now: float = 1_500) -> str:
    with pytest.raises(InvalidToken) as refused:
        verifier.verify(bad, now)
    return refused.value.error


def test_revoked_tokens_are_refused() -> None:
    verifier = Verifier(Secret(SECRET), ("HS256",))
    old = verifier.verify(token(iat=1_000, jti="a"), now=1_500)
    assert (old.issued_at, old.token_id) == (1_000, "a")
    assert not verifier.is_revoked(old)
    verifier.revoked.add(ANNA, 1_200)
    assert verifier.is_revoked(old)
    assert error_of(verifier, token(iat=1_200.9)) == "TOKEN_REVOKED"
    assert error_of(verifier, token()) == "TOKEN_REVOKED"
    assert verifier.verify(token(iat=1_201), now=1_500).user_id == ANNA
    verifier.revoked.add("b", 1_500)
    assert error_of(verifier, token(iat=1_300, jti="b")) == "TOKEN_REVOKED"


@pytest.mark.parametrize("claims", [{"iat": "soon"}, {"iat": float("nan")}, {"jti": 5}])
def test_what_could_escape_a_revocation_is_no_token(claims: dict[str, object]) -> None:
    assert error_of(Verifier(Secret(SECRET), ("HS256",)), token(**claims)) == "TOKEN_INVALID"


def test_what_outlasts_the_memory_of_revocations_is_refused() -> None:
    verifier = Verifier(Secret(SECRET), ("HS256",), leeway_s=5, max_age_s=100)
    assert verifier.verify(token(iat=1_900), now=1_950).user_id == ANNA
    assert error_of(verifier, token(iat=1_899), now=1_950) == "TOKEN_INVALID"
    assert verifier.verify(token(), now=1_895).user_id == ANNA
    assert error_of(verifier, token(), now=1_894) == "TOKEN_INVALID"


def test_nobody_is_let_in_before_it_is_known_what_was_revoked() -> None:
    verifier = Verifier(Secret(SECRET), ("HS256",), revoked=RevocationList(is_known=False))
    with pytest.raises(Undecided):
        verifier.verify(token(), now=1_500)
    assert error_of(verifier, token(), now=2_000) == "TOKEN_EXPIRED"
    verifier.revoked.is_known = True
    assert verifier.verify(token(), now=1_500).user_id == ANNA


def test_a_check_costs_next_to_nothing() -> None:
    """As a gateway does it for each of its connections, when something was revoked."""
    known = RevocationList()
    for number in range(1_000):
        known.add(UUID(int=number), 1)
    users = [uuid4() for _ in range(10_000)]
    began = time.perf_counter()
    assert not any(known.refuses(user, 5, "a") for user in users)
    assert time.perf_counter() - began < 1, "4 ms, as measured"


# ---------------------------------------------------------------- cut off from RabbitMQ


class Redis:
    """`RevocationKeys` without entries, whose first answer comes late."""

    def __init__(self, known: RevocationList) -> None:
        self._known = known
        self.asked, self.answers = asyncio.Event(), asyncio.Event()
        self.were_known: list[bool] = []
        """At each reading of all, whether nothing was missing."""

    async def write(self, _entries: object) -> None: ...

    async def count(self) -> tuple[int, int]:
        return 0, 0

    async def read(self) -> dict[Subject, int]:
        self.were_known.append(self._known.is_known)
        self.asked.set()
        await self.answers.wait()
        return {}


class Deaf:
    """A `Channel` by which nothing comes."""

    async def declare(self, _queue: object) -> None: ...
    async def consume(self, *_: object, **__: object) -> None: ...


async def test_what_was_read_before_it_could_hear_the_rest_is_read_again() -> None:
    known = RevocationList(is_known=False)
    redis = Redis(known)
    revocations = Revocations(known, cast(RevocationKeys, redis), lambda: None)
    running = asyncio.create_task(revocations.run())
    try:
        async with asyncio.timeout(5):
            await redis.asked.wait()
            await revocations.listen(cast(Channel, Deaf()), "gateway-1")
            redis.answers.set()
            while not known.is_known:  # noqa: ASYNC110 - it is no event
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
    assert redis.were_known == [False, False]
