"""The logins of Redis and its sentinels in Kubernetes: k8s/base/servers/redis.yaml."""

from dataclasses import dataclass

from tests.manifests.rendered import Manifest

DEFAULT = "~* &* +@all"
"""Redis' own user: the operator's, the servers' among themselves, the probes'."""


@dataclass(frozen=True)
class RedisLogins:
    """What the init container of a RedisReplication or a RedisSentinel is told."""

    command: list[str]
    """With what it is given to carry out."""
    users: str
    """A line each: name and rules."""
    passwords: dict[str, tuple[str, str]]
    """By variable, the secret and its key."""

    @classmethod
    def of(cls, manifest: Manifest) -> "RedisLogins":
        container = manifest["spec"]["initContainer"]
        plain = {one["name"]: one["value"] for one in container["env"] if "value" in one}
        secret = {
            one["name"]: one["valueFrom"]["secretKeyRef"]
            for one in container["env"]
            if "valueFrom" in one
        }
        assert plain.keys() == {"COMMANDS", "USERS"}
        return cls(
            command=[*container["command"], *container["args"]],
            # As Kubernetes does with a variable that was named before.
            users=plain["USERS"].replace("$(COMMANDS)", plain["COMMANDS"]),
            passwords={name: (one["name"], one["key"]) for name, one in secret.items()},
        )

    @property
    def rules(self) -> dict[str, str]:
        """By user."""
        return dict(line.split(" ", 1) for line in self.users.splitlines())
