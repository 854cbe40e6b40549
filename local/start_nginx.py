"""Becomes nginx, after ending workers that outlived a killed master.

nginx's workers go on serving, and hold the port, when their master is killed (SIGKILL); the next
master could not listen then. usage: python -m local.start_nginx <folder> <nginx>
"""

import os
import sys
from pathlib import Path

from local.leftovers import end, nginx_processes


def main() -> None:
    """Never returns."""
    folder, nginx = Path(sys.argv[1]), sys.argv[2]
    end([pid for pid in nginx_processes(folder) if pid != os.getpid()])
    arguments = [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    os.execv(nginx, arguments)  # noqa: S606


if __name__ == "__main__":
    main()
