"""The table of operations, of which the contract is made, names just what the API serves."""

from collections.abc import Iterator

import pytest
from falcon.routing import map_http_methods

from services.rest_api.operations import OPERATIONS

ENVIRONMENT = {
    "CHAT_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "CHAT_REDIS_URL": "redis://127.0.0.1:1/0",
    "CHAT_AMQP_URL": "amqp://127.0.0.1:1/",
    "CHAT_JWT_SECRET": "x" * 64,
    "CHAT_ENV": "development",
}


@pytest.fixture(scope="module")
def routes() -> Iterator[dict[str, object]]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        # Importing it reads the settings; nothing is opened before `start`.
        from services.rest_api.wsgi import service  # noqa: PLC0415

        yield service.routes()


def test_every_route_has_its_operation_and_the_other_way_round(routes: dict[str, object]) -> None:
    served = {
        (method, path) for path, resource in routes.items() for method in map_http_methods(resource)
    }
    assert served == {(row.method, row.path) for row in OPERATIONS}


def test_what_is_public_and_what_has_an_etag(routes: dict[str, object]) -> None:
    for row in OPERATIONS:
        resource = routes[row.path]
        assert row.is_public == getattr(resource, "is_public", False), row.name
        if row.method == "GET":
            assert row.has_etag == getattr(resource, "has_etag", False), row.name
