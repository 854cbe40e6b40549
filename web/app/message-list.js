import { html } from "./html.js";
import { Message, Waiting } from "./message.js";
import { nameOf } from "./names.js";
import { now } from "./now.js";
import { Icon, Unseen } from "./parts.js";
import { useScrolling } from "./scrolling.js";
import { dayOf, isSameDay } from "./times.js";

/** The messages of the open conversation, in a box that scrolls. */
export function MessageList({ person, one, onDelete }) {
  const { box, isAtEnd, missed, onScroll, toEnd } = useScrolling(person, one);
  const waiting = person.outbox.value.filter((item) => item.conversationId === one.id);
  const name = nameOf(one.otherUserId);
  return html`
    <div class="messages">
      <div class="scroll" ref=${box} onScroll=${onScroll} tabindex="0" role="log"
        aria-label=${`Messages with ${name}`}>
        <ol>
          ${one.older === null && html`<li class="note">You and ${name} matched. Say hello.</li>`}
          ${one.older && html`<li class="note">Loading…</li>`}
          ${one.messages.map((message, index) => html`
            <${Entry} key=${message.messageId} before=${one.messages[index - 1]}
              ...${{ person, message, name, onDelete }} />`)}
          ${waiting.map((item) => html`
            <${Waiting} key=${item.clientMessageId} item=${item} client=${person.client} />`)}
        </ol>
        <${Typing} one=${one} />
      </div>
      ${!isAtEnd && html`
        <button type="button" class="pill" onClick=${toEnd}>
          <${Icon} name="down" />${missed > 0 ? `${missed} new ${missed > 1 ? "messages" : "message"}` : "Newest"}
        </button>`}
    </div>`;
}

/** A message, and what separates it from the one before. */
function Entry({ person, message, before, name, onDelete }) {
  const { messageId, senderId, timestamp } = message;
  const isNewDay = !before || !isSameDay(before.timestamp, timestamp);
  return html`
    ${isNewDay && html`<li class="day"><span>${dayOf(timestamp)}</span></li>`}
    ${person.dividerId.value === messageId && html`<li class="divider"><span>New messages</span></li>`}
    <${Message} message=${message} author=${name} isOwn=${senderId === person.userId}
      isTarget=${person.target.value === messageId} onDelete=${onDelete} />`;
}

function Typing({ one }) {
  if (one.typingUntil <= now.value) return null;
  return html`
    <p class="typing"><span class="dots" aria-hidden="true"><i /><i /><i /></span>
      <${Unseen}>${nameOf(one.otherUserId)} is typing<//></p>`;
}
