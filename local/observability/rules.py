"""The alert rules of k8s/base/monitoring as Prometheus itself and promtool read them."""

from typing import Any, Final

import yaml

from local.layout import ROOT

SOURCE: Final = ROOT / "k8s" / "base" / "monitoring" / "prometheusrule.yaml"


def groups() -> list[dict[str, Any]]:
    """Groups of rules, as the PrometheusRule has them."""
    resource = yaml.safe_load(SOURCE.read_text())
    found: list[dict[str, Any]] = resource["spec"]["groups"]
    return found


def alerts() -> list[dict[str, Any]]:
    """All alerting rules; one name may have several, of different severity."""
    return [rule for group in groups() for rule in group["rules"] if "alert" in rule]


def plain() -> str:
    """A rule file."""
    text: str = yaml.safe_dump({"groups": groups()}, sort_keys=False, allow_unicode=True)
    return text


if __name__ == "__main__":
    print(plain(), end="")
