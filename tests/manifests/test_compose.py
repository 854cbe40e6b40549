"""compose.yaml: every service of the house, with what it needs and no more than it may."""

import re

import pytest

from local.compose_edge import compose_edge
from local.layout import ROOT
from tests.integration.container import read
from tests.manifests.compose_file import COMPOSE, SERVICES, interpolated
from tests.manifests.test_roles import SETTINGS

TARGETS = {
    "gateway": "ws_gateway",
    "router": "router",
    "persister": "persister",
    "rest": "rest_api",
    "migrations": "migrations",
    "edge": "edge",
}
ROLES = ("gateway", "router", "persister", "rest")


def test_every_image_of_ours_is_a_target_of_the_dockerfile() -> None:
    stages = read()
    built = {name: one["build"]["target"] for name, one in SERVICES.items() if "build" in one}
    assert built == TARGETS
    assert set(TARGETS.values()) <= stages.keys()


@pytest.mark.parametrize("name", ROLES)
def test_a_role_gets_what_its_settings_know(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SETTINGS[TARGETS[name].replace("_", "-")]
    given = SERVICES[name]["environment"]
    assert given.keys() <= {f"CHAT_{field.upper()}" for field in settings.model_fields}
    for variable, value in given.items():
        monkeypatch.setenv(variable, interpolated(value))
    loaded = settings.model_validate({})
    drain = sum(getattr(loaded, field) for field in type(loaded).model_fields if "drain_s" in field)
    assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > drain + 5


@pytest.mark.parametrize("name", TARGETS)
def test_containers_of_ours_can_write_nothing_and_may_do_nothing(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "volumes" not in service


def test_all_start_in_order() -> None:
    """Servers, tables, roles, the edge."""
    conditions = {
        name: {other: one["condition"] for other, one in service.get("depends_on", {}).items()}
        for name, service in SERVICES.items()
    }
    for name in ROLES:
        assert conditions[name] == {
            "rabbitmq": "service_healthy",
            "redis": "service_healthy",
            "migrations": "service_completed_successfully",
        }
    assert conditions["migrations"] == {"postgres": "service_healthy"}
    assert conditions["edge"] == {"gateway": "service_healthy", "rest": "service_healthy"}
    for name, service in SERVICES.items():
        waited_for = any(one.get(name) == "service_healthy" for one in conditions.values())
        assert not waited_for or "healthcheck" in service, name


def test_only_the_edge_can_be_reached() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["edge"]
    assert SERVICES["edge"]["ports"] == ["127.0.0.1:${CHAT_PORT:-8080}:8080"]
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    for upstream in re.findall(r"server (\w+):8083 resolve", compose_edge()):
        assert upstream in SERVICES


def test_redis_keeps_no_slow_log() -> None:
    """Parts of what is cached would be in it: see tests/integration/test_nothing_leaks."""
    command = SERVICES["redis"]["command"]
    assert command[command.index("--slowlog-log-slower-than") + 1] == "-1"
    text = (ROOT / "k8s" / "base" / "servers" / "redis.yaml").read_text()
    assert "\n    slowlog-log-slower-than -1\n" in text


def test_images_have_a_tag_that_stays() -> None:
    for service in SERVICES.values():
        assert not re.search(r"^[^:]+$|:latest$", service.get("image", "ours:1"))
