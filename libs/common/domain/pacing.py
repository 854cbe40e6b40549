"""How long to wait for company between two batches. Pure."""

from typing import Final

ENOUGH: Final = 32
"""Items. A batch of so many has paid for its hops: each hop costs as much as some 10 items."""
REST_MOST_S: Final = 0.02
"""A batch that took longer was held up, by an outage or a stopped process: to rest as long again
would double it. On a full machine a batch takes some 10 ms."""


def rest_s(items: int, took_s: float, pacing_s: float) -> float:
    """Seconds to wait after a batch of `items` that took `took_s` until the next one is begun.

    At least until `pacing_s` after its start. After a small batch as long as it took: so at least
    half of the time is left for company, and where the machine or a hop is slow, batches grow and
    the cost of a message falls; on an idle one nobody waits longer than for a batch. Never longer
    than REST_MOST_S.
    """
    company_s = min(took_s, REST_MOST_S) if items < ENOUGH else 0.0
    return max(pacing_s - took_s, company_s)
