"""Units of what travels between the roles and to the clients."""

from typing import Annotated

from msgspec import Meta

Moment = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]
"""Milliseconds since 1970 UTC, up to the year 9999, the last that RFC 3339 can write."""

Seq = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""A number in a log that somebody names; 0 is before the first. PostgreSQL's bigint."""
