"""What has waited too long: one look at every connection, instead of a timer for each."""

from typing import Final

from libs.common.protocol.closes import Close
from services.ws_gateway.arrival import Arrival
from services.ws_gateway.connection import Connection
from services.ws_gateway.session import Phase

SWEEP_S: Final = 0.5
HANDSHAKE_WITHIN_S: Final = 5.0
CONNECT_WITHIN_S: Final = 5.0
REPEAT_OPEN_AFTER_S: Final = 5.0
"""A signal may be lost; twice opened is once opened."""
OPEN_WITHIN_S: Final = 15.0
"""Then the client should try elsewhere: 4500."""
REFRESH_WITHIN_S: Final = 1.0
"""From when we read it: who was not read for a while may have sent REFRESH_TOKEN long ago."""
CLOSE_WITHIN_S: Final = 5.0
"""What a client has to answer our close; then the connection is cut."""


def check_arrival(arrival: Arrival, now: float) -> None:
    """Cuts whom we wait for in vain: for the request, or to leave. `now` by the loop's clock."""
    within_s = CLOSE_WITHIN_S if arrival.ended else HANDSHAKE_WITHIN_S
    if now - arrival.since > within_s:
        arrival.abort()


def check(
    connection: Connection, now: float, wall: float, *, heartbeat_s: float, pong_s: float
) -> None:
    """Ends or pings what has waited too long.

    `now` is by the loop's clock, `wall` since 1970, both in seconds.
    """
    waited = now - connection.since
    if connection.ended:
        if waited > CLOSE_WITHIN_S:
            connection.abort()
    elif connection.session.has_expired(wall) and now - connection.read_since > REFRESH_WITHIN_S:
        connection.perform(connection.session.turn_away("TOKEN_EXPIRED"))
    else:
        match connection.session.phase:
            case Phase.AWAITING_TOKEN:
                _check_token(connection, now)
            case Phase.OPENING:
                _check_opening(connection, now)
            case Phase.OPEN:
                _check_heart(connection, now, heartbeat_s, pong_s)


def _check_token(connection: Connection, now: float) -> None:
    if now - connection.since > CONNECT_WITHIN_S:
        connection.perform(connection.session.turn_away("UNAUTHENTICATED"))


def _check_opening(connection: Connection, now: float) -> None:
    if now - connection.since > OPEN_WITHIN_S:
        connection.end(Close.ON_US, "could not open the session")
    elif connection.asked_at is not None and now - connection.asked_at > REPEAT_OPEN_AFTER_S:
        connection.home.ask(connection)


def _check_heart(connection: Connection, now: float, heartbeat_s: float, pong_s: float) -> None:
    session = connection.session
    if session.awaits_pong:
        if now - connection.pinged_at > pong_s:
            connection.end_slow("pong", "no pong")
    elif now - connection.heard_at > heartbeat_s:
        connection.perform(session.heartbeat())
