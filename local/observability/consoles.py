"""The dashboards as Prometheus' own consoles, for who has no Grafana at hand: `make observe`."""

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

import yaml

from local.observability.dashboards import FOLDER, queries

TEMPLATE: Final = Path(__file__).with_name("console.html")
RATES_OVER: Final = "1m"
"""In place of Grafana's $__rate_interval."""

Described = Mapping[str, Any]


def pages() -> dict[str, str]:
    """HTML by file name, one for each of dashboards.yaml."""
    described: Sequence[Described] = yaml.safe_load((FOLDER / "dashboards.yaml").read_text())
    return {f"{one['name']}.html": _page(one, described) for one in described}


def _page(dashboard: Described, all_of_them: Sequence[Described]) -> str:
    rows = {
        title: [_panel(panel, dashboard["name"]) for panel in panels]
        for title, panels in dashboard["rows"].items()
    }
    links = " ".join(
        f'<a href="{one["name"]}.html"{" aria-current" if one is dashboard else ""}>'
        f"{escape(one['name'])}</a>"
        for one in all_of_them
    )
    return (
        TEMPLATE.read_text()
        .replace("TITLE", escape(dashboard["title"]))
        .replace("LINKS", links)
        # "</script>" would end the data.
        .replace("ROWS", json.dumps(rows).replace("</", "<\\/"))
    )


def _panel(panel: Described, role: str) -> Described:
    asked = {
        # Prometheus reads {{ as its own, and its graphs write [[label]].
        re.sub(r"{{(\w+)}}", r"[[\1]]", legend): query.replace("ROLE", role).replace(
            "$__rate_interval", RATES_OVER
        )
        for legend, query in queries(dict(panel)).items()
    }
    return {
        "title": panel["title"],
        "unit": panel["unit"],
        "queries": asked,
        "note": panel.get("note", ""),
    }
