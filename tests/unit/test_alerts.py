"""The alert rules: promtool's own tests of them, their regularity, and a page for each."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.layout import ROOT
from local.observability import dashboards, rules

TESTS = ROOT / "tests" / "alerts"
RUNBOOKS = ROOT / "docs" / "runbooks"
SECTIONS = (
    "## What it means",
    "## What users feel",
    "## Look here first",
    "## What to do",
    "## When it is over",
)
BUDGETS = {"delivery": 0.05, "stored": 0.001, "connect": 0.001, "rest": 0.001}
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
BURNS = {
    "page": (("1h", "5m", 14.4), ("6h", "30m", 6.0)),
    "ticket": (("1d", "2h", 3.0), ("3d", "6h", 1.0)),
}
"""By severity: a long and a short window, and how many times the budget."""

Alert = dict[str, Any]


def promtool(*arguments: str, folder: Path) -> str:
    """What it prints. Raises with it when it fails."""
    done = subprocess.run(
        ["promtool", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_the_rules(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(rules.plain())
    count = sum(len(group["rules"]) for group in rules.groups())
    assert f"SUCCESS: {count} rules found" in promtool(
        "check", "rules", "rules.yaml", folder=tmp_path
    )


@pytest.mark.parametrize("file", sorted(TESTS.glob("*.yaml")), ids=lambda file: file.stem)
def test_they_fire_when_they_should_and_only_then(file: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(rules.plain())
    (tmp_path / file.name).write_text(file.read_text())
    promtool("test", "rules", file.name, folder=tmp_path)


def test_each_is_shown_firing_and_quiet() -> None:
    """In promtool's tests: in each severity, and at some time not."""
    seen: dict[str, list[set[str]]] = {}
    for file in TESTS.glob("*.yaml"):
        for test in yaml.safe_load(file.read_text())["tests"]:
            for case in test["promql_expr_test"]:
                [name] = re.findall(r'alertname="(\w+)"', case["expr"])
                fired = re.findall(r'severity="(\w+)"', str(case["exp_samples"]))
                seen.setdefault(name, []).append(set(fired))
    for alert in rules.alerts():
        severity = alert["labels"]["severity"]
        cases = seen.get(alert["alert"], [])
        assert any(severity in fired for fired in cases), f"{alert['alert']} {severity} never fires"
        assert any(severity not in fired for fired in cases), f"{alert['alert']} always fires"


def test_every_objective_has_all_windows_and_burn_rates() -> None:
    recorded = {
        rule["record"] for group in rules.groups() for rule in group["rules"] if "record" in rule
    }
    assert recorded == {
        f"chat:{objective}_errors:ratio_rate{window}" for objective in BUDGETS for window in WINDOWS
    }
    burning = [alert for alert in rules.alerts() if "objective" in alert["labels"]]
    assert len(burning) == len(BUDGETS) * len(BURNS)
    for alert in burning:
        objective, severity = alert["labels"]["objective"], alert["labels"]["severity"]
        found = re.findall(r"ratio_rate(\w+) > ([\d.]+)", alert["expr"])
        wanted = [
            (window, f"{times * BUDGETS[objective]:.4f}".rstrip("0"))
            for long, short, times in BURNS[severity]
            for window in (long, short)
        ]
        assert found == wanted, alert["alert"]


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    names = {alert["alert"] for alert in rules.alerts()}
    pages = {page.stem for page in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == names
    index = (RUNBOOKS / "README.md").read_text()
    for alert in rules.alerts():
        name, annotations = alert["alert"], alert["annotations"]
        assert annotations["runbook_url"] == f"docs/runbooks/{name}.md"
        assert annotations["summary"]
        assert annotations["description"]
        assert f"({name}.md)" in index
    for name in names:
        text = (RUNBOOKS / f"{name}.md").read_text()
        found = [line for line in text.splitlines() if line.startswith("## ")]
        assert found == list(SECTIONS), name


def test_the_dashboards_are_what_their_description_says() -> None:
    """`make dashboards` makes them anew."""
    made = dashboards.files()
    assert {path: path.read_text() for path in dashboards.FOLDER.glob("dashboards/*")} == made
