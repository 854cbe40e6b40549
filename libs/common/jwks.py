"""An issuer's public keys, by a JSON Web Key Set's address (RFC 7517). One thread fetches them.

Whoever checks a token never waits: what isn't known yet is Undecided (`domain.trust` has the
rules). The thread is a daemon; one instance a process.
"""

import json
import ssl
from collections.abc import Mapping, Sequence
from threading import Event, Lock, Thread
from time import monotonic
from typing import IO, Any, Final, NoReturn
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

import jwt
import structlog

from libs.common.config import TokenSettings
from libs.common.domain.revocation import RevocationList
from libs.common.domain.trust import Trust, Unknown
from libs.common.tokens import KeyPending, Keys, Secret, Undecided, Verifier

TIMEOUT_S: Final = 5.0
MOST_BYTES: Final = 1 << 20
"""Of a list; a key is some 500 bytes."""
_LOOK_AGAIN_S: Final = 0.2
"""The longest that a list which is wanted waits for the thread to notice."""

log = structlog.get_logger()


def verifier_of(settings: TokenSettings) -> Verifier:
    """What these settings say. Its `keys` want to be started, its `revoked` to be fetched."""
    secret, url = settings.secret, settings.jwks_url
    keys: Keys
    if url is not None:
        keys = KeySet(url, settings.algorithms)
    else:
        assert secret is not None
        keys = Secret(secret)
    return Verifier(
        keys,
        settings.algorithms,
        settings.jwt_issuer,
        settings.jwt_audience,
        settings.jwt_leeway_s,
        settings.token_max_age_s,
        RevocationList(is_known=False),
    )


class KeySet:
    """`tokens.Keys` of one issuer."""

    def __init__(self, url: str, algorithms: Sequence[str]) -> None:
        """`url`: `https://`, in development also `http://`. Nothing runs before `start`."""
        self._url = url
        self._algorithms = algorithms
        self._trust: Trust[jwt.PyJWK] = Trust()
        self._lock = Lock()
        self._stopping = Event()

    @property
    def are_known(self) -> bool:
        with self._lock:
            return self._trust.is_known(monotonic())

    def find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        with self._lock:
            found, is_confirmed = self._trust.find(key_id, monotonic()), self._trust.is_confirmed
        if found is Unknown.PENDING:
            raise KeyPending if is_confirmed else Undecided
        if isinstance(found, Unknown) or found.algorithm_name != algorithm:
            return None
        return found

    def start(self) -> None:
        Thread(target=self._run, name="jwks", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK_AGAIN_S):
            with self._lock:
                due_in = self._trust.due_in(monotonic())
            if due_in <= 0:
                self._fetch()

    def _fetch(self) -> None:
        try:
            keys = usable(_get(self._url), self._algorithms)
        except Exception as error:  # noqa: BLE001 - cut, nested, of odd types: the thread asks again
            log.warning("keys not fetched", url=self._url, reason=repr(error))
            with self._lock:
                self._trust.failed(monotonic())
            return
        with self._lock:
            self._trust.fetched(keys, monotonic())
        log.info("keys fetched", key_ids=list(keys))


def usable(document: bytes, algorithms: Sequence[str]) -> Mapping[str, jwt.PyJWK]:
    """By `kid` ("" where there is none), the keys that check one of these algorithms' signatures.

    Raises PyJWTError or ValueError where there are none: an empty list is taken for a mistake.
    """
    read: Any = json.loads(document)
    if not isinstance(read, dict):
        raise jwt.PyJWKSetError("not a JSON Web Key Set")
    keys = {
        key.key_id or "": key
        for key in jwt.PyJWKSet.from_dict(read)
        if key.algorithm_name in algorithms and key.public_key_use in (None, "sig")
    }
    if not keys:
        raise jwt.PyJWKSetError(f"no key for {', '.join(algorithms)}")
    return keys


def _get(url: str) -> bytes:
    """Raises OSError, HTTPException, and ValueError where it is no list by its size."""
    request = Request(url, headers={"Accept": "application/jwk-set+json, application/json"})  # noqa: S310 - the setting's pattern has http and https only
    opener = build_opener(_NoRedirects, HTTPSHandler(context=ssl.create_default_context()))
    with opener.open(request, timeout=TIMEOUT_S) as answer:
        body: bytes = answer.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise ValueError(f"longer than {MOST_BYTES} bytes")
    return body


class _NoRedirects(HTTPRedirectHandler):
    """Whoever answers at the setting's address lets in: https must hold for all of the way."""

    def redirect_request(self, _request: Request, answer: IO[bytes], *_: object) -> NoReturn:
        answer.close()
        raise OSError("a redirect is not followed: set CHAT_JWKS_URL to where the list is")
