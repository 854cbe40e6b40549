"""What the REST API answers, held against OpenAPI."""

import re
from typing import Any
from urllib.parse import parse_qsl

import httpx
from jsonschema_rs import Draft202012Validator

from services.rest_api import openapi
from tests.contracts.closed import complaint, validator

Part = dict[str, Any]


class ResponseContract:
    """Undocumented addresses, methods, statuses, headers and fields are violations."""

    def __init__(self) -> None:
        self._document = openapi.document()
        self._validators: dict[int, Draft202012Validator] = {}
        """By the id of the schema, which the document keeps alive."""
        # An address without names in it goes before one with: /messages/search is no message.
        templates = sorted(self._document["paths"], key=lambda path: path.count("{"))
        self._paths = [
            (re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), self._document["paths"][path])
            for path in templates
        ]

    def complaint(self, answer: httpx.Response) -> str | None:
        """What the contract doesn't allow; None when it does. The body has been read."""
        request = answer.request
        wrong = self._wrong(request.method, request.url, answer)
        return wrong and f"{request.method} {request.url.raw_path!r}: {wrong}"

    def _wrong(self, method: str, url: httpx.URL, answer: httpx.Response) -> str | None:
        path = self._path(url.path)
        if path is None:
            return self._differs(self._shared(404), answer, "no such address")
        if method == "OPTIONS":
            return _wrong_options(answer)
        operation = path.get("get" if method == "HEAD" else method.lower())
        if operation is None:
            return self._differs(self._shared(405), answer, "no such method")
        response = operation["responses"].get(str(answer.status_code))
        if response is None:
            return f"undocumented status {answer.status_code}"
        return self._wrong_query(operation, url, answer) or self._differs(
            self._resolved(response), answer, operation["operationId"], is_head=method == "HEAD"
        )

    def _path(self, path: str) -> Part | None:
        relative = path.removeprefix(openapi.BASE)
        if relative == path:
            return None
        return next((item for pattern, item in self._paths if pattern.fullmatch(relative)), None)

    def _wrong_query(self, operation: Part, url: httpx.URL, answer: httpx.Response) -> str | None:
        known = {item["name"] for item in operation["parameters"] if item["in"] == "query"}
        sent = {name for name, _ in parse_qsl(url.query.decode(), keep_blank_values=True)}
        if answer.is_success and sent - known:
            return f"undocumented parameters {sorted(sent - known)}"
        return None

    def _differs(
        self, response: Part, answer: httpx.Response, what: str, *, is_head: bool = False
    ) -> str | None:
        if response is self._shared(404) and answer.status_code != 404:
            return f"{what}, and yet {answer.status_code}"
        if response is self._shared(405) and answer.status_code != 405:
            return f"{what}, and yet {answer.status_code}"
        wrong = self._wrong_headers(response, answer) or self._wrong_body(
            response.get("content", {}), answer, is_head=is_head
        )
        return wrong and f"{answer.status_code} of {what}: {wrong}"

    def _wrong_headers(self, response: Part, answer: httpx.Response) -> str | None:
        for name in self._document["components"]["headers"]:
            value: object = answer.headers.get(name)
            if name not in response["headers"]:
                if value is not None:
                    return f"undocumented header {name}"
                continue
            header = self._resolved(response["headers"][name])
            if value is None:
                if header.get("required"):
                    return f"no header {name}"
                continue
            if header["schema"]["type"] == "integer":
                value = int(str(value))
            if wrong := complaint(self._validator(header["schema"]), value):
                return f"header {name}: {wrong}"
        return None

    def _wrong_body(self, content: Part, answer: httpx.Response, *, is_head: bool) -> str | None:
        media_type = answer.headers.get("Content-Type")
        if not content:
            return "a body where none is documented" if answer.content else None
        if media_type not in content:
            return f"undocumented content type {media_type}"
        if is_head:
            return "a body in the answer to HEAD" if answer.content else None
        body = answer.json() if media_type.endswith("json") else answer.text
        wrong = complaint(self._validator(content[media_type]["schema"]), body)
        return wrong and f"{wrong} in {answer.text[:500]}"

    def _validator(self, schema: Part) -> Draft202012Validator:
        if id(schema) not in self._validators:
            self._validators[id(schema)] = validator(self._document, schema)
        return self._validators[id(schema)]

    def _shared(self, status: int) -> Part:
        return self._resolved({"$ref": f"#/components/responses/Problem{status}"})

    def _resolved(self, part: Part) -> Part:
        if "$ref" not in part:
            return part
        found: Any = self._document
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        resolved: Part = found
        return resolved


def _wrong_options(answer: httpx.Response) -> str | None:
    if answer.status_code not in (200, 204) or "Allow" not in answer.headers:
        return f"OPTIONS is answered {answer.status_code} with {answer.headers}"
    return None
