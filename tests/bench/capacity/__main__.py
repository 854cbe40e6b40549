"""`make capacity`: what a load needs, what breaks first, and what then.

Everything that the users do can be changed: `--help` lists it. docs/scaling.md explains.
"""

import argparse
from dataclasses import fields, replace
from math import inf
from typing import Final

from tests.bench.capacity.compared import costs_compared, latency_compared
from tests.bench.capacity.costs import CLOSED_LOOP, COSTS, FIXED_RATE
from tests.bench.capacity.fitted import units
from tests.bench.capacity.limits import breaking_points, cells, limits
from tests.bench.capacity.plan import DEFAULTS, Options, Plan
from tests.bench.capacity.traffic import Busy, Load

NEEDED: Final = ("connections", "sessions_per_user", "messages_per_user_day", "peak", "utilisation")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make capacity ARGS=…", description=__doc__)
    for field in fields(Load):
        flag = f"--{field.name.replace('_', '-')}"
        parser.add_argument(flag, type=float, default=field.default, help="default %(default)g")
    parser.add_argument("--gateway-pacing-ms", type=float, default=2, help="default 2")
    parser.add_argument("--router-pacing-ms", type=float, default=2, help="default 2")
    parser.add_argument("--connections-a-gateway", type=int, default=DEFAULTS.connections_a_gateway)
    parser.add_argument("--utilisation", type=float, default=DEFAULTS.utilisation)
    parser.add_argument("--partitions", type=int, help="default: as many as it takes")
    parser.add_argument("--cells", type=int, help="default: as few as it takes")
    parser.add_argument("--costs", action="store_true", help="print the costs with their sources")
    parser.add_argument("--measured", action="store_true", help="the model beside measurements")
    arguments = vars(parser.parse_args())
    if arguments["costs"] or arguments["measured"]:
        show_costs() if arguments["costs"] else show_comparison()
        return
    if min(arguments[name] for name in NEEDED) <= 0:
        parser.error(f"{', '.join(NEEDED)} must be above 0")
    load = Load(**{field.name: arguments[field.name] for field in fields(Load)})
    options = Options(
        connections_a_gateway=arguments["connections_a_gateway"],
        utilisation=arguments["utilisation"],
        busy=Busy(arguments["gateway_pacing_ms"] / 1000, arguments["router_pacing_ms"] / 1000),
        partitions=arguments["partitions"],
    )
    show(Plan(load, options), "one deployment")
    show_limits(load, options)
    count = arguments["cells"] or cells(load, options)
    if count > 1:
        cell = replace(load, connections=load.connections / count)
        show(Plan(cell, options), f"each of {count:,} cells")


def show(plan: Plan, title: str) -> None:
    load, amqp = plan.load, plan.amqp
    print(f"\n{title}: {load.connections:,.0f} connections, {load.messages_per_s:,.0f} messages/s")
    print(
        f"AMQP messages/s: {amqp.events:,.0f} events, {amqp.writes:,.0f} writes, "
        f"{amqp.deliveries:,.0f} deliveries, {amqp.signals + amqp.notes:,.0f} signals and notes; "
        f"{amqp.all / load.messages_per_s:.1f} a message"
    )
    p50, p95 = plan.latency_ms
    print(f"delivery p50 {p50:.0f}, p95 {p95:.0f} ms (a rough upper guess, see docs/scaling.md)")
    print(f"\n{'':<17}{'number':>8}{'cores':>9}{'GiB':>9}{'Mbit/s':>9}{'TB/year':>9}")
    for row in plan.rows():
        numbers = f"{row.count:8,}{row.cores:9,.1f}" + (f"{row.gib:9,.1f}" if row.gib else " " * 9)
        numbers += f"{row.mbit_s:9,.0f}" if row.mbit_s else " " * 9
        numbers += f"{row.tb_year:9,.1f}" if row.tb_year else " " * 9
        print(f"{row.name:<17}{numbers}  {row.note}")


def show_limits(load: Load, options: Options) -> None:
    """What of each limit this load uses, and how many connections fill it; lowest first."""
    broken = breaking_points(load, options)
    found = limits(Plan(load, options))
    found.sort(key=lambda limit: broken.get(limit.name, inf))
    print(f"\n{'what one deployment has one of':<51}{'used':>8}{'full at connections':>22}")
    for limit in found:
        kind = " (setting)" if limit.is_setting else ""
        print(f"{limit.name + kind:<51}{limit.used:8.0%}{broken.get(limit.name, inf):22,.2g}")
    first = found[0]
    hard = next(limit for limit in found if not limit.is_setting)
    print(f"\nfirst: {first.name}: {first.why}.\n  Then: {first.then}.")
    if hard is not first:
        print(f"first that no setting moves: {hard.name}: {hard.why}.\n  Then: {hard.then}.")


def show_costs() -> None:
    for point in (FIXED_RATE, CLOSED_LOOP):
        costs = ", ".join(f"{role} {ms:g}" for role, ms in point.cpu_ms.items())
        print(f"{point.messages_per_s:,.0f}/s, ms a message: {costs}\n  {point.source}")
    print(f"\n{'fitted, CPU ms':<24}{'an AMQP message':>16}{'an event':>12}")
    for role, unit in units().items():
        print(f"{role:<24}{unit.amqp_ms:16.3f}{unit.event_ms:12.4f}")
    print()
    for field in fields(COSTS):
        cost = getattr(COSTS, field.name)
        print(f"{field.name:<24}{cost.value:>10,g} {cost.unit:<12}{cost.source}")


def show_comparison() -> None:
    print(f"{'':<56}{'measured':>14}{'model':>9}{'off by':>9}")
    for compared in (*costs_compared(), *latency_compared()):
        measured = f"{compared.low:g} to {compared.high:g}".removesuffix(f" to {compared.low:g}")
        name = f"{compared.what}, {compared.unit}"
        fitted = "  fitted" if compared.is_fitted else ""
        print(f"{name:<56}{measured:>14}{compared.model:9.3g}{compared.factor:8.2f}×{fitted}")


if __name__ == "__main__":
    main()
