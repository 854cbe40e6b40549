"""Which logins the running processes have, and who can see their passwords (decision 0038).

That each role may do what it needs, all other tests show: the processes run with these logins.
What none may do is in the three files beside this one.
"""

import os
from pathlib import Path

from libs.common.domain.role import GATEWAY, login_of
from local import environment
from local.layout import Layout
from local.logins import USES
from local.roles import role_of
from tests.integration.watching import House

LAYOUT = Layout(os.environ["CHAT_STACK"])


def test_a_gateway_does_not_know_where_postgresql_is(house: House) -> None:
    assert "CHAT_DATABASE_URL" not in environment.of_role(LAYOUT, GATEWAY)
    for program, pid in house.stack.pids().items():
        found = Path(f"/proc/{pid}/environ").read_bytes()
        role = role_of(program)
        if role is not None:
            assert (b"CHAT_DATABASE_URL=" in found) == role.reads_database, program
            assert f"{login_of(role.name)}:".encode() in found, program


def test_no_secret_is_in_the_list_of_processes(house: House) -> None:
    words = [
        value.rpartition("@")[0].rpartition(":")[2]
        for role in USES
        for name, value in environment.of_role(LAYOUT, role).items()
        if name.endswith("_URL") and "@" in value
    ]
    words.append(house.variables["CHAT_JWT_SECRET"])
    configuration = LAYOUT.supervisor_config.read_text()
    assert not [word for word in words if word in configuration]
    for program, pid in house.stack.pids().items():
        arguments = Path(f"/proc/{pid}/cmdline").read_text()
        assert not [word for word in words if word in arguments], program
    for file in (LAYOUT.passwords, LAYOUT.role_environments, LAYOUT.environment):
        assert file.stat().st_mode & 0o077 == 0
