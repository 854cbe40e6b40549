"""What a gateway asks of a handshake before it looks who is calling. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.ws_gateway.admission import Admission
from services.ws_gateway.client_address import Network, client_network
from services.ws_gateway.handshake import HandshakeRefused, check_origin


class Headers(Protocol):
    """Of a request."""

    def get_all(self, key: str) -> list[str]:
        """All values, in order."""


Admit = Callable[[Headers], str | None]
"""`Entrance.check` of one connection."""


@dataclass(frozen=True, slots=True)
class Entrance:
    """By the settings, and by who is here."""

    origins: Sequence[str]
    """Of web pages that may connect besides those of the host itself."""
    proxies: Sequence[Network]
    admission: Admission

    def check(self, peer: str | None, now: float, headers: Headers) -> str | None:
        """`peer`: TCP's address of the other end; `now` in seconds of any clock.

        The `client_network` of a connection that may go on. Raises HandshakeRefused.
        """
        check_origin(headers.get_all("Origin"), headers.get_all("Host"), self.origins)
        network = client_network(peer, headers.get_all("X-Forwarded-For"), self.proxies)
        if error := self.admission.refusal(network, now):
            raise HandshakeRefused(error)
        return network
