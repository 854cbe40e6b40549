"""The private Redis, RabbitMQ (with its epmd) and nginx: files and how each is started."""

import json
import os
import shutil

from local import logins
from local.failure import StackError
from local.layout import Layout
from local.programs import Program, Stage

RABBITMQ_TOOLS = "/usr/lib/rabbitmq/bin"
RABBITMQ_SERVER = f"{RABBITMQ_TOOLS}/rabbitmq-server"
WAL_BYTES = 64 << 20
"""What went through quorum queues stays in RabbitMQ's memory until this log is full, acknowledged
or not, and up to two such logs more while it is let go. By default that is 512 MB."""
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def redis_program(layout: Layout, port: int) -> Program:
    """A cache and nothing more: no persistence, and a full memory is an error, not an eviction."""
    layout.redis.mkdir(exist_ok=True)
    users = layout.redis / "users.acl"
    users.touch(mode=0o600)
    users.write_text(logins.redis_users(layout))
    return Program(
        name="redis",
        stage=Stage.SERVERS,
        command=(
            *(_installed("redis-server"), "--bind", "127.0.0.1", "--port", str(port)),
            *("--dir", str(layout.redis), "--daemonize", "no"),
            *("--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"),
            # It would keep parts of what is cached.
            *("--slowlog-log-slower-than", "-1"),
            *("--aclfile", str(users)),
        ),
        folder=layout.redis,
        environment=_environment(layout),
        bare=True,
    )


def epmd_program(layout: Layout, epmd_port: int) -> Program:
    """Erlang's name server, our own: RabbitMQ would start one that outlives it, on 4369 for all."""
    layout.rabbitmq.mkdir(exist_ok=True)
    return Program(
        name="epmd",
        stage=Stage.SERVERS,
        command=(_installed("epmd"), "-address", "127.0.0.1", "-port", str(epmd_port)),
        folder=layout.rabbitmq,
        environment=_environment(layout),
        bare=True,
    )


def rabbitmq_program(
    layout: Layout, port: int, epmd_port: int, dist_port: int, metrics_port: int
) -> Program:
    """The broker, started past Debian's wrapper, which insists on the user rabbitmq.

    `metrics_port`: where its Prometheus plugin listens, once `Stack.rabbitmq_metrics` has asked.
    """
    if not os.access(RABBITMQ_SERVER, os.X_OK):
        raise StackError(f"{RABBITMQ_SERVER} is missing; local/bootstrap installs it.")
    home = layout.rabbitmq
    home.mkdir(exist_ok=True)
    definitions = home / "definitions.json"
    definitions.touch(mode=0o600)
    definitions.write_text(json.dumps(logins.rabbitmq_definitions(layout), indent=2) + "\n")
    (home / "rabbitmq.conf").write_text(
        f"load_definitions = {definitions}\n"
        f"listeners.tcp.1 = 127.0.0.1:{port}\nraft.wal_max_size_bytes = {WAL_BYTES}\n"
        f"prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = {metrics_port}\n"
    )
    (home / "enabled_plugins").write_text("[].\n")
    return Program(
        name="rabbitmq",
        stage=Stage.SERVERS,
        command=(RABBITMQ_SERVER,),
        folder=home,
        environment=rabbitmq_environment(layout, epmd_port, dist_port),
        bare=True,
        stop_seconds=60,
    )


def rabbitmq_environment(layout: Layout, epmd_port: int, dist_port: int) -> dict[str, str]:
    """All that the broker, and a rabbitmqctl that shall find it, must be started with."""
    home = layout.rabbitmq
    return _environment(layout) | {
        # Erlang's cookie lies in the home folder.
        "HOME": str(home),
        "ERL_EPMD_PORT": str(epmd_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_CRASH_DUMP": str(home / "erl_crash.dump"),
        # @localhost, as the machine's own name need not resolve.
        "RABBITMQ_NODENAME": f"chat-{layout.stack}-{layout.identity}@localhost",
        "RABBITMQ_DIST_PORT": str(dist_port),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        # Names that do not exist keep the machine's own /etc/rabbitmq out.
        "RABBITMQ_CONF_ENV_FILE": str(home / "rabbitmq-env.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_LOGS": "-",
        # The start script then becomes the Erlang VM instead of waiting for it.
        "RUNNING_UNDER_SYSTEMD": "true",
    }


def nginx_program(layout: Layout) -> Program:
    """The edge; `local.start_nginx` becomes nginx."""
    layout.nginx.mkdir(exist_ok=True)
    return Program(
        name="nginx",
        # After the gateways, whose parting words to their clients pass through it.
        stage=Stage.DECIDING,
        command=(
            *(f"{layout.root}/.venv/bin/python", "-m", "local.start_nginx"),
            *(str(layout.nginx), _installed("nginx")),
        ),
        folder=layout.nginx,
        environment=_environment(layout) | {"PYTHONPATH": str(layout.root)},
        bare=True,
    )


def _environment(layout: Layout) -> dict[str, str]:
    return {"PATH": SYSTEM_PATH, "LANG": "C.UTF-8", "STACK_FOLDER": str(layout.folder)}


def _installed(program: str) -> str:
    path = shutil.which(program, path=SYSTEM_PATH)
    if path is None:
        raise StackError(f"{program} is not installed; local/bootstrap installs it.")
    return path
