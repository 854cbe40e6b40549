"""What `make top` makes of two looks at /metrics."""

from io import StringIO

import pytest
from rich.console import Console

from local.observability.looks import Look, Span, parsed
from local.observability.screen import screen
from local.roles import GATEWAY, ROUTER

BEFORE = parsed("""
# TYPE chat_events_total counter
chat_events_total{type="send"} 100
chat_events_total{type="read"} 50
# TYPE chat_x_seconds histogram
chat_x_seconds_bucket{le="0.1"} 10
chat_x_seconds_bucket{le="0.2"} 10
chat_x_seconds_bucket{le="+Inf"} 10
chat_x_seconds_count 10
chat_x_seconds_sum 1
""")
NOW = parsed("""
# TYPE chat_events_total counter
chat_events_total{type="send"} 130
chat_events_total{type="read"} 60
# TYPE chat_x_seconds histogram
chat_x_seconds_bucket{le="0.1"} 10
chat_x_seconds_bucket{le="0.2"} 20
chat_x_seconds_bucket{le="+Inf"} 20
chat_x_seconds_count 20
chat_x_seconds_sum 2.5
""")


def span(**programs: str) -> Span:
    before = {name.replace("_", "-"): BEFORE for name in programs}
    now = {name.replace("_", "-"): NOW for name in programs}
    return Span(Look(10.0, before), Look(12.0, now))


def test_a_rate_is_over_all_processes_of_the_role() -> None:
    both = span(router_1="", router_2="", gateway_1="")
    assert both.rate(ROUTER, "chat_events_total", type="send") == 30
    assert both.rate(ROUTER, "chat_events_total") == 40
    assert both.of("router-2").rate(ROUTER, "chat_events_total") == 20
    assert both.share(ROUTER, "chat_events_total", {"type": "send"}) == 0.75


def test_who_was_started_anew_counts_from_0() -> None:
    restarted = Span(Look(10.0, {"router-1": NOW}), Look(12.0, {"router-1": BEFORE}))
    assert restarted.rate(ROUTER, "chat_events_total", type="send") == 50


def test_a_quantile_lies_within_its_bucket() -> None:
    """All ten new ones are between 0.1 and 0.2 s."""
    found = span(gateway_1="")
    assert found.quantile(GATEWAY, 0.5, "chat_x_seconds") == 0.15000000000000002
    assert found.quantile(GATEWAY, 0.5, "chat_y_seconds") is None
    idle = Span(Look(10.0, {"gateway-1": NOW}), Look(12.0, {"gateway-1": NOW}))
    assert idle.quantile(GATEWAY, 0.5, "chat_x_seconds") is None


@pytest.mark.parametrize("width", [80, 115, 200])
def test_no_figure_is_cut_off(width: int) -> None:
    console = Console(width=width, record=True, file=StringIO())
    console.print(screen(span(gateway_1="", router_1="", persister_1="", rest_1=""), "demo", width))
    shown = console.export_text()
    assert "events/s" in shown
    assert "…" not in shown
