"""The opening handshake, answered: 101 and a session, or a refusal that says why."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from libs.common.metrics import CONNECTS, REFUSED
from libs.common.tokens import Caller
from services.ws_gateway.entrance import Admit
from services.ws_gateway.handshake import (
    SUBPROTOCOL,
    HandshakeRefused,
    authenticate,
    check_path,
)
from services.ws_gateway.session import Session
from services.ws_gateway.terms import Terms

MAX_MESSAGE_BYTES: Final = 64 << 10
"""Of a message, in whatever number of frames."""


class ChatProtocol(ServerProtocol):
    """Echoes `chat.v1` only: a token among the subprotocols must not travel back."""

    def select_subprotocol(self, subprotocols: Sequence[Subprotocol]) -> Subprotocol | None:
        return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in subprotocols else None


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send; with a session when it is 101."""

    response: Response
    session: Session | None = None
    caller: Caller | None = None
    """Who it is, when the request says it."""
    network: str | None = None
    """Where it comes from, for `Admission`."""


def upgrade(
    protocol: ServerProtocol,
    request: Request,
    admit: Admit,
    terms: Terms | None,
    now: float,
) -> Answer:
    """`terms` is None while no session can be served; `now` in seconds since 1970."""
    try:
        check_path(request.path)
        response = protocol.accept(request)
        if response.status_code != 101:
            return Answer(response)
        network = admit(request.headers)
        if terms is None:
            raise HandshakeRefused("UNAVAILABLE")
        caller = _caller(request, terms, now)
        return Answer(response, Session(terms.new_id(), terms), caller, network)
    except HandshakeRefused as refused:
        return refuse(protocol, refused)


def refuse(protocol: ServerProtocol, refused: HandshakeRefused) -> Answer:
    """Counted, and answered with the reason."""
    REFUSED.labels(refused.error).inc()
    if refused.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        CONNECTS.labels("undecided" if refused.is_undecided else "failed").inc()
    return Answer(_refusal(protocol, refused))


def _caller(request: Request, terms: Terms, now: float) -> Caller | None:
    offered = request.headers.get_all("Sec-WebSocket-Protocol")
    return authenticate(
        request.headers.get_all("Authorization"),
        [name.strip() for value in offered for name in value.split(",")],
        terms.tokens,
        now,
    )


def _refusal(protocol: ServerProtocol, refused: HandshakeRefused) -> Response:
    response = protocol.reject(refused.status, refused.body())
    for name, value in refused.headers().items():
        if name in response.headers:
            del response.headers[name]
        response.headers[name] = value
    return response
