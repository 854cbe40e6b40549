"""`make run` and `make test`: a stack that lives as long as this command."""

import os
import select
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

from local.progress import Progress
from local.roles import Counts
from local.stack import Stack

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """One of the signals that end a foreground command; like KeyboardInterrupt, no Exception."""


def run(stack: Stack, progress: Progress) -> int:
    """Start the stack, show what it does, and stop it at Ctrl-C."""
    try:
        with _interruptible():
            stack.start(tied=True)
            try:
                print_welcome(stack)
                print("Ctrl-C stops everything; the data stays.", flush=True)
                _watch(stack, progress)
                if not stack.is_up():
                    progress.note("Stopped by another command.")
            finally:
                stack.stop()
    except Interrupted:
        pass
    return 0


def test(stack: Stack, arguments: Sequence[str], progress: Progress) -> int:
    """Run pytest against a stack with empty servers; returns pytest's exit code."""
    code = 1
    try:
        with _interruptible():
            stack.start(Counts.of(os.environ, Counts(persister=2)), fresh=True, tied=True)
            try:
                named = any("tests/" in argument for argument in arguments)
                # Those need a browser: make test-browser.
                where = [] if named else ["tests", "--ignore=tests/browser"]
                command = [sys.executable, "-m", "pytest", *where, *arguments]
                code = _pytest(command, {**os.environ, **stack.environment()})
            finally:
                stack.stop()
    except Interrupted:
        code = 130
    if code:
        progress.note(f"The logs of all processes: {stack.layout.logs}/")
    return code


def print_welcome(stack: Stack) -> None:
    """What to do with a stack that is up."""
    port = stack.environment()["CHAT_PORT"]
    print(
        f"""
The chat service is ready.
  the chat    http://localhost:{port}/
  REST        http://localhost:{port}/api/chat
  WebSocket   ws://localhost:{port}/api/chat/ws
  a token     make token USER={uuid.uuid4()}
  try it      make demo, make chat
  logs        {stack.layout.logs}/
""",
        flush=True,
    )


@contextmanager
def _interruptible() -> Iterator[None]:
    """Turn the first ending signal into Interrupted; later ones change nothing."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in ENDING:
            signal.signal(number, _already_stopping)
        raise Interrupted

    for number in ENDING:
        signal.signal(number, interrupt)
    yield


def _already_stopping(_number: int, _frame: FrameType | None) -> None:
    print("\nStopping already; every process is given its time to finish.", flush=True)


def _watch(stack: Stack, progress: Progress) -> None:
    """Return when the stack is down or the terminal closed; tell which programs come back."""
    before = stack.pids()
    # make does not pass a hangup on where it leads the session, as under `ssh -t host make run`.
    terminal = select.poll()
    if sys.stdin.isatty():
        terminal.register(sys.stdin, 0)
    while stack.is_up() and not terminal.poll(1000):
        try:
            now = stack.pids()
        except ConnectionError:
            continue
        for name, pid in now.items():
            if name not in before:
                progress.note(f"{name} was started.")
            elif pid != before[name]:
                progress.note(f"{name} ended and was started again; {stack.layout.log(name)}")
        before |= now


def _pytest(command: Sequence[str], environ: Mapping[str, str]) -> int:
    process = subprocess.Popen(command, env=dict(environ))
    try:
        return process.wait()
    except Interrupted:
        # Ctrl-C has reached pytest as well; it reports what it has so far.
        process.send_signal(signal.SIGINT)
        process.wait()
        raise
