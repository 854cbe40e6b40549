"""What this program reads from its environment."""

from pydantic import Field

from libs.common.config import RoleSettings


class PrivacySettings(RoleSettings):
    """The servers' addresses, with logins of its own (decision 0038)."""

    database_url: str = Field(pattern="^postgres(ql)?://")
    """Read only."""
    retention_days: int | None = Field(None, ge=1)
    """For so long a message keeps its content. None: for ever."""
