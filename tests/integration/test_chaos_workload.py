"""The campaign's clients against the whole system, without any fault: all that they want works."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.checker import check
from tests.chaos.client import Mode
from tests.chaos.collecting import collect
from tests.chaos.evidence import Evidence, Frame, load, save
from tests.chaos.recorder import Recorder
from tests.chaos.workload import Workload
from tests.integration.conftest import System
from tests.integration.watching import whole_house

ACTS_S: Final = 8.0
MODES: Final[tuple[Mode, ...]] = ("close", "abort")
SHOWN: Final = (
    *("seq", "changedSeq", "senderId", "content", "status"),
    *("timestamp", "deliveredAt", "readAt", "deletedAt"),
)


@pytest.fixture
async def evidence(system: System) -> Evidence:
    recorder = Recorder()
    async with (
        whole_house() as house,
        Workload(system, 4, recorder, users=16, rate=100) as workload,
    ):
        workload.start()
        await asyncio.sleep(ACTS_S)
        # By chance they leave as well, but not surely in both ways.
        for client, mode in zip(workload.clients, MODES, strict=False):
            client.leave(0, mode)
        await workload.settle()
        assert workload.progress().outstanding == 0
        return await collect(house, system, workload, recorder, seed=4)


async def test_a_quiet_workload_leaves_evidence_of_all_kinds_that_agrees(
    evidence: Evidence, tmp_path: Path
) -> None:
    _has_all_kinds(evidence)
    _agrees(evidence)
    assert check(evidence) == []
    save(evidence, tmp_path / "evidence.json")
    assert load(tmp_path / "evidence.json") == evidence


def _has_all_kinds(evidence: Evidence) -> None:
    kinds = Counter(operation.kind for operation in evidence.operations)
    missing = {"connect", "send", "read", "delete", "sync", "history", "look"} - set(kinds)
    assert not missing, kinds
    assert kinds["send"] > ACTS_S * 50
    outcomes = {operation.outcome for operation in evidence.operations}
    sends = [operation for operation in evidence.operations if operation.kind == "send"]
    assert {operation.outcome for operation in sends} == {"ok"}, outcomes
    assert any(send.client_message_id is None for send in sends)
    twice = Counter((send.user, send.client_message_id) for send in sends if send.client_message_id)
    assert 2 in twice.values(), "none was sent over two devices"
    heard = {item.frame["type"] for item in evidence.heard}
    assert heard >= {"CONNECT_SUCCESS", "MESSAGE_SENT", "MESSAGE_RECEIVED", "MESSAGE_DELIVERED"}
    assert heard >= {"MESSAGE_READ", "MESSAGE_DELETED", "SYNC_RESULT"}
    assert {closed.by_client for closed in evidence.closed} == {True}, "a session that ended itself"
    assert {closed.code for closed in evidence.closed} >= {1000, None}, "closed, and aborted"


def _agrees(evidence: Evidence) -> None:
    """Rows, histories and what each device shows; the rules themselves are the checker's."""
    assert not any(evidence.queued.values())
    rows = {str(row.message_id): row for row in evidence.rows}
    told = {op.answer["messageId"] for op in evidence.operations if op.kind == "send" and op.answer}
    assert told == set(rows)
    heads = {one.conversation: one.head for one in evidence.conversations}
    histories: dict[tuple[object, object], dict[str, Frame]] = {}
    for history in evidence.histories:
        assert history.head == heads[history.conversation]
        histories[history.user, history.conversation] = {
            message["messageId"]: {name: message[name] for name in SHOWN}
            for message in history.messages
        }
    assert {key for shown in histories.values() for key in shown} == set(rows)
    assert {(one.user, one.conversation) for one in evidence.snapshots} == set(histories)
    for snapshot in evidence.snapshots:
        assert snapshot.head == heads[snapshot.conversation]
        assert snapshot.shown == histories[snapshot.user, snapshot.conversation]
    wholly = {(one.user, one.conversation) for one in evidence.synced if one.after == 0}
    assert wholly == set(histories)
    for synced in evidence.synced:
        newer = {
            message_id: shown
            for message_id, shown in histories[synced.user, synced.conversation].items()
            if shown["changedSeq"] > synced.after
        }
        assert {message["messageId"] for message in synced.messages} == set(newer)
