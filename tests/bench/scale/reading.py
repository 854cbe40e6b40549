"""What issue 5 asks of the rest, on 10^7 rows: history, search, typing, beside their targets."""

import asyncio
import random
from collections.abc import Sequence

import httpx

from local.stack import Stack
from tests.bench.__main__ import measure_targets, show_targets
from tests.bench.generator import now, percentiles, token
from tests.bench.scale.seeding import LONG, Kind, seeded_id
from tests.bench.scale.variations import MANY
from tests.bench.targets import READS, Figure

TARGETS_P95_MS = {
    "typing": 10.0,
    "history of 100 messages": 10.0,
    "history of 50 messages": 5.0,
    "search": 50.0,
}
"""Stricter than the service description's."""


def run(stack: Stack) -> list[Figure]:
    """On a stack that is seeded with `MANY`; prints them."""
    environment = stack.environment()
    figures = asyncio.run(_anywhere(environment["CHAT_EDGE_URL"], environment["CHAT_JWT_SECRET"]))
    for figure in measure_targets(stack, environment):
        figure.target_p95_ms = TARGETS_P95_MS.get(figure.name)
        figures.append(figure)
    show_targets(figures, [])
    return figures


async def _anywhere(edge_url: str, secret: str) -> list[Figure]:
    """Pages that nobody has read yet, so PostgreSQL may have to fetch them from the disk."""
    chance = random.Random(1)
    deep = [
        (LONG, f"{seeded_id(Kind.CONVERSATION, LONG)}/messages?limit=100&before={before}")
        for before in (chance.randrange(200, MANY.long_messages) for _ in range(READS))
    ]
    one_of_many = [
        (number // MANY.each, f"{seeded_id(Kind.CONVERSATION, number)}/messages?limit=100")
        for number in (chance.randrange(MANY.conversations) for _ in range(READS))
    ]
    newest = [(LONG, f"{seeded_id(Kind.CONVERSATION, LONG)}/messages?limit=50")] * READS
    figures: list[Figure] = []
    async with httpx.AsyncClient(base_url=f"{edge_url}/api/chat/conversations/") as client:
        for name, pages, target in (
            ("100 messages, anywhere in 10^6", deep, 10.0),
            ("a conversation among 10^6", one_of_many, 10.0),
            ("newest 50 of 10^6", newest, 5.0),
        ):
            took = await _timed(client, secret, pages)
            figures.append(Figure(name, len(took), percentiles(took), target, "10^7 rows in all"))
    return figures


async def _timed(
    client: httpx.AsyncClient, secret: str, pages: Sequence[tuple[int, str]]
) -> list[float]:
    """Seconds of each call; each page with the number of the sender who asks."""
    took: list[float] = []
    for sender, path in pages:
        bearer = token(secret, seeded_id(Kind.SENDER, sender))
        began = now()
        response = await client.get(path, headers={"Authorization": f"Bearer {bearer}"})
        took.append(now() - began)
        response.raise_for_status()
    return took
