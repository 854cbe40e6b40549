"""Who is calling."""

import json
from base64 import urlsafe_b64encode
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from libs.common.jwks import usable
from libs.common.tokens import InvalidToken, Secret, Undecided, Verifier

SECRET = "0123456789abcdef" * 4
USER = uuid4()
CLAIMS = {"sub": str(USER), "exp": 2_000}
PUBLIC = ("RS256", "ES256", "EdDSA")

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
PRIVATE = {"RS256": RSA, "ES256": EC, "EdDSA": ED}


def public_keys() -> dict[str, dict[str, str]]:
    """As an issuer lists them; the key's id is its algorithm."""
    listed: dict[str, dict[str, str]] = {
        "RS256": json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key())),
        "ES256": json.loads(jwt.algorithms.ECAlgorithm.to_jwk(EC.public_key())),
        "EdDSA": json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(ED.public_key())),
    }
    return {name: key | {"kid": name, "use": "sig"} for name, key in listed.items()}


class Listed:
    """`tokens.Keys` of a list that is here."""

    are_known = True

    def __init__(self, *keys: dict[str, str], algorithms: tuple[str, ...] = PUBLIC) -> None:
        self._keys = usable(json.dumps({"keys": keys}).encode(), algorithms)

    def find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        return self._keys.get(key_id or "")

    def start(self) -> None: ...
    def stop(self) -> None: ...


def token(
    key: object = SECRET,
    algorithm: str | None = "HS256",
    headers: dict[str, object] | None = None,
    **claims: object,
) -> str:
    payload = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    return jwt.encode(payload, key, algorithm=algorithm, headers=headers)  # type: ignore[arg-type]


def claiming(claims: dict[str, object]) -> str:
    return token(SECRET, "HS256", None, **claims)


def public_token(algorithm: str, **claims: object) -> str:
    return token(PRIVATE[algorithm], algorithm, {"kid": algorithm}, **claims)


def by_secret(**demands: object) -> Verifier:
    return Verifier(Secret(SECRET), ("HS256",), **demands)  # type: ignore[arg-type]


def error_of(verifier: Verifier, bad: str, now: float = 0) -> str:
    with pytest.raises(InvalidToken) as refused:
        verifier.verify(bad, now)
    return refused.value.error


def test_a_user_and_a_service() -> None:
    caller = by_secret().verify(token(), now=1_999)
    assert (caller.user_id, caller.expires_at, caller.is_service) == (USER, 2_000, False)
    assert by_secret().verify(token(scope="service"), now=0).is_service
    assert by_secret().verify(token(scope="email service"), now=0).is_service
    assert not by_secret().verify(token(scope="services"), now=0).is_service
    assert not by_secret().verify(token(scope=["service"]), now=0).is_service


def test_it_ends_when_it_says_but_for_the_leeway() -> None:
    assert error_of(by_secret(), token(), now=2_000) == "TOKEN_EXPIRED"
    lenient = by_secret(leeway_s=5)
    assert lenient.verify(token(), now=2_004).expires_at == 2_005
    assert error_of(lenient, token(), now=2_005) == "TOKEN_EXPIRED"


def test_it_begins_when_it_says_but_for_the_leeway() -> None:
    lenient = by_secret(leeway_s=5)
    assert lenient.verify(token(nbf=1_000), now=995).user_id == USER
    assert error_of(lenient, token(nbf=1_000), now=994) == "TOKEN_INVALID"


def test_it_was_not_issued_in_the_future_but_for_the_leeway() -> None:
    """Else one that a revocation must cover would look newer than it. Our clock may be the wrong
    one, so its user is not sent to sign in again, but elsewhere."""
    lenient = by_secret(leeway_s=5)
    assert lenient.verify(token(iat=1_000), now=995).user_id == USER
    with pytest.raises(Undecided):
        lenient.verify(token(iat=1_000), now=994)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "a.b.c",
        token(key="x" * 64),
        token(key="", algorithm="none"),
        token(algorithm="HS512"),
        token(sub=None),
        token(exp=None),
        token(sub="anna"),
        token(exp="soon"),
        token(exp=float("inf")),
        token(nbf="soon"),
        token(aud="another service"),
        token()[:-2],
        token(headers={"jku": "https://evil.example/keys"}),
        token(headers={"x5u": "https://evil.example/cert"}),
        token(headers={"jwk": {"kty": "oct", "k": "AAAA"}}),
        token(headers={"x5c": ["MII"]}),
        token(headers={"crit": ["exp"], "exp": 5}),
        token(headers={"crit": ["b64"], "b64": True}),
        token(headers={"typ": "logout+jwt"}),
        token(headers={"typ": "dpop+jwt"}),
    ],
)
def test_what_is_no_token(bad: str) -> None:
    assert error_of(by_secret(), bad) == "TOKEN_INVALID"


@pytest.mark.parametrize("kind", ["JWT", "at+jwt", "application/at+jwt"])
def test_the_types_of_access_tokens(kind: str) -> None:
    assert by_secret().verify(token(headers={"typ": kind}), now=0).user_id == USER


def test_issuer_and_audience_where_they_are_demanded() -> None:
    strict = by_secret(issuer="https://id.example", audience="chat")
    said: dict[str, object] = {"iss": "https://id.example", "aud": ["chat", "mail"]}
    assert strict.verify(claiming(said), now=0).user_id == USER
    wrongs: tuple[dict[str, object], ...] = (
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "mail"},
        {"aud": None},
    )
    for wrong in wrongs:
        assert error_of(strict, claiming(said | wrong)) == "TOKEN_INVALID", wrong


@pytest.mark.parametrize("algorithm", PUBLIC)
def test_public_keys(algorithm: str) -> None:
    verifier = Verifier(Listed(*public_keys().values()), PUBLIC)
    assert verifier.verify(public_token(algorithm), now=0).user_id == USER
    forged = token(SECRET, "HS256", {"kid": algorithm})
    assert error_of(verifier, forged) == "TOKEN_INVALID"


def test_a_public_key_is_no_secret() -> None:
    """The classic: what everybody may read, taken for what nobody may know (RFC 8725, 2.1)."""
    pem = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signing = token("0" * 64, "HS256", {"kid": "RS256"}).rpartition(".")[0]
    mac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signature = urlsafe_b64encode(mac.sign(signing.encode(), pem)).rstrip(b"=").decode()
    verifier = Verifier(Listed(*public_keys().values()), PUBLIC)
    assert error_of(verifier, f"{signing}.{signature}") == "TOKEN_INVALID"


def test_a_key_of_one_algorithm_checks_no_other() -> None:
    """RSASSA-PSS with a key that is listed for PKCS #1."""
    keys = public_keys()["RS256"] | {"alg": "RS256"}
    verifier = Verifier(Listed(keys), ("RS256", "PS256"))
    assert error_of(verifier, token(RSA, "PS256", {"kid": "RS256"})) == "TOKEN_INVALID"


def test_what_a_list_may_hold_and_we_do_not_use() -> None:
    keys = public_keys()
    secret = {"kty": "oct", "kid": "secret", "k": "c2VjcmV0" * 8}
    encrypting = keys["ES256"] | {"use": "enc", "kid": "encrypting"}
    future = {"kty": "AKP", "alg": "ML-DSA-44", "kid": "future"}
    listed = json.dumps({"keys": [secret, encrypting, future, keys["EdDSA"]]}).encode()
    assert set(usable(listed, PUBLIC)) == {"EdDSA"}


@pytest.mark.parametrize(
    "nothing", [b"", b"[]", b"{}", b'{"keys": []}', b'{"keys": 5}', b"<html>", b'{"keys": [5]}']
)
def test_a_list_without_keys_is_a_mistake(nothing: bytes) -> None:
    with pytest.raises((ValueError, jwt.PyJWTError)):
        usable(nothing, PUBLIC)


def test_a_short_rsa_key_is_refused() -> None:
    short = rsa.generate_private_key(65537, 1024)
    listed = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(short.public_key())) | {"kid": "short"}
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        weak = token(short, "RS256", {"kid": "short"})
    assert error_of(Verifier(Listed(listed), PUBLIC), weak) == "TOKEN_INVALID"


def test_a_key_that_is_being_asked_for_is_no_verdict() -> None:
    class Pending(Listed):
        def find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
            raise Undecided

    with pytest.raises(Undecided):
        Verifier(Pending(*public_keys().values()), PUBLIC).verify(public_token("EdDSA"), now=0)
