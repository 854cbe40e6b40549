"""The web client by node's own test runner, against the running system."""

import asyncio
import os
from pathlib import Path

import playwright
import pytest

from local.stack import Stack

NODE = Path(playwright.__file__).parent / "driver" / "node"
"""Playwright brings one, of the version that requirements.lock holds: no other is needed."""
SUITES = sorted(path.name for path in Path("tests/web").glob("*.test.js"))


async def every_gateway_is_ready() -> None:
    """One of the tests kills a gateway: the next ones find the house as it was."""
    stack = Stack(os.environ["CHAT_STACK"])
    async with asyncio.timeout(30):
        for gateway in stack.gateway_ports():
            await asyncio.to_thread(stack.start_program, gateway)


@pytest.mark.parametrize("suite", SUITES)
async def test_the_web_client(suite: str) -> None:
    process = await asyncio.create_subprocess_exec(
        str(NODE),
        "--test",
        f"tests/web/{suite}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    await every_gateway_is_ready()
    assert process.returncode == 0, output.decode()
    assert "pass 0" not in output.decode()
