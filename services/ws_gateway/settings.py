"""What the gateway reads from its environment."""

from pydantic import Field, field_validator

from libs.common.config import TokenSettings
from services.ws_gateway.client_address import Network, networks


class GatewaySettings(TokenSettings):
    """CHAT_LISTEN_PORT and so on, besides what every role has and whose tokens count."""

    listen_port: int = Field(8083, ge=1, le=65535)
    gateway_pacing_ms: float = Field(2.0, ge=0)
    """The least time from one AMQP message to the next of the same partition."""
    receipt_patience_ms: float = Field(100.0, ge=0)
    """How long a DELIVERED may wait for others: each costs as much as a message otherwise."""
    heartbeat_seconds: int = Field(30, ge=1)
    """A connection that was silent for so long is pinged."""
    pong_seconds: int = Field(20, ge=1)
    """Within which a ping must be answered; then it is closed with 4408."""
    max_in_flight: int = Field(1_000, ge=1)
    """Unanswered frames of one session; more get TOO_MANY_IN_FLIGHT."""
    backlog: int = Field(500, ge=1)
    """Unanswered frames of one partition, of all sessions of this gateway; more get OVERLOADED."""
    typing_per_second: int = Field(10, ge=1)
    """TYPING_START and TYPING_STOP together, of one session; more get RATE_LIMITED."""
    syncs_per_second: int = Field(20, ge=1)
    reads_per_second: int = Field(20, ge=1)
    frames_per_second: int = Field(50, ge=1)
    """Those of one session that nothing else limits, such as PING; more get RATE_LIMITED. Ten times
    as many that are refused, or WebSocket pings, close with 4429."""
    connects_per_minute: int = Field(60, ge=1)
    """Sessions that one user may begin in any minute, over all gateways; more close with 4429."""
    sessions_per_user: int = Field(20, ge=1)
    """Over all gateways; the next one closes with 4429."""
    trusted_proxies: str = ""
    """Networks of the proxies whose X-Forwarded-For is believed, separated by commas."""
    connections_per_ip: int = Field(1_000, ge=1)
    """On this gateway, of one public IPv4 address or IPv6 /64; the next one gets 429."""
    connects_per_ip_per_second: int = Field(100, ge=1)
    """On this gateway, good or bad; as many may come at once. More get 429."""
    max_connections: int = Field(50_000, ge=1)
    """The next one gets 503."""
    max_unauthenticated: int = Field(4_096, ge=1)
    """Connections that have not yet shown a good token; the next one is cut off."""
    max_buffered_bytes: int = Field(1 << 20, ge=1 << 16)
    """What may wait to be sent to one client; a slower reader is closed with 4408."""
    reconnects_per_second: int = Field(200, ge=10)
    """Clients of this gateway that are sent to another in any second: by a drain, or by age."""
    reconnect_spread_ms: int = Field(5_000, ge=1)
    """Without a broker all are closed at once, and come back over so long."""
    drain_s: float = Field(60.0, gt=0)
    """After SIGTERM every client has left by then, at a higher rate if it must be. The process
    ends up to 5 s later."""
    max_connection_age_s: float = Field(3_600.0, ge=0)
    """A connection lasts half to the whole of this, so that new gateways fill. 0: for ever."""

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, text: str) -> str:
        networks(text)
        return text

    @property
    def proxies(self) -> tuple[Network, ...]:
        """`trusted_proxies`, one by one."""
        return networks(self.trusted_proxies)
