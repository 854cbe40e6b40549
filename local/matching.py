"""Makes a conversation, as the match service would."""

from uuid import UUID, uuid4

import httpx

from local import tokens

WITHIN_S = 30.0


async def match(edge: str, secret: str, user1_id: UUID, user2_id: UUID) -> UUID:
    """The new conversation of these two. Raises httpx.HTTPError."""
    token = tokens.sign(secret, str(uuid4()), scope="service")
    body = {"matchId": str(uuid4()), "user1Id": str(user1_id), "user2Id": str(user2_id)}
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as client:
        response = await client.post(f"{edge}/api/chat/conversations", json=body, timeout=WITHIN_S)
    response.raise_for_status()
    return UUID(response.json()["conversationId"])
