"""The four roles: how many of each, how each is started."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from local.failure import StackError
from local.layout import Layout
from local.programs import Program, Stage

# Programs that `add` can start without supervisord having to read a new configuration.
SPARE_SLOTS = 4


@dataclass(frozen=True)
class Role:
    """One kind of process."""

    name: str
    """Of its programs: gateway-1, gateway-2, …"""
    variable: str
    """The environment variable that says how many to start."""
    listens: bool
    """Whether the edge sends it requests."""
    reads_database: bool
    stage: Stage


GATEWAY = Role("gateway", "GATEWAYS", listens=True, reads_database=False, stage=Stage.TAKING_IN)
REST = Role("rest", "RESTS", listens=True, reads_database=True, stage=Stage.TAKING_IN)
ROUTER = Role("router", "ROUTERS", listens=False, reads_database=True, stage=Stage.DECIDING)
PERSISTER = Role("persister", "PERSISTERS", listens=False, reads_database=True, stage=Stage.STORING)
ROLES = (GATEWAY, REST, ROUTER, PERSISTER)


@dataclass(frozen=True)
class Counts:
    """How many processes of each role a start brings up."""

    gateway: int = 2
    router: int = 2
    persister: int = 1
    rest: int = 1

    @classmethod
    def of(cls, environ: Mapping[str, str], defaults: "Counts | None" = None) -> "Counts":
        """Read GATEWAYS, ROUTERS, PERSISTERS and RESTS; raises StackError naming a bad one."""
        defaults = defaults or cls()
        chosen: dict[str, int] = {}
        for role in ROLES:
            text = environ.get(role.variable) or str(defaults.number(role))
            if not text.isdecimal() or int(text) > 64:
                raise StackError(f"{role.variable}={text} is not a number from 0 to 64.")
            chosen[role.name] = int(text)
        return cls(**chosen)

    def number(self, role: Role) -> int:
        """How many of `role`."""
        value: int = getattr(self, role.name)
        return value

    def programs(self, role: Role) -> list[str]:
        """The names of the programs to start."""
        return [f"{role.name}-{i}" for i in range(1, self.number(role) + 1)]

    def slots(self, role: Role) -> list[str]:
        """The names of all programs that may be started, the spare ones included."""
        return [f"{role.name}-{i}" for i in range(1, max(self.number(role), SPARE_SLOTS) + 1)]


def role_of(program: str) -> Role | None:
    """Whose program this is, None for a server."""
    name, _, number = program.rpartition("-")
    return next((role for role in ROLES if role.name == name and number.isdecimal()), None)


def admin_port_name(program: str) -> str:
    """The name of a program's admin port in ports.json."""
    return f"{program}/admin"


def port_names(counts: Counts) -> list[str]:
    """The ports that all slots need."""
    names: list[str] = []
    for role in ROLES:
        for program in counts.slots(role):
            names += [program] if role.listens else []
            names.append(admin_port_name(program))
    return names


Variables = Callable[[Role, str], Mapping[str, str]]
"""What a program of this role and name finds in its environment in place of what all have in
common: the addresses of its servers, with its login."""

SERVERS = ("CHAT_AMQP_URL", "CHAT_REDIS_URL", "CHAT_DATABASE_URL")


def role_program(
    layout: Layout, role: Role, name: str, ports: Mapping[str, int], variables: Mapping[str, str]
) -> Program:
    """One process of a role; what all have in common comes from supervisord's environment.

    `ports` has its admin port and, where the role listens, the one under its own name.
    """
    venv = layout.root / ".venv" / "bin"
    commands = {
        GATEWAY: (f"{venv}/python", "-m", "services.ws_gateway"),
        ROUTER: (f"{venv}/python", "-m", "services.router"),
        PERSISTER: (f"{venv}/python", "-m", "services.persister"),
        REST: (
            f"{venv}/gunicorn",
            *("-c", "services/rest_api/gunicorn_conf.py", "services.rest_api.wsgi:app"),
        ),
    }
    own = {"CHAT_INSTANCE": name, "CHAT_ADMIN_PORT": str(ports[admin_port_name(name)])}
    if role.listens:
        own |= {"CHAT_LISTEN_HOST": "127.0.0.1", "CHAT_LISTEN_PORT": str(ports[name])}
    return Program(
        name=name,
        stage=role.stage,
        command=commands[role],
        folder=layout.root,
        environment=own,
        secrets=variables,
        without=[name for name in SERVERS if name not in variables],
    )


def role_programs(
    layout: Layout, counts: Counts, ports: Mapping[str, int], variables: Variables
) -> list[Program]:
    """Every slot of every role."""
    return [
        role_program(layout, role, name, ports, variables(role, name))
        for role in ROLES
        for name in counts.slots(role)
    ]
