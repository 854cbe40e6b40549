"""The running system, for all tests that need one."""

from uuid import UUID, uuid4

import pytest

from tests.integration.conftest import System


@pytest.fixture(scope="session")
def system() -> System:
    return System()


@pytest.fixture
async def pair(system: System) -> tuple[UUID, UUID, UUID]:
    """Two fresh users and their conversation."""
    anna, ben = uuid4(), uuid4()
    return anna, ben, await system.conversation(anna, ben)
