"""What the REST API reads from its environment."""

from pydantic import Field

from libs.common.config import TokenSettings


class RestSettings(TokenSettings):
    """One instance: one process."""

    listen_port: int = Field(8083, ge=1, le=65535)
    database_url: str = Field(pattern="^postgres(ql)?://")
    """Read only."""
    rest_workers: int = Field(1, ge=1, le=64)
    """Processes of one instance, each with all that follows. More instances do the same and are
    scaled and watched one by one; workers share one address, one pod and the metrics."""
    rest_threads: int = Field(32, ge=1, le=512)
    """Calls answered at once. Most threads wait: for a barrier, up to one flush of the persister
    (100 ms)."""
    rest_database_connections: int = Field(8, ge=1, le=128)
    """None is held while a call waits for anything but PostgreSQL. Half of them are for searches;
    one more asks whether PostgreSQL is there."""
    rest_deadline_s: float = Field(5.0, gt=0, le=60)
    """How long a command or barrier may take before the caller gets 503."""
    calls_per_second: int = Field(50, ge=1)
    """Of one user, over all instances; more get 429."""
    rest_drain_s: int = Field(30, ge=1)
    """How long calls that are under way at SIGTERM may take."""
