"""What the persister is told from outside: CHAT_* environment variables."""

from pydantic import Field

from libs.common.config import RoleSettings


class PersisterSettings(RoleSettings):
    """One replica's."""

    database_url: str = Field(pattern="^postgres(ql)?://")
    flush_ms: int = Field(100, ge=1, le=10_000)
    """The longest that a write waits for others to share its transaction."""
    flush_items: int = Field(2_000, ge=1, le=10_000)
    """Writes that are flushed before that; beyond 10,000 unnest() gains nothing."""
    prefetch: int = Field(200, ge=1, le=10_000)
    """AMQP messages held of each partition: what bounds memory while PostgreSQL is away. A router
    that paces at 2 ms sends 50 in one flush interval; 200 keep it busy while one is stored."""
