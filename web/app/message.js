import { html } from "./html.js";
import { IconButton, Tick, Unseen } from "./parts.js";
import { clock, fully } from "./times.js";

/** A message, one's own with its tick. Its text is a text node in a block of its own direction. */
export function Message({ message, isOwn, author, isTarget, onDelete }) {
  const { messageId, content, deletedAt, timestamp, status } = message;
  return html`
    <li class=${`message ${isOwn ? "own" : ""}`} data-id=${messageId} data-target=${isTarget || undefined}>
      <div class=${`bubble ${deletedAt ? "gone" : ""}`}>
        <${Unseen}>${isOwn ? "You" : author}: <//>
        <p dir="auto">${deletedAt ? "Message deleted" : content}</p>
        <span class="meta">
          <time datetime=${timestamp} title=${fully(timestamp)}>${clock(timestamp)}</time>
          ${isOwn && !deletedAt && html`<${Tick} status=${status} />`}
        </span>
      </div>
      ${isOwn && !deletedAt && html`
        <${IconButton} name="delete" label="Delete this message" onClick=${() => onDelete(messageId)} />`}
    </li>`;
}

const WHY = { CONVERSATION_ARCHIVED: "the conversation is archived", NOT_PARTICIPANT: "it is not yours" };

/** One that has no answer yet. */
export function Waiting({ item, client }) {
  const { clientMessageId, content, createdAt, error } = item;
  return html`
    <li class="message own waiting">
      <div class="bubble">
        <${Unseen}>You: <//>
        <p dir="auto">${content}</p>
        <span class="meta">
          <time datetime=${new Date(createdAt).toISOString()}>${clock(createdAt)}</time>
          <${Tick} status=${error ? "FAILED" : "SENDING"} />
        </span>
      </div>
      ${error && html`
        <p class="failed" role="alert">
          Not sent: ${WHY[error] ?? error}.
          <button type="button" class="link" onClick=${() => client.retry(clientMessageId)}>Try again</button>
          <button type="button" class="link" onClick=${() => client.discard(clientMessageId)}>Discard</button>
        </p>`}
    </li>`;
}
