"""supervisord: its configuration, and how to talk to it."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, cast
from xmlrpc.client import Fault, ProtocolError, ServerProxy

from supervisor.xmlrpc import Faults, SupervisorTransport

from local.layout import Layout
from local.programs import Program, Stage

GONE = {"STOPPED", "EXITED", "FATAL", "UNKNOWN"}


@dataclass(frozen=True)
class ProcessInfo:
    """What supervisord knows of one program."""

    name: str
    group: str
    state: str
    """STOPPED, STARTING, RUNNING, BACKOFF (ended early, will be tried again), STOPPING, …"""
    pid: int
    """0 while there is none."""
    description: str

    @property
    def wanted(self) -> bool:
        """Whether the program runs or is being tried again, as opposed to stopped."""
        return self.state not in GONE


class Supervisor:
    """Controls one running supervisord; every method raises ConnectionError when it is gone."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def is_listening(self) -> bool:
        """Whether supervisord answers."""
        try:
            self.processes()
        except ConnectionError:
            return False
        return True

    def processes(self) -> dict[str, ProcessInfo]:
        """Every program by name, the spare ones included."""
        found = cast(list[dict[str, Any]], self._ask("getAllProcessInfo"))
        return {
            info["name"]: ProcessInfo(
                name=info["name"],
                group=info["group"],
                state=info["statename"],
                pid=info["pid"],
                description=info["spawnerr"] or info["description"],
            )
            for info in found
        }

    def start(self, program: str) -> None:
        """Have the program started; does not wait. One that runs already is left alone."""
        self._ask_about(program, "startProcess", False, unless=Faults.ALREADY_STARTED)

    def stop(self, program: str) -> None:
        """Stop the program and wait until it is gone. One that is stopped already is fine."""
        self._ask_about(program, "stopProcess", True, unless=Faults.NOT_RUNNING)

    def _ask_about(self, program: str, method: str, wait: bool, *, unless: int) -> None:
        try:
            self._ask(method, f"{self.processes()[program].group}:{program}", wait)
        except Fault as fault:
            if fault.faultCode != unless:
                raise

    def _ask(self, method: str, *arguments: str | bool) -> object:
        # A transport that was refused once cannot be used again, hence one for each question. The
        # address is a placeholder; the transport knows the socket.
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        with ServerProxy("http://localhost", transport=transport) as proxy:
            try:
                return getattr(proxy.supervisor, method)(*arguments)
            except (OSError, HTTPException, ProtocolError) as error:
                raise ConnectionError(f"supervisord does not answer: {error}") from error
            except Fault as fault:
                if fault.faultCode == Faults.SHUTDOWN_STATE:
                    raise ConnectionError("supervisord is shutting down") from fault
                raise


def write_config(layout: Layout, programs: Sequence[Program]) -> None:
    """Write supervisord.conf. Nothing starts by itself: `local.stack` knows the order."""
    sections = [
        _section(
            "unix_http_server",
            file=str(layout.supervisor_socket),
            chmod="0700",
        ),
        _section(
            "supervisord",
            **({"user": "root"} if os.getuid() == 0 else {}),
            directory=str(layout.root),
            pidfile=str(layout.supervisor_pid),
            logfile=str(layout.log("supervisord")),
            logfile_maxbytes="10MB",
            logfile_backups="2",
            childlogdir=str(layout.logs),
            nodaemon="true",
            silent="true",
        ),
        _section(
            "rpcinterface:supervisor",
            **{
                "supervisor.rpcinterface_factory": (
                    "supervisor.rpcinterface:make_main_rpcinterface"
                )
            },
        ),
    ]
    sections += [_program_section(layout, program) for program in programs]
    # On SIGTERM, supervisord stops one group after the other, that of the highest priority first.
    for stage in Stage:
        members = [program.name for program in programs if program.stage == stage]
        if members:
            section = f"group:{stage.name.lower()}"
            sections.append(
                _section(section, programs=",".join(members), priority=str(stage.value))
            )
    for program in programs:
        program.write_secrets(layout.secrets(program.name))
    layout.supervisor_config.write_text("\n".join(sections))


def _program_section(layout: Layout, program: Program) -> str:
    return _section(
        f"program:{program.name}",
        command=_quoted(program.command_line(layout.secrets(program.name))),
        directory=str(program.folder),
        autostart="false",
        autorestart="true",
        startsecs="1",
        # Never give up: a server that is away for an hour must find its clients trying.
        startretries="1000000",
        stopsignal=program.stop_signal,
        stopwaitsecs=str(program.stop_seconds),
        # After the grace, whatever the program started goes with it.
        killasgroup="true",
        redirect_stderr="true",
        stdout_logfile=str(layout.log(program.name)),
        stdout_logfile_maxbytes="20MB",
        stdout_logfile_backups="2",
    )


def _section(name: str, **options: str) -> str:
    lines = [f"{key}={value}" for key, value in options.items()]
    return "\n".join([f"[{name}]", *lines, ""])


def _quoted(command: Sequence[str]) -> str:
    """A command as supervisord reads it: shell words, with % doubled."""
    return shlex.join(command).replace("%", "%%")
