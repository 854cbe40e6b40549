"""How many connections this gateway takes, of whom, from where. Pure.

`now` in seconds of any clock that only rises.
"""

from dataclasses import dataclass

from services.ws_gateway.allowance import FULL_S, Allowance


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one gateway."""

    connections: int
    """Past the handshake."""
    strangers: int
    """That have not said who they are."""
    of_network: int
    of_network_per_second: int


class Admission:
    """Counts. Each connection `arrives`, and when it was let in `leaves` again."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held = 0
        self._strangers = 0
        self._networks: dict[str, int] = {}
        """Connections past the handshake, by `client_network`."""
        self._connects: Allowance[str] = Allowance()
        self._forgot_at = 0.0

    def arrives(self) -> bool:
        """A connection, before its first byte. False: it has to go, and is not counted."""
        if self._strangers >= self._limits.strangers:
            return False
        self._strangers += 1
        return True

    def refusal(self, network: str | None, now: float) -> str | None:
        """What speaks against one more, by a constant of `protocol.errors`. Counts as a try."""
        if self._held >= self._limits.connections:
            return "GATEWAY_FULL"
        if network is None:
            return None
        if now - self._forgot_at > FULL_S:
            self._forgot_at = now
            self._connects.forget(now)
        if self._connects.take(network, self._limits.of_network_per_second, now):
            return "TOO_MANY_FROM_ADDRESS"
        if self._networks.get(network, 0) >= self._limits.of_network:
            return "TOO_MANY_FROM_ADDRESS"
        return None

    def enters(self, network: str | None) -> None:
        """Its handshake is done."""
        self._held += 1
        if network is not None:
            self._networks[network] = self._networks.get(network, 0) + 1

    def introduces_itself(self) -> None:
        """It is no stranger any more."""
        self._strangers -= 1

    def leaves(self, network: str | None, *, has_entered: bool, is_stranger: bool) -> None:
        """The end of one that arrived."""
        self._strangers -= is_stranger
        self._held -= has_entered
        if network is None or not has_entered:
            return
        left = self._networks[network] - 1
        if left:
            self._networks[network] = left
        else:
            del self._networks[network]
