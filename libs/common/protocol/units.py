"""Units of what travels between the roles."""

from typing import Annotated

from msgspec import Meta

Moment = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]
"""Milliseconds since 1970 UTC, up to the year 9999, the last that RFC 3339 can write."""
