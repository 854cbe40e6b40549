"""What the router reads from its environment."""

from pydantic import Field

from libs.common.config import RoleSettings


class RouterSettings(RoleSettings):
    """CHAT_DATABASE_URL and so on, besides what every role has."""

    database_url: str = Field(pattern="^postgres(ql)?://")
    """Read only, on a cache miss."""
    messages_per_second: int = Field(10, ge=1)
    """Of one user, in any second, over all gateways; more get RATE_LIMITED."""
    router_prefetch: int = Field(500, ge=1)
    """AMQP messages of one partition that may be here: in a batch, or waiting for PostgreSQL."""
    router_pacing_ms: float = Field(2.0, ge=0)
    """The least time from the start of one batch of a partition to the next one's."""
    router_conversations: int = Field(2_000, ge=100)
    """Conversations that one partition keeps in memory: 150 KiB each when long, 2 when new."""
