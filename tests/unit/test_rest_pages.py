"""Cursors and query parameters."""

from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import pytest
from falcon import Request
from falcon.testing import create_req
from hypothesis import given
from hypothesis import strategies as st

from services.rest_api.asked import Alternative
from services.rest_api.pages import (
    NEWEST,
    Place,
    asked_in,
    cursor_of,
    flag_in,
    limit_in,
    number_in,
    place_of,
    time_in,
    uuid_in,
)
from services.rest_api.problems import Problem


def request(query: str) -> Request:
    return create_req(query_string=query)


@given(at=st.datetimes(timezones=st.just(UTC)), place_id=st.uuids())
def test_a_cursor_gives_its_place_back(at: datetime, place_id: UUID) -> None:
    place = Place(at, place_id)
    assert place_of(cursor_of(place)) == place


def test_everything_comes_after_newest() -> None:
    assert place_of(cursor_of(NEWEST)) == NEWEST
    assert Place(datetime.now(UTC), UUID(int=2**128 - 1)) < NEWEST


@given(st.text())
def test_a_foreign_cursor_is_refused_or_a_place(text: str) -> None:
    with suppress(Problem):
        place_of(text)


@pytest.mark.parametrize("text", ["", "abc", "é", "A" * 31, "A" * 36, "f" + "_" * 31])
def test_a_bad_cursor_is_refused(text: str) -> None:
    with pytest.raises(Problem):
        place_of(text)


def test_limit() -> None:
    assert limit_in(request("")) == 50
    assert limit_in(request("limit=1")) == 1
    assert limit_in(request("limit=100")) == 100


@pytest.mark.parametrize(
    "text", ["0", "101", "-1", "+1", "1_0", "1.0", "x", "", "%D9%A3", "9" * 30]
)
def test_a_bad_limit_is_refused(text: str) -> None:
    with pytest.raises(Problem):
        limit_in(request(f"limit={text}"))


def test_numbers_and_flags_may_be_absent() -> None:
    assert number_in(request(""), "after", least=0, most=9) is None
    assert number_in(request("after=0"), "after", least=0, most=9) == 0
    assert flag_in(request(""), "archived") is None
    assert flag_in(request("archived=true"), "archived") is True
    assert flag_in(request("archived=false"), "archived") is False
    with pytest.raises(Problem):
        flag_in(request("archived=1"), "archived")


def test_ids() -> None:
    wanted = UUID(int=7)
    assert uuid_in(str(wanted), "messageId") == wanted
    with pytest.raises(Problem) as refused:
        uuid_in("nope", "messageId")
    assert refused.value.detail == "messageId must be a UUID."


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2025-01-31T12:00:00Z", datetime(2025, 1, 31, 12, tzinfo=UTC)),
        ("2025-01-31T12:00:00.123Z", datetime(2025, 1, 31, 12, 0, 0, 123_000, tzinfo=UTC)),
        ("2025-01-31T13:00:00%2B01:00", datetime(2025, 1, 31, 12, tzinfo=UTC)),
        ("2025-01-31T13:00:00+01:00", datetime(2025, 1, 31, 12, tzinfo=UTC)),
    ],
)
def test_times(text: str, time: datetime) -> None:
    assert time_in(request(f"before={text}"), "before") == time


@pytest.mark.parametrize(
    "text", ["2025-01-31", "2025-01-31T12:00:00", "now", "0001-01-01T00:00:00%2B10:00", "1e9"]
)
def test_a_bad_time_is_refused(text: str) -> None:
    with pytest.raises(Problem):
        time_in(request(f"before={text}"), "before")


def test_what_is_asked() -> None:
    assert asked_in(request("")) is None
    assert asked_in(request("q=coffee")) == (Alternative(words=("coffee",)),)
    for wrong in ("q=", "q=-", "q=coffee%00", f"q={'x' * 201}", f"q=x{'%CC%81' * 31}"):
        with pytest.raises(Problem):
            asked_in(request(wrong))
