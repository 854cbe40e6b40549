"""What one manifest says of another is so; and the order in which things happen."""

import re
from collections.abc import Callable
from dataclasses import asdict

import pytest

from libs.common import topology
from libs.common.domain.role import login_of
from libs.common.privileges import acl, permissions, sentinel_acl
from local import postgres
from local.logins import USES
from migrations.privileges import PRIVILEGES
from services.rest_api.openapi import BASE
from tests.manifests.redis_logins import DEFAULT, RedisLogins
from tests.manifests.rendered import ROLES, Rendered, containers, matches, quantity, values

AT_RABBITMQ = [role for role, used in USES.items() if "CHAT_AMQP_URL" in used]
AT_REDIS = [role for role, used in USES.items() if "CHAT_REDIS_URL" in used]
FROM_OUTSIDE = {
    *("chat-jwt", "chat-redis", "chat-tls"),
    *(f"chat-postgres-{role}" for role in ("persister", "privacy", "router", "rest")),
    *(f"chat-rabbitmq-{role.replace('_', '-')}" for role in AT_RABBITMQ),
    *(f"chat-redis-{role}" for role in AT_REDIS),
}
"""Secrets that docs/kubernetes.md has one make."""
BY_OPERATORS = {"chat-rabbitmq-default-user": "RabbitmqCluster", "chat-postgres-app": "Cluster"}


def test_secrets_are_those_that_someone_makes(rendered: Rendered) -> None:
    used = {
        reference["name"]
        for key in ("secretKeyRef", "redisSecret", "passwordSecret", "importCredentialsSecret")
        for reference in values(list(rendered.manifests), key)
    }
    used |= {
        one["name"]
        for key in ("certificateRefs", "secretTargetRef")
        for references in values(list(rendered.manifests), key)
        for one in references
    }
    assert used == FROM_OUTSIDE | set(BY_OPERATORS)
    for secret, kind in BY_OPERATORS.items():
        assert [m for m in rendered.all(kind) if secret.startswith(m["metadata"]["name"] + "-")]


@pytest.mark.parametrize("role", AT_RABBITMQ)
def test_who_may_do_what_at_rabbitmq_is_as_it_was_tested(rendered: Rendered, role: str) -> None:
    name = f"chat-{role.replace('_', '-')}"
    user = rendered.one("User", name)["spec"]
    assert user["importCredentialsSecret"]["name"] == f"chat-rabbitmq-{role.replace('_', '-')}"
    permission = rendered.one("Permission", name)["spec"]
    assert permission["userReference"]["name"] == name
    assert permission["vhost"] == "/"
    assert permission["permissions"] == asdict(permissions(role))


@pytest.mark.parametrize(
    ("kind", "allowed"), [("RedisReplication", acl), ("RedisSentinel", sentinel_acl)]
)
def test_who_may_do_what_at_redis_is_as_it_was_tested(
    rendered: Rendered, kind: str, allowed: Callable[[str], list[str]]
) -> None:
    logins = RedisLogins.of(rendered.one(kind, "chat-redis"))
    roles = {login_of(role): role for role in AT_REDIS}
    assert logins.rules == {"default": DEFAULT} | {
        name: " ".join(allowed(role)) for name, role in roles.items()
    }
    assert logins.passwords == {"default": ("chat-redis", "password")} | {
        name: (f"chat-redis-{role}", "password") for name, role in roles.items()
    }


def test_redis_and_its_sentinels_take_the_logins_that_were_made(rendered: Rendered) -> None:
    replication = rendered.one("RedisReplication", "chat-redis")["spec"]
    sentinel = rendered.one("RedisSentinel", "chat-redis")["spec"]
    assert replication["initContainer"]["args"] == sentinel["initContainer"]["args"]
    [script] = replication["initContainer"]["args"]
    assert script.endswith(">/acl/users.acl\n")
    for mounted in (replication["storage"]["volumeMount"], sentinel["volumeMount"]):
        [volume], [mount] = mounted["volume"], mounted["mountPath"]
        assert mount == {"name": volume["name"], "mountPath": "/acl"}
        assert volume["emptyDir"]["medium"] == "Memory"
    told = rendered.one("ConfigMap", replication["redisConfig"]["additionalRedisConfig"])["data"]
    assert sentinel["redisSentinelConfig"]["additionalSentinelConfig"] == "chat-redis-config"
    for file in ("redis-additional.conf", "redis-sentinel-additional.conf"):
        assert "aclfile /acl/users.acl" in told[file].splitlines()


@pytest.mark.parametrize(
    ("name", "role"), list(zip(ROLES, ("gateway", "router", "persister", "rest"), strict=True))
)
def test_each_role_comes_with_a_login_of_its_own(rendered: Rendered, name: str, role: str) -> None:
    given = rendered.environment(name)
    for variable in ("CHAT_AMQP_URL", "CHAT_DATABASE_URL", "CHAT_REDIS_URL"):
        if variable in given:
            assert f"//{login_of(role)}:$(" in str(given[variable])
    for container in containers(rendered.one("Deployment", name)):
        secrets = {one["name"] for one in values(container, "secretKeyRef")}
        own = {f"chat-{server}-{role}" for server in ("postgres", "rabbitmq", "redis")}
        assert secrets <= own | {"chat-jwt"}
    managed = rendered.one("Cluster", "chat-postgres")["spec"]["managed"]["roles"]
    assert {one["name"] for one in managed} == PRIVILEGES.keys()
    assert not [one for one in managed if "inRoles" in one]


@pytest.mark.parametrize("name", ["ws-gateway", "rest-api"])
def test_services_reach_their_pods(rendered: Rendered, name: str) -> None:
    service = rendered.one("Service", name)["spec"]
    assert matches({"matchLabels": service["selector"]}, rendered.pod(name)["metadata"]["labels"])
    names = {port["name"] for port in rendered.container(name)["ports"]}
    assert {port["targetPort"] for port in service["ports"]} <= names
    assert "admin" not in {port["targetPort"] for port in service["ports"]}


def test_the_edge_leads_to_services_and_nowhere_else(rendered: Rendered) -> None:
    route = rendered.one("HTTPRoute", "chat")["spec"]
    gateway = rendered.one("Gateway", "chat")["spec"]
    listeners = {listener["name"]: listener for listener in gateway["listeners"]}
    for parent in route["parentRefs"]:
        assert listeners[parent["sectionName"]]["hostname"] in route["hostnames"]
    paths = {}
    for rule in route["rules"]:
        [reference] = rule["backendRefs"]
        ports = rendered.one("Service", reference["name"])["spec"]["ports"]
        assert reference["port"] in {port["port"] for port in ports}
        [match] = rule["matches"]
        paths[match["path"]["value"]] = (match["path"]["type"], reference["name"], rule["timeouts"])
    assert paths == {
        f"{BASE}/ws": ("Exact", "ws-gateway", {"request": "0s", "backendRequest": "0s"}),
        BASE: ("PathPrefix", "rest-api", {"request": "30s", "backendRequest": "20s"}),
    }


@pytest.mark.parametrize("role", ROLES)
def test_each_role_is_scaled_by_what_exists(rendered: Rendered, role: str) -> None:
    spec = rendered.one("ScaledObject", role)["spec"]
    assert spec["scaleTargetRef"]["name"] == role
    assert rendered.one("Deployment", role)
    assert 1 <= spec["minReplicaCount"] <= spec["maxReplicaCount"]
    down = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    assert down["stabilizationWindowSeconds"] >= 300
    assert [policy["value"] for policy in down["policies"]] == [1]


@pytest.mark.parametrize(
    ("role", "queue"), [("router", topology.events(3)), ("persister", topology.writes(3))]
)
def test_queues_that_scale_a_role_are_those_it_consumes(
    rendered: Rendered, role: str, queue: topology.Queue
) -> None:
    spec = rendered.one("ScaledObject", role)["spec"]
    partitions = int(rendered.environment(role)["CHAT_PARTITIONS"] or 0)
    assert spec["maxReplicaCount"] <= partitions, "more would stand by"
    [length] = [one for one in spec["triggers"] if one["type"] == "rabbitmq"]
    metadata = length["metadata"]
    assert re.match(metadata["queueName"], queue.name)
    assert not re.match(metadata["queueName"], topology.DEAD)
    assert metadata["protocol"] == "http", "AMQP doesn't tell what is unacknowledged"
    assert metadata["mode"] == "QueueLength"
    assert f".{rendered.namespace}.svc:15672/" in metadata["host"]
    assert rendered.one("TriggerAuthentication", length["authenticationRef"]["name"])
    [age] = [one for one in spec["triggers"] if one["type"] == "prometheus"]
    kind = queue.name.split(".")[1]
    assert (
        f'chat_queue_wait_seconds_bucket{{namespace="{rendered.namespace}", queue="{kind}"}}'
        in (age["metadata"]["query"])
    )


def test_queries_of_metrics_ask_for_this_namespace(rendered: Rendered) -> None:
    queries = list(values(rendered.all("ScaledObject"), "query"))
    assert len(queries) == 4
    queries += values(rendered.all("PrometheusRule"), "expr")
    for query in queries:
        named = re.findall(r'\b(?:chat|rabbitmq)_\w+(?:\{namespace="([^"]+)")?', query)
        assert set(named) <= {rendered.namespace}, query


def test_alerts_and_dashboards_come_once(dev: Rendered, production: Rendered) -> None:
    """Both name or choose a deployment, so one Prometheus and one Grafana may have several."""
    assert [len(one.all("PrometheusRule")) for one in (dev, production)] == [0, 1]
    for one, there in ((dev, False), (production, True)):
        names = {config["metadata"]["name"] for config in one.all("ConfigMap")}
        assert ("chat-dashboards" in names) is there


def test_lost_targets_are_no_reason_to_take_gateways_away(rendered: Rendered) -> None:
    [trigger] = [
        one
        for one in rendered.one("ScaledObject", "ws-gateway")["spec"]["triggers"]
        if one["type"] == "prometheus"
    ]
    assert trigger["metadata"]["ignoreNullValues"] == "false"


def test_a_migration_job_is_new_for_each_release_and_roles_wait_for_it(rendered: Rendered) -> None:
    [job] = rendered.all("Job")
    [migrate] = containers(job)
    tag = migrate["image"].rpartition(":")[2]
    assert job["metadata"]["name"] == f"migrate-{tag}"
    assert migrate["args"] == ["upgrade"]
    for role in ROLES:
        uses_tables = "CHAT_DATABASE_URL" in rendered.environment(role)
        waiting = rendered.pod(role)["spec"].get("initContainers", [])
        assert bool(waiting) == uses_tables, role
        for container in waiting:
            assert (container["image"], container["args"]) == (migrate["image"], ["wait"])
            [address] = [v for v in container["env"] if v["name"] == "CHAT_DATABASE_URL"]
            [own] = [v for v in rendered.container(role)["env"] if v["name"] == "CHAT_DATABASE_URL"]
            assert address == own


def test_all_images_of_ours_are_of_one_release(rendered: Rendered) -> None:
    tags = {
        container["image"].rpartition(":")[2]
        for workload in rendered.workloads()
        for container in containers(workload)
    }
    assert len(tags) == 1


def test_what_must_not_be_alone_is_not(production: Rendered) -> None:
    assert production.one("RabbitmqCluster", "chat-rabbitmq")["spec"]["replicas"] == 3
    postgres = production.one("Cluster", "chat-postgres")["spec"]
    assert postgres["instances"] == 3
    assert postgres["postgresql"]["synchronous"] == {
        "method": "any",
        "number": 1,
        "dataDurability": "required",
    }
    assert production.one("Pooler", "chat-postgres-pooler")["spec"]["instances"] >= 2
    assert production.one("RedisReplication", "chat-redis")["spec"]["clusterSize"] == 3
    assert production.one("RedisSentinel", "chat-redis")["spec"]["clusterSize"] == 3
    for role in ROLES:
        assert production.one("ScaledObject", role)["spec"]["minReplicaCount"] >= 2


@pytest.mark.parametrize(
    ("role", "called"),
    tuple(zip(ROLES, ("gateway", "router", "persister", "rest"), strict=True)),
)
def test_every_role_is_scraped_under_the_name_that_the_rules_know(
    rendered: Rendered, role: str, called: str
) -> None:
    monitor = rendered.one("PodMonitor", "chat")["spec"]
    labels = rendered.pod(role)["metadata"]["labels"]
    assert matches(monitor["selector"], labels)
    assert labels["app.kubernetes.io/component"] == called
    ports = {port["name"] for port in rendered.container(role)["ports"]}
    assert {endpoint["port"] for endpoint in monitor["podMetricsEndpoints"]} <= ports


def test_servers_take_what_their_containers_have(rendered: Rendered) -> None:
    """Redis answers that it is full before it is killed; RabbitMQ's pods are as its namespace
    demands; PostgreSQL knows the letters that the tests' does.
    """
    told = rendered.one("ConfigMap", "chat-redis-config")["data"]["redis-additional.conf"]
    [megabytes] = re.findall(r"^maxmemory (\d+)mb$", told, re.MULTILINE)
    redis = rendered.one("RedisReplication", "chat-redis")["spec"]["kubernetesConfig"]
    assert int(megabytes) << 20 <= 0.75 * quantity(redis["resources"]["limits"]["memory"])
    override = rendered.one("RabbitmqCluster", "chat-rabbitmq")["spec"]["override"]
    pod = override["statefulSet"]["spec"]["template"]["spec"]
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
    made = rendered.one("Cluster", "chat-postgres")["spec"]["bootstrap"]["initdb"]
    assert made["localeCollate"] == made["localeCType"] == postgres.LOCALE
