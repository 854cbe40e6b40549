"""What `make top` shows of a span, as rich's tables. Pure."""

from collections.abc import Callable
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table

from local.observability.looks import Span
from local.roles import GATEWAY, PERSISTER, REST, ROLES, ROUTER, Role

Row = tuple[str, str]
"""What it is, and its figure."""


WIDE: Final = 115
"""Columns that all roles take side by side."""


def screen(span: Span, title: str, width: int = WIDE) -> RenderableType:
    """All of it, for a terminal of so many columns, 80 or more."""
    figures = Table.grid(padding=(0, 3))
    side_by_side = len(ROLES) if width >= WIDE else len(ROLES) // 2
    for first in range(0, len(ROLES), side_by_side):
        figures.add_row(*(_role(span, role) for role in ROLES[first : first + side_by_side]))
    return Group(title, "", figures, "", _partitions(span), "", _processes(span))


# ------------------------------------------------------------------ the roles' golden signals


def _role(span: Span, role: Role) -> Table:
    table = Table(title=f"{role.name}s" if role is not REST else "rest", title_justify="left")
    table.add_column("", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.show_header = False
    for row in _ROWS[role](span):
        table.add_row(*row)
    return table


def _gateways(span: Span) -> list[Row]:
    return [
        ("sessions", f"{span.gauge(GATEWAY, 'chat_connections'):.0f}"),
        ("frames/s", _rate(span, GATEWAY, "chat_frames_total")),
        ("sends/s", _rate(span, GATEWAY, "chat_frames_total", type="SEND_MESSAGE")),
        ("answered", _times(span, GATEWAY, "chat_answer_seconds")),
        ("delivered", _times(span, GATEWAY, "chat_delivery_seconds")),
        ("connected", _times(span, GATEWAY, "chat_connect_seconds")),
        ("confirmed", _times(span, GATEWAY, "chat_confirm_seconds", queue="events")),
        ("refused/s", _rate(span, GATEWAY, "chat_refused_total")),
        ("unanswered", f"{span.gauge(GATEWAY, 'chat_unanswered'):.0f}"),
    ]


def _routers(span: Span) -> list[Row]:
    hits = span.share(ROUTER, "chat_cache_total", {"result": "hit"}, cache="conversations")
    return [
        ("events/s", _rate(span, ROUTER, "chat_events_total")),
        ("batches/s", _rate(span, ROUTER, "chat_batch_size_count", stage="router")),
        ("a batch", _times(span, ROUTER, "chat_stage_seconds", stage="router_batch")),
        ("in queue", _times(span, ROUTER, "chat_queue_wait_seconds")),
        ("confirmed", _times(span, ROUTER, "chat_confirm_seconds", queue="writes")),
        ("at hand", "-" if hits is None else f"{hits:.1%}"),
        ("waiting", f"{span.gauge(ROUTER, 'chat_events_waiting'):.0f}"),
        ("refused/s", _rate(span, ROUTER, "chat_refused_total")),
        ("dropped/s", _rate(span, ROUTER, "chat_unroutable_total")),
    ]


def _persisters(span: Span) -> list[Row]:
    return [
        ("writes/s", _rate(span, PERSISTER, "chat_batch_size_sum", stage="store")),
        ("flushes/s", _rate(span, PERSISTER, "chat_batch_size_count", stage="store")),
        ("a flush", _times(span, PERSISTER, "chat_stage_seconds", stage="store")),
        ("in queue", _times(span, PERSISTER, "chat_queue_wait_seconds")),
        ("stored", _times(span, PERSISTER, "chat_stored_seconds")),
        ("lag", _seconds(span.most(PERSISTER, "chat_persist_lag_seconds"))),
        ("retries/s", _rate(span, PERSISTER, "chat_retries_total")),
    ]


def _rest(span: Span) -> list[Row]:
    hits = span.share(REST, "chat_cache_total", {"result": "hit"})
    return [
        ("calls/s", _rate(span, REST, "chat_http_responses_total")),
        ("5xx/s", _rate(span, REST, "chat_http_responses_total", **{"class": "5xx"})),
        ("a call", _times(span, REST, "chat_http_seconds")),
        ("threads", f"{span.gauge(REST, 'chat_http_in_progress'):.0f}"),
        ("of", f"{span.gauge(REST, 'chat_http_threads'):.0f}"),
        ("barriers/s", _rate(span, REST, "chat_barriers_total")),
        ("by Redis", "-" if hits is None else f"{hits:.1%}"),
    ]


_ROWS: dict[Role, Callable[[Span], list[Row]]] = {
    GATEWAY: _gateways,
    ROUTER: _routers,
    PERSISTER: _persisters,
    REST: _rest,
}


# ------------------------------------------------------------------ partitions, processes


def _partitions(span: Span) -> Table:
    """Owners by our own metric, queues by RabbitMQ's: ready and unacknowledged AMQP messages."""
    table = Table("partition", title="partitions", title_justify="left")
    for kind, role in (("events", ROUTER), ("writes", PERSISTER)):
        table.add_column(f"{kind}: ready", justify="right")
        table.add_column("unacked", justify="right")
        table.add_column(f"{role.name}", no_wrap=True)
    # Each of them says how many there are, also when it is the last one left.
    count = max(span.most(role, "chat_partitions") for role in (ROUTER, PERSISTER))
    for partition in range(int(count)):
        row = [str(partition)]
        for kind, role in (("events", ROUTER), ("writes", PERSISTER)):
            queue = f"chat.{kind}.{partition}"
            row += [_queued(span, queue, "ready"), _queued(span, queue, "unacked")]
            row.append(_owners(span, role, partition))
        table.add_row(*row)
    table.caption = f"chat.dead: {_queued(span, 'chat.dead', 'ready')}"
    table.caption_justify = "left"
    return table


def _owners(span: Span, role: Role, partition: int) -> str:
    owners = [
        program
        for program in span.programs(role)
        if any(span.now.values([program], "chat_partition_owned", partition=str(partition)))
    ]
    return " ".join(owners) or "[bold red]nobody[/]"


def _queued(span: Span, queue: str, state: str) -> str:
    name = f"rabbitmq_detailed_queue_messages_{state}"
    return next((f"{value:.0f}" for value in span.now.values(["rabbitmq"], name, queue=queue)), "?")


def _processes(span: Span) -> Table:
    table = Table("process", "ready", title="processes", title_justify="left")
    for name in ("CPU", "memory", "loop late by"):
        table.add_column(name, justify="right")
    for role in ROLES:
        for program in span.programs(role):
            alone = span.of(program)
            is_ready = alone.gauge(role, "chat_ready") == 1
            memory = alone.gauge(role, "process_resident_memory_bytes")
            cpu = alone.rate(role, "process_cpu_seconds_total")
            table.add_row(
                program,
                "yes" if is_ready else "[bold red]no[/]",
                # Of gunicorn's workers there is no sum.
                "-" if role is REST else f"{cpu:.0%}",
                "-" if role is REST else f"{memory / 2**20:.0f} MiB",
                _times(alone, role, "chat_loop_lag_seconds"),
            )
    return table


# ------------------------------------------------------------------ figures


def _rate(span: Span, role: Role, name: str, **labels: str) -> str:
    rate = span.rate(role, name, **labels)
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"


def _times(span: Span, role: Role, name: str, **labels: str) -> str:
    """p50 and p95."""
    found = [span.quantile(role, q, name, **labels) for q in (0.5, 0.95)]
    return " ".join("-" if value is None else _seconds(value) for value in found)


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 1 else f"{value * 1000:.0f} ms"
