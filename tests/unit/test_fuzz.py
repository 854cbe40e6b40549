"""Every decoder, with anything: the short form of `make fuzz`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS
from tests.fuzz.typed import TYPED


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_any_bytes(name: str, data: bytes) -> None:
    TARGETS[name](data)


@pytest.mark.parametrize("name", TYPED)
def test_every_type_of_message(name: str) -> None:
    TYPED[name]()
