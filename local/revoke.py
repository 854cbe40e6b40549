"""Revokes a user's tokens, or one token, as the service that issues them would.

usage: python -m local.revoke (--user UUID | --token JTI) [--until RFC 3339 time]

Needs CHAT_AMQP_URL: with what runs here `make revoke USER=…` or `make revoke TOKEN=…`.
"""

import argparse
import asyncio
import os
from datetime import datetime
from uuid import UUID

import aio_pika
import msgspec
from aio_pika.exceptions import AMQPError, DeliveryError

from libs.common.protocol.codec import REVOKE
from libs.common.protocol.revocations import Revoke
from libs.common.topology import SESSIONS_EXCHANGE, SESSIONS_REVOKE


async def publish(url: str, revoke: Revoke) -> None:
    """Returns when RabbitMQ has given it to every process that listens.

    Raises DeliveryError where none does, AMQPError or OSError where there is no RabbitMQ.
    """
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel(on_return_raises=True)
        exchange = await channel.declare_exchange(
            SESSIONS_EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True
        )
        await exchange.publish(aio_pika.Message(msgspec.json.encode(revoke)), SESSIONS_REVOKE)


def main() -> None:
    """Exits with a sentence when it can't be done."""
    options = _parser().parse_args()
    try:
        revoke = Revoke(user_id=options.user, token_id=options.token, revoked_at=options.until)
        # As who gets it will read it.
        REVOKE.decode(msgspec.json.encode(revoke))
    except (ValueError, msgspec.ValidationError) as error:
        raise SystemExit(f"{error}. make revoke USER=uuid, or make revoke TOKEN=jti") from None
    try:
        asyncio.run(publish(os.environ["CHAT_AMQP_URL"], revoke))
    except DeliveryError:
        raise SystemExit("Nobody has heard it: no gateway and no REST API runs. Repeat.") from None
    except (AMQPError, OSError) as error:
        raise SystemExit(f"RabbitMQ did not take it ({error}). Repeat.") from None
    print("Revoked.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.revoke", description=__doc__)
    parser.add_argument("--user", type=UUID, help="all tokens of this user")
    parser.add_argument("--token", help="the token with this id (jti)")
    parser.add_argument(
        "--until", type=datetime.fromisoformat, help="of a user: those issued until then; now"
    )
    return parser


if __name__ == "__main__":
    main()
