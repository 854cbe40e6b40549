"""Each test is asked of every overlay."""

import pytest

from tests.manifests.rendered import OVERLAYS, Rendered


@pytest.fixture(scope="session", params=OVERLAYS)
def rendered(request: pytest.FixtureRequest) -> Rendered:
    return Rendered.of(request.param)


@pytest.fixture(scope="session")
def dev() -> Rendered:
    return Rendered.of("dev")


@pytest.fixture(scope="session")
def production() -> Rendered:
    return Rendered.of("production")
