"""What the edge serves of the web chat, and to whom."""

import re
from pathlib import Path

import pytest

from local import edge, web_chat
from local.layout import Layout

POLICED = re.compile(r"'sha256-([A-Za-z0-9+/=]+)'")


@pytest.fixture
def layout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Layout:
    made = Layout("edge-test")
    monkeypatch.setattr(Layout, "nginx_config", tmp_path / "nginx.conf")
    return made


def _written(layout: Layout, development: int | None) -> str:
    edge.write_config(layout, 1, [2], [3], development)
    return layout.nginx_config.read_text()


def test_the_development_endpoint_is_passed_on_only_where_it_runs(layout: Layout) -> None:
    assert "/api/chat/development/ { proxy_pass http://127.0.0.1:4; }" in _written(layout, 4)
    assert "/api/chat/development/ { return 404; }" in _written(layout, None)
    assert not re.findall(r"@[a-z_]+@", _written(layout, None))


def test_a_changed_map_of_modules_has_another_hash() -> None:
    page = (Layout("dev").root / "web" / "index.html").read_text()
    (one,) = POLICED.findall(web_chat.policy(page))
    (other,) = POLICED.findall(web_chat.policy(page.replace("/vendor/htm", "/elsewhere/htm")))
    assert one != other
