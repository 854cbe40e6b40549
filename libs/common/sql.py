"""Named SQL: statements live in `.sql` files, each under a line `-- name: x`."""

import re
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def load_queries(path: Path) -> dict[str, str]:
    """The statements of the file, by name. What stands before the first name is ignored."""
    _, *parts = _NAME.split(path.read_text(encoding="utf-8"))
    return {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}
