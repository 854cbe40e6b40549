"""The rules of the house: what each role must have, in every overlay."""

import re
from collections.abc import Iterator
from math import ceil

import pytest
from pydantic import ValidationError

from libs.common.config import RoleSettings
from services.persister.settings import PersisterSettings
from services.rest_api.settings import RestSettings
from services.router.settings import RouterSettings
from services.ws_gateway.settings import GatewaySettings
from tests.manifests.rendered import ROLES, Rendered, containers, matches, quantity, values

SETTINGS: dict[str, type[RoleSettings]] = {
    "ws-gateway": GatewaySettings,
    "router": RouterSettings,
    "persister": PersisterSettings,
    "rest-api": RestSettings,
}
SECRET = {
    "CHAT_AMQP_URL": "amqp://a:b@host:5672/",
    "CHAT_DATABASE_URL": "postgresql://a:b@host/chat",
    "CHAT_JWT_SECRET": "s" * 32,
}
"""What the secrets would hold."""
ENDS_WITHIN_S = 5
"""After its drain a process is gone."""


@pytest.fixture(params=ROLES)
def role(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def settings(
    rendered: Rendered, role: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RoleSettings]:
    """As the process would read them: an unknown value fails here."""
    for variable, value in rendered.environment(role).items():
        monkeypatch.setenv(variable, SECRET.get(variable, "password") if value is None else value)
    try:
        yield SETTINGS[role].model_validate({})
    except ValidationError as error:
        pytest.fail(f"{role} would not start: {error}")


def test_settings_are_those_that_the_role_knows(
    rendered: Rendered, role: str, settings: RoleSettings
) -> None:
    given = {name for name in rendered.environment(role) if name.startswith("CHAT_")}
    known = {f"CHAT_{field.upper()}" for field in type(settings).model_fields}
    assert given <= known
    required = {
        f"CHAT_{name.upper()}"
        for name, field in type(settings).model_fields.items()
        if field.is_required()
    }
    assert required <= given


def test_variables_are_defined_before_they_are_used(rendered: Rendered) -> None:
    for workload in rendered.workloads():
        for container in containers(workload):
            defined: set[str] = set()
            for item in container["env"]:
                used = re.findall(r"\$\((\w+)\)", item.get("value", ""))
                assert set(used) <= defined, f"{container['name']}: {item['name']}"
                defined.add(item["name"])


def test_secrets_are_references_alone(rendered: Rendered) -> None:
    assert rendered.all("Secret") == []
    for workload in rendered.workloads():
        for container in containers(workload):
            for item in container["env"]:
                plain = item.get("value", "")
                assert not re.search(r"PASSWORD|SECRET|TOKEN", item["name"]) or "valueFrom" in item
                assert not re.search(r"//[^@/]*:(?!\$\()[^@/]*@", plain), item["name"]


def test_images_have_a_tag_that_stays(rendered: Rendered) -> None:
    everything = list(rendered.manifests)
    for image in [*values(everything, "image"), *values(everything, "imageName")]:
        tag = image.rpartition("/")[2].partition(":")[2]
        assert tag, f"{image} has no tag"
        assert tag != "latest"


def test_pods_are_restricted(rendered: Rendered) -> None:
    """Beyond what the namespace demands: nothing can be written, no token can be read."""
    [namespace] = rendered.all("Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for workload in rendered.workloads():
        spec = workload["spec"]["template"]["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 10001
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert "volumes" not in spec
        account = rendered.one("ServiceAccount", spec["serviceAccountName"])
        assert account["automountServiceAccountToken"] is False
        for container in containers(workload):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert set(container["resources"]) == {"requests", "limits"}
            for resource, requested in container["resources"]["requests"].items():
                assert quantity(requested) <= quantity(container["resources"]["limits"][resource])


def test_probes_ask_the_admin_port_and_liveness_no_server(rendered: Rendered, role: str) -> None:
    container = rendered.container(role)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["admin"] == 9090
    asked = {
        probe: container[f"{probe}Probe"]["httpGet"]
        for probe in ("startup", "liveness", "readiness")
    }
    assert {probe: one["path"] for probe, one in asked.items()} == {
        "startup": "/livez",
        "liveness": "/livez",
        "readiness": "/readyz",
    }
    assert {one["port"] for one in asked.values()} == {"admin"}


def test_each_role_has_a_budget_for_disruptions(rendered: Rendered, role: str) -> None:
    budget = rendered.one("PodDisruptionBudget", role)["spec"]
    assert budget["maxUnavailable"] == 1
    assert matches(budget["selector"], rendered.pod(role)["metadata"]["labels"])


def test_roles_are_spread_and_replaced_one_by_one(rendered: Rendered, role: str) -> None:
    deployment = rendered.one("Deployment", role)["spec"]
    assert "replicas" not in deployment, "they are the autoscaler's"
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    labels = deployment["template"]["metadata"]["labels"]
    assert matches(deployment["selector"], labels)
    topologies = set()
    for constraint in deployment["template"]["spec"]["topologySpreadConstraints"]:
        assert matches(constraint["labelSelector"], labels)
        assert set(constraint["matchLabelKeys"]) - {"pod-template-hash"} <= labels.keys()
        topologies.add(constraint["topologyKey"])
    assert topologies == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}


def test_there_is_time_to_drain(rendered: Rendered, role: str, settings: RoleSettings) -> None:
    """preStop, what the role's settings give its drain, and the end of the process."""
    pod = rendered.pod(role)["spec"]
    sleep = rendered.container(role).get("lifecycle", {}).get("preStop", {}).get("sleep", {})
    drain = sum(
        getattr(settings, name) for name in type(settings).model_fields if name.endswith("drain_s")
    )
    assert pod["terminationGracePeriodSeconds"] > sleep.get("seconds", 0) + drain + ENDS_WITHIN_S
    if role in ("ws-gateway", "rest-api"):
        assert sleep["seconds"] >= 5, "the edge must hear that it is going"


def test_a_router_that_is_left_over_has_the_memory_for_all_partitions(rendered: Rendered) -> None:
    """150 KiB a long conversation (docs/operations.md), when one of the fewest routers is gone."""
    environment = rendered.environment("router")
    partitions = int(environment["CHAT_PARTITIONS"] or 0)
    conversations = int(environment["CHAT_ROUTER_CONVERSATIONS"] or 0)
    fewest = rendered.one("ScaledObject", "router")["spec"]["minReplicaCount"]
    each = ceil(partitions / max(1, fewest - 1))
    needed = (78 << 20) + each * conversations * (150 << 10)
    limit = quantity(rendered.container("router")["resources"]["limits"]["memory"])
    assert needed < limit
