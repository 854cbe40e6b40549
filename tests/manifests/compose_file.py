"""compose.yaml as Docker Compose would read it, given passwords."""

import re
from typing import Any

import yaml

from tests.manifests.rendered import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]


def password(login: str) -> str:
    """What interpolation puts in the place of this login's: `admin`, or a role's name."""
    return f"of-{login}-{'s' * 32}"


def interpolated(text: str) -> str:
    """With every `${NAME}`, `${NAME:?why}` and `$$` replaced, and no other form."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        name = re.fullmatch(r"CHAT_(\w+)_PASSWORD", match["name"])
        return password(name[1].lower() if name else match["name"])

    form = r"\$\$|\$\{(?P<name>\w+)(:\?[^}]+|:-[^}]*)?\}"
    assert "$" not in re.sub(form, "", text), text
    return re.sub(form, value, text)


def config(name: str) -> str:
    """The file that a server finds."""
    return interpolated(COMPOSE["configs"][name]["content"])
