"""Addresses to resources."""

from typing import Any

import falcon
from falcon.routing import CompiledRouter


class Router(CompiledRouter):
    """Falcon's, in which every GET answers HEAD too (RFC 9110, 9.3.2).

    The responder is the same; falcon leaves the body out and keeps its headers. Nothing is at an
    address with a slash at its end: falcon would take what is before it for an empty id's.
    """

    def find(self, uri: str, req: falcon.Request | None = None) -> Any:  # noqa: ANN401
        return None if uri.endswith("/") else super().find(uri, req)

    def map_http_methods(self, resource: object, **options: Any) -> dict[str, Any]:  # noqa: ANN401
        methods = dict(super().map_http_methods(resource, **options))
        if "GET" in methods:
            methods.setdefault("HEAD", methods["GET"])
        return methods
