"""The table of operations, of which the contract is made, names just what the API serves."""

import re

import falcon.inspect
import pytest

from services.rest_api.openapi import BASE
from services.rest_api.operations import OPERATIONS

ENVIRONMENT = {
    "CHAT_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "CHAT_REDIS_URL": "redis://127.0.0.1:1/0",
    "CHAT_AMQP_URL": "amqp://127.0.0.1:1/",
    "CHAT_JWT_SECRET": "x" * 64,
    "CHAT_ENV": "development",
}


def test_every_route_has_its_operation_and_the_other_way_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    # Importing it reads the settings; nothing is opened before `start`.
    from services.rest_api import wsgi  # noqa: PLC0415

    served = {
        (method.method, _without_names(route.path))
        for route in falcon.inspect.inspect_routes(wsgi.app)
        for method in route.methods
        if not method.internal and method.method not in ("HEAD", "OPTIONS")
    }
    said = {(row.method, _without_names(f"{BASE}{row.path}")) for row in OPERATIONS}
    assert served == said


def _without_names(path: str) -> str:
    return re.sub(r"\{\w+(:\w+)?\}", "{}", path)
