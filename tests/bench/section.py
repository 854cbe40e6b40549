"""What one load measured, as the table and the plot show it."""

from collections.abc import Mapping

from tests.bench.generator import Result
from tests.bench.plot import Chart


class Section(Result):
    """The generator's result, and CPU seconds by program while it measured."""

    cpu_s: dict[str, float]

    @property
    def cpu_ms_per_message(self) -> dict[str, float]:
        """By program, the greediest first."""
        ranked = sorted(self.cpu_s.items(), key=lambda item: -item[1])
        return {program: seconds / max(self.received, 1) * 1000 for program, seconds in ranked}


def charts(sections: Mapping[str, Section]) -> list[Chart]:
    """Delivery's percentiles and CPU by program; the greatest of a run is chance, not charted."""
    labels = ("p50", "p95", "p99")
    return [
        Chart(
            "Delivery, ms",
            {
                name: dict(zip(labels, section.delivery_ms, strict=False))
                for name, section in sections.items()
            },
        ),
        Chart(
            "CPU, ms per message",
            {name: section.cpu_ms_per_message for name, section in sections.items()},
        ),
    ]
