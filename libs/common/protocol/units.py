"""Units of what travels between the roles and to the clients."""

from typing import Annotated, Final

from msgspec import Meta

Moment = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]
"""Milliseconds since 1970 UTC, up to the year 9999, the last that RFC 3339 can write."""

Seq = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""A number in a log that somebody names; 0 is before the first. PostgreSQL's bigint."""

_RFC_3339: Final = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"
Timestamp = Annotated[str, Meta(extra_json_schema={"format": "date-time", "pattern": _RFC_3339})]
"""RFC 3339, UTC, with milliseconds: 2025-01-31T12:00:00.000Z. Said to clients in the contracts, and
nothing that decoding would check: it is only ever written."""
