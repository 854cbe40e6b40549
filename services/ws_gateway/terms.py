"""What all sessions of one incarnation of a gateway share. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from libs.common.tokens import Verifier
from services.ws_gateway.allowance import Rates
from services.ws_gateway.backlog import Backlog


@dataclass(frozen=True, slots=True)
class Terms:
    """By the settings, but for the gateway's id and backlog, which are new in each incarnation."""

    gateway_id: str
    tokens: Verifier
    heartbeat_seconds: int
    max_in_flight: int
    rates: Rates
    new_id: Callable[[], UUID]
    """Version 7: a message's id is its first try's."""
    backlog: Backlog
