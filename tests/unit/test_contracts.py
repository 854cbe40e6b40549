"""The two contracts: valid by their standards, committed, and whole."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import openapi_spec_validator
import pytest
from jsonschema_rs import Draft7Validator

from libs.common.protocol import asyncapi
from libs.common.protocol.errors import REFUSALS
from libs.common.protocol.frames import ClientFrame, ServerFrame
from libs.common.protocol.schemas import sentence
from services.rest_api import docs_page, openapi
from services.rest_api.documents import contract_json
from tests.contracts.__main__ import DOCUMENTS, FOLDER, drifted
from tests.contracts.frames import FrameContract

ASYNCAPI_SCHEMA = Path(__file__).parents[1] / "contracts/asyncapi-3.0.0.schema.json"
ID = "0195a1c0-0000-7000-8000-000000000001"


def test_openapi_is_valid_by_the_standard() -> None:
    openapi_spec_validator.validate(openapi.document())


def test_asyncapi_is_valid_by_the_standard() -> None:
    text = ASYNCAPI_SCHEMA.read_bytes()
    assert hashlib.sha256(text).hexdigest() in (ASYNCAPI_SCHEMA.parent / "README.md").read_text()
    Draft7Validator(json.loads(text)).validate(asyncapi.document())


@pytest.mark.parametrize("document", [openapi.document(), asyncapi.document()], ids=str)
def test_every_reference_leads_somewhere(document: dict[str, object]) -> None:
    for reference in re.findall(r'"\$ref": ?"#/([^"]+)"', json.dumps(document)):
        found: object = document
        for name in reference.split("/"):
            assert isinstance(found, dict)
            found = found[name]


def test_the_committed_ones_are_what_the_code_says() -> None:
    assert drifted() == [], "run `make contracts`"


def test_they_are_the_same_in_every_process() -> None:
    """Whatever its order of sets and dictionaries."""
    for name, document in DOCUMENTS.items():
        code = (
            "import sys; from tests.contracts.__main__ import DOCUMENTS;"
            "from services.rest_api.documents import contract_json;"
            f"sys.stdout.buffer.write(contract_json(DOCUMENTS[{name!r}]()))"
        )
        root, environment = FOLDER.parent, {"PYTHONHASHSEED": "77"}
        made = subprocess.check_output([sys.executable, "-c", code], cwd=root, env=environment)
        assert made == contract_json(document())


def test_every_frame_has_a_message_an_operation_and_a_sentence() -> None:
    document = asyncapi.document()
    messages = document["components"]["messages"]
    kinds = [*get_args(ClientFrame), *get_args(ServerFrame)]
    assert [messages[kind.__name__]["name"] for kind in kinds] == [
        asyncapi.wire_type(kind) for kind in kinds
    ]
    assert all(message["summary"] for message in messages.values())
    operations = document["operations"].values()
    spoken = {
        part["$ref"].rpartition("/")[2]
        for operation in operations
        for part in (*operation["messages"], *operation.get("reply", {}).get("messages", ()))
    }
    assert spoken == set(messages)


def test_every_refusal_is_in_a_contract() -> None:
    said = json.dumps(openapi.document()) + json.dumps(asyncapi.document())
    assert [error for error in REFUSALS if f'"{error}"' not in said] == []


def test_sentences_name_fields_as_the_wire_does() -> None:
    assert sentence("Either `message_ids` or `seq`.\n\n    More.") == (
        "Either `messageIds` or `seq`.\n\nMore."
    )
    assert "_" not in "".join(re.findall(r"`([a-z_]+)`", json.dumps(asyncapi.document())))


def test_the_page_shows_all_of_it_and_runs_nothing() -> None:
    rest, socket = openapi.document(), asyncapi.document()
    page = docs_page.page(rest, socket)
    for name in (*socket["components"]["messages"], *_operations(rest)):
        assert page.count(f'id="{name}"') == 1, name
    ids, links = re.findall(r' id="([^"]+)"', page), re.findall(r'href="#([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(links) <= set(ids)
    assert not re.search(r"<script|<link|\bsrc=|\bstyle=|\bon\w+=|url\(|https?://|@import", page)


def _operations(document: dict[str, dict[str, dict[str, dict[str, str]]]]) -> list[str]:
    return [row["operationId"] for path in document["paths"].values() for row in path.values()]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({}, None),
        ({"timestamp": "2025-01-31T12:00:00Z"}, "/timestamp"),
        ({"type": "NEWS"}, "undocumented type"),
        ({"more": 1}, "more"),
        ({"seq": "7"}, "/seq"),
        ({"messageId": "7"}, "/messageId"),
    ],
)
def test_a_frame_that_drifts_is_noticed(change: dict[str, object], complaint: str | None) -> None:
    frame = {
        "type": "MESSAGE_SENT",
        "clientMessageId": None,
        "messageId": ID,
        "conversationId": ID,
        "seq": 7,
        "timestamp": "2025-01-31T12:00:00.000Z",
    }
    said = FrameContract().complaint(frame | change)
    assert said is None if complaint is None else complaint in str(said)


@pytest.mark.parametrize(("kind", "is_right"), [("SEND_MESSAGE", True), ("PING", False)])
def test_an_error_answers_only_what_it_is_documented_for(kind: str, is_right: bool) -> None:
    refusal = REFUSALS["CONTENT_EMPTY"]
    frame = {
        "type": "ERROR",
        "code": refusal.code,
        "error": refusal.error,
        "message": refusal.message,
        "ref": {"type": kind},
    }
    assert (FrameContract().complaint(frame) is None) == is_right
