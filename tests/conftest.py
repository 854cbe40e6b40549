"""The running system, for all tests that need one."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from local.observability.prometheus import Prometheus
from tests.integration.conftest import System
from tests.integration.watching import House, whole_house


@pytest.fixture(scope="session")
def system() -> System:
    return System()


@pytest.fixture
async def pair(system: System) -> tuple[UUID, UUID, UUID]:
    """Two fresh users and their conversation."""
    anna, ben = uuid4(), uuid4()
    return anna, ben, await system.conversation(anna, ben)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with whole_house() as house:
        yield house


@pytest.fixture
async def prometheus(house: House) -> AsyncIterator[Prometheus]:
    """That of `make observe`, which looks at each process every second."""
    prometheus = Prometheus(house.stack, interval_s=1)
    await asyncio.to_thread(prometheus.start)
    yield prometheus
    await asyncio.to_thread(prometheus.stop)
