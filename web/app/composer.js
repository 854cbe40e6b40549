import { useLayoutEffect, useRef } from "preact/hooks";
import { MOST_CHARACTERS } from "../client/outbox.js";
import { html } from "./html.js";
import { nameOf } from "./names.js";
import { Icon } from "./parts.js";

/** From here on it is shown how many characters are left. */
const SHOWN_LEFT = 200;

/** Where a message is written. Enter sends, Shift+Enter makes a line. */
export function Composer({ person, one }) {
  const box = useRef(null);
  const text = person.drafts.value[one.id] ?? "";
  const left = MOST_CHARACTERS - [...text.trim()].length;
  const canSend = text.trim() !== "" && left >= 0;

  useLayoutEffect(() => {
    // As high as what is written, up to the style's most.
    box.current.style.height = "auto";
    box.current.style.height = `${box.current.scrollHeight + 2}px`;
  }, [text, one.id]);

  const send = (event) => {
    event.preventDefault();
    if (canSend) person.send(text);
    box.current.focus();
  };
  const onInput = ({ target }) => {
    person.draft(target.value);
    person.client.typing(one.id, target.value.trim() !== "");
  };
  const onKeyDown = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send(event);
  };
  return html`
    <form class="composer" onSubmit=${send}>
      <textarea ref=${box} rows="1" dir="auto" value=${text} onInput=${onInput} onKeyDown=${onKeyDown}
        placeholder="Write a message" aria-label=${`Message to ${nameOf(one.otherUserId)}`}
        aria-invalid=${left < 0 ? "true" : undefined} />
      ${left < SHOWN_LEFT && html`<span class="left" role="status">${left} characters left</span>`}
      <button type="submit" class="send" disabled=${!canSend} aria-label="Send" title="Send (Enter)">
        <${Icon} name="send" />
      </button>
    </form>`;
}
