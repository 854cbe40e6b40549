"""Every metric, by Prometheus' naming rules. Labels are bounded; none holds a user's id."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_BATCH: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

CONNECTIONS: Final = Gauge("chat_connections", "WebSocket sessions this gateway holds")
FRAMES: Final = Counter("chat_frames_total", "Client frames by type", ["type"])
REFUSED: Final = Counter("chat_refused_total", "Frames and events refused, by error", ["error"])
CLOSES: Final = Counter("chat_closes_total", "Sessions that we closed, by close code", ["code"])
BATCH_SIZE: Final = Histogram("chat_batch_size", "Items in one batch", ["stage"], buckets=_BATCH)
STAGE: Final = Histogram("chat_stage_seconds", "Time one batch takes", ["stage"], buckets=_SECONDS)
PARTITIONS: Final = Gauge("chat_partitions_owned", "Partitions that this replica subscribes to")
WAITING: Final = Gauge(
    "chat_events_waiting", "Events that wait until PostgreSQL was asked", ["partition"]
)
REDELIVERED: Final = Counter("chat_redelivered_total", "AMQP messages that came again")
DEAD_LETTERS: Final = Counter("chat_dead_letters_total", "Items sent to chat.dead", ["source"])
DUPLICATES: Final = Counter("chat_duplicates_total", "Tries of a message that was known already")
HTTP_CALLS: Final = Histogram(
    "chat_http_seconds",
    "Time of one REST call, by route template",
    ["method", "route", "status"],
    buckets=_SECONDS,
)
BARRIERS: Final = Counter("chat_barriers_total", "Barriers that REST reads have asked for")
CACHE: Final = Counter(
    "chat_cache_total",
    "REST reads that a cache in Redis could answer, by result",
    ["cache", "result"],
)
UNROUTABLE: Final = Counter("chat_unroutable_total", "Deliveries to a gateway that is gone")
