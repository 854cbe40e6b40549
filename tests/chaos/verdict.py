"""What became of all that was acknowledged, by fault; and the closing table. Pure."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import NamedTuple

from tests.chaos.evidence import Injection, Violation


class Told(NamedTuple):
    """A message as its sender was told that it is kept."""

    at: float
    """When (perf_counter)."""
    name: Hashable
    """The sender's own, such as (user, clientMessageId), of which there must be one; None: none."""
    message: Hashable
    """The service's, such as the messageId."""
    seq: int


class Stored(NamedTuple):
    """The same of one row of `messages`."""

    name: Hashable
    message: Hashable
    seq: int


class Verdict(NamedTuple):
    """Of what was acknowledged, how much is not kept once under the number it was told to have."""

    acknowledged: int
    lost: int
    doubled: int
    reordered: int

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.doubled or self.reordered)


def judge(told: Iterable[Told], stored: Iterable[Stored]) -> Verdict:
    """Holds what senders were told against the rows."""
    rows = list(stored)
    numbers = {row.message: row.seq for row in rows}
    copies = Counter(row.name for row in rows)
    acknowledged = lost = doubled = reordered = 0
    for message in told:
        acknowledged += 1
        seq = numbers.get(message.message)
        lost += seq is None
        reordered += seq is not None and seq != message.seq
        doubled += message.name is not None and copies[message.name] > 1
    return Verdict(acknowledged, lost, doubled, reordered)


def late(injections: Iterable[Injection]) -> Iterator[Violation]:
    """Where a fault was alone, and all was stored later than its target says."""
    for run in injections:
        if run.is_alone and run.target_s is not None and run.stored_after_s is not None:
            after, target = run.stored_after_s, run.target_s
            if after > target:
                detail = f"{run.fault}: all is stored after {after:.1f} s, target {target:.0f} s"
                yield Violation("RECOVERY", None, detail)


def table(
    injections: Sequence[Injection], told: Sequence[Told], stored: Sequence[Stored]
) -> Iterator[str]:
    """By fault: what was acknowledged from its begin until recovery, and seconds from its end
    until messages flow again, and until they are stored as well."""
    by_fault: defaultdict[str, list[Injection]] = defaultdict(list)
    for injection in injections:
        by_fault[injection.fault].append(injection)
    yield f"{'':<63}  flows after    stored after    alone"
    yield (
        f"{'fault':<30} runs messages lost doubled reordered"
        "    p50    max     p50    max     max target"
    )
    for fault, runs in by_fault.items():
        meanwhile = [one for one in told if any(_is_during(one, run) for run in runs)]
        verdict = judge(meanwhile, stored)
        flows, most_flows = _spread([run.flows_after_s for run in runs])
        last, most_last = _spread([run.stored_after_s for run in runs])
        _, alone = _spread([run.stored_after_s for run in runs if run.is_alone])
        target = "" if runs[0].target_s is None else f"{runs[0].target_s:.0f}"
        yield (
            f"{fault:<30} {len(runs):>4} {verdict.acknowledged:>8} {verdict.lost:>4}"
            f" {verdict.doubled:>7} {verdict.reordered:>9}"
            f"  {flows:>5} {most_flows:>6}  {last:>6} {most_last:>6}  {alone:>6} {target:>6}"
        )


def _is_during(message: Told, run: Injection) -> bool:
    return run.began <= message.at and (
        run.stored_after_s is None or message.at <= run.lifted + run.stored_after_s
    )


def _spread(seconds: Sequence[float | None]) -> tuple[str, str]:
    """Median and maximum."""
    known = [one for one in seconds if one is not None]
    if not known or len(known) < len(seconds):
        return "-", "never" if seconds else "-"
    return f"{statistics.median(known):.2f}", f"{max(known):.2f}"
