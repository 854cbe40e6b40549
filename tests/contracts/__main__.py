"""`make contracts` writes docs/openapi.json and docs/asyncapi.json; `--check` looks for drift.

Both are made from the types that the code runs on, so nobody edits them by hand.
"""

import sys
from pathlib import Path
from typing import Final

from libs.common.protocol import asyncapi
from services.rest_api import openapi
from services.rest_api.documents import contract_json

FOLDER: Final = Path(__file__).parents[2] / "docs"
DOCUMENTS: Final = {"openapi.json": openapi.document, "asyncapi.json": asyncapi.document}


def drifted() -> list[str]:
    """The committed files that are not what the code says."""
    return [
        name
        for name, document in DOCUMENTS.items()
        if not (FOLDER / name).exists() or (FOLDER / name).read_bytes() != contract_json(document())
    ]


def main() -> None:
    """Exits with a sentence when `--check` finds a drift."""
    if sys.argv[1:] == ["--check"]:
        if names := drifted():
            raise SystemExit(
                f"docs/ lags behind the code: {', '.join(names)}. Run `make contracts`, "
                "look at the difference as a client would, and commit it."
            )
        return
    for name, document in DOCUMENTS.items():
        (FOLDER / name).write_bytes(contract_json(document()))
        print(f"docs/{name}")


if __name__ == "__main__":
    main()
