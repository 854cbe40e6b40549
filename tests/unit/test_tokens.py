"""Who is calling."""

from uuid import uuid4

import jwt
import pytest

from libs.common.tokens import InvalidToken, verify

SECRET = "0123456789abcdef" * 4
USER = uuid4()
CLAIMS = {"sub": str(USER), "exp": 2_000}


def token(key: str | None = SECRET, algorithm: str | None = "HS256", **claims: object) -> str:
    payload = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    return jwt.encode(payload, key, algorithm=algorithm)


def test_a_user_and_a_service() -> None:
    caller = verify(token(), SECRET, now=1_999)
    assert (caller.user_id, caller.expires_at, caller.is_service) == (USER, 2_000, False)
    assert verify(token(scope="service"), SECRET, now=0).is_service


def test_it_ends_when_it_says() -> None:
    with pytest.raises(InvalidToken) as refused:
        verify(token(), SECRET, now=2_000)
    assert refused.value.error == "TOKEN_EXPIRED"


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "a.b.c",
        token(key="x" * 64),
        token(key=None, algorithm="none"),
        token(algorithm="HS512"),
        token(sub=None),
        token(exp=None),
        token(sub="anna"),
        token(exp="soon"),
        token(exp=float("inf")),
        token()[:-2],
    ],
)
def test_what_is_no_token(bad: str) -> None:
    with pytest.raises(InvalidToken) as refused:
        verify(bad, SECRET, now=0)
    assert refused.value.error == "TOKEN_INVALID"
