"""`make observe` and `make top` over the running system (issue 6, points 4 to 6)."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from local.layout import ROOT
from local.observability import dashboards, rules
from local.observability.prometheus import NAMESPACE, Prometheus
from local.roles import ROLES
from tests.integration.conftest import System
from tests.integration.watching import House, until

WITHIN_S = 20.0
SELECTOR = re.compile(r"\b((?:chat|process|rabbitmq)_\w+)(\{[^}]*\})?")
IN_RUNBOOK = re.compile(r"\bprom '([^']+)'")
RECORDED = re.compile(r"\bchat:\w+:\w+")
AFTER_AN_EVENT = (
    "chat_refused_total",
    "chat_retries_total",
    "chat_closes_total",
    'chat_http_seconds_count{status=~"5.."}',
)
"""Their labels say what went wrong, so there is no sample until something has."""


def expressions() -> list[str]:
    """All PromQL of the rules, the dashboards and the runbooks."""
    found = [rule["expr"] for group in rules.groups() for rule in group["rules"]]
    for page in (ROOT / "docs" / "runbooks").glob("*.md"):
        found += IN_RUNBOOK.findall(page.read_text())
    for text in dashboards.files().values():
        for panel in json.loads(text)["panels"]:
            found += [target["expr"] for target in panel.get("targets", ())]
    return [expression.replace("$namespace", NAMESPACE) for expression in found]


class Asked:
    """The Prometheus under test."""

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(base_url=f"{url}/api/v1", timeout=10)

    async def get(self, path: str, **parameters: str) -> Any:
        response = await self._client.get(path, params=parameters)
        assert response.status_code == 200, f"{parameters}: {response.text}"
        return response.json()["data"]

    async def count(self, selector: str) -> int:
        """How many series there are now."""
        result = (await self.get("/query", query=f"count({selector})"))["result"]
        return int(result[0]["value"][1]) if result else 0

    async def are_scraped(self, programs: set[str]) -> bool:
        targets = (await self.get("/targets"))["activeTargets"]
        up = {target["labels"]["instance"] for target in targets if target["health"] == "up"}
        return up >= programs and all(target["health"] == "up" for target in targets)

    async def close(self) -> None:
        await self._client.aclose()


@pytest.fixture
async def asked(prometheus: Prometheus) -> AsyncIterator[Asked]:
    asked = Asked(prometheus.url)
    yield asked
    await asked.close()


async def talk(system: System, pair: tuple[UUID, UUID, UUID]) -> None:
    """A bit of everything."""
    anna, ben, conversation = pair
    async with await system.open(anna) as annas, await system.open(ben) as bens:
        sent = await annas.send_message(conversation, "seen by Prometheus")
        await annas.expect("MESSAGE_DELIVERED", messageId=sent["messageId"])
        await bens.mark_as_read(conversation, up_to_seq=sent["seq"])
        await bens.typing(conversation)
    await read_twice(system, pair)


async def read_twice(system: System, pair: tuple[UUID, UUID, UUID]) -> None:
    """What Redis can answer the second time."""
    anna, _, conversation = pair
    async with system.rest(anna) as rest:
        for _ in range(2):
            assert (await rest.get(f"/conversations/{conversation}/messages")).status_code == 200
            assert (await rest.get("/unread")).status_code == 200


async def test_what_dashboards_and_alerts_name_is_exported(
    system: System, house: House, asked: Asked, pair: tuple[UUID, UUID, UUID]
) -> None:
    """Each selector, with its labels: `role` by Prometheus' targets, the others by the roles."""
    await talk(system, pair)
    programs = {*house.stack.admin_ports(), "rabbitmq"}
    await until(lambda: asked.are_scraped(programs), WITHIN_S, "all targets are scraped")
    selectors = {
        name + (labels or "") for e in expressions() for name, labels in SELECTOR.findall(e)
    }
    wanted = {one for one in selectors if not one.startswith(AFTER_AN_EVENT)}
    assert len(wanted) > 50

    missing = wanted

    async def none_is_missing() -> bool:
        nonlocal missing
        # Until Redis has what it needs to answer.
        await read_twice(system, pair)
        ordered = sorted(missing)
        counts = await asyncio.gather(*map(asked.count, ordered))
        missing = {one for one, count in zip(ordered, counts, strict=True) if not count}
        return not missing

    await until(none_is_missing, WITHIN_S, lambda: f"no series for {sorted(missing)}")
    described = await asked.get("/metadata")
    for selector in AFTER_AN_EVENT:
        family = selector.partition("{")[0].removesuffix("_count")
        assert family in described, selector


async def test_the_rules_are_loaded_and_every_query_is_understood(asked: Asked) -> None:
    """What a dashboard takes from a recording rule, a rule records."""
    loaded = (await asked.get("/rules"))["groups"]
    by_rule = {rule["name"] for group in loaded for rule in group["rules"]}
    assert by_rule >= {alert["alert"] for alert in rules.alerts()}
    for expression in expressions():
        assert set(RECORDED.findall(expression)) <= by_rule
        await asked.get("/query", query=expression.replace("$__rate_interval", "1m"))


async def test_top_shows_every_role_process_and_partition(
    system: System, house: House, pair: tuple[UUID, UUID, UUID]
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local", "top", "--once"),
        cwd=ROOT,
        env={"CHAT_STACK": house.stack.layout.stack, "COLUMNS": "140", "LANG": "C.UTF-8"},
        stdout=asyncio.subprocess.PIPE,
    )
    talking = asyncio.create_task(talk(system, pair))
    shown = (await process.communicate())[0].decode()
    await talking
    assert process.returncode == 0
    for role in ROLES:
        for program in house.programs(role):
            assert program in shown
    owners = re.findall(r"^│ (\d+) .*(router-\d).*(persister-\d)", shown, re.MULTILINE)
    assert [partition for partition, _, _ in owners] == ["0", "1", "2", "3"], shown
    assert "nobody" not in shown
