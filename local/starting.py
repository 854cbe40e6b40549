"""Brings a stack up, in order: supervisord, the servers, the database, the roles, the edge."""

import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from functools import partial

from local import (
    development,
    edge,
    environment,
    logins,
    postgres,
    readiness,
    roles,
    servers,
    supervision,
)
from local.failure import StackError
from local.layout import Layout
from local.ports import choose_ports, require_free
from local.programs import Program
from local.progress import Progress
from local.roles import GATEWAY, REST, ROLES, Counts, Role
from local.supervision import Supervisor
from local.waiting import await_ready, failure

OwnVariables = Callable[[Role, str, Mapping[str, str]], Mapping[str, str]]
"""Given a role, one of its programs and the addresses of the role's servers, the variables that
this program gets in place of them. Called for every slot before any role is started."""

# The stack that people look at has an address of their choice; others take what is free.
DEV, DEV_PORT, OTHERS_PORT = "dev", 8080, 18080

# Of the dev stack's first gateway: the service's own port, behind the edge.
SERVICE_PORT = 8083


class Starting:
    """One start of one stack; `run` may be called once, and leaves a mess when it raises."""

    def __init__(
        self,
        layout: Layout,
        environ: Mapping[str, str],
        counts: Counts,
        progress: Progress,
        own_variables: OwnVariables | None = None,
    ) -> None:
        self._layout = layout
        self._environ = environ
        self._counts = counts
        self._progress = progress
        self._own_variables = own_variables
        self._private = environment.private_servers(environ)
        self._ports = _choose_ports(layout, environ, counts)
        self._supervisor = Supervisor(layout.supervisor_socket)

    def run(self, *, fresh: bool, tied: bool) -> "subprocess.Popen[bytes]":
        """Return supervisord when everything is ready; see Stack.start for the arguments."""
        layout = self._layout
        if fresh:
            for folder in (layout.redis, layout.rabbitmq, layout.logs):
                shutil.rmtree(folder, ignore_errors=True)
            layout.logs.mkdir()
        if "postgres" in self._private:
            postgres.prepare(layout)
        variables = environment.compose(layout, self._environ, self._ports)
        environment.save(layout, variables)
        of_roles = logins.role_variables(layout, variables, self._private, environment.SERVERS)
        environment.save_roles(layout, of_roles)
        inherited = environment.for_processes(layout, self._environ, variables)

        own = self._private_servers()
        others = [servers.nginx_program(layout)]
        others += roles.role_programs(
            layout,
            self._counts,
            self._ports,
            lambda role, name: self._variables(role, name, of_roles[role.name]),
        )
        if (port := development.port_in(self._ports, variables)) is not None:
            others.append(development.program(layout, port, variables))
        supervision.write_config(layout, [*own, *others])
        supervisord = self._spawn_supervisord(inherited, tied=tied)
        self._start_servers(own, variables)
        self._await({"postgres": self._server_check("postgres", variables)})
        if "postgres" in self._private:
            port = self._ports["postgres"]
            postgres.create_database(layout, port, fresh=fresh)
            postgres.create_logins(layout, port, logins.at(layout, "CHAT_DATABASE_URL"))
        # RabbitMQ takes seconds to boot; the migration fits in.
        self._migrate(inherited, while_waiting_for=("redis", "rabbitmq"), variables=variables)
        self._start_roles()
        self._start_edge(variables)
        return supervisord

    def _variables(self, role: Role, name: str, of_role: Mapping[str, str]) -> Mapping[str, str]:
        own = self._own_variables(role, name, of_role) if self._own_variables else {}
        return {**of_role, **own}

    def _private_servers(self) -> list[Program]:
        layout, ports = self._layout, self._ports
        programs: list[Program] = []
        if "postgres" in self._private:
            programs.append(postgres.program(layout, ports["postgres"]))
        if "redis" in self._private:
            programs.append(servers.redis_program(layout, ports["redis"]))
        if "rabbitmq" in self._private:
            epmd, erlang = ports["epmd"], ports["erlang"]
            programs.append(servers.epmd_program(layout, epmd))
            program = servers.rabbitmq_program(
                layout, ports["rabbitmq"], epmd, erlang, ports["rabbitmq-metrics"]
            )
            programs.append(program)
        return programs

    def _spawn_supervisord(
        self, inherited: Mapping[str, str], *, tied: bool
    ) -> "subprocess.Popen[bytes]":
        layout = self._layout
        edge.allow_open_files()
        layout.supervisor_pid.unlink(missing_ok=True)
        layout.supervisor_socket.parent.mkdir(mode=0o700, exist_ok=True)
        command = [f"{layout.root}/.venv/bin/supervisord", "-c", str(layout.supervisor_config)]
        tie = ["setpriv", "--pdeathsig", "TERM", "--"] if tied else []
        with layout.log("supervisord-start").open("w") as output:
            process = subprocess.Popen(
                [*tie, *command],
                cwd=layout.root,
                env=inherited,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C is for us: we stop things in order.
                start_new_session=True,
            )
        while not self._supervisor.is_listening() or not layout.supervisor_pid.exists():
            if process.poll() is not None:
                raise failure(layout, "supervisord-start", "supervisord does not start.")
            time.sleep(0.02)
        return process

    def _start_servers(self, own: list[Program], variables: Mapping[str, str]) -> None:
        for server in environment.SERVERS.keys() - self._private:
            variable = environment.SERVERS[server]
            if not readiness.url_accepts(variables[variable]):
                raise StackError(
                    f"{variable} is set, but nothing accepts connections there "
                    f"({readiness.address(variables[variable])}).\n"
                    f"Start that server, or unset {variable} for a private one."
                )
        if "rabbitmq" in self._private:
            # RabbitMQ would start an epmd of its own, were ours not there.
            self._supervisor.start("epmd")
            self._await({"epmd": partial(readiness.accepts, self._ports["epmd"])})
        for program in own:
            self._supervisor.start(program.name)

    def _server_check(self, server: str, variables: Mapping[str, str]) -> Callable[[], bool]:
        if server not in self._private:
            return partial(readiness.url_accepts, variables[environment.SERVERS[server]])
        port = self._ports[server]
        checks: dict[str, Callable[[], bool]] = {
            "postgres": partial(postgres.answers, self._layout, port),
            "redis": partial(readiness.redis_answers, port),
            "rabbitmq": partial(readiness.amqp_answers, port),
        }
        return checks[server]

    def _migrate(
        self,
        inherited: Mapping[str, str],
        *,
        while_waiting_for: tuple[str, ...],
        variables: Mapping[str, str],
    ) -> None:
        layout = self._layout
        with layout.log("migrations").open("w") as log:
            migration = subprocess.Popen(
                [f"{layout.root}/.venv/bin/python", "-m", "migrations", "upgrade"],
                cwd=layout.root,
                env=inherited,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        checks = {name: self._server_check(name, variables) for name in while_waiting_for}
        checks["migrations"] = lambda: _succeeded(migration, layout)
        try:
            self._await(checks)
        finally:
            migration.kill()
            migration.wait()

    def _start_roles(self) -> None:
        wanted = [name for role in ROLES for name in self._counts.programs(role)]
        for name in wanted:
            self._supervisor.start(name)
        self._await({name: role_check(self._ports, name) for name in wanted})

    def _start_edge(self, variables: Mapping[str, str]) -> None:
        port = self._ports["edge"]
        extra = development.port_in(self._ports, variables)
        gateways = [self._ports[name] for name in self._counts.programs(GATEWAY)]
        rests = [self._ports[name] for name in self._counts.programs(REST)]
        edge.write_config(self._layout, port, gateways, rests, extra)
        self._supervisor.start("nginx")
        checks = {"nginx": lambda: readiness.http_status(port, "/") == 200}
        if extra is not None:
            self._supervisor.start(development.NAME)
            checks[development.NAME] = partial(readiness.accepts, extra)
        self._await(checks)

    def _await(self, checks: Mapping[str, Callable[[], bool]], patience: float = 90) -> None:
        await_ready(self._supervisor, checks, self._layout, self._progress, patience)


def role_check(ports: Mapping[str, int], program: str) -> Callable[[], bool]:
    """Whether a role's program says that it can work."""
    port = ports[roles.admin_port_name(program)]
    return lambda: readiness.http_status(port, "/readyz") == 200


def _succeeded(migration: "subprocess.Popen[bytes]", layout: Layout) -> bool:
    code = migration.poll()
    if code:
        raise failure(layout, "migrations", "The migration of the database failed.")
    return code == 0


def _choose_ports(layout: Layout, environ: Mapping[str, str], counts: Counts) -> dict[str, int]:
    names = ["postgres", "redis", "rabbitmq", "rabbitmq-metrics", "epmd", "erlang"]
    names += [development.NAME, *roles.port_names(counts)]
    if layout.stack != DEV:
        return choose_ports(["edge", *names], layout.ports, {"edge": OTHERS_PORT})
    text = environ.get("CHAT_PORT") or str(DEV_PORT)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise StackError(f"CHAT_PORT={text} is not a port number.")
    edge_port = int(text)
    require_free(edge_port)
    preferred = {"gateway-1": SERVICE_PORT} if edge_port != SERVICE_PORT else {}
    return {"edge": edge_port} | choose_ports(names, layout.ports, preferred)
