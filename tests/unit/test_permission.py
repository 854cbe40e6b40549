"""Every act, by everybody, in every conversation there can be."""

from itertools import product
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest

from libs.common.domain.permission import (
    ENDED_BY_ARCHIVING,
    Act,
    creation_refusal,
    message_refusal,
    refusal,
)
from libs.common.protocol.errors import REFUSALS

ANNA, BEN, EVE = uuid4(), uuid4(), uuid4()


@pytest.mark.parametrize(
    ("act", "user", "archived"), [*product(Act, (ANNA, BEN, EVE), (True, False))]
)
def test_of_a_conversation(act: Act, user: UUID, archived: bool) -> None:
    members = SimpleNamespace(user1_id=ANNA, user2_id=BEN, is_archived=archived)
    is_ended = archived and act in (Act.SEND, Act.TYPE)
    wanted = "CONVERSATION_ARCHIVED" if is_ended else None
    if user == EVE:
        wanted = "NOT_PARTICIPANT"
    assert refusal(act, user, members) == wanted
    assert refusal(act, user, None) == "CONVERSATION_NOT_FOUND"


@pytest.mark.parametrize(
    ("act", "user", "wanted"),
    [
        (Act.DELETE, ANNA, None),
        (Act.DELETE, BEN, "NOT_SENDER"),
        (Act.MARK_READ, ANNA, "NOT_RECIPIENT"),
        (Act.MARK_READ, BEN, None),
        (Act.READ, ANNA, None),
        (Act.READ, BEN, None),
    ],
)
def test_of_a_message_of_annas(act: Act, user: UUID, wanted: str | None) -> None:
    assert message_refusal(act, user, ANNA) == wanted
    assert message_refusal(act, user, None) == "MESSAGE_NOT_FOUND"


def test_of_a_new_conversation() -> None:
    assert creation_refusal(is_service=True) is None
    assert creation_refusal(is_service=False) in REFUSALS


def test_archiving_ends_what_adds_and_nothing_else() -> None:
    assert {Act.SEND, Act.TYPE} == ENDED_BY_ARCHIVING
