// Small parts that several places show.

import { html } from "./html.js";
import { hueOf, nameOf } from "./names.js";

/** A round initial. The name stands beside it, so it says nothing to a screen reader. */
export function Avatar({ userId, isOnline }) {
  return html`
    <span class="avatar" style=${{ "--hue": hueOf(userId) }} aria-hidden="true">
      ${nameOf(userId)[0]}${isOnline && html`<span class="presence" />`}
    </span>`;
}

/** For screen readers alone. */
export const Unseen = ({ children }) => html`<span class="unseen">${children}</span>`;

const TICKS = {
  FAILED: { name: "Not sent", path: "M8 4v5M8 11.5v.5" },
  SENDING: { name: "Sending", path: "M8 4.5V8l2.2 1.6M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0z" },
  SENT: { name: "Sent", path: "M3 8.5 6.5 12 13 4.5" },
  DELIVERED: { name: "Delivered", path: "M1 8.5 4.5 12 11 4.5M7.5 11.3l.7.7L15 4.5" },
  READ: { name: "Read", path: "M1 8.5 4.5 12 11 4.5M7.5 11.3l.7.7L15 4.5" },
};

/** How far a message of one's own has come. */
export function Tick({ status }) {
  const { name, path } = TICKS[status];
  return html`
    <span class="tick" data-status=${status} title=${name}>
      <svg viewBox="0 0 16 16" aria-hidden="true"><path d=${path} /></svg>
      <${Unseen}>${name}<//>
    </span>`;
}

const ICONS = {
  archive: "M2.5 3h11v3h-11zM3.5 6v7.5h9V6M6.5 8.5h3",
  back: "M10 3 5 8l5 5",
  close: "M4 4l8 8M12 4l-8 8",
  delete: "M3 4.5h10M6.5 4V2.5h3V4M4.5 4.5l.6 9h5.8l.6-9",
  down: "M8 3v9.5M4 9l4 4 4-4",
  open: "M9 3h4v4M13 3 7.5 8.5M6.5 4H3v9h9V9.5",
  search: "M11.5 7a4.5 4.5 0 1 1-9 0 4.5 4.5 0 0 1 9 0zM10.3 10.3 14 14",
  send: "M2 8h11M8.5 3.5 13 8l-4.5 4.5",
};

export const Icon = ({ name }) =>
  html`<svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d=${ICONS[name]} /></svg>`;

/** A button that is an icon; `label` is what it does. */
export const IconButton = ({ name, label, ...rest }) =>
  html`<button type="button" class="quiet" aria-label=${label} title=${label} ...${rest}>
    <${Icon} name=${name} />
  </button>`;
