"""`make dashboards`: k8s/base/monitoring/dashboards.yaml as Grafana's JSON, one file each."""

import json
import re
from pathlib import Path
from typing import Any, Final

import yaml

from local.layout import ROOT

FOLDER: Final = ROOT / "k8s" / "base" / "monitoring"
WIDTH, HEIGHT = 24, 8
QUANTILES: Final = (0.5, 0.95, 0.99)
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_VARIABLES: Final = [
    {"name": "datasource", "type": "datasource", "query": "prometheus"},
    {
        "name": "namespace",
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": "label_values(chat_ready, namespace)", "refId": "namespace"},
        # With each load: a deployment may be new.
        "refresh": 1,
    },
]
_METRIC: Final = re.compile(r"\b((?:chat|process|rabbitmq)_\w+)(\{)?")

Described = dict[str, Any]
"""A dashboard or a panel, as dashboards.yaml has it."""


def main() -> None:
    """Write all of them."""
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def files() -> dict[Path, str]:
    """What each file shall hold. Raises KeyError for a panel without a query."""
    described: list[Described] = yaml.safe_load((FOLDER / "dashboards.yaml").read_text())
    return {
        FOLDER / "dashboards" / f"{one['name']}.json": text_of(one).replace("ROLE", one["name"])
        for one in described
    }


def text_of(dashboard: Described) -> str:
    """JSON that Grafana 10 and newer import as it is."""
    content = {
        "uid": f"chat-{dashboard['name']}",
        "title": dashboard["title"],
        "tags": ["chat"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "links": [{"type": "dashboards", "tags": ["chat"], "title": "Chat", "asDropdown": True}],
        "templating": {"list": _VARIABLES},
        "panels": _placed(dashboard["rows"]),
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _placed(rows: dict[str, list[Described]]) -> list[Described]:
    placed: list[Described] = []
    top = 0
    for title, panels in rows.items():
        position = {"x": 0, "y": top, "w": WIDTH, "h": 1}
        placed.append({"type": "row", "title": title, "gridPos": position, "panels": []})
        width = WIDTH // len(panels)
        for place, panel in enumerate(panels):
            position = {"x": place * width, "y": top + 1, "w": width, "h": HEIGHT}
            placed.append(_panel(panel) | {"gridPos": position})
        top += 1 + HEIGHT
    return [{"id": number, **panel} for number, panel in enumerate(placed, 1)]


def _panel(panel: Described) -> Described:
    return {
        "type": "timeseries",
        "title": panel["title"],
        "description": panel.get("note", ""),
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": {"unit": panel["unit"], "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": _narrowed(query), "legendFormat": legend}
            for place, (legend, query) in enumerate(queries(panel).items())
        ],
    }


def queries(panel: Described) -> dict[str, str]:
    """PromQL by legend."""
    by, where = panel.get("by", ""), panel.get("where", "")
    selector = f"{{{where}}}" if where else ""
    legend = f"{{{{{by}}}}}"
    if "rate" in panel:
        return {legend: _rate(panel["rate"] + selector, by)}
    if "mean" in panel:
        total, count = (panel["mean"] + part + selector for part in ("_sum", "_count"))
        return {legend: f"{_rate(total, by)} / {_rate(count, by)}"}
    if "quantiles" in panel:
        buckets = _rate(f"{panel['quantiles']}_bucket{selector}", f"le, {by}" if by else "le")
        if by:
            return {legend: f"histogram_quantile(0.95, {buckets})"}
        return {f"p{q * 100:g}": f"histogram_quantile({q}, {buckets})" for q in QUANTILES}
    return dict(panel["queries"])


def _narrowed(query: str) -> str:
    """Of the chosen deployment alone; what rules record is of one deployment by itself."""
    return _METRIC.sub(
        lambda found: f'{found[1]}{{namespace="$namespace"{", " if found[2] else "}"}', query
    )


def _rate(counter: str, by: str) -> str:
    return f"sum by ({by}) (rate({counter}[$__rate_interval]))"


if __name__ == "__main__":
    main()
