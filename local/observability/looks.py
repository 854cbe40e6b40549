"""What the processes export at two moments, and what happened in between. Pure."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from local.roles import Role, role_of

Series = Mapping[str, Iterable[tuple[Mapping[str, str], float]]]
"""Labels and value of each sample, by its name."""


def parsed(text: str) -> Series:
    """A /metrics page."""
    series: defaultdict[str, list[tuple[Mapping[str, str], float]]] = defaultdict(list)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            series[sample.name].append((sample.labels, sample.value))
    return series


@dataclass(frozen=True)
class Look:
    """One moment. `at`: seconds of any clock that only goes forward."""

    at: float
    programs: Mapping[str, Series]
    """By the program's name; who does not answer is missing. RabbitMQ is `rabbitmq`."""

    def of(self, program: str) -> "Look":
        """The same, of one process."""
        return Look(self.at, {program: self.programs.get(program, {})})

    def values(self, programs: Iterable[str], name: str, **labels: str) -> Iterator[float]:
        """Of each sample with these labels."""
        for program in programs:
            for found, value in self.programs.get(program, {}).get(name, ()):
                if labels.items() <= found.items():
                    yield value


@dataclass(frozen=True)
class Span:
    """From one look to a later one. A process that is in one of them alone counts from 0."""

    before: Look
    now: Look

    def of(self, program: str) -> "Span":
        """The same, of one process."""
        return Span(self.before.of(program), self.now.of(program))

    def programs(self, role: Role) -> list[str]:
        """Of the role, those that answer now."""
        return sorted(name for name in self.now.programs if role_of(name) == role)

    def gauge(self, role: Role, name: str, **labels: str) -> float:
        """The sum over the role's processes, now."""
        return sum(self.now.values(self.programs(role), name, **labels))

    def most(self, role: Role, name: str, **labels: str) -> float:
        """The greatest among the role's processes, now."""
        return max(self.now.values(self.programs(role), name, **labels), default=0.0)

    def rate(self, role: Role, name: str, **labels: str) -> float:
        """A counter's growth a second, over all processes of the role."""
        seconds = self.now.at - self.before.at
        return self._grown(self.programs(role), name, labels) / seconds if seconds > 0 else 0.0

    def share(self, role: Role, name: str, part: Mapping[str, str], **whole: str) -> float | None:
        """Of what a counter grew by, with the labels `whole`, that with `part` besides."""
        programs = self.programs(role)
        total = self._grown(programs, name, whole)
        return self._grown(programs, name, {**whole, **part}) / total if total else None

    def quantile(self, role: Role, q: float, name: str, **labels: str) -> float | None:
        """Of a histogram's observations in between; by the bounds of its buckets. None: none."""
        counts: defaultdict[float, float] = defaultdict(float)
        for program in self.programs(role):
            for sign, look in ((1, self.now), (-1, self.before)):
                for found, value in look.programs.get(program, {}).get(f"{name}_bucket", ()):
                    if labels.items() <= found.items():
                        counts[float(found["le"])] += sign * value
        return _quantile(q, sorted(counts.items()))

    def _grown(self, programs: Iterable[str], name: str, labels: Mapping[str, str]) -> float:
        grown = 0.0
        for program in programs:
            now = sum(self.now.values([program], name, **labels))
            before = sum(self.before.values([program], name, **labels))
            # Who was started anew counts from 0 again.
            grown += now - before if now >= before else now
        return grown


def _quantile(q: float, cumulated: list[tuple[float, float]]) -> float | None:
    """Linear within a bucket, as Prometheus does it; the last bound where it is beyond all."""
    if not cumulated or cumulated[-1][1] <= 0:
        return None
    rank = q * cumulated[-1][1]
    lower, below = 0.0, 0.0
    for bound, count in cumulated:
        if count >= rank:
            if math.isinf(bound):
                return lower
            return lower + (bound - lower) * (rank - below) / (count - below)
        lower, below = bound, count
    return lower
