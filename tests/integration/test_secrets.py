"""Secrets stay where they belong: `ps` and files that others may read show none of them."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from local import environment
from local.logins import USES
from tests.integration.watching import House

READABLE = 0o044
"""By the group, or by all."""


def secrets(house: House) -> set[bytes]:
    """The key, and the passwords of the administrators and of every role."""
    of_all = [house.variables, *(environment.of_role(house.stack.layout, role) for role in USES)]
    found = {house.variables["CHAT_JWT_SECRET"]}
    for variables in of_all:
        for name, value in variables.items():
            if name.endswith("_URL") and (password := urlsplit(value).password):
                found.add(unquote(password))
    return {one.encode() for one in found}


def test_no_secret_is_among_the_arguments_of_a_process(house: House) -> None:
    commands = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            commands[process.name] = (process / "cmdline").read_bytes()
        except OSError:  # It has ended.
            continue
    ours = [one for one in commands.values() if house.stack.layout.stack.encode() in one]
    assert ours
    known = secrets(house)
    assert len(known) > len(USES)
    for secret in known:
        assert not [one for one in commands.values() if secret in one]


def test_no_file_of_the_stack_that_others_may_read_holds_one(house: House) -> None:
    readable = [
        path
        for path in house.stack.layout.folder.rglob("*")
        if path.is_file() and path.stat().st_mode & READABLE and _is_reachable(path)
    ]
    assert any(path.suffix == ".log" for path in readable)
    for secret in secrets(house):
        assert not [path for path in readable if secret in path.read_bytes()]


def _is_reachable(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o011 for folder in path.parents)


def test_an_image_gets_none() -> None:
    """No instruction names one, and the build's context is what is copied and no more."""
    dockerfile = Path("Dockerfile").read_text()
    assert not re.search(r"(?im)^(ARG|ENV).*(secret|password|token|_url)", dockerfile)
    copied = {source.partition("/")[0] for source in re.findall(r"(?m)^COPY ([^-]\S*)", dockerfile)}
    rules = Path(".dockerignore").read_text().splitlines()
    assert "*" in rules
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied
