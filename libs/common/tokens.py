"""Who is calling: JSON Web Tokens, by the rules of RFC 8725.

The algorithms are the deployment's choice, never the token's. A secret (HMAC) and public keys are
never trusted at the same time, so a public key can't be used as a secret. Where a token says that
its key is found (`jku`, `x5u`, `jwk`, `x5c`) is not looked at: such a token is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from uuid import UUID

import jwt

from libs.common.domain.revocation import RevocationList

_OPTIONS: Final[Any] = {
    "require": ["sub", "exp"],
    "verify_exp": False,  # by `now`, below
    "verify_nbf": False,
    "verify_iat": False,
    "enforce_minimum_key_length": True,
}
_ELSEWHERE: Final = ("jku", "x5u", "jwk", "x5c", "crit")
"""Header parameters that name a key, or an extension that must be understood: we know none."""
_TYPES: Final = ("jwt", "at+jwt")
"""An access token (RFC 9068) or none in particular; never an ID token or a logout token."""


class InvalidToken(Exception):
    """`error` is TOKEN_INVALID, TOKEN_EXPIRED or TOKEN_REVOKED, of `protocol.errors`."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


class Undecided(Exception):
    """Nobody can say yet.

    The issuer is asked for this key, or Redis for what was revoked; or it was issued in our future.
    """


class KeyPending(Undecided):
    """The issuer, who answers, is asked for a key that is new to us, or made up by a stranger.

    So it isn't held against us: strangers could page the operators.
    """


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified token's subject."""

    user_id: UUID
    expires_at: int
    """Seconds since 1970 UTC."""
    is_service: bool
    """`scope` has the word `service`: one of our own services, not a user."""
    issued_at: int | None = None
    """Seconds since 1970 UTC, where the token says it."""
    token_id: str | None = None
    """Its `jti`, if it has one."""


class Keys(Protocol):
    """What signatures are checked with."""

    @property
    def are_known(self) -> bool:
        """False: nobody can be let in yet."""

    def find(self, key_id: str | None, algorithm: str) -> "jwt.PyJWK | str | None":
        """The key with this `kid` for this algorithm. Raises Undecided. Never waits."""

    def start(self) -> None:
        """From now on the keys are kept up to date. After the fork, where there is one."""

    def stop(self) -> None: ...


class Secret:
    """One secret for HMAC, whatever `kid` a token has."""

    are_known = True

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def find(self, _key_id: str | None, _algorithm: str) -> str:
        return self._secret

    def start(self) -> None:
        """There is nothing to fetch."""

    def stop(self) -> None:
        """Nothing runs."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """What this deployment demands of a token."""

    keys: Keys
    algorithms: Sequence[str]
    issuer: str | None = None
    """None: whoever has the key."""
    audience: str | None = None
    """None: a token with `aud` is for somebody else all the same (RFC 7519, section 4.1.3)."""
    leeway_s: int = 0
    """By so much the issuer's clock may differ from ours."""
    max_age_s: int = 86_400
    """From `iat`, or without one from now, to `exp`. What lasts longer is refused: revocations are
    remembered for so long."""
    revoked: RevocationList = field(default_factory=RevocationList)

    def verify(self, token: str, now: float) -> Caller:
        """The caller, by a token that is valid at `now` (seconds since 1970).

        `expires_at` has the leeway in it. Raises InvalidToken, Undecided.
        """
        try:
            claims = self._claims(token)
            user_id = UUID(claims["sub"])
            expires_at = int(claims["exp"])
            issued_at = int(claims["iat"]) if "iat" in claims else None
            begins_at = int(claims.get("nbf", 0)) - self.leeway_s
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, OverflowError):
            raise InvalidToken("TOKEN_INVALID") from None
        lasts_s = expires_at - (now + self.leeway_s if issued_at is None else issued_at)
        if now < begins_at or lasts_s > self.max_age_s:
            raise InvalidToken("TOKEN_INVALID")
        ends_at = expires_at + self.leeway_s
        if now >= ends_at:
            raise InvalidToken("TOKEN_EXPIRED")
        is_service = "service" in _words(claims.get("scope"))
        caller = Caller(user_id, ends_at, is_service, issued_at, claims.get("jti"))
        # Issued in the future: it would look newer than a revocation that must cover it. But the
        # issuer has signed it, so one of two clocks is wrong, and elsewhere or later it is good.
        if not self.revoked.is_known or now < (issued_at or 0) - self.leeway_s:
            raise Undecided
        if self.is_revoked(caller):
            raise InvalidToken("TOKEN_REVOKED")
        return caller

    def is_revoked(self, caller: Caller) -> bool:
        """Whether it is so by now: a session outlives the check of its token."""
        return self.revoked.refuses(caller.user_id, caller.issued_at, caller.token_id)

    def _claims(self, token: str) -> dict[str, Any]:
        """Of a token with a good signature. Raises PyJWTError, ValueError, Undecided."""
        header = jwt.get_unverified_header(token)
        algorithm, kind = str(header.get("alg")), header.get("typ", "jwt")
        if algorithm not in self.algorithms or any(name in header for name in _ELSEWHERE):
            raise jwt.InvalidTokenError
        if str(kind).lower().removeprefix("application/") not in _TYPES:
            raise jwt.InvalidTokenError
        key = self.keys.find(header.get("kid"), algorithm)
        if key is None:
            raise jwt.InvalidTokenError
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=self.issuer,
            audience=self.audience,
            options=_OPTIONS,
        )
        return claims


def _words(scope: object) -> list[str]:
    """RFC 8693, section 4.2: words with a space between."""
    return scope.split(" ") if isinstance(scope, str) else []
