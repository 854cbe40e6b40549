"""`make chat`: one user's chat in the terminal, at the stack on this machine or elsewhere."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4

import httpx
import jwt

from libs.client.attending import TokenSource
from local import tokens
from local.failure import StackError
from local.matching import match
from local.stack import Stack
from local.terminal.app import TerminalChat
from local.terminal.names import name_of
from local.terminal.rest import Rest, Unanswered


@dataclass(frozen=True)
class Visit:
    """Who chats where."""

    edge: str
    user_id: UUID
    token: TokenSource
    open_id: UUID | None = None
    hint: Callable[[UUID], str] = lambda _: ""


async def at_home(stack: Stack, user: str | None, other: str | None) -> Visit:
    """At the stack on this machine, which lets anybody be anybody.

    Without `user` two new users match. With `other` their conversation is opened, and made if they
    have none. Raises StackError.
    """
    if not stack.is_up():
        raise StackError("Nothing is running. Start it with `make run` in another terminal.")
    variables = stack.environment()
    edge, secret = variables["CHAT_EDGE_URL"], variables["CHAT_JWT_SECRET"]
    user_id = uuid4() if user is None else _user_id(user)
    other_id = _user_id(other) if other else new_partner(user_id) if user is None else None

    async def token(*, fresh: bool) -> str:  # noqa: ARG001 - each one is
        return tokens.sign(secret, str(user_id))

    def hint(who: UUID) -> str:
        return (
            f"To answer as {name_of(who)}: make chat USER={who} in another terminal, "
            f"or http://localhost:{variables['CHAT_PORT']}/?user={who} in a browser."
        )

    open_id = None
    if other_id is not None:
        open_id = await _common(edge, token, other_id) if user else None
        open_id = open_id or await match(edge, secret, user_id, other_id)
    return Visit(edge, user_id, token, open_id, hint)


def elsewhere(url: str, environ: Mapping[str, str]) -> Visit:
    """At another address, with the token in CHAT_TOKEN. Raises StackError."""
    given = environ.get("CHAT_TOKEN", "")
    try:
        user_id = UUID(jwt.decode(given, options={"verify_signature": False})["sub"])
    except (jwt.InvalidTokenError, KeyError, ValueError):
        raise StackError(
            "To chat elsewhere, CHAT_TOKEN has to be your token there:\n"
            f"  CHAT_TOKEN=… make chat URL={url}"
        ) from None

    async def token(*, fresh: bool) -> str:  # noqa: ARG001 - there is no other
        return given

    return Visit(url.rstrip("/").removesuffix("/api/chat"), user_id, token)


def new_partner(user_id: UUID) -> UUID:
    """A new user with another name."""
    return next(one for one in iter(uuid4, None) if name_of(one) != name_of(user_id))


async def _common(edge: str, token: TokenSource, other_id: UUID) -> UUID | None:
    """The newest conversation of the token's user with this one that is not archived."""
    async with Rest(f"{edge}/api/chat", token) as rest:
        async for row in rest.every("/conversations", {"limit": 100, "archived": "false"}):
            if row["otherUserId"] == str(other_id):
                return UUID(row["conversationId"])
    return None


def _user_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise StackError(f"{text!r} is not a UUID. For example: make chat USER={uuid4()}") from None


def main() -> None:
    """Exits with a sentence when there is nobody to chat with."""
    parser = argparse.ArgumentParser(prog="python -m local.chat", description=__doc__)
    parser.add_argument("--user", help="whose chat; a new match without it")
    parser.add_argument("--with", dest="other", help="open the conversation with this user")
    parser.add_argument("--url", help="another address, such as https://chat.example")
    options = parser.parse_args()
    try:
        if options.url:
            visit = elsewhere(options.url, os.environ)
        else:
            stack = Stack(os.environ.get("CHAT_STACK") or "dev")
            visit = asyncio.run(at_home(stack, options.user, options.other))
    except (StackError, Unanswered, httpx.HTTPError) as error:
        raise SystemExit(str(error)) from None
    app = TerminalChat(
        visit.edge, visit.user_id, visit.token, open_id=visit.open_id, hint=visit.hint
    )
    app.run()
    if not options.url:
        print(f"{name_of(visit.user_id)} again: make chat USER={visit.user_id}")
    sys.exit(app.return_code)


if __name__ == "__main__":
    main()
