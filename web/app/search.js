import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "./html.js";
import { nameOf } from "./names.js";
import { IconButton } from "./parts.js";
import { briefly, fully } from "./times.js";

/** Keys that follow each other so fast are one question. */
const PAUSE_MS = 250;
/** Shown before a hit's first highlight, in characters. */
const BEFORE = 30;
/** So many messages at a time are loaded on the way back to a hit. */
const PAGE = 100;

/** A pane that is narrower shows either the hits or a conversation (style/page.css). */
const NARROW_PX = 560;

/** Search over all conversations of the user; a hit leads to its place. */
export function Search({ person, onClose }) {
  const [asked, setAsked] = useState("");
  const [found, setFound] = useState({ hits: [], said: "" });
  const field = useRef(null);
  useEffect(() => field.current.focus(), []);
  useEffect(() => {
    let isStale = false;
    const timer = setTimeout(async () => {
      const answer = asked.trim() ? await look(person, asked.trim()) : { hits: [], said: "" };
      if (!isStale) setFound(answer);
    }, PAUSE_MS);
    return () => {
      isStale = true;
      clearTimeout(timer);
    };
  }, [asked]);
  const jump = (hit) => {
    if (field.current.closest(".pane").clientWidth <= NARROW_PX) onClose();
    jumpTo(person, hit);
  };
  return html`
    <section class="search" aria-label="Search" onKeyDown=${(event) => event.key === "Escape" && onClose()}>
      <div class="field">
        <input ref=${field} type="search" dir="auto" value=${asked} aria-label="Search messages"
          placeholder="Search messages" onInput=${({ target }) => setAsked(target.value)} />
        <${IconButton} name="close" label="Close the search" onClick=${onClose} />
      </div>
      <p class="said" role="status">${found.said}</p>
      <ul>
        ${found.hits.map((hit) => html`
          <li key=${hit.messageId}>
            <button type="button" class="hit" onClick=${() => jump(hit)}>
              <span class="name">${hit.senderId === person.userId ? "You" : nameOf(hit.senderId)}</span>
              <time datetime=${hit.timestamp} title=${fully(hit.timestamp)}>${briefly(hit.timestamp)}</time>
              <bdi class="text"><${Highlighted} hit=${hit} /></bdi>
            </button>
          </li>`)}
      </ul>
    </section>`;
}

async function look(person, asked) {
  const query = new URLSearchParams({ q: asked, limit: "30" });
  try {
    const hits = (await person.rest.get(`/messages/search?${query}`)).items;
    return { hits, said: hits.length === 1 ? "1 message" : `${hits.length || "No"} messages` };
  } catch (error) {
    return { hits: [], said: error.message };
  }
}

/** Opens its conversation, loads back as far as it is, and has it shown. */
async function jumpTo(person, { conversationId, messageId, seq }) {
  person.select(conversationId);
  for (let one; (one = person.open) && one.id === conversationId; ) {
    if (one.older === null || one.messages[0]?.seq <= seq) break;
    if (!(await person.loadOlder(conversationId, PAGE))) return;
  }
  person.target.value = messageId;
}

/** The text from a little before its first highlight on; spans count code points. */
function Highlighted({ hit }) {
  const points = [...hit.content];
  const start = Math.max(0, (hit.highlight[0]?.start ?? 0) - BEFORE);
  const parts = [start > 0 ? "…" : ""];
  let at = start;
  for (const span of hit.highlight) {
    parts.push(points.slice(at, span.start).join(""));
    parts.push(html`<mark>${points.slice(span.start, span.end).join("")}</mark>`);
    at = span.end;
  }
  return html`${parts}${points.slice(at).join("")}`;
}
