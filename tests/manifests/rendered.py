"""An overlay, rendered by kubectl's own kustomize, and questions to ask of it."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".venv-manifests" / "bin"
OVERLAYS = ("dev", "production")

ROLES = ("ws-gateway", "router", "persister", "rest-api")
"""Deployments. The services' folders have _ for -."""

Manifest = dict[str, Any]


def run_tool(name: str, *arguments: str | Path, stdin: str | None = None) -> str:
    """What a tool of .venv-manifests prints; fails the test with it when the tool does."""
    if not (TOOLS / name).exists():
        pytest.fail(f"There is no {TOOLS / name}: local/bootstrap --tests installs it.")
    done = subprocess.run(
        [TOOLS / name, *arguments],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{name}: {done.stdout}\n{done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Rendered:
    """All manifests of one overlay."""

    overlay: str
    text: str
    manifests: tuple[Manifest, ...]

    @classmethod
    def of(cls, overlay: str) -> "Rendered":
        text = run_tool("kubectl", "kustomize", ROOT / "k8s" / "overlays" / overlay)
        return cls(overlay, text, tuple(yaml.safe_load_all(text)))

    def all(self, kind: str) -> list[Manifest]:
        return [manifest for manifest in self.manifests if manifest["kind"] == kind]

    def one(self, kind: str, name: str) -> Manifest:
        """Fails the test when there is none."""
        found = [item for item in self.all(kind) if item["metadata"]["name"] == name]
        assert found, f"{self.overlay} has no {kind} {name}"
        assert len(found) == 1
        return found[0]

    @property
    def namespace(self) -> str:
        [namespace] = self.all("Namespace")
        name: str = namespace["metadata"]["name"]
        return name

    def workloads(self) -> list[Manifest]:
        """What makes pods of ours."""
        timed = [one | one["spec"]["jobTemplate"] for one in self.all("CronJob")]
        return self.all("Deployment") + self.all("Job") + timed

    def pod(self, role: str) -> Manifest:
        """The pod template of a role."""
        template: Manifest = self.one("Deployment", role)["spec"]["template"]
        return template

    def container(self, role: str) -> Manifest:
        [container] = self.pod(role)["spec"]["containers"]
        return dict(container)

    def environment(self, role: str) -> dict[str, str | None]:
        """What the process of a role will find; None for what a secret holds."""
        container = self.container(role)
        variables: dict[str, str | None] = {}
        for source in container["envFrom"]:
            variables |= self.one("ConfigMap", source["configMapRef"]["name"])["data"]
        return variables | {item["name"]: item.get("value") for item in container["env"]}


def containers(workload: Manifest) -> list[Manifest]:
    """All of its pods', the init containers first."""
    spec = workload["spec"]["template"]["spec"]
    return [*spec.get("initContainers", ()), *spec["containers"]]


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects these labels; of operators it knows In and NotIn."""
    wanted = selector.get("matchLabels", {})
    expressions = selector.get("matchExpressions", ())
    return wanted.items() <= labels.items() and all(
        (labels.get(one["key"]) in one["values"]) == {"In": True, "NotIn": False}[one["operator"]]
        for one in expressions
    )


def values(manifest: object, key: str) -> Iterator[Any]:
    """Every value that stands under `key`, however deep."""
    if isinstance(manifest, Mapping):
        for name, value in manifest.items():
            if name == key:
                yield value
            yield from values(value, key)
    elif isinstance(manifest, list):
        for item in manifest:
            yield from values(item, key)


_UNITS = {"m": 1e-3, "": 1.0, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}


def quantity(text: str | int) -> float:
    """Cores, or bytes: `500m`, `3Gi`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(m|Ki|Mi|Gi|Ti|)", str(text))
    assert match, f"no quantity: {text}"
    return float(match[1]) * _UNITS[match[2]]
