// What only a development stack answers: tokens for anybody, matches, a killed gateway.

/** Raises Error; with `isAbsent` where there is no such endpoint, as in production. */
async function develop(path, body, through = fetch) {
  const response = await through(`/api/chat/development/${path}`, {
    method: "POST",
    body: JSON.stringify(body),
  });
  if (response.ok) return response.json();
  const problem = await response.json().catch(() => ({}));
  const error = new Error(problem.description ?? problem.detail ?? response.statusText);
  // The edge itself says 404 as problem+json: then nobody is behind it.
  error.isAbsent = response.status === 404 && problem.code === "NOT_FOUND";
  throw error;
}

/** A user's token, asked for once and then kept until a fresh one is wished for. */
export function tokensOf(userId, through) {
  let token;
  return async ({ fresh }) => {
    if (fresh || !token) ({ token } = await develop("tokens", { userId }, through));
    return token;
  };
}

/** Their new conversation's id. */
export async function match(user1Id, user2Id) {
  return (await develop("matches", { user1Id, user2Id })).conversationId;
}

/** The name of the gateway that is no more. */
export async function killGatewayOf(userId, sessionId) {
  return (await develop("gateway-kills", { userId, sessionId })).gateway;
}
