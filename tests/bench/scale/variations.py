"""What is varied, as data: everything else stays as it is in the first row of a kind."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from local.roles import Counts
from tests.bench.scale.seeding import Seed

PARTITIONS: Final = 4
PAIRS: Final = 100
COUNTS: Final = Counts(gateway=2, router=1, persister=1, rest=1)

FEW: Final = Seed(conversations=100, messages=100, pairs=PAIRS)
"""10^4 rows; 100 conversations."""
MANY: Final = Seed(
    conversations=1_000_000, messages=10, pairs=500, each=20, long_messages=1_000_000
)
"""10^6 conversations, 1.1 x 10^7 rows. Its 500 pairs have 10,000 conversations among them."""
LONG: Final = Seed(conversations=1_000, messages=10_000, pairs=500, each=2)
"""10^7 rows in 10^3 conversations."""


@dataclass(frozen=True, slots=True)
class Variation:
    """One stack, under both loads."""

    kind: str
    name: str
    counts: Counts = COUNTS
    environ: Mapping[str, str] = field(default_factory=dict)
    seed: Seed | None = None
    """What PostgreSQL holds beforehand; kept from the variation before if that had the same."""
    pairs: int = PAIRS
    is_walked: bool = False
    """Whether the load is between the seed's pairs; else between new ones, a conversation each."""
    idle: int = 0
    """Connections held beside the load."""


def _processes() -> list[Variation]:
    counts = [(1, 1, 1), (1, 2, 1), (1, 4, 1), (1, 1, 2), (1, 1, 4), (2, 1, 1), (4, 1, 1)]
    return [
        Variation(
            "processes",
            f"gateways {gateways}, routers {routers}, persisters {persisters}",
            Counts(gateways, routers, persisters, rest=1),
        )
        for gateways, routers, persisters in [*counts, (2, 2, 2), (4, 4, 4)]
    ]


ALL: Final = [
    *_processes(),
    *(
        Variation("partitions", f"partitions {count}", environ={"CHAT_PARTITIONS": str(count)})
        for count in (4, 16, 64)
    ),
    *(
        Variation(
            "connections",
            f"{count:,} idle connections",
            Counts(gateway=1, router=1, persister=1, rest=1),
            idle=count,
        )
        for count in (1_000, 10_000)
    ),
    Variation("history", "10^4 rows, new conversations", seed=FEW),
    Variation("conversations", "10^2 seeded, all walked", seed=FEW, is_walked=True),
    Variation(
        "conversations",
        "10^4 seeded, all walked, none in memory",
        seed=Seed(conversations=10_000, messages=10, pairs=500, each=20),
        pairs=500,
        is_walked=True,
    ),
    Variation(
        "history",
        "10^7 rows, conversations of 10^4, in memory",
        seed=LONG,
        pairs=500,
        is_walked=True,
    ),
    Variation(
        "history",
        "10^7 rows, conversations of 10^4, none in memory",
        environ={"CHAT_ROUTER_CONVERSATIONS": "100"},
        seed=LONG,
        pairs=500,
        is_walked=True,
    ),
    Variation("history", "10^7 rows, new conversations", seed=MANY),
    Variation(
        "conversations",
        "10^6 seeded, 10^4 walked, none in memory",
        seed=MANY,
        pairs=500,
        is_walked=True,
    ),
    Variation(
        "conversations",
        "10^6 seeded, 10^4 walked, all in memory",
        environ={"CHAT_ROUTER_CONVERSATIONS": "10000"},
        seed=MANY,
        pairs=500,
        is_walked=True,
    ),
]
"""Those with one seed stand together, as sowing takes minutes; what reads `MANY` follows."""
