"""Settings from `CHAT_*` environment variables, read once, typed (DESIGN.md, section 8)."""

import sys
from socket import gethostname
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class RoleSettings(BaseSettings):
    """What every role knows. A field `x_y` is the variable CHAT_X_Y."""

    model_config = SettingsConfigDict(env_prefix="CHAT_", extra="ignore", frozen=True)

    env: Literal["development", "production"] = "production"
    instance: str = Field(default_factory=gethostname, min_length=1)
    """This replica's name in logs and in the list of members; unique within its role."""
    amqp_url: str = Field(pattern="^amqps?://")
    redis_url: str = Field(pattern=r"^((rediss?|unix)://|redis\+sentinel://[^/]+/[^/]+)")
    partitions: int = Field(4, ge=1, le=256)
    """Fixed for a deployment; the same for all roles."""
    listen_host: str = "127.0.0.1"
    admin_port: int = Field(9090, ge=1, le=65535)
    """/livez, /readyz, /metrics and /trace."""
    trace_mib: int = Field(8, ge=0)
    """Memory for the AMQP messages that have passed lately, which /trace looks through."""
    otlp_endpoint: str | None = Field(None, pattern="^https?://.*[^/]$")
    """Base URL of an OpenTelemetry collector (OTLP over HTTP). None: nothing is traced."""
    trace_sampling: float = Field(0.01, ge=0, le=1)
    """Which part of the messages is traced; the same for all roles."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"


JwtSecret = Annotated[str, Field(min_length=32)]
"""HS256 wants a key of at least 32 bytes (RFC 7518, section 3.2)."""

Settings = TypeVar("Settings", bound=BaseSettings)


def load(settings: type[Settings]) -> Settings:
    """The settings, or exit code 78 (EX_CONFIG) with a line for every wrong or missing one."""
    try:
        return settings()
    except ValidationError as error:
        lines = ["This role can't start: these environment variables are wrong or missing."]
        for problem in error.errors():
            name = "CHAT_" + "_".join(str(part) for part in problem["loc"]).upper()
            lines.append(f"  {name}: {problem['msg']}")
        sys.stderr.write("\n".join(lines) + "\n")
        raise SystemExit(78) from None
