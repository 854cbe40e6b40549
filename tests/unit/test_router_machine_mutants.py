"""The state machine can fail: rules with one mistake each turn it red."""

import inspect
import sys
import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from libs.common.domain import permission
from services.router import rules
from services.router.conversation import Conversation
from services.router.memory import Memory, _Wanted
from services.router.rules import conversations, deleting, receipts, sending
from services.router.rules.decisions import Decisions
from tests.unit.test_router_machine import Chat, make_small


class Mutant(NamedTuple):
    mistake: str
    function: Callable[..., Any]
    right: str
    wrong: str


MUTANTS = (
    Mutant("one number twice", sending._append, "head + 1", "head"),
    Mutant("new messages aren't counted", sending._append, "+= 1", "+= 0"),
    Mutant("told again with deleted content", sending.send, "message.deleted_at is None", "True"),
    Mutant("a redelivery makes a second", sending._known, "conversation.same", "(lambda *_: None)"),
    Mutant(
        "a redelivery isn't told again",
        sending.send,
        "message.message_id == event.try_id",
        "message.seq == conversation.head",
    ),
    Mutant(
        "archived, but takes messages",
        permission.refusal,
        "conversation.is_archived",
        "False",
    ),
    Mutant(
        "strangers may send",
        sending.send,
        "permission.refusal(Act.SEND, event.sender_id, conversation)",
        "None",
    ),
    Mutant("another time at each try", sending._sent, "message.created_at", "event.accepted_at"),
    Mutant("NOT_SENDER forgotten", permission.message_refusal, "user_id != sender_id", "False"),
    Mutant("deleted, but counts as unread", deleting._delete, "message.is_unread", "False"),
    Mutant(
        "READ sinks to DELIVERED",
        receipts.delivered,
        "message.status < Status",
        "message.status != Status",
    ),
    Mutant(
        "delivery isn't told again",
        receipts.delivered,
        "message.delivered_at == event.delivered_at",
        "False",
    ),
    Mutant(
        "strangers read",
        receipts._refusal,
        "permission.refusal(Act.MARK_READ, event.user_id, conversation)",
        "None",
    ),
    Mutant("an entry names too many", receipts._chunks, "ENTRY_MOST", "99"),
    Mutant("no recount at a reading", receipts._tell_read, "decided.recount", "(lambda *_: None)"),
    Mutant("the mark is one too far", Conversation.find_read_mark, "[0].seq - 1", "[0].seq"),
    Mutant(
        "the mark forgets older ones",
        Conversation.find_read_mark,
        "self.has_older_unread(user_id)",
        "False",
    ),
    Mutant(
        "old ids are forgotten",
        Conversation.forget_oldest,
        "self.older_ids.add",
        "(lambda *_: None)",
    ),
    Mutant(
        "conversations before a barrier",
        Memory._pass_barrier,
        "await self._asking.ask_barrier(self._partition)",
        "pass",
    ),
    Mutant("a barrier that was asked for before the change", Memory.trim, " + 1", ""),
    Mutant("older readings told in part", _Wanted.add_read, "self.read.add", "(lambda *_: None)"),
    Mutant(
        "no recount at archiving", conversations._archive, "decided.recount", "(lambda *_: None)"
    ),
    Mutant(
        "only one is told",
        Decisions.announce_to_both,
        "(conversation.user1_id, conversation.user2_id)",
        "(conversation.user1_id,)",
    ),
)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.mistake)
def test_a_mistake_turns_it_red(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(mutant, monkeypatch)
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever goes wrong
        run_state_machine_as_test(
            Chat,
            settings=settings(
                max_examples=1_000,
                stateful_step_count=60,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )


def plant(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The function with the mistake, wherever it is called."""
    function = mutant.function
    source = textwrap.dedent(inspect.getsource(function))
    assert mutant.right in source, "the rule has changed: change its mutant"
    module = sys.modules[function.__module__]
    made: dict[str, Any] = {}
    exec(source.replace(mutant.right, mutant.wrong), vars(module), made)
    owner: Any = module
    if "." in function.__qualname__:
        owner = getattr(module, function.__qualname__.split(".")[0])
    monkeypatch.setattr(owner, function.__name__, made[function.__name__])
    if getattr(rules, function.__name__, None) is function:
        monkeypatch.setattr(rules, function.__name__, made[function.__name__])
