"""Other people's rules: Kubernetes' schemas, KEDA's models, checkov."""

import json
from pathlib import Path

from tests.manifests.rendered import ROOT, Manifest, Rendered, run_tool

OLDEST, NEWEST = "1.30", "1.37"
"""Of Kubernetes. `preStop: sleep` needs 1.30; 1.37 is the newest that the schemas know."""


def is_kubernetes_own(manifest: Manifest) -> bool:
    """Rather than an operator's, or the Gateway API's."""
    group, _, _ = manifest["apiVersion"].rpartition("/")
    return "." not in group or (group.endswith(".k8s.io") and not group.startswith("gateway."))


def test_kubernetes_own_schemas(rendered: Rendered, tmp_path: Path) -> None:
    file = tmp_path / "rendered.yaml"
    file.write_text(rendered.text)
    for version in (OLDEST, NEWEST):
        said = run_tool("kubernetes-validate", "--strict", "-k", version, file)
        own = [manifest for manifest in rendered.manifests if is_kubernetes_own(manifest)]
        assert said.count(" passed for resource ") == len(own) > 20, said


def test_kedas_own_models(rendered: Rendered) -> None:
    script = Path(__file__).with_name("keda_schema.py")
    looked_at = run_tool("python", script, stdin=rendered.text)
    assert int(looked_at) == 5


def checkov(framework: str, file: Path) -> int:
    """How many checks passed; the others are the test's failure. `.checkov.yaml` says which not."""
    said = run_tool(
        "checkov",
        *("--framework", framework, "--file", file, "--config-file", ROOT / ".checkov.yaml"),
        *("--output", "json", "--quiet", "--skip-download"),
    )
    summary: dict[str, int] = json.loads(said)["summary"]
    assert summary["failed"] == summary["parsing_errors"] == 0
    return summary["passed"]


def test_checkov_finds_nothing_in_the_manifests(production: Rendered, tmp_path: Path) -> None:
    file = tmp_path / "rendered.yaml"
    file.write_text(production.text)
    assert checkov("kubernetes", file) > 300


def test_checkov_finds_nothing_in_the_images() -> None:
    assert checkov("dockerfile", ROOT / "Dockerfile") > 100
