"""The opening handshake: what a request's headers say about who is calling (DESIGN.md, 4)."""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Final

import msgspec

from libs.common.protocol.errors import REFUSALS
from libs.common.tokens import Caller, InvalidToken, KeyPending, Undecided, Verifier

PATH: Final = "/api/chat/ws"
SUBPROTOCOL: Final = "chat.v1"
RETRY_AFTER_S: Final = 2
_COME_BACK: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_BEARER: Final = "bearer."
_ANY_ORIGIN: Final = "*"


class HandshakeRefused(Exception):
    """The HTTP response instead of 101; `error` is a constant of `protocol.errors`."""

    def __init__(self, error: str, *, is_undecided: bool = False) -> None:
        """`is_undecided`: 503, but not on us (`tokens.KeyPending`)."""
        super().__init__(error)
        self.error = error
        self.is_undecided = is_undecided
        self.status = HTTPStatus(REFUSALS[error].code)

    def headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/problem+json"}
        if self.status is HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        if self.status in _COME_BACK:
            headers["Retry-After"] = str(RETRY_AFTER_S)
        return headers

    def body(self) -> str:
        """RFC 9457."""
        problem = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "code": self.error,
            "detail": REFUSALS[self.error].message,
        }
        return msgspec.json.encode(problem).decode()


def check_path(target: str) -> None:
    """Raises HandshakeRefused with 404. The query is not looked at: it never holds a token."""
    if target.partition("?")[0] != PATH:
        raise HandshakeRefused("NOT_FOUND")


def check_origin(origins: Sequence[str], hosts: Sequence[str], allowed: Sequence[str]) -> None:
    """Raises HandshakeRefused with 403, unless the web page that connects may.

    That is one of this very host, or of an allowed origin. Without the header it is no browser;
    what a browser hides (`null`) is nobody's. `origins`, `hosts`: all values of the headers.
    """
    if not origins or _ANY_ORIGIN in allowed:
        return
    origin = origins[0].lower()
    scheme, _, authority = origin.partition("://")
    is_web = scheme in ("http", "https") and authority != ""
    is_own = is_web and [authority] == [host.lower() for host in hosts]
    if len(origins) > 1 or not (is_own or origin in allowed):
        raise HandshakeRefused("ORIGIN_NOT_ALLOWED")


def authenticate(
    authorization: Sequence[str], subprotocols: Iterable[str], verifier: Verifier, now: float
) -> Caller | None:
    """Who is calling; None when the request says nothing: then CONNECT has to.

    `authorization` and `subprotocols` are all values of the headers. The header goes first.
    `now` is in seconds since 1970. Raises HandshakeRefused with 401, or with 503 while the
    issuer is being asked for its keys.
    """
    offered = [name[len(_BEARER) :] for name in subprotocols if name.startswith(_BEARER)]
    tokens = [_bearer(value) for value in authorization] or offered
    if not tokens:
        return None
    if len(tokens) > 1:
        raise HandshakeRefused("TOKEN_INVALID")
    try:
        return verifier.verify(tokens[0], now)
    except InvalidToken as invalid:
        raise HandshakeRefused(invalid.error) from None
    except Undecided as undecided:
        is_undecided = isinstance(undecided, KeyPending)
        raise HandshakeRefused("UNAVAILABLE", is_undecided=is_undecided) from None


def _bearer(value: str) -> str:
    """The token of an Authorization header; "", which is no valid token, of another scheme."""
    scheme, _, token = value.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
