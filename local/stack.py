"""A whole chat service on this machine, as an object."""

import fcntl
import os
import signal as signals
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from local import development, edge, environment, leftovers, readiness, roles, servers
from local.failure import StackError
from local.layout import Layout
from local.ports import remembered_ports
from local.progress import Progress, Silence
from local.roles import GATEWAY, REST, Counts, Role
from local.starting import OwnVariables, Starting, role_check
from local.supervision import ProcessInfo, Supervisor
from local.waiting import await_ready


class Stack:
    """One stack by its name. Any process may hold one and control what another has started.

    Methods raise StackError with a text for people. Programs are named postgres, redis, epmd,
    rabbitmq, nginx, gateway-1, router-2, persister-1, rest-1, ….
    """

    def __init__(
        self,
        name: str = "dev",
        environ: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.layout = Layout(name)
        self._environ = dict(os.environ if environ is None else environ)
        self._progress = progress or Silence()
        # Where this object started it: a child, which only its parent can reap.
        self._supervisord: subprocess.Popen[bytes] | None = None

    # ------------------------------------------------------------------ starting and stopping

    def start(
        self,
        counts: Counts | None = None,
        *,
        fresh: bool = False,
        tied: bool = False,
        own_variables: OwnVariables | None = None,
    ) -> None:
        """Start everything and return when all of it is ready; on failure nothing is left running.

        `fresh` begins with empty servers (the caller's own are left as they are); `tied` ends the
        stack when this process ends, however it ends; `own_variables` gives
        single programs variables of their own.
        """
        counts = counts or Counts.of(self._environ)
        self.layout.logs.mkdir(parents=True, exist_ok=True)
        with self._alone():
            if self.is_up():
                port = self.environment()["CHAT_PORT"]
                raise StackError(
                    f"It is running already, at http://localhost:{port}/api/chat\n"
                    "make status shows what runs, make down stops it."
                )
            self._end_leftovers()
            try:
                starting = Starting(
                    self.layout, self._environ, counts, self._progress, own_variables
                )
                self._supervisord = starting.run(fresh=fresh, tied=tied)
            except ConnectionError as error:
                self.stop()
                raise StackError("It was stopped while it was starting.") from error
            except BaseException:
                self.stop()
                raise

    def stop(self) -> None:
        """Stop everything: who takes work in first, who stores it last. The data stays."""
        began = time.monotonic()
        pid = self.supervisor_pid()
        if pid:
            os.kill(pid, signals.SIGTERM)
            # Each program has its own grace period; supervisord kills who exceeds it.
            while leftovers.is_alive(pid):
                self._progress.waiting("stopping", ["everything"], time.monotonic() - began)
                time.sleep(0.05)
        if self._supervisord:
            self._supervisord.wait()
            self._supervisord = None
        self._end_leftovers()
        with suppress(OSError):
            # Where the control socket has a folder of its own in /tmp; any other is not empty.
            self.layout.supervisor_socket.parent.rmdir()
        if pid:
            self._progress.done("stopped", time.monotonic() - began)

    def is_up(self) -> bool:
        """Whether the stack's supervisord runs."""
        return self.supervisor_pid() != 0

    def supervisor_pid(self) -> int:
        """The pid of the stack's supervisord, 0 when there is none."""
        try:
            pid = int(self.layout.supervisor_pid.read_text())
        except (FileNotFoundError, ValueError):
            return 0
        is_ours = leftovers.is_supervisord(pid, self.layout.supervisor_config)
        return pid if is_ours and leftovers.is_alive(pid) else 0

    # ------------------------------------------------------------------ looking

    def environment(self) -> dict[str, str]:
        """The CHAT_* variables for a client: URLs, the edge's address, the signing secret."""
        return environment.load(self.layout)

    def processes(self) -> dict[str, ProcessInfo]:
        """All programs that should run, by name; empty while the stack is down."""
        if not self.is_up():
            return {}
        found = Supervisor(self.layout.supervisor_socket).processes()
        return {name: process for name, process in found.items() if process.wanted}

    def pids(self) -> dict[str, int]:
        """The pid of each program that runs now."""
        return {name: process.pid for name, process in self.processes().items() if process.pid}

    def gateway_ports(self) -> dict[str, int]:
        """The port of each gateway that should run, past the edge."""
        return self._listening(GATEWAY)

    def rest_ports(self) -> dict[str, int]:
        """The port of each REST process that should run, past the edge."""
        return self._listening(REST)

    def admin_ports(self) -> dict[str, int]:
        """The admin port (/livez, /readyz, /metrics) of each role's program that should run."""
        ports = remembered_ports(self.layout.ports)
        names = [name for name in self.processes() if roles.role_of(name)]
        return {name: ports[roles.admin_port_name(name)] for name in names}

    # ------------------------------------------------------------------ changing

    def start_program(self, name: str) -> None:
        """Start a program, a spare one too, and return when it is ready and the edge knows it."""
        supervisor = self._supervisor_of(name)
        supervisor.start(name)
        role = roles.role_of(name)
        if role:
            check = role_check(remembered_ports(self.layout.ports), name)
            await_ready(supervisor, {name: check}, self.layout, self._progress)
            if role.listens:
                self._update_edge()

    def stop_program(self, name: str) -> None:
        """Stop a program gracefully and keep it stopped; the edge forgets it first."""
        supervisor = self._supervisor_of(name)
        role = roles.role_of(name)
        if role and role.listens:
            self._update_edge(without=name)
        supervisor.stop(name)

    def add(self, role: Role) -> str:
        """Start one more of `role` and return its name."""
        supervisor = self._supervisor()
        for name, process in sorted(supervisor.processes().items()):
            if roles.role_of(name) == role and not process.wanted:
                self.start_program(name)
                return name
        raise StackError(
            f"No spare {role.name} is left; start again with more: {role.variable}=… make run"
        )

    def signal(self, name: str, number: int) -> None:
        """Send a program's process a signal, such as SIGKILL; it is restarted should it end."""
        pid = self.pids().get(name)
        if pid is None:
            raise StackError(f"{name} does not run.")
        os.kill(pid, number)

    def rabbitmqctl(self, *arguments: str) -> str:
        """What RabbitMQ's own tool prints, asked of the stack's private broker."""
        return self.rabbitmq("rabbitmqctl", *arguments)

    def rabbitmq(self, tool: str, *arguments: str) -> str:
        """The same of another: rabbitmq-diagnostics, rabbitmq-queues, rabbitmq-plugins."""
        program = Path(servers.RABBITMQ_TOOLS) / tool
        if not program.exists():
            raise StackError(f"RabbitMQ has no tool {tool}; {program.parent} holds them.")
        if not self.is_up():
            raise StackError("It is not running; make run starts it.")
        ports = remembered_ports(self.layout.ports)
        asked = subprocess.run(
            [program, "--quiet", *arguments],
            env=servers.rabbitmq_environment(self.layout, ports["epmd"], ports["erlang"]),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.returncode:
            command = " ".join([tool, *arguments])
            raise StackError(f"{command} failed: {asked.stderr.strip()}")
        return asked.stdout

    def rabbitmq_metrics(self) -> int | None:
        """The port of RabbitMQ's metrics, which are switched on until its next start.

        They cost it nothing before somebody wants them. None: the broker is the caller's own.
        """
        if "rabbitmq" not in self.processes():
            return None
        port = remembered_ports(self.layout.ports)["rabbitmq-metrics"]
        if readiness.http_status(port, "/metrics") != 200:
            enable = ("rabbitmq-plugins", "enable", "rabbitmq_prometheus")
            try:
                self.rabbitmq(*enable)
            except StackError:
                # RabbitMQ 3.10 falls over another tool that leaves just then: a case_clause in
                # rabbit_net:dist_info. What is enabled, but not started, is started by this.
                self.rabbitmq(*enable)
        return port

    # ------------------------------------------------------------------ inside

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self.layout.start_lock.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StackError("Another command is starting it already.") from None
            yield

    def _listening(self, role: Role) -> dict[str, int]:
        ports = remembered_ports(self.layout.ports)
        return {name: ports[name] for name in self.processes() if roles.role_of(name) == role}

    def _supervisor(self) -> Supervisor:
        if not self.is_up():
            raise StackError("It is not running; make run starts it.")
        return Supervisor(self.layout.supervisor_socket)

    def _supervisor_of(self, program: str) -> Supervisor:
        supervisor = self._supervisor()
        known = supervisor.processes()
        if program not in known:
            raise StackError(f"There is no program {program}, only {', '.join(sorted(known))}.")
        return supervisor

    def _update_edge(self, without: str = "") -> None:
        edge.allow_open_files()
        variables = self.environment()
        extra = development.port_in(remembered_ports(self.layout.ports), variables)
        port = int(variables["CHAT_PORT"])
        gateways, rests = self.gateway_ports(), self.rest_ports()
        for ports in (gateways, rests):
            ports.pop(without, None)
        edge.write_config(self.layout, port, list(gateways.values()), list(rests.values()), extra)
        if "nginx" in self.pids():
            self.signal("nginx", signals.SIGHUP)

    def _end_leftovers(self) -> None:
        pids = leftovers.stack_processes(self.layout.folder)
        if pids:
            self._progress.note(f"Ending {len(pids)} processes that an earlier run left behind.")
            leftovers.end(pids)
