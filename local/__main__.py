"""The command line behind the Makefile; CHAT_STACK names the stack (dev)."""

import argparse
import os
import sys
from pathlib import Path

from local import environment, foreground, tokens
from local.failure import StackError
from local.layout import Layout
from local.observability.observe import observe
from local.observability.top import top
from local.progress import Progress
from local.roles import ROLES
from local.stack import Stack

TAIL_LINES = "50"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    progress = Progress()
    stack = Stack(os.environ.get("CHAT_STACK") or "dev", progress=progress)
    try:
        return _run(options, stack, progress)
    except StackError as error:
        print(f"\n{error}", file=sys.stderr)
    except BrokenPipeError:
        # `make status | head`: the reader has what it wanted. Python would complain once more when
        # it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except PermissionError as error:
        print(
            f"\n{error.filename} belongs to another user ({error.strerror}); "
            "run this as the user who ran it before, or delete .run",
            file=sys.stderr,
        )
    return 1


def _run(  # noqa: C901, PLR0912 - a case for each command
    options: argparse.Namespace, stack: Stack, progress: Progress
) -> int:
    match options.command:
        case "run":
            return foreground.run(stack, progress)
        case "test":
            return foreground.test(stack, options.arguments, progress)
        case "up":
            stack.start()
            foreground.print_welcome(stack)
        case "down":
            if not stack.is_up():
                progress.note("It is not running.")
            stack.stop()
        case "status":
            return _status(stack)
        case "logs":
            _logs(stack.layout, options.program, follow=options.follow)
        case "add":
            role = next(role for role in ROLES if role.name == options.role)
            stack.add(role)
        case "remove":
            stack.stop_program(options.program)
        case "rabbitmq":
            print(stack.rabbitmq(*options.arguments), end="")
        case "observe":
            observe(stack)
        case "top":
            top(stack, once=options.once)
        case "token":
            secret = os.environ.get("CHAT_JWT_SECRET") or environment.jwt_secret(stack.layout)
            print(tokens.sign(secret, options.user, options.scope))
        case "exec":
            as_role = options.as_role
            own = environment.of_role(stack.layout, as_role) if as_role else stack.environment()
            os.execvpe(options.arguments[0], options.arguments, {**os.environ, **own})  # noqa: S606
    return 0


def _status(stack: Stack) -> int:
    processes = stack.processes()
    if not processes:
        print("It is not running.")
        return 3
    print(f"http://localhost:{stack.environment()['CHAT_PORT']}/api/chat")
    admin = stack.admin_ports()
    listening = stack.gateway_ports() | stack.rest_ports()
    for name, process in sorted(processes.items()):
        ports = f"port {listening[name]}  " if name in listening else ""
        ports += f"admin {admin[name]}" if name in admin else ""
        print(f"{name:<12} {process.state:<9} {process.description:<30} {ports}".rstrip())
    return 0


def _logs(layout: Layout, program: str, *, follow: bool) -> None:
    files = [layout.log(program)] if program else sorted(layout.logs.glob("*.log"))
    missing = [file for file in files if not file.exists()]
    if missing or not files:
        names = ", ".join(file.stem for file in sorted(layout.logs.glob("*.log")))
        raise StackError(f"There is no log of {program or 'anything'} (there are: {names}).")
    options = ["-n", TAIL_LINES, *(["-F"] if follow else [])]
    here = Path.cwd()
    names_shown = [
        str(file.relative_to(here) if file.is_relative_to(here) else file) for file in files
    ]
    os.execvp("tail", ["tail", *options, *names_shown])  # noqa: S606


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="start everything, stop it at Ctrl-C")
    commands.add_parser("up", help="start everything in the background")
    commands.add_parser("down", help="stop everything")
    commands.add_parser("status", help="what runs")
    commands.add_parser("test", help="pytest against servers of its own").add_argument(
        "arguments", nargs="*"
    )
    logs = commands.add_parser("logs", help="what the programs printed")
    logs.add_argument("program", nargs="?", default="")
    logs.add_argument("--follow", action="store_true")
    commands.add_parser("add", help="start one more of a role").add_argument(
        "role", choices=[role.name for role in ROLES]
    )
    commands.add_parser("remove", help="stop a program, such as router-3").add_argument("program")
    rabbitmq = commands.add_parser("rabbitmq", help="ask the broker: rabbitmq rabbitmqctl …")
    rabbitmq.add_argument("arguments", nargs=argparse.REMAINDER)
    commands.add_parser("observe", help="a Prometheus over what runs, with the alerts")
    commands.add_parser("top", help="what every process does, live").add_argument(
        "--once", action="store_true", help="one picture"
    )
    token = commands.add_parser("token", help="print a JWT for development")
    token.add_argument("user")
    token.add_argument("scope", nargs="?")
    execute = commands.add_parser("exec", help="run a command in the stack's environment")
    execute.add_argument("--as", dest="as_role", help="with the logins of this role")
    execute.add_argument("arguments", nargs="+")
    return parser


if __name__ == "__main__":
    sys.exit(main())
