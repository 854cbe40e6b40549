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
    """Counts, of all connections of a gateway."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._strangers = 0
        self._inside = 0
        """Past the handshake."""
        self._networks: dict[str, int] = {}
        """Of those inside, by `client_network`."""
        self._connects: Allowance[str] = Allowance()
        self._forgot_at = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether all have left."""
        return not (self._strangers or self._inside or self._networks)

    def arrive(self) -> "Place | None":
        """A connection, before its first byte. None: there is no place, it has to go."""
        if self._strangers >= self._limits.strangers:
            return None
        self._strangers += 1
        return Place(self)

    def refusal(self, network: str | None, now: float) -> str | None:
        """What speaks against one more inside, by a constant of `protocol.errors`.

        It counts as a try of the network.
        """
        if self._inside >= self._limits.connections:
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

    def _count_stranger(self, change: int) -> None:
        self._strangers += change

    def _count_inside(self, network: str | None, change: int) -> None:
        self._inside += change
        if network is None:
            return
        self._networks[network] = self._networks.get(network, 0) + change
        if not self._networks[network]:
            del self._networks[network]


class Place:
    """One connection's, from its arrival on. It has to `leave`, once."""

    __slots__ = ("_admission", "_is_inside", "_is_stranger", "_network")

    def __init__(self, admission: Admission) -> None:
        """Use `Admission.arrive`."""
        self._admission = admission
        self._is_stranger = True
        self._is_inside = False
        self._network: str | None = None

    def enter(self, network: str | None) -> None:
        """The handshake is done."""
        self._is_inside, self._network = True, network
        self._admission._count_inside(network, +1)

    def show_token(self) -> None:
        """A good one: it is no stranger any more."""
        if self._is_stranger:
            self._is_stranger = False
            self._admission._count_stranger(-1)

    def leave(self) -> None:
        """The connection has ended."""
        self.show_token()
        if self._is_inside:
            self._admission._count_inside(self._network, -1)
