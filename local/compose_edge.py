"""Writes the nginx configuration of compose.yaml's edge, as its image is built.

usage: python -m local.compose_edge <file>
"""

import sys
from pathlib import Path

from local.edge import Edge

PORT = 8080
FILES = 65536


def compose_edge() -> str:
    """The services by name. `resolve` (nginx 1.27.3 and later): as they are scaled or replaced."""
    edge = Edge(
        files=FILES,
        listen=[str(PORT)],
        resolver="resolver 127.0.0.11 valid=2s ipv6=off;",
        gateways=["gateway:8083 resolve"],
        rests=["rest:8083 resolve"],
    )
    return edge.configuration()


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(compose_edge())
