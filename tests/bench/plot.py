"""Bar charts as one SVG, written by the standard library: a library to plot would be the largest
package of the house, for some bars and their figures.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from xml.etree import ElementTree as ET

WIDTH: Final = 720
ROW: Final = 20
LABEL: Final = 200
"""Where bars begin: to the left of it is what they are of."""
FIGURE: Final = 80
"""Kept free at the right for the longest bar's figure."""
COLOURS: Final = ("#2f6fb3", "#d9822b", "#3d9970", "#8e5ea2", "#c0392b")
"""One a group, the same in all charts."""


class Chart(NamedTuple):
    """Bars by group and label, all on one scale that begins at 0."""

    title: str
    groups: Mapping[str, Mapping[str, float]]


def svg(charts: Sequence[Chart]) -> str:
    """A picture with one chart below the other, each bar with its figure."""
    root = ET.Element("svg", xmlns="http://www.w3.org/2000/svg")
    root.set("font-family", "sans-serif")
    root.set("font-size", "13")
    ET.SubElement(root, "rect", width="100%", height="100%", fill="white")
    y = ROW
    for chart in charts:
        y = _draw(root, chart, y) + ROW
    root.set("width", str(WIDTH))
    root.set("height", str(y))
    root.set("viewBox", f"0 0 {WIDTH} {y}")
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _draw(root: ET.Element, chart: Chart, y: int) -> int:
    """Draws it from `y` on; where it ends."""
    most = max((value for bars in chart.groups.values() for value in bars.values()), default=0)
    _text(root, 10, y, chart.title).set("font-weight", "bold")
    for number, (group, bars) in enumerate(chart.groups.items()):
        y += ROW
        _text(root, 10, y, group)
        for label, value in bars.items():
            length = (WIDTH - LABEL - FIGURE) * value / (most or 1)
            bar = ET.SubElement(root, "rect", x=str(LABEL), y=str(y - ROW + 8))
            bar.set("width", f"{length:.1f}")
            bar.set("height", str(ROW - 6))
            bar.set("fill", COLOURS[number % len(COLOURS)])
            _text(root, LABEL - 8, y, label).set("text-anchor", "end")
            figure = f"{value:.3g}" if value < 1_000 else f"{value:,.0f}"
            _text(root, LABEL + length + 6, y, figure)
            y += ROW
    return y


def _text(root: ET.Element, x: float, y: int, text: str) -> ET.Element:
    element = ET.SubElement(root, "text", x=f"{x:.1f}", y=str(y))
    element.text = text
    return element
