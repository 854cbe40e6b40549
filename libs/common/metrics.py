"""Every metric, by Prometheus' naming rules. Labels are bounded; none holds a user's id.

A series begins with its first event, and rate() does not see that one: what an alert counts is
therefore made at the start, with 0, by the module that counts it.

What one message costs is counted in microseconds (docs/performance.md), so what is measured for
each is a `Tally`; all else is measured once a batch, an AMQP message, a connection or a call.

A time from one host to another is by the clocks of both, so it is wrong by as much as they
differ; NTP keeps that to a few milliseconds. Which ones these are is said beside them.
`multiprocess_mode` is for the REST API, which may run several workers (`libs.common.admin`).
"""

from functools import partial
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from libs.common.tally import Tally

_BATCH: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_LONG_SECONDS: Final = (*_SECONDS, 30.0, 60.0, 300.0)

_sum = partial(Gauge, multiprocess_mode="livesum")
_least = partial(Gauge, multiprocess_mode="livemin")

# --- every role -------------------------------------------------------------------------------

READY: Final = _least("chat_ready", "Whether /readyz says so: 1 or 0")
LOOP_LAG: Final = Histogram(
    "chat_loop_lag_seconds",
    "How much later than asked the event loop woke a task, four times a second",
    buckets=_SECONDS,
)
CONFIRM: Final = Histogram(
    "chat_confirm_seconds",
    "From publishing an AMQP message to the broker's confirm, by kind of queue",
    ["queue"],
    buckets=_SECONDS,
)
BATCH_SIZE: Final = Histogram("chat_batch_size", "Items in one batch", ["stage"], buckets=_BATCH)
STAGE: Final = Histogram("chat_stage_seconds", "Time one batch takes", ["stage"], buckets=_SECONDS)
REFUSED: Final = Counter("chat_refused_total", "Frames, events and calls refused", ["error"])
RETRIES: Final = Counter(
    "chat_retries_total", "Steps repeated as a server failed them, by the error's type", ["error"]
)
DEAD_LETTERS: Final = Counter("chat_dead_letters_total", "Items sent to chat.dead", ["source"])
CACHE: Final = Counter(
    "chat_cache_total",
    "Reads that a cache could answer, by result: Redis for REST, its memory for a router",
    ["cache", "result"],
)

# --- who lets callers in ----------------------------------------------------------------------

REVOCATIONS: Final = Counter(
    "chat_revocations_total",
    "Messages sessions.revoke by what they name: user, token; or malformed",
    ["kind"],
)
REVOKED: Final = Gauge(
    "chat_revoked",
    "Users and tokens that this process refuses as revoked",
    multiprocess_mode="livemax",
)

# --- gateways ---------------------------------------------------------------------------------

CONNECTIONS: Final = _sum("chat_connections", "WebSocket sessions this gateway holds")
CONNECTS: Final = Counter(
    "chat_connects_total",
    "Sessions by how they began: opened, failed (on us), undecided, refused, abandoned",
    ["outcome"],
)
CONNECT_TIME: Final = Histogram(
    "chat_connect_seconds", "From a good token to CONNECT_SUCCESS", buckets=_SECONDS
)
FRAMES: Final = Counter("chat_frames_total", "Client frames by type", ["type"])
CLOSES: Final = Counter("chat_closes_total", "Sessions that we closed, by close code", ["code"])
SLOW_CLOSES: Final = Counter(
    "chat_slow_closes_total",
    "Sessions closed with 4408: their buffer was full, or a ping stayed unanswered",
    ["cause"],
)
ANSWER: Final = Tally(
    "chat_answer_seconds",
    "From taking a try to writing its answer: MESSAGE_SENT, MESSAGE_READ, SYNC_RESULT or ERROR",
    _SECONDS,
)
DELIVERY: Final = Tally(
    "chat_delivery_seconds",
    "From a message's acceptance to a pong of each session that was open then; two hosts' clocks",
    _LONG_SECONDS,
)
UNANSWERED: Final = _sum("chat_unanswered", "Sends and readings that wait for the router's answer")
UNCONFIRMED: Final = _sum("chat_unconfirmed_bytes", "What waits for RabbitMQ's confirm, about")

# --- routers and persisters -------------------------------------------------------------------

PARTITIONS_OF_ALL: Final = _least("chat_partitions", "CHAT_PARTITIONS: how many there are")
PARTITIONS: Final = _sum(
    "chat_partitions_owned", "Partitions that this replica subscribes to; it may stand by"
)
PARTITION_OWNED: Final = _sum(
    "chat_partition_owned",
    "1 while this replica has a worker and an open channel for the partition",
    ["partition"],
)
QUEUE_WAIT: Final = Histogram(
    "chat_queue_wait_seconds",
    "Age of the newest message in an AMQP message when it is taken up; two hosts' clocks",
    ["queue"],
    buckets=_LONG_SECONDS,
)
REDELIVERED: Final = Counter("chat_redelivered_total", "AMQP messages that came again")

DECIDED: Final = Counter("chat_events_total", "Events decided, by type", ["type"])
DUPLICATES: Final = Counter("chat_duplicates_total", "Tries of a message that was known already")
WAITING: Final = _sum(
    "chat_events_waiting", "Events that wait until PostgreSQL was asked", ["partition"]
)
UNROUTABLE: Final = Counter(
    "chat_unroutable_total", "Deliveries dropped: their gateway is gone or its queue is full"
)

STORED: Final = Tally(
    "chat_stored_seconds",
    "From a message's acceptance to its commit in PostgreSQL; two hosts' clocks",
    _LONG_SECONDS,
)
PERSIST_LAG: Final = _sum(
    "chat_persist_lag_seconds",
    "Age of the oldest write that this persister holds and has not stored; two hosts' clocks",
)

# --- the REST API -----------------------------------------------------------------------------

HTTP_CALLS: Final = Histogram(
    "chat_http_seconds",
    "Time of one REST call, by route template",
    ["method", "route", "status"],
    buckets=_SECONDS,
)
HTTP_RESPONSES: Final = Counter(
    "chat_http_responses_total",
    "REST calls by the class of their status, such as 5xx, or undecided",
    ["class"],
)
HTTP_IN_PROGRESS: Final = _sum("chat_http_in_progress", "REST calls being answered")
HTTP_THREADS: Final = _sum("chat_http_threads", "REST calls that can be answered at once")
BARRIERS: Final = Counter("chat_barriers_total", "Barriers that REST reads have asked for")
