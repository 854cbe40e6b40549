"""The program that serves local.development_api: only with CHAT_ENV=development."""

from collections.abc import Mapping

from local.layout import Layout
from local.programs import Program, Stage

NAME = "development"
"""Of the program, and of its port."""


def port_in(ports: Mapping[str, int], variables: Mapping[str, str]) -> int | None:
    """Its port of a stack's `ports`; None: a stack with these variables does not have it."""
    return ports[NAME] if variables["CHAT_ENV"] == "development" else None


def program(layout: Layout, port: int, variables: Mapping[str, str]) -> Program:
    """How supervisord starts it; `variables` are the stack's."""
    options = ("--threads", "8", "--no-control-socket", "--worker-tmp-dir", "/dev/shm")  # noqa: S108
    return Program(
        name=NAME,
        stage=Stage.TAKING_IN,
        command=(
            *(f"{layout.root}/.venv/bin/gunicorn", "--bind", f"127.0.0.1:{port}"),
            *(*options, "local.development_api:app()"),
        ),
        folder=layout.root,
        environment={name: variables[name] for name in ("CHAT_STACK", "CHAT_EDGE_URL")},
        without=("CHAT_DATABASE_URL",),
    )
