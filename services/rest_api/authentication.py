"""Who is calling: the bearer token of each call (RFC 6750)."""

import time
from typing import Any

import falcon

from libs.common.tokens import Caller, InvalidToken, Verifier
from services.rest_api.problems import Problem


class Authentication:
    """Falcon middleware: `caller_of` a request holds in every resource but those `is_public`.

    It runs once an address has matched, so what isn't there is 404 for everybody.
    """

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    def process_resource(
        self,
        request: falcon.Request,
        _response: falcon.Response,
        resource: object,
        _parameters: dict[str, Any],
    ) -> None:
        """Raises Problem: UNAUTHENTICATED, or an error of `tokens.InvalidToken`; Undecided."""
        # A browser's preflight carries no token.
        if request.method == "OPTIONS" or getattr(resource, "is_public", False):
            return
        request.context.caller = self._caller(request.get_header("Authorization"))

    def _caller(self, header: str | None) -> Caller:
        scheme, _, token = (header or "").strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Problem(
                "UNAUTHENTICATED",
                "Send the header Authorization: Bearer and your token.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        try:
            return self._verifier.verify(token.strip(), time.time())
        except InvalidToken as invalid:
            challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            raise Problem(invalid.error, headers=challenge) from None


def caller_of(request: falcon.Request) -> Caller:
    """Who calls, in any responder."""
    caller: Caller = request.context.caller
    return caller
