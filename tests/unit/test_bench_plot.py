"""The picture that `make bench` draws."""

from xml.etree import ElementTree as ET

from tests.bench.plot import Chart, svg
from tests.bench.section import Section, charts

NAMESPACE = "{http://www.w3.org/2000/svg}"


def section(delivery_ms: list[float], cpu_s: dict[str, float]) -> Section:
    return Section(
        seconds=10.0,
        received=1_000,
        delivery_ms=delivery_ms,
        acknowledged_ms=[1.0, 2.0, 3.0, 4.0],
        sent_in_all=1_000,
        received_in_all=1_000,
        acknowledged_in_all=1_000,
        delivered_in_all=1_000,
        errors=[],
        generator_cpu_s=1.0,
        cpu_s=cpu_s,
    )


def texts(picture: ET.Element) -> list[str]:
    return [element.text or "" for element in picture.iter(f"{NAMESPACE}text")]


def bars(picture: ET.Element) -> list[float]:
    """Their lengths; the first rectangle is the paper."""
    return [float(bar.get("width", "")) for bar in list(picture.iter(f"{NAMESPACE}rect"))[1:]]


def test_it_shows_delivery_and_cpu_of_every_section() -> None:
    sections = {
        "closed loop": section([61.25, 120.5, 1234.5, 7777.0], {"gateway": 0.07, "router": 0.1}),
        "1000/s": section([12.5, 30.75, 45.0, 99.0], {"router": 0.45}),
    }
    shown = texts(ET.fromstring(svg(charts(sections))))
    assert shown == [
        *("Delivery, ms", "closed loop", "p50", "61.2", "p95", "120", "p99", "1,234"),
        *("1000/s", "p50", "12.5", "p95", "30.8", "p99", "45"),
        *("CPU, ms per message", "closed loop", "router", "0.1", "gateway", "0.07"),
        *("1000/s", "router", "0.45"),
    ]


def test_bars_are_as_long_as_their_figures_are_large() -> None:
    picture = ET.fromstring(svg([Chart("x", {"one": {"a": 1.0, "b": 4.0}, "two": {"c": 2.0}})]))
    a, b, c = bars(picture)
    assert (a * 4, c * 2) == (b, b)
    assert b < float(picture.get("width", ""))


def test_nothing_measured_is_still_a_picture() -> None:
    picture = ET.fromstring(svg(charts({"a <b> & c": section([], {"router": 0.0})})))
    assert "a <b> & c" in texts(picture)
    assert bars(picture) == [0.0]
