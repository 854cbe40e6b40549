"""Holds the clients' WebSocket connections (DESIGN.md, sections 1 and 4)."""

import resource
from functools import partial

from libs.common.cache import Cache
from libs.common.config import load
from libs.common.jwks import verifier_of
from libs.common.lifecycle import HEALTH_S, Life, run, serve_while_connected
from libs.common.tokens import Keys
from services.ws_gateway.gateway import Gateway
from services.ws_gateway.settings import GatewaySettings


async def live(settings: GatewaySettings, life: Life) -> None:
    """Listens at once; serves whenever there is a broker; ends by telling every client."""
    cache = Cache(settings.redis_url)
    verifier = verifier_of(settings)
    gateway = Gateway(settings, verifier, cache, life)
    await gateway.listen()
    try:
        verifier.keys.start()
        await _keys_known(verifier.keys, life)
        await serve_while_connected(
            settings.amqp_url, f"ws_gateway-{settings.instance}", life, gateway.serve
        )
    finally:
        verifier.keys.stop()
        gateway.close()
        await cache.close()


def open_all_files_allowed() -> None:
    """A connection is an open file. Containers may start with a soft limit of 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _keys_known(keys: Keys, life: Life) -> None:
    """Or the end. Until then nobody could be let in."""
    while not keys.are_known and not life.stopping.is_set():
        life.health.unready("the issuer's keys")
        await life.pause(HEALTH_S)


def main() -> None:
    """The process."""
    settings = load(GatewaySettings)
    open_all_files_allowed()
    run("ws_gateway", settings, partial(live, settings))


if __name__ == "__main__":
    main()
