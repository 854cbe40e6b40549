"""Which logins the running processes have (decision 0038).

That each role may do what it needs, all other tests show: the processes run with these logins.
What none may do is in the three files beside this one; who can see passwords in `test_secrets`.
"""

import os
from pathlib import Path

from libs.common.domain.role import GATEWAY, login_of
from local import environment
from local.layout import Layout
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
