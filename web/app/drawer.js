import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { html } from "./html.js";
import { nameOf } from "./names.js";
import { Unseen } from "./parts.js";

const pad = (number, digits) => String(number).padStart(digits, "0");

function exactly(at) {
  const time = new Date(at);
  const parts = [time.getHours(), time.getMinutes(), time.getSeconds()].map((part) => pad(part, 2));
  return `${parts.join(":")}.${pad(time.getMilliseconds(), 3)}`;
}

const TURNING = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** JSON in which no text turns the fields behind it. */
const shown = (fields) =>
  JSON.stringify(fields).replace(TURNING, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** The raw frames of a connection, with times. */
export function Drawer({ person }) {
  const [isOpen, setOpen] = useState(false);
  return html`
    <details class="drawer" onToggle=${({ target }) => setOpen(target.open)}>
      <summary>Frames <span class="soft">${person.frames.value.length}</span></summary>
      ${isOpen && html`<${Frames} person=${person} />`}
    </details>`;
}

function Frames({ person }) {
  const box = useRef(null);
  const frames = person.frames.value;
  useLayoutEffect(() => {
    box.current.scrollTop = box.current.scrollHeight;
  }, [frames]);
  return html`
    <div class="frames" ref=${box} tabindex="0" role="region" aria-label=${`Frames of ${nameOf(person.userId)}`}>
      ${frames.map(({ direction, at, frame: { type, ...fields } }) => html`
        <div class=${`frame ${direction}`} dir="ltr">
          <time>${exactly(at)}</time>
          <span class="arrow" aria-hidden="true">${direction === "in" ? "◀" : "▶"}</span>
          <${Unseen}>${direction === "in" ? "received" : "sent"}<//>
          <b>${type}</b> <bdi>${shown(fields)}</bdi>
        </div>`)}
    </div>`;
}
