// Calls of the REST API as one user. Every call may be repeated safely, so passing refusals are.

const BASE = "/api/chat";
const TRIES = 5;

/** `code` is a constant of docs/protocol.md, or NETWORK. */
export class Refused extends Error {
  constructor(code, detail) {
    super(detail);
    this.code = code;
  }
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Rest {
  #token;
  #fetch;

  /** @param {(wish: {fresh: boolean}) => Promise<string>} token */
  constructor(token, fetch) {
    this.#token = token;
    this.#fetch = fetch;
  }

  /** What GET answers, as an object. Raises Refused. */
  async get(path) {
    return (await this.#call("GET", path)).json();
  }

  /** Raises Refused. */
  async delete(path) {
    await this.#call("DELETE", path);
  }

  async #call(method, path) {
    for (let tries = 1; ; tries += 1) {
      const response = await this.#try(method, path, tries > 1);
      if (response?.ok) return response;
      if (tries === TRIES || (response && !isPassing(response.status))) throw await refusal(response);
      await pause(1000 * Number(response?.headers.get("Retry-After") ?? 1));
    }
  }

  async #try(method, path, fresh) {
    try {
      const token = await this.#token({ fresh });
      return await this.#fetch(BASE + path, { method, headers: { Authorization: `Bearer ${token}` } });
    } catch {
      return undefined; // the network, which may be back for the next try
    }
  }
}

const isPassing = (status) => status === 401 || status === 429 || status >= 500;

async function refusal(response) {
  if (!response) return new Refused("NETWORK", "The service can't be reached.");
  const problem = await response.json().catch(() => ({}));
  return new Refused(problem.code ?? "INTERNAL", problem.detail ?? response.statusText);
}
