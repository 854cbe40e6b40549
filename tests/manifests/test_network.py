"""Who may speak to whom: the ways of the picture in README.md, and both ends agree on each."""

from typing import Any

from tests.manifests.rendered import ROLES, Rendered, matches

SERVERS: dict[str, dict[str, str]] = {
    "rabbitmq": {"app.kubernetes.io/name": "chat-rabbitmq"},
    "postgres": {"cnpg.io/cluster": "chat-postgres", "cnpg.io/podRole": "instance"},
    "pooler": {
        "cnpg.io/cluster": "chat-postgres",
        "cnpg.io/podRole": "pooler",
        "cnpg.io/poolerName": "chat-postgres-pooler",
    },
    "redis": {"app": "chat-redis"},
    "sentinel": {"app": "chat-redis-sentinel"},
    "proxy": {"gateway.networking.k8s.io/gateway-name": "chat"},
}
"""The labels that operators give their pods, and the Gateway's implementation its proxies."""

PORTS = {"http": 8083}
"""By the names that containers give them."""

Way = tuple[str, str, int]

WAYS: set[Way] = (
    {(one, "rabbitmq", 5672) for one in (*ROLES, "privacy")}
    | {(one, "redis", 6379) for one in (*ROLES, "privacy")}
    | {(one, "sentinel", 26379) for one in (*ROLES, "privacy")}
    | {("privacy", "postgres", 5432)}
    | {("router", "postgres", 5432), ("persister", "postgres", 5432), ("migrate", "postgres", 5432)}
    | {("rest-api", "pooler", 5432), ("pooler", "postgres", 5432)}
    # Where the edge's proxies run beside the Gateway.
    | {("proxy", "ws-gateway", 8083), ("proxy", "rest-api", 8083)}
    # Servers among themselves.
    | {("rabbitmq", "rabbitmq", port) for port in (4369, 25672, 35672)}
    | {("postgres", "postgres", port) for port in (5432, 8000)}
    | {("redis", "redis", 6379), ("sentinel", "redis", 6379), ("sentinel", "sentinel", 26379)}
)

INTO: dict[tuple[str, str], set[int | str]] = {
    ("edge", "ws-gateway"): {"http"},
    ("edge", "rest-api"): {"http"},
    ("match-service", "rabbitmq"): {5672},
    ("identity", "rabbitmq"): {5672},
    ("keda", "rabbitmq"): {15672},
    ("rabbitmq-system", "rabbitmq"): {15672},
    ("cnpg-system", "postgres"): {5432, 8000},
    ("redis-operator", "redis"): {6379},
    ("redis-operator", "sentinel"): {26379},
    **{("monitoring", role): {"admin"} for role in ROLES},
    ("monitoring", "rabbitmq"): {15692},
    ("monitoring", "postgres"): {9187},
    ("monitoring", "pooler"): {9127},
}
"""From other namespaces."""

TO_KUBERNETES = {"rabbitmq", "postgres", "pooler"}
"""Whose pods ask Kubernetes' API, wherever that is."""


def pods(rendered: Rendered) -> dict[str, dict[str, str]]:
    ours = {
        workload["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"]: workload[
            "spec"
        ]["template"]["metadata"]["labels"]
        for workload in rendered.workloads()
    }
    return ours | SERVERS


def ways(rendered: Rendered, direction: str, peers: str) -> set[Way]:
    """All (from, to, port) between our pods that one end's policies allow."""
    labels = pods(rendered)
    found: set[Way] = set()
    for policy in rendered.all("NetworkPolicy"):
        spec = policy["spec"]
        for own in (name for name in labels if matches(spec["podSelector"], labels[name])):
            for rule in spec.get(direction, ()):
                for peer in rule.get(peers, ()):
                    if "podSelector" not in peer or "namespaceSelector" in peer:
                        continue
                    for other in (n for n in labels if matches(peer["podSelector"], labels[n])):
                        ends = (own, other) if direction == "egress" else (other, own)
                        ports = [PORTS.get(port["port"], port["port"]) for port in rule["ports"]]
                        found |= {(*ends, port) for port in ports}
    return found


def test_nothing_is_allowed_unless_it_is_said(rendered: Rendered) -> None:
    assert rendered.one("NetworkPolicy", "default-deny")["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    for policy in rendered.all("NetworkPolicy"):
        assert "Egress" in policy["spec"]["policyTypes"]
        for rule in policy["spec"].get("ingress", ()):
            assert rule["from"], "an empty one is everybody"
            # Clients come to the edge at the ports that its implementation chose.
            assert rule.get("ports") or policy["metadata"]["name"] == "edge"


def test_both_ends_allow_the_ways_of_the_picture_and_no_other(rendered: Rendered) -> None:
    assert ways(rendered, "egress", "to") == WAYS
    assert ways(rendered, "ingress", "from") == WAYS


def test_who_comes_in_from_other_namespaces(rendered: Rendered) -> None:
    labels = pods(rendered)
    found: dict[tuple[str, str], set[Any]] = {}
    for policy in rendered.all("NetworkPolicy"):
        spec = policy["spec"]
        for own in (name for name in labels if matches(spec["podSelector"], labels[name])):
            for rule in spec.get("ingress", ()):
                for peer in rule["from"]:
                    if "namespaceSelector" in peer:
                        [name] = peer["namespaceSelector"]["matchLabels"].values()
                        ports = {port["port"] for port in rule["ports"]}
                        found.setdefault((name, own), set()).update(ports)
    assert found == INTO


def test_who_may_go_out(rendered: Rendered) -> None:
    """All for names, roles with traces, who checks tokens to the issuer's keys, the edge's proxies
    to their control, who needs it to Kubernetes' API, nobody else anywhere.
    """
    labels = pods(rendered)
    anywhere: dict[str, set[int]] = {}
    elsewhere: dict[tuple[str, str], set[int]] = {}
    for policy in rendered.all("NetworkPolicy"):
        spec = policy["spec"]
        for own in (name for name in labels if matches(spec["podSelector"], labels[name])):
            for rule in spec.get("egress", ()):
                ports = {port["port"] for port in rule.get("ports", ())}
                if "to" not in rule:
                    anywhere.setdefault(own, set()).update(ports)
                for peer in rule.get("to", ()):
                    if "namespaceSelector" in peer:
                        [namespace] = peer["namespaceSelector"]["matchLabels"].values()
                        elsewhere.setdefault((own, namespace), set()).update(ports)
    assert anywhere == {name: {443, 6443} for name in TO_KUBERNETES}
    assert elsewhere == {(name, "kube-system"): {53} for name in labels} | {
        (role, "monitoring"): {4318} for role in ROLES
    } | {(role, "identity"): {443, 8443} for role in ("ws-gateway", "rest-api")} | {
        ("proxy", "edge"): set()
    }
