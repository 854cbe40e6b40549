"""Who may connect: how many, from which networks, from which web pages."""

import pytest
from pydantic import ValidationError

from services.ws_gateway.admission import Admission, Limits, Place
from services.ws_gateway.client_address import client_network, networks
from services.ws_gateway.handshake import HandshakeRefused, check_origin
from services.ws_gateway.settings import GatewaySettings

PROXIES = networks("10.0.0.0/8, ::1, 2600:aaaa::/32")
ANNA, BEN = "8.8.8.8", "9.9.9.9"


def admission(**limits: int) -> Admission:
    most = {"connections": 9, "strangers": 9, "of_network": 9, "of_network_per_second": 9}
    return Admission(Limits(**(most | limits)))


def enter(one: Admission, network: str | None, now: float = 0) -> Place | str:
    """Its place, or what speaks against it."""
    place = one.arrive()
    assert place is not None
    if refusal := one.refusal(network, now):
        place.leave()
        return refusal
    place.enter(network)
    return place


def entered(one: Admission, network: str | None = None) -> Place:
    place = enter(one, network)
    assert isinstance(place, Place)
    return place


# ---------------------------------------------------------------- how many


def test_a_gateway_is_full_until_one_leaves() -> None:
    one = admission(connections=2)
    first, second = entered(one), entered(one, ANNA)
    assert enter(one, BEN) == "GATEWAY_FULL"
    second.leave()
    entered(one, BEN).leave()
    first.leave()
    assert one.is_empty


def test_a_network_has_so_many_and_others_have_theirs() -> None:
    one = admission(of_network=2)
    first, second = entered(one, ANNA), entered(one, ANNA)
    assert enter(one, ANNA) == "TOO_MANY_FROM_ADDRESS"
    entered(one, BEN)
    first.leave()
    entered(one, ANNA)
    assert enter(one, ANNA) == "TOO_MANY_FROM_ADDRESS"
    second.leave()


def test_who_was_refused_takes_no_place() -> None:
    one = admission(of_network=1)
    first = entered(one, ANNA)
    for _ in range(5):
        assert enter(one, ANNA) == "TOO_MANY_FROM_ADDRESS"
    first.leave()
    assert one.is_empty
    entered(one, ANNA)


def test_a_network_comes_so_often_a_second() -> None:
    one = admission(of_network_per_second=4)
    for _ in range(4):
        assert isinstance(enter(one, ANNA, now=100), Place)
    assert enter(one, ANNA, now=100) == "TOO_MANY_FROM_ADDRESS"
    assert isinstance(enter(one, BEN, now=100), Place)
    assert isinstance(enter(one, ANNA, now=100.3), Place)


def test_where_nobody_can_tell_from_where_nothing_of_that_is_counted() -> None:
    one = admission(of_network=1, of_network_per_second=1)
    for _ in range(5):
        entered(one, None)


def test_strangers_are_bounded_until_they_show_a_token_or_go() -> None:
    one = admission(strangers=2)
    first, second = one.arrive(), one.arrive()
    assert first is not None
    assert second is not None
    assert one.arrive() is None
    first.show_token()
    first.show_token()
    third = one.arrive()
    assert third is not None
    assert one.arrive() is None
    second.leave()
    fourth = one.arrive()
    assert fourth is not None
    first.leave()
    assert one.arrive() is None, "that one was no stranger"
    third.leave()
    fourth.leave()
    assert one.is_empty


def test_networks_that_have_gone_are_forgotten() -> None:
    one = admission()
    for number in range(1_000):
        place = enter(one, str(number), now=1)
        assert isinstance(place, Place)
        place.leave()
    assert one.is_empty
    assert isinstance(enter(one, ANNA, now=9), Place)
    assert one._connects._full_at.keys() == {ANNA}


# ---------------------------------------------------------------- from where


@pytest.mark.parametrize(
    ("peer", "forwarded", "network"),
    [
        (ANNA, [], ANNA),
        (ANNA, [BEN], ANNA),
        ("10.0.0.1", [ANNA], ANNA),
        ("10.0.0.1", [f"{BEN}, {ANNA}"], ANNA),
        ("10.0.0.1", [BEN, ANNA], ANNA),
        ("10.0.0.1", [f"{BEN}, {ANNA}, 10.0.0.2", "10.0.0.3"], ANNA),
        ("10.0.0.1", [f"{ANNA}:4711"], ANNA),
        ("::ffff:10.0.0.1", [f"::ffff:{ANNA}"], ANNA),
        ("::1", ["2600:1:2:3:4:5:6:7"], "2600:1:2:3::/64"),
        ("::1", ["[2600:1:2:3:8::]:4711"], "2600:1:2:3::/64"),
        ("2600:1:2:3::9", [], "2600:1:2:3::/64"),
        # Nobody can tell.
        (None, [ANNA], None),
        ("", [ANNA], None),
        ("10.0.0.1", [], None),
        ("10.0.0.1", ["10.0.0.2"], None),
        ("10.0.0.1", [f"{ANNA}, unknown"], None),
        ("10.0.0.1", [f"{ANNA}, "], None),
        ("10.0.0.1", [f"{ANNA}, 192.168.1.1"], None),
        ("2600:aaaa::1", [], None),
        ("127.0.0.1", [ANNA], None),
        ("192.168.1.1", [ANNA], None),
        ("fe80::1%eth0", [ANNA], None),
    ],
)
def test_the_client_is_the_last_that_is_no_proxy_of_ours(
    peer: str | None, forwarded: list[str], network: str | None
) -> None:
    assert client_network(peer, forwarded, PROXIES) == network


def test_a_wrong_network_stops_the_start() -> None:
    servers = {"amqp_url": "amqp://x/", "redis_url": "redis://x/", "jwt_secret": "s" * 32}
    made = GatewaySettings.model_validate(servers | {"trusted_proxies": "10.0.0.0/8,::1"})
    assert [str(network) for network in made.proxies] == ["10.0.0.0/8", "::1/128"]
    for wrong in ("10.0.0.1/8", "edge", "10.0.0.0/8;::1"):
        with pytest.raises(ValidationError):
            GatewaySettings.model_validate(servers | {"trusted_proxies": wrong})


# ---------------------------------------------------------------- from which web pages

ALLOWED = ("https://app.example", "http://localhost:3000")


@pytest.mark.parametrize(
    ("origins", "hosts"),
    [
        ([], ["chat.example"]),
        (["https://chat.example"], ["chat.example"]),
        (["HTTPS://Chat.Example"], ["chat.EXAMPLE"]),
        (["http://localhost:8080"], ["localhost:8080"]),
        (["https://app.example"], ["chat.example"]),
        (["http://localhost:3000"], []),
    ],
)
def test_origins_that_may(origins: list[str], hosts: list[str]) -> None:
    check_origin(origins, hosts, ALLOWED)


@pytest.mark.parametrize(
    ("origins", "hosts"),
    [
        (["null"], ["chat.example"]),
        ([""], ["chat.example"]),
        (["null"], ["null"]),
        (["https://"], [""]),
        (["https://evil.example"], ["chat.example"]),
        (["https://chat.example.evil.example"], ["chat.example"]),
        (["https://chat.example:444"], ["chat.example"]),
        (["http://app.example"], ["chat.example"]),
        (["https://app.example:8443"], ["chat.example"]),
        (["chrome-extension://chat.example"], ["chat.example"]),
        (["https://chat.example", "https://evil.example"], ["chat.example"]),
        (["https://app.example", "https://app.example"], ["chat.example"]),
        (["https://evil.example"], ["chat.example", "evil.example"]),
    ],
)
def test_origins_that_may_not(origins: list[str], hosts: list[str]) -> None:
    with pytest.raises(HandshakeRefused) as refused:
        check_origin(origins, hosts, ALLOWED)
    assert (refused.value.status, refused.value.error) == (403, "ORIGIN_NOT_ALLOWED")
    check_origin(origins, hosts, ("*",))
