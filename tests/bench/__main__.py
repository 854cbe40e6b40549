"""`make bench`: the whole system under two loads, with the CPU time of every process.

Starts a stack of its own (`bench`) with fresh servers, and stops it. Prints a table and writes
`.run/bench/bench.json`. Figures of one machine at one hour: compare by ratio, in one sitting.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict

import msgspec

from local.progress import Progress
from local.roles import Counts
from local.stack import Stack
from tests.bench.cpu import cpu_seconds
from tests.bench.generator import Plan, Result

COUNTS = Counts(gateway=2, router=1, persister=1, rest=1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each measurement")
    parser.add_argument("--pairs", type=int, default=100, help="of users: twice as many sockets")
    parser.add_argument("--rates", type=float, nargs="*", default=[0, 1000], help="0: closed loop")
    arguments = parser.parse_args()
    # Two partitions, as the prototype of DESIGN.md, section 9, had.
    defaults = {"CHAT_PARTITIONS": "2", "CHAT_MESSAGES_PER_SECOND": "1000000"}
    environ = defaults | dict(os.environ)
    stack = Stack("bench", environ, Progress())
    stack.start(Counts.of(environ, COUNTS), fresh=True)
    try:
        environment = stack.environment()
        sections = {}
        for rate in arguments.rates:
            plan = Plan(
                host="127.0.0.1",
                port=int(environment["CHAT_PORT"]),
                secret=environment["CHAT_JWT_SECRET"],
                pairs=arguments.pairs,
                rate=rate,
                measured_s=arguments.seconds,
            )
            name = f"{rate:.0f}/s" if rate else "closed loop"
            print(
                f"{name}, {arguments.pairs * 2} connections, {arguments.seconds:.0f} s …",
                flush=True,
            )
            sections[name] = measure(stack, plan)
    finally:
        stack.stop()
    for name, section in sections.items():
        show(name, section)
    output = stack.layout.folder / "bench.json"
    output.write_text(json.dumps(sections, indent=2) + "\n")
    print(f"\nAll figures: {output.relative_to(stack.layout.root)}")


def measure(stack: Stack, plan: Plan) -> dict[str, object]:
    """One run of the generator; CPU seconds by program while it measured."""
    generator = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.generator"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=stack.layout.root,
    )
    assert generator.stdin is not None
    assert generator.stdout is not None
    generator.stdin.write(msgspec.json.encode(plan))
    generator.stdin.close()
    pids = stack.pids()
    marks: dict[str, dict[str, float]] = {}
    for line in generator.stdout:
        text = line.decode().strip()
        if text in ("measuring", "measured"):
            marks[text] = cpu_seconds(pids)
            continue
        result = msgspec.json.decode(line, type=Result)
    if generator.wait() != 0:
        raise SystemExit("the generator failed: see above")
    cpu: dict[str, float] = defaultdict(float)
    for program, after in marks["measured"].items():
        cpu[program.rpartition("-")[0] or program] += after - marks["measuring"][program]
    section: dict[str, object] = msgspec.to_builtins(result)
    return section | {"cpu_s": dict(cpu)}


def show(name: str, section: dict[str, object]) -> None:
    """A small table for people."""
    result = msgspec.convert(section, Result)
    cpu = msgspec.convert(section["cpu_s"], dict[str, float])
    messages = max(result.received, 1)
    print(f"\n{name}: {result.received / result.seconds:,.0f} messages/s")
    for title, values in (
        ("delivery", result.delivery_ms),
        ("acknowledgement", result.acknowledged_ms),
    ):
        figures = "  ".join(
            f"{label} {value:8.2f}"
            for label, value in zip(("p50", "p95", "p99", "max"), values, strict=False)
        )
        print(f"  {title + ' ms':<20}{figures}")
    total = sum(cpu.values())
    print(f"  CPU ms per message   {total / messages * 1000:.3f} in all, of which")
    for program, seconds in sorted(cpu.items(), key=lambda item: -item[1]):
        cores = seconds / result.seconds
        print(f"    {program:<12}{seconds / messages * 1000:.3f}   {cores:.2f} cores")
    print(f"  generator    {result.generator_cpu_s / result.seconds:.2f} cores")
    lost = result.sent_in_all - min(
        result.received_in_all, result.acknowledged_in_all, result.delivered_in_all
    )
    print(f"  sent {result.sent_in_all:,}, not received, acknowledged and delivered: {lost}")
    for error in result.errors:
        print(f"  ERROR {error}")


if __name__ == "__main__":
    main()
