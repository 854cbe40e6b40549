"""Whose tokens count: what settings may be together."""

import pytest

from libs.common.config import DEVELOPMENT_SECRET, TokenSettings, load

SERVERS = {"CHAT_AMQP_URL": "amqp://broker/", "CHAT_REDIS_URL": "redis://cache/0"}
SECRET = "known to nobody, " * 3
JWKS = "https://id.example/keys"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SERVERS.items():
        monkeypatch.setenv(name, value)
    for name in ("CHAT_ENV", "CHAT_JWT_SECRET", "CHAT_JWKS_URL", "CHAT_JWT_ALGORITHMS"):
        monkeypatch.delenv(name, raising=False)


def loaded(monkeypatch: pytest.MonkeyPatch, **variables: str) -> TokenSettings:
    for name, value in variables.items():
        monkeypatch.setenv(f"CHAT_{name}", value)
    return load(TokenSettings)


def test_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, JWT_SECRET=SECRET)
    assert (settings.secret, settings.algorithms) == (SECRET, ("HS256",))


def test_an_address_of_public_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, JWKS_URL=JWKS)
    assert (settings.secret, settings.algorithms) == (None, ("RS256", "ES256", "EdDSA"))
    assert loaded(monkeypatch, JWT_ALGORITHMS="ES384").algorithms == ("ES384",)


def test_development_has_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loaded(monkeypatch, ENV="development").secret == DEVELOPMENT_SECRET


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "production needs CHAT_JWKS_URL or a CHAT_JWT_SECRET"),
        ({"JWT_SECRET": DEVELOPMENT_SECRET}, "production needs"),
        ({"JWT_SECRET": SECRET, "JWKS_URL": JWKS}, "not both"),
        ({"JWKS_URL": "http://id.example/keys"}, "must be https"),
        ({"JWT_SECRET": SECRET, "JWT_ALGORITHMS": "HS256,RS256"}, "RS256 can't be used with a sec"),
        ({"JWKS_URL": JWKS, "JWT_ALGORITHMS": "HS256"}, "HS256 can't be used with public keys"),
        ({"JWKS_URL": JWKS, "JWT_ALGORITHMS": "none"}, "none can't be used"),
        ({"JWKS_URL": "file:///etc/keys"}, "CHAT_JWKS_URL"),
    ],
)
def test_what_may_not_be(
    wrong: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        loaded(monkeypatch, **wrong)
    assert ended.value.code == 78
    printed = capsys.readouterr().err
    assert said in printed
    assert SECRET not in printed
