"""Who works here: the roles, and others with privileges of their own at the servers."""

from typing import Final

GATEWAY: Final = "gateway"
ROUTER: Final = "router"
PERSISTER: Final = "persister"
REST: Final = "rest"
PRIVACY: Final = "privacy"
"""Exports, erases and forgets, at an operator's word: `python -m privacy`."""
MATCH_SERVICE: Final = "match_service"
"""Not ours; it tells us of matches."""
ISSUER: Final = "issuer"
"""Not ours; it issues tokens and tells us which count no more."""


def login_of(role: str) -> str:
    """Its user at PostgreSQL, RabbitMQ and Redis."""
    return f"chat_{role}"
