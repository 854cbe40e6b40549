"""The rules of chat: an event and the state it meets → what shall happen. Pure.

A rule first decides whether it refuses, then changes the state, so that a rule which raises has
changed nothing. What it decides becomes known only after the writes are confirmed (promises 1
and 2); if that fails the changed state is thrown away with the partition.

An event may come again after a crash, when nobody knows whether its effect was told: then its
entry is found as decided (by the message's id, by the very moment) and told again under its
number. Gateways drop what they have written.
"""

from services.router.rules.conversations import ImpossibleMatch, archive, create, remove_match
from services.router.rules.deleting import delete
from services.router.rules.receipts import delivered, mark_read
from services.router.rules.sending import needs_permit, send

__all__ = [
    "ImpossibleMatch",
    "archive",
    "create",
    "delete",
    "delivered",
    "mark_read",
    "needs_permit",
    "remove_match",
    "send",
]
