import { html } from "./html.js";
import { nameOf } from "./names.js";
import { now } from "./now.js";
import { Avatar, Unseen } from "./parts.js";
import { briefly, fully } from "./times.js";

/** All conversations of a user, the newest activity first, the archived ones below. */
export function ConversationList({ person }) {
  const all = [...person.conversations.value.values()];
  all.sort((a, b) => (a.activeAt < b.activeAt ? 1 : -1));
  const [archived, current] = [all.filter((one) => one.archivedAt), all.filter((one) => !one.archivedAt)];
  const rows = (some) => some.map((one) => html`<${Row} key=${one.id} ...${{ person, one }} />`);
  return html`
    <nav class="list" aria-label=${`Conversations of ${nameOf(person.userId)}`}>
      <ul>${rows(current)}</ul>
      ${archived.length > 0 && html`<h3>Archived</h3><ul>${rows(archived)}</ul>`}
      ${all.length === 0 && html`
        <p class="empty">${person.isListed.value ? "No conversations yet." : "Loading…"}</p>`}
    </nav>`;
}

function Row({ person, one }) {
  const isOpen = person.openId.value === one.id;
  return html`
    <li>
      <button type="button" class="row" aria-current=${isOpen ? "true" : undefined}
        onClick=${() => person.select(one.id)}>
        <${Avatar} userId=${one.otherUserId} isOnline=${one.online} />
        <span class="who">
          <span class="name">${nameOf(one.otherUserId)}</span>
          <${Unseen}>${one.online ? ", online" : ", offline"}<//>
        </span>
        <time datetime=${one.activeAt} title=${fully(one.activeAt)}>${briefly(one.activeAt)}</time>
        <span class="preview"><${Preview} ...${{ person, one }} /></span>
        ${one.unread > 0 && html`
          <span class="badge">${one.unread > 99 ? "99+" : one.unread}<${Unseen}> unread<//></span>`}
      </button>
    </li>`;
}

function Preview({ person, one }) {
  if (one.typingUntil > now.value) return html`<em>typing…</em>`;
  if (!one.last) return html`<em>Say hello</em>`;
  if (one.last.deletedAt) return html`<em>Message deleted</em>`;
  const isOwn = one.last.senderId === person.userId;
  return html`${isOwn && "You: "}<bdi>${one.last.content}</bdi>`;
}
