"""`make bench`: the whole system under two loads, with the CPU time of every process.

Starts a stack of its own (`bench`) with fresh servers, and stops it. Prints a table, and writes
`.run/bench/bench.json` and, as a plot of it, `bench.svg`. Figures of one machine at one hour:
compare by ratio, in one sitting.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from local.progress import Progress
from local.roles import Counts
from local.stack import Stack
from tests.bench import plot, targets
from tests.bench.cpu import cpu_seconds
from tests.bench.generator import Plan, Result
from tests.bench.section import Section, charts
from tests.bench.targets import Figure

COUNTS = Counts(gateway=2, router=1, persister=1, rest=1)
UNLIMITED = {
    "CHAT_MESSAGES_PER_SECOND": "1000000",
    "CHAT_CALLS_PER_SECOND": "1000000",
    "CHAT_CONNECTS_PER_MINUTE": "1000000",
    "CHAT_TYPING_PER_SECOND": "1000",
    "CHAT_FRAMES_PER_SECOND": "1000000",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each measurement")
    parser.add_argument("--pairs", type=int, default=100, help="of users: twice as many sockets")
    parser.add_argument("--rates", type=float, nargs="*", default=[0, 1000], help="0: closed loop")
    parser.add_argument("--no-targets", action="store_true", help="only the rates")
    arguments = parser.parse_args()
    # Two partitions, as the prototype of DESIGN.md, section 9, had.
    environ = UNLIMITED | {"CHAT_PARTITIONS": "2"} | dict(os.environ)
    stack = Stack("bench", environ, Progress())
    stack.start(Counts.of(environ, COUNTS), fresh=True)
    try:
        environment = stack.environment()
        sections: dict[str, Section] = {}
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
            show(name, sections[name])
        figures: list[Figure] = []
        if not arguments.no_targets:
            print("\nthe service description's targets …", flush=True)
            figures = measure_targets(stack, environment)
    finally:
        stack.stop()
    fixed = [section for name, section in sections.items() if name.endswith("/s")]
    delivery = fixed[-1].delivery_ms if fixed else []
    show_targets(figures, delivery)
    output = stack.layout.folder / "bench.json"
    output.write_text(
        json.dumps(msgspec.to_builtins({**sections, "targets": figures}), indent=2) + "\n"
    )
    picture = output.with_suffix(".svg")
    picture.write_text(plot.svg(charts(sections)))
    written = [str(path.relative_to(stack.layout.root)) for path in (output, picture)]
    print(f"\nAll figures: {', '.join(written)}")


def measure(stack: Stack, plan: Plan) -> Section:
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
    return Section(**msgspec.structs.asdict(result), cpu_s=dict(cpu))


def measure_targets(stack: Stack, environment: Mapping[str, str]) -> list[Figure]:
    plan = targets.Plan(
        port=int(environment["CHAT_PORT"]),
        secret=environment["CHAT_JWT_SECRET"],
        amqp_url=environment["CHAT_AMQP_URL"],
        database_url=environment["CHAT_DATABASE_URL"],
        partitions=int(environment["CHAT_PARTITIONS"]),
    )
    measured = subprocess.run(
        [sys.executable, "-m", "tests.bench.targets"],
        input=msgspec.json.encode(plan),
        stdout=subprocess.PIPE,
        cwd=stack.layout.root,
        check=True,
    )
    return [msgspec.json.decode(line, type=Figure) for line in measured.stdout.splitlines()]


def show_targets(figures: Sequence[Figure], delivery_ms: Sequence[float]) -> None:
    """Beside the targets of the service description; delivery is of the last fixed rate."""
    if delivery_ms:
        figures = [
            Figure("message delivery", 0, list(delivery_ms), 100, "at the last fixed rate"),
            *figures,
        ]
    print(f"\n{'milliseconds':<34}{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}   target p95")
    for figure in figures:
        numbers = "".join(f"{value:9.2f}" for value in figure.ms)
        target = "" if figure.target_p95_ms is None else f"{figure.target_p95_ms:g}"
        print(f"{figure.name:<34}{numbers}   {target:<11}{figure.note}")


def show(name: str, result: Section) -> None:
    """A small table for people."""
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
    each = result.cpu_ms_per_message
    print(f"  CPU ms per message   {sum(each.values()):.3f} in all, of which")
    for program, milliseconds in each.items():
        cores = result.cpu_s[program] / result.seconds
        print(f"    {program:<12}{milliseconds:.3f}   {cores:.2f} cores")
    print(f"  generator    {result.generator_cpu_s / result.seconds:.2f} cores")
    lost = result.sent_in_all - min(
        result.received_in_all, result.acknowledged_in_all, result.delivered_in_all
    )
    print(f"  sent {result.sent_in_all:,}, not received, acknowledged and delivered: {lost}")
    for error in result.errors:
        print(f"  ERROR {error}")


if __name__ == "__main__":
    main()
