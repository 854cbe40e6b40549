"""Every exchange, queue and binding, as data (DESIGN.md, section 6).

Only what RabbitMQ 3.10 and 4.x both accept. Routers and persisters declare what is shared, the
roles at the edge look whether it is there; each declares what is its own. Declaring the same again
is free, declaring something else under the same name fails. Who may do what: `privileges`.
"""

from dataclasses import dataclass, field
from typing import Final, Literal

MATCHES_EXCHANGE: Final = "matches"
"""A topic exchange of the match service; we declare it too, so that either may start first."""

SESSIONS_EXCHANGE: Final = "sessions"
"""A topic exchange of whoever issues tokens, declared by us too."""

SESSIONS_REVOKE: Final = "sessions.revoke"

MATCH_CREATED: Final = "match.created"
MATCH_REMOVED: Final = "match.removed"

DEAD: Final = "chat.dead"
REDELIVERY_LIMIT: Final = 50
"""Deaths a message may cause before it is held to be poisonous. A message is redelivered when
its consumer dies or hands over, so a low limit would bury good ones in a rolling restart."""

Argument = str | int


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue as it is declared."""

    name: str
    durable: bool = True
    exclusive: bool = False
    auto_delete: bool = False
    arguments: dict[str, Argument] = field(default_factory=dict)
    exchange: str | None = None
    """What it is bound to, with `routing_keys`."""
    exchange_type: Literal["direct", "topic"] = "direct"
    routing_keys: tuple[str, ...] = ()


_LASTING: Final[dict[str, Argument]] = {
    "x-queue-type": "quorum",
    "x-delivery-limit": REDELIVERY_LIMIT,
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": DEAD,
    # At-least-once keeps the original until chat.dead has confirmed it; it demands reject-publish.
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}


_OWN_EXCHANGE: Final = frozenset({"events", "signals", "writes", "dead"})
"""Kinds of queues with an exchange for each. Who may publish by RabbitMQ's default exchange may
publish to every queue; these are for those who may not."""


def exchange_of(queue: str) -> str:
    """By which it is published to, the queue's name being the routing key.

    Named unlike any queue: a permission doesn't tell the one from the other.
    """
    kind = kind_of(queue)
    return f"chat.to.{kind}" if kind in _OWN_EXCHANGE else ""


def _shared(name: str, *, arguments: dict[str, Argument]) -> Queue:
    return Queue(name, arguments=arguments, exchange=exchange_of(name), routing_keys=(name,))


def kind_of(queue: str) -> str:
    """Of a queue by its name, such as `events` of `chat.events.3`: one of few, for labels."""
    return queue.removeprefix("chat.").partition(".")[0]


def dead() -> Queue:
    """What could not be processed, with the reason in its headers: for people."""
    # A look returns the message: RabbitMQ 4 would drop it at the twentieth.
    return _shared(DEAD, arguments={"x-queue-type": "quorum", "x-delivery-limit": 1_000_000})


def events(partition: int) -> Queue:
    """Events that last, and commands: router's."""
    return _shared(
        f"chat.events.{partition}", arguments=_LASTING | {"x-single-active-consumer": True}
    )


def signals(partition: int) -> Queue:
    """What is worth nothing a few seconds later: router's. Never written to disk on purpose."""
    return _shared(
        f"chat.signals.{partition}",
        arguments={"x-message-ttl": 10_000, "x-max-length": 10_000, "x-overflow": "reject-publish"},
    )


def writes(partition: int) -> Queue:
    """Entries on their way to PostgreSQL: persister's."""
    return _shared(
        f"chat.writes.{partition}", arguments=_LASTING | {"x-single-active-consumer": True}
    )


def deliveries(gateway_id: str) -> Queue:
    """One gateway process's own; it goes with the connection of that process."""
    return Queue(
        f"chat.deliveries.{gateway_id}",
        durable=False,
        exclusive=True,
        auto_delete=True,
        arguments={"x-max-length": 10_000, "x-overflow": "reject-publish"},
    )


def revocations(process: str) -> Queue:
    """One gateway's or REST worker's own: each has to hear of every revocation."""
    return Queue(
        f"chat.revocations.{process}",
        durable=False,
        exclusive=True,
        auto_delete=True,
        arguments={"x-max-length": 10_000, "x-overflow": "reject-publish"},
        exchange=SESSIONS_EXCHANGE,
        exchange_type="topic",
        routing_keys=(SESSIONS_REVOKE,),
    )


def replies(asker: str) -> Queue:
    """Where one process waits for answers to its commands and barriers."""
    return Queue(f"chat.replies.{asker}", durable=False, exclusive=True, auto_delete=True)


def matches() -> Queue:
    """Matches made and removed: one router's at a time, so that no removal overtakes a creation."""
    return Queue(
        "chat.matches",
        arguments=_LASTING | {"x-single-active-consumer": True},
        exchange=MATCHES_EXCHANGE,
        exchange_type="topic",
        routing_keys=(MATCH_CREATED, MATCH_REMOVED),
    )


def typing() -> Queue:
    """Who types, for the table `typing_status`: the persisters', in turn. Worth nothing later."""
    return Queue(
        "chat.typing",
        durable=False,
        arguments={"x-message-ttl": 5_000, "x-max-length": 1_000, "x-overflow": "drop-head"},
    )
