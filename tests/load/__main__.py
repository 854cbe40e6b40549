"""`make load`: locust's users chat with the running stack, or with another address.

Without --host it is the edge of the stack that runs here; tokens are signed with CHAT_JWT_SECRET,
else with that stack's secret. All other options are locust's: --headless -u 200 -r 20 -t 30s.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from local.failure import StackError
from local.stack import Stack

# Whoever reaches the web page or the master's port can aim the load: nobody from elsewhere.
OURS: Final = ("--web-host", "127.0.0.1", "--master-bind-host", "127.0.0.1")


def main() -> None:
    """Becomes locust. Exits with a sentence when nothing runs that could be loaded."""
    arguments, environ = sys.argv[1:], dict(os.environ)
    stack = Stack(environ.get("CHAT_STACK") or "dev")
    if not any(one in ("-H", "--host") or one.startswith("--host=") for one in arguments):
        if not stack.is_up():
            raise SystemExit("Nothing is running. Start it with `make run` in another terminal.")
        arguments = ["--host", stack.environment()["CHAT_EDGE_URL"], *arguments]
    if not environ.get("CHAT_JWT_SECRET"):
        with suppress(StackError):  # none was ever started: the locustfile says what is missing
            environ["CHAT_JWT_SECRET"] = stack.environment()["CHAT_JWT_SECRET"]
    locustfile = Path(__file__).with_name("locustfile.py")
    command = [sys.executable, "-m", "locust", "-f", str(locustfile), *OURS, *arguments]
    os.execve(sys.executable, command, environ)


if __name__ == "__main__":
    main()
