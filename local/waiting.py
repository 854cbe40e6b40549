"""Waits until programs are ready, and knows when waiting is in vain."""

import time
from collections.abc import Callable, Mapping

from local.failure import StackError
from local.layout import Layout
from local.progress import Progress
from local.supervision import Supervisor

# A role may end once at its start, when a server was a moment late; three times is a fault.
STARTS_ALLOWED = 2
POLL_SECONDS = 0.05


def await_ready(
    supervisor: Supervisor,
    checks: Mapping[str, Callable[[], bool]],
    layout: Layout,
    progress: Progress,
    patience: float = 90.0,
) -> None:
    """Return when every check has passed once.

    A name that supervisord knows is watched besides: a program that keeps ending, or is not ready
    after `patience` seconds, raises StackError with the end of its log.
    """
    began = time.monotonic()
    pids: dict[str, set[int]] = {name: set() for name in checks}
    pending = dict(checks)
    while pending:
        for name, is_ready in list(pending.items()):
            if is_ready():
                del pending[name]
                progress.done(name, time.monotonic() - began)
        waited = time.monotonic() - began
        processes = supervisor.processes()
        for name in pending:
            process = processes.get(name)
            if process is None:
                continue
            if process.pid:
                pids[name].add(process.pid)
            if len(pids[name]) > STARTS_ALLOWED or process.state == "FATAL":
                raise failure(layout, name, f"{name} keeps ending ({process.description}).")
        if pending and waited > patience:
            name = next(iter(pending))
            raise failure(layout, name, f"{name} is not ready after {waited:.0f} s.")
        progress.waiting("waiting for", pending, waited)
        time.sleep(POLL_SECONDS)


def failure(layout: Layout, name: str, reason: str) -> StackError:
    """An error about a program, with the end of its log."""
    log = layout.log(name)
    try:
        lines = log.read_text(errors="replace").splitlines()[-12:]
    except FileNotFoundError:
        lines = ["(it has written nothing)"]
    end = "\n".join(f"    {line[:400]}" for line in lines)
    return StackError(f"{reason} The end of its log:\n{end}\nAll of it: {log}")
