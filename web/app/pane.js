import { useEffect, useState } from "preact/hooks";
import { Banner } from "./banner.js";
import { Composer } from "./composer.js";
import { Confirmation } from "./confirmation.js";
import { ConversationList } from "./conversation-list.js";
import { Drawer } from "./drawer.js";
import { Experiments } from "./experiments.js";
import { html } from "./html.js";
import { MessageList } from "./message-list.js";
import { nameOf } from "./names.js";
import { now } from "./now.js";
import { Avatar, Icon, IconButton } from "./parts.js";
import { Search } from "./search.js";
import { briefly } from "./times.js";

/** One user: their list, the open conversation, and what one may do to their connection. */
export function Pane({ person, isAlone, isActive, onLook }) {
  const [isSearching, setSearching] = useState(false);
  const { open } = person;
  return html`
    <section class="pane" aria-label=${nameOf(person.userId)} data-active=${isActive || undefined} data-open=${open ? "" : undefined} data-searching=${isSearching ? "" : undefined}
      data-user=${person.userId} onFocusIn=${onLook} onPointerDown=${onLook}>
      <header class="me">
        <${Avatar} userId=${person.userId} isOnline=${person.connection.value.name === "online"} />
        <h2>${nameOf(person.userId)}</h2>
        <${IconButton} name="search" label="Search" aria-expanded=${isSearching ? "true" : "false"}
          onClick=${() => setSearching(!isSearching)} />
        ${!isAlone && html`
          <a class="quiet" href=${`/?user=${person.userId}`} target="_blank" aria-label="Open in a tab of its own"
            title="Open in a tab of its own"><${Icon} name="open" /></a>`}
      </header>
      <${Banner} person=${person} />
      <${Notice} person=${person} />
      <div class="body">
        ${isSearching
          ? html`<${Search} person=${person} onClose=${() => setSearching(false)} />`
          : html`<${ConversationList} person=${person} />`}
        ${open
          ? html`<${Chat} person=${person} one=${open} />`
          : html`<p class="chat nothing">Choose a conversation.</p>`}
      </div>
      <footer><${Experiments} person=${person} /><${Drawer} person=${person} /></footer>
    </section>`;
}

function Notice({ person }) {
  const text = person.notice.value;
  useEffect(() => {
    const timer = text && setTimeout(() => (person.notice.value = ""), 6_000);
    return () => clearTimeout(timer);
  }, [text]);
  return html`<p class="notice" role="status" hidden=${!text}>${text}</p>`;
}

function Chat({ person, one }) {
  const [question, ask] = useState(null);
  const name = nameOf(one.otherUserId);
  const onDelete = (messageId) =>
    ask({ text: "Delete this message for both of you?", action: "Delete", act: () => person.deleteMessage(messageId) });
  const onArchive = () =>
    ask({ text: `Archive the conversation with ${name}, for both of you?`, action: "Archive", act: () => person.archive(one.id) });
  return html`
    <div class="chat">
      <header>
        <${IconButton} name="back" label="Back to the conversations" onClick=${() => (person.openId.value = null)} />
        <${Avatar} userId=${one.otherUserId} isOnline=${one.online} />
        <div class="title"><h2>${name}</h2><p class="soft"><${Presence} one=${one} /></p></div>
        ${!one.archivedAt && html`<${IconButton} name="archive" label="Archive this conversation" onClick=${onArchive} />`}
      </header>
      <${MessageList} person=${person} one=${one} onDelete=${onDelete} />
      ${one.archivedAt
        ? html`<p class="closed">This conversation is archived. It can still be read.</p>`
        : html`<${Composer} person=${person} one=${one} />`}
      <${Confirmation} question=${question} onDone=${() => ask(null)} />
    </div>`;
}

function Presence({ one }) {
  if (one.archivedAt) return "archived";
  if (one.typingUntil > now.value) return "typing…";
  if (one.online) return "online";
  return one.lastSeenAt ? `last seen ${briefly(one.lastSeenAt)}` : "offline";
}
