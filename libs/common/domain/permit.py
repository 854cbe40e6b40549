"""What a rate limit says of one try. Pure; the limits themselves are in `libs.common.limits`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Permit:
    """What the limit says of one try."""

    granted_at: int | None
    """Milliseconds since 1970 by Redis' clock; None when refused."""
    retry_after_ms: int = 0
