"""What scale measured, as rows of one table. Pure."""

from typing import Final

import msgspec

from tests.bench.scale.holding import Held
from tests.bench.section import Section

PROGRAMS: Final = ("gateway", "router", "persister", "rabbitmq", "redis", "postgres", "nginx")


class Row(msgspec.Struct):
    """One variation under one load."""

    kind: str
    variation: str
    load: str
    section: Section
    others_cores: float
    """What other people's programs took of the machine before it."""


class Idle(msgspec.Struct):
    """What connections that say nothing cost, and how fast they came."""

    variation: str
    held: Held
    gateway_kib: float
    """Of each connection, in its gateway."""

    def text(self) -> str:
        p50, p95 = self.held.set_up_ms[:2]
        return (
            f"{self.variation}: {self.held.per_s:,.0f} connections/s, set up in p50 {p50:.0f}, "
            f"p95 {p95:.0f} ms; {self.gateway_kib:.1f} KiB each in the gateway"
        )


def heading() -> str:
    numbers = ("msg/s", "p50 ms", "p95 ms", "CPU ms", *PROGRAMS)
    return f"{'variation':<52}{'load':<12}" + "".join(f"{title:>10}" for title in numbers)


def line(row: Row) -> str:
    """Aligned with `heading`; a program that did not run is left blank."""
    section, each = row.section, row.section.cpu_ms_per_message
    delivery = [f"{value:10.1f}" for value in (section.delivery_ms or [0.0, 0.0])[:2]]
    programs = [f"{each[name]:10.3f}" if name in each else " " * 10 for name in PROGRAMS]
    return "".join(
        (
            f"{row.variation:<52}{row.load:<12}{section.received / section.seconds:10,.0f}",
            *delivery,
            f"{sum(each.values()):10.3f}",
            *programs,
            _remark(row),
        )
    )


def _remark(row: Row) -> str:
    """What makes a row worth less."""
    section = row.section
    missing = section.sent_in_all - min(
        section.received_in_all, section.acknowledged_in_all, section.delivered_in_all
    )
    remarks = [f"others had {row.others_cores:.1f} cores"] if row.others_cores >= 0.2 else []
    remarks += [f"{missing} missing"] if missing else []
    remarks += [f"ERROR {error[:80]}" for error in section.errors[:1]]
    return "".join(f"  {remark}" for remark in remarks)
