"""`python -m libs.common.probe [/livez | /readyz]`: asks this container's own admin port.

For HEALTHCHECK, in an image that has neither curl nor need of a shell. Exit code 0: it answered
200; 1: it did not, and why is printed.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException
from typing import Final

TIMEOUT_S: Final = 3.0


def main() -> None:
    """The process."""
    path = sys.argv[1] if len(sys.argv) > 1 else "/livez"
    connection = HTTPConnection(
        "127.0.0.1", int(os.environ.get("CHAT_ADMIN_PORT", "9090")), timeout=TIMEOUT_S
    )
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode().strip()
    except (OSError, HTTPException) as error:
        sys.exit(f"{path}: {error}")
    if answer.status != 200:
        sys.exit(f"{path}: {answer.status} {text}")


main()
